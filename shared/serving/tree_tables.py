"""Scores of many rows from an ensemble of small trees by looking up instead of walking.

A walk down a tree is a chain of guesses for a processor; 300 trees cost it 7 microseconds a row.
Here each tree is a word whose bits are its leaves from left to right, all set at first. A
comparison that a row fails clears the leaves on its `yes` side, and when all are made the lowest
bit left is the leaf that the row comes to (QuickScorer: Lucchese et al., SIGIR 2015). What a
feature's comparisons clear depends only on where its value lies between their thresholds:

    table[interval of the value] = a word for each tree       words of a row = AND over features

Features that are compared with one value, as one-hot columns are, share a table, a few of them
each. Leaves are summed in the order of the trees in float32: the bits are those of onnxruntime.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.serving.onnx_trees import Floats32, Forest, Ints, read_forest

_LEAVES = 64
# Of a table of features with one threshold each: 2 ** 6 rows stay within a processor's cache.
_TOGETHER = 6
# Of all tables: where thresholds are many, walking has to do.
_MOST_BYTES = 16_000_000
# Rows at a time, so that their words stay within the cache.
_BLOCK = 128
_ALL, _ONE = np.uint64(2**64 - 1), np.float32(1)
# The exponent of a float64, which tells the place of a single bit.
_MANTISSA_BITS, _EXPONENT_OF_ONE = 52, 1023

# How far from onnxruntime's answers is another model; a last bit of exp may differ.
_CLOSE = 1e-6
_PROBED = 256

Words = NDArray[np.uint64]


class _Nodes(NamedTuple):
    """The comparisons of a forest; `kept` are the leaves of its tree that stay when one fails."""

    tree: Ints
    feature: Ints
    threshold: Floats32
    kept: Words


def tables_of(
    onnx: bytes, output: str, width: int, run: Callable[[Floats32], Floats32]
) -> TreeTables | None:
    """Tables for the trees of an ONNX file; None for other files, and where they do not answer as
    onnxruntime (`run`) does to rows made of the trees' own thresholds."""
    forest = read_forest(onnx, output)
    if forest is None or forest.feature[~forest.leaf].max(initial=0) >= width:
        return None
    tables = TreeTables.of(forest)
    if tables is None:
        return None
    x = _probe(forest, width)
    expected = run(x)[:, -1]
    limit = _CLOSE * max(1.0, float(np.abs(expected).max()))
    return tables if np.abs(tables.score(x) - expected).max() <= limit else None


def _probe(forest: Forest, width: int) -> Floats32:
    """Rows whose values are thresholds, or next to them."""
    random = np.random.default_rng(0)
    x = np.zeros((_PROBED, width), np.float32)
    for feature in np.unique(forest.feature[~forest.leaf]).tolist():
        thresholds = forest.threshold[~forest.leaf & (forest.feature == feature)]
        picked = random.choice(thresholds, _PROBED)
        beside = random.choice(np.array([-np.inf, 0, np.inf], np.float32), _PROBED)
        x[:, feature] = np.where(beside == 0, picked, np.nextafter(picked, beside))
    return x


# A feature, its thresholds in order, and its table.
_Looked = tuple[int, Floats32, Words]


class TreeTables:
    """The answers of a forest, as onnxruntime gives them. Safe to share between threads."""

    def __init__(self, forest: Forest, nodes: _Nodes, leaves: Floats32) -> None:
        """`leaves` is [n_trees, 64], from left to right."""
        self._forest, self._leaves = forest, leaves.reshape(-1)
        self._trees = len(leaves)
        self._before = np.arange(self._trees) * _LEAVES - _EXPONENT_OF_ONE
        several: list[_Looked] = []
        single: list[_Looked] = []
        for feature in np.unique(nodes.feature).tolist():
            thresholds, table = _table(nodes, feature, self._trees)
            (several if len(thresholds) > 1 else single).append((feature, thresholds, table))
        self._several = several
        self._columns, self._limits, tables = _together(single, self._trees)
        tables += [table for _, _, table in several]
        self._flat_columns, self._flat_limits = self._columns.reshape(-1), self._limits.reshape(-1)
        # One matrix, for a row to take a line from each table at once.
        self._words = np.concatenate(tables)
        *starts, _ = np.cumsum([0, *map(len, tables)]).tolist()
        self._starts: list[int] = starts
        self._tables = np.split(self._words, starts[1:])
        find = bisect_left if forest.inclusive else bisect_right
        self._places = [(column, partial(find, found.tolist())) for column, found, _ in several]

    @classmethod
    def of(cls, forest: Forest) -> TreeTables | None:
        """None for trees of more than 64 leaves, or so many thresholds that tables get large."""
        placed = _place_leaves(forest)
        if placed is None:
            return None
        first, nodes = placed
        asked = np.unique(nodes.feature << 32 | nodes.threshold.view(np.uint32).astype(np.int64))
        features, counts = np.unique(asked >> 32, return_counts=True)
        groups = -(-np.count_nonzero(counts == 1) // _TOGETHER)
        rows = groups * 2**_TOGETHER + int((counts[counts > 1] + 1).sum())
        if not len(features) or rows * len(forest.roots) * _ALL.itemsize > _MOST_BYTES:
            return None
        leaves = np.zeros((len(forest.roots), _LEAVES), np.float32)
        at = np.flatnonzero(forest.leaf)
        leaves[_tree_of(forest)[at], first[at]] = forest.value[at]
        return cls(forest, nodes, leaves)

    def score(self, x: Floats32) -> Floats32:
        """Probabilities or values [n_rows] of a matrix [n_rows, n_encoded] without NaN."""
        codes = self._codes(x)
        total = np.empty(len(x), np.float32)
        words = np.empty((min(_BLOCK, len(x)), self._trees), np.uint64)
        more, floats = np.empty_like(words), np.empty(words.shape, np.float64)
        for start in range(0, len(x), _BLOCK):
            size = min(_BLOCK, len(x) - start)
            places = self._leaf_places(
                [code[start : start + size] for code in codes],
                words[:size],
                more[:size],
                floats[:size],
            )
            # Trees first: their sum is then taken in order, as onnxruntime does.
            found = self._leaves.take(places.T, mode="clip")
            total[start : start + size] = found.sum(axis=0)
        total += self._forest.base
        return _logistic(total) if self._forest.logistic else total

    def score_one(self, row: Floats32) -> float:
        """`score` for one row [n_encoded], whose tables are many for so little."""
        compared = row[self._flat_columns]
        failed = (
            compared > self._flat_limits
            if self._forest.inclusive
            else compared >= self._flat_limits
        )
        lines = np.packbits(failed).tolist()
        lines += [find(row.item(column)) for column, find in self._places]
        at = list(map(int.__add__, self._starts, lines))
        words = np.bitwise_and.reduce(self._words[at], axis=0)
        words &= -words
        places = words.astype(np.float64).view(np.int64)
        places >>= _MANTISSA_BITS
        places += self._before
        # Adding up in order, as in a batch; `sum` would add in pairs.
        total = np.add.accumulate(self._leaves[places])[-1] + self._forest.base
        if not self._forest.logistic:
            return float(total)
        small = np.float32(np.exp(-abs(float(total))))
        found = _ONE / (_ONE + small)
        return float(_ONE - found if total < 0 else found)

    def _codes(self, x: Floats32) -> list[Ints]:
        """For each table its row for each row of `x`."""
        inclusive = self._forest.inclusive
        compared = x[:, self._columns]
        failed = compared > self._limits if inclusive else compared >= self._limits
        together = np.packbits(failed, axis=2)[:, :, 0].astype(np.intp)
        codes = list(together.T)
        for feature, thresholds, _ in self._several:
            if inclusive:
                codes.append(np.searchsorted(thresholds, x[:, feature], side="left"))
            else:
                codes.append(np.searchsorted(thresholds, x[:, feature], side="right"))
        return codes

    def _leaf_places(
        self, codes: list[Ints], words: Words, more: Words, floats: NDArray[np.float64]
    ) -> Ints:
        """Where the leaves are that rows come to, [n_rows, n_trees]; the others are room to work
        in."""
        # The methods: np.take is a Python function around them, called a hundred times a block.
        self._tables[0].take(codes[0], axis=0, out=words, mode="clip")
        for table, code in zip(self._tables[1:], codes[1:], strict=True):
            table.take(code, axis=0, out=more, mode="clip")
            np.bitwise_and(words, more, out=words)
        np.negative(words, out=more)
        np.bitwise_and(words, more, out=words)  # the lowest bit alone
        np.copyto(floats, words, casting="unsafe")
        places = floats.view(np.int64)
        np.right_shift(places, _MANTISSA_BITS, out=places)
        np.add(places, self._before, out=places)
        return places


def _place_leaves(forest: Forest) -> tuple[Ints, _Nodes] | None:
    """For each node the number of the first leaf below it, from the left of its tree, and the
    comparisons. None where a tree has too many leaves."""
    levels = []
    below = forest.roots
    while len(below):
        branches = below[~forest.leaf[below]]
        levels.append(branches)
        below = np.concatenate([forest.yes[branches], forest.no[branches]])
        if len(levels) > _LEAVES:  # deeper than its leaves are many: no tree
            return None
    leaves = forest.leaf.astype(np.int64)
    for branches in reversed(levels):
        leaves[branches] = leaves[forest.yes[branches]] + leaves[forest.no[branches]]
    if leaves[forest.roots].max() > _LEAVES:
        return None
    first = np.zeros_like(leaves)
    for branches in levels:
        first[forest.yes[branches]] = first[branches]
        first[forest.no[branches]] = first[branches] + leaves[forest.yes[branches]]
    found = np.concatenate(levels)
    low, high = first[found], first[forest.no[found]]
    one = np.uint64(1)
    kept = ~((one << high.astype(np.uint64)) - (one << low.astype(np.uint64)))
    feature, threshold = forest.feature[found], forest.threshold[found]
    return first, _Nodes(_tree_of(forest)[found], feature, threshold, kept)


def _tree_of(forest: Forest) -> Ints:
    """The number of each node's tree."""
    sizes = np.diff(forest.roots, append=len(forest.leaf))
    return np.repeat(np.arange(len(forest.roots)), sizes)


def _table(nodes: _Nodes, feature: int, trees: int) -> tuple[Floats32, Words]:
    """The thresholds of a feature in order, and the words [n_thresholds + 1, n_trees] of a value
    that so many of them are failed with."""
    which = np.flatnonzero(nodes.feature == feature)
    thresholds, rank = np.unique(nodes.threshold[which], return_inverse=True)
    table = np.full((len(thresholds) + 1, trees), _ALL)
    np.bitwise_and.at(table, (rank + 1, nodes.tree[which]), nodes.kept[which])
    return thresholds, np.bitwise_and.accumulate(table, axis=0)


def _together(single: list[_Looked], trees: int) -> tuple[Ints, Floats32, list[Words]]:
    """Features with one threshold in groups: columns and thresholds [n_groups, 8], and a table for
    each group whose row has a bit for each feature. Free places are never failed."""
    groups = -(-len(single) // _TOGETHER)
    columns = np.zeros((groups, 8), np.intp)
    limits = np.full((groups, 8), np.inf, np.float32)
    tables = []
    for group in range(groups):
        table = np.full((1, trees), _ALL)
        members = single[group * _TOGETHER : (group + 1) * _TOGETHER]
        for bit, (feature, thresholds, words) in enumerate(members, start=8 - len(members)):
            columns[group, bit], limits[group, bit] = feature, thresholds[0]
            table = (table[:, None] & words[None]).reshape(-1, trees)
        tables.append(table)
    return columns, limits, tables


def _logistic(raw: Floats32) -> Floats32:
    """As onnxruntime computes it: in float32, and without overflow."""
    small = np.exp(-np.abs(raw).astype(np.float64)).astype(np.float32)
    found: Floats32 = _ONE / (_ONE + small)
    return np.where(raw < 0, _ONE - found, found)
