"""Scores of many rows from an ensemble of small trees by looking up instead of walking.

A walk down a tree is a chain of guesses for a processor; 300 trees cost it 7 microseconds a row.
Here each tree is a word whose bits are its leaves from left to right, all set at first. A
comparison that a row fails clears the leaves on its `yes` side, and when all are made the lowest
bit left is the leaf that the row comes to. What a feature's comparisons clear depends only on where
its value lies between their thresholds:

    table[interval of the value] = a word for each tree       words of a row = AND over features

Features that are compared with one value, as one-hot columns are, share a table, a few of them
each. What is made of the words is `shared.serving.tree_lines`' matter.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from shared.serving.onnx_trees import Floats32, Forest, Ints, read_forest
from shared.serving.tree_lines import ALL, CLOSE, LEAVES, MOST_BYTES, PROBED, TreeLines, Words

# Of a table of features with one threshold each: 2 ** 6 rows stay within a processor's cache.
_TOGETHER = 6


class _Nodes(NamedTuple):
    """The comparisons of a forest; `kept` are the leaves of its tree that stay when one fails."""

    tree: Ints
    feature: Ints
    threshold: Floats32
    kept: Words


class Comparisons(NamedTuple):
    """What the trees of a file compare; `leaves` are [n_trees, 64], from left to right."""

    forest: Forest
    nodes: _Nodes
    leaves: Floats32

    @property
    def trees(self) -> int:
        return len(self.leaves)

    def table(self, feature: int) -> tuple[Floats32, Words]:
        """The thresholds of a feature in order, and the words [n_thresholds + 1, n_trees] of a
        value that so many of them are failed with."""
        nodes = self.nodes
        which = np.flatnonzero(nodes.feature == feature)
        thresholds, rank = np.unique(nodes.threshold[which], return_inverse=True)
        table = np.full((len(thresholds) + 1, self.trees), ALL)
        np.bitwise_and.at(table, (rank + 1, nodes.tree[which]), nodes.kept[which])
        return thresholds, np.bitwise_and.accumulate(table, axis=0)

    def words_of(self, feature: int, value: float) -> Words:
        """The words [n_trees] of one value."""
        thresholds, table = self.table(feature)
        failed = thresholds < value if self.forest.inclusive else thresholds <= value
        found: Words = table[np.count_nonzero(failed)]
        return found


def comparisons_of(onnx: bytes, output: str, width: int) -> Comparisons | None:
    """Those of the trees of an ONNX file, None for other files and trees of more than 64 leaves."""
    forest = read_forest(onnx, output)
    if forest is None or forest.feature[~forest.leaf].max(initial=0) >= width:
        return None
    placed = _place_leaves(forest)
    if placed is None:
        return None
    first, nodes = placed
    leaves = np.zeros((len(forest.roots), LEAVES), np.float32)
    at = np.flatnonzero(forest.leaf)
    leaves[_tree_of(forest)[at], first[at]] = forest.value[at]
    return Comparisons(forest, nodes, leaves)


def tables_of(
    onnx: bytes, output: str, width: int, run: Callable[[Floats32], Floats32]
) -> TreeTables | None:
    """Tables for the trees of an ONNX file; None for other files, and where they do not answer as
    onnxruntime (`run`) does to rows made of the trees' own thresholds."""
    comparisons = comparisons_of(onnx, output, width)
    tables = None if comparisons is None else TreeTables.of(comparisons)
    if comparisons is None or tables is None:
        return None
    x = _probe(comparisons.forest, width)
    expected = run(x)[:, -1]
    limit = CLOSE * max(1.0, float(np.abs(expected).max()))
    return tables if np.abs(tables.score(x) - expected).max() <= limit else None


def _probe(forest: Forest, width: int) -> Floats32:
    """Rows whose values are thresholds, or next to them."""
    random = np.random.default_rng(0)
    x = np.zeros((PROBED, width), np.float32)
    for feature in np.unique(forest.feature[~forest.leaf]).tolist():
        thresholds = forest.threshold[~forest.leaf & (forest.feature == feature)]
        picked = random.choice(thresholds, PROBED)
        beside = random.choice(np.array([-np.inf, 0, np.inf], np.float32), PROBED)
        x[:, feature] = np.where(beside == 0, picked, np.nextafter(picked, beside))
    return x


# A feature, its thresholds in order, and its table.
_Looked = tuple[int, Floats32, Words]


class TreeTables:
    """The answers of a forest, as onnxruntime gives them. Safe to share between threads."""

    def __init__(self, comparisons: Comparisons) -> None:
        self._inclusive = comparisons.forest.inclusive
        several: list[_Looked] = []
        single: list[_Looked] = []
        for feature in np.unique(comparisons.nodes.feature).tolist():
            thresholds, table = comparisons.table(feature)
            (several if len(thresholds) > 1 else single).append((feature, thresholds, table))
        self._several = [(feature, thresholds) for feature, thresholds, _ in several]
        self._columns, self._limits, tables = _together(single, comparisons.trees)
        self._flat_columns, self._flat_limits = self._columns.reshape(-1), self._limits.reshape(-1)
        tables += [table for _, _, table in several]
        self._lines = TreeLines(tables, comparisons.forest, comparisons.leaves)
        find = bisect_left if self._inclusive else bisect_right
        self._places = [(column, partial(find, found.tolist())) for column, found, _ in several]

    @classmethod
    def of(cls, comparisons: Comparisons) -> TreeTables | None:
        """None for so many thresholds that tables get large."""
        nodes = comparisons.nodes
        asked = np.unique(nodes.feature << 32 | nodes.threshold.view(np.uint32).astype(np.int64))
        features, counts = np.unique(asked >> 32, return_counts=True)
        groups = -(-np.count_nonzero(counts == 1) // _TOGETHER)
        rows = groups * 2**_TOGETHER + int((counts[counts > 1] + 1).sum())
        if not len(features) or rows * comparisons.trees * ALL.itemsize > MOST_BYTES:
            return None
        return cls(comparisons)

    def score(self, x: Floats32) -> Floats32:
        """Probabilities or values [n_rows] of a matrix [n_rows, n_encoded] without NaN."""
        return self._lines.many(self._codes(x))

    def score_one(self, row: Floats32) -> float:
        """`score` for one row [n_encoded], whose tables are many for so little."""
        compared = row[self._flat_columns]
        failed = compared > self._flat_limits if self._inclusive else compared >= self._flat_limits
        lines = np.packbits(failed).tolist()
        lines += [find(row.item(column)) for column, find in self._places]
        return self._lines.one(list(map(int.__add__, self._lines.starts, lines)))

    def _codes(self, x: Floats32) -> list[Ints]:
        """For each table its row for each row of `x`."""
        inclusive = self._inclusive
        compared = x[:, self._columns]
        failed = compared > self._limits if inclusive else compared >= self._limits
        together = np.packbits(failed, axis=2)[:, :, 0].astype(np.intp)
        codes = list(together.T)
        for feature, thresholds in self._several:
            if inclusive:
                codes.append(np.searchsorted(thresholds, x[:, feature], side="left"))
            else:
                codes.append(np.searchsorted(thresholds, x[:, feature], side="right"))
        return codes


def _place_leaves(forest: Forest) -> tuple[Ints, _Nodes] | None:
    """For each node the number of the first leaf below it, from the left of its tree, and the
    comparisons. None where a tree has too many leaves."""
    levels = []
    below = forest.roots
    while len(below):
        branches = below[~forest.leaf[below]]
        levels.append(branches)
        below = np.concatenate([forest.yes[branches], forest.no[branches]])
        if len(levels) > LEAVES:  # deeper than its leaves are many: no tree
            return None
    leaves = forest.leaf.astype(np.int64)
    for branches in reversed(levels):
        leaves[branches] = leaves[forest.yes[branches]] + leaves[forest.no[branches]]
    if leaves[forest.roots].max() > LEAVES:
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


def _together(single: list[_Looked], trees: int) -> tuple[Ints, Floats32, list[Words]]:
    """Features with one threshold in groups: columns and thresholds [n_groups, 8], and a table for
    each group whose row has a bit for each feature. Free places are never failed."""
    groups = -(-len(single) // _TOGETHER)
    columns = np.zeros((groups, 8), np.intp)
    limits = np.full((groups, 8), np.inf, np.float32)
    tables = []
    for group in range(groups):
        table = np.full((1, trees), ALL)
        members = single[group * _TOGETHER : (group + 1) * _TOGETHER]
        for bit, (feature, thresholds, words) in enumerate(members, start=8 - len(members)):
            columns[group, bit], limits[group, bit] = feature, thresholds[0]
            table = (table[:, None] & words[None]).reshape(-1, trees)
        tables.append(table)
    return columns, limits, tables
