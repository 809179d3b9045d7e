"""From lines of words to scores: what rows come to in an ensemble of small trees.

Each tree is a word whose bits are its leaves from left to right. A table has a line of such words,
one for each tree, for everything that a value may be; a row takes a line of each table, and the
lowest bit that all of them have is the leaf that it comes to (QuickScorer: Lucchese et al., SIGIR
2015). Leaves are summed in the order of the trees in float32: the bits are those of onnxruntime.

What picks the lines is `shared.serving.tree_tables`' and `shared.serving.value_tables`' matter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.serving.onnx_trees import Floats32, Forest, Ints

LEAVES = 64
# Of all tables: where thresholds are many, walking has to do.
MOST_BYTES = 16_000_000
# Rows at a time, so that their words stay within the cache.
_BLOCK = 128
ALL, _ONE = np.uint64(2**64 - 1), np.float32(1)
# The exponent of a float64, which tells the place of a single bit.
_MANTISSA_BITS, _EXPONENT_OF_ONE = 52, 1023

# How far from onnxruntime's answers is another model; a last bit of exp may differ.
CLOSE = 1e-6
PROBED = 256

Words = NDArray[np.uint64]


class TreeLines:
    """The answers of a forest to lines of these tables, each [n_lines, n_trees]; `leaves` are
    [n_trees, 64]. Safe to share between threads. `starts` is where each table begins for `one`."""

    def __init__(self, tables: Sequence[Words], forest: Forest, leaves: Floats32) -> None:
        self._base, self._logistic = forest.base, forest.logistic
        self._leaves, self._trees = leaves.reshape(-1), len(leaves)
        self._before = np.arange(self._trees) * LEAVES - _EXPONENT_OF_ONE
        # One matrix, for a row to take a line from each table at once.
        self._words = np.concatenate(tables)
        *starts, _ = np.cumsum([0, *map(len, tables)]).tolist()
        self.starts: list[int] = starts
        self._tables = np.split(self._words, starts[1:])

    def many(self, codes: Sequence[Ints]) -> Floats32:
        """Probabilities or values [n_rows] of rows that take these lines of each table."""
        rows = len(codes[0])
        total = np.empty(rows, np.float32)
        words = np.empty((min(_BLOCK, rows), self._trees), np.uint64)
        more, floats = np.empty_like(words), np.empty(words.shape, np.float64)
        for start in range(0, rows, _BLOCK):
            size = min(_BLOCK, rows - start)
            places = self._leaf_places(
                [code[start : start + size] for code in codes],
                words[:size],
                more[:size],
                floats[:size],
            )
            # Trees first: their sum is then taken in order, as onnxruntime does.
            found = self._leaves.take(places.T, mode="clip")
            # In order, too, where a block has one row: `sum` would add that in pairs.
            summed = found.sum(axis=0) if size > 1 else np.add.accumulate(found)[-1]
            total[start : start + size] = summed
        total += self._base
        return _logistic(total) if self._logistic else total

    def one(self, at: list[int]) -> float:
        """`many` for one row: `at` are positions among the lines of all tables."""
        words = np.bitwise_and.reduce(self._words.take(at, axis=0), axis=0)
        words &= -words
        places = words.astype(np.float64).view(np.int64)
        places >>= _MANTISSA_BITS
        places += self._before
        # Adding up in order, as in a batch; `sum` would add in pairs.
        total = np.add.accumulate(self._leaves.take(places))[-1] + self._base
        if not self._logistic:
            return float(total)
        small = np.float32(np.exp(-abs(float(total))))
        found = _ONE / (_ONE + small)
        return float(_ONE - found if total < 0 else found)

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


def _logistic(raw: Floats32) -> Floats32:
    """As onnxruntime computes it: in float32, and without overflow."""
    small = np.exp(-np.abs(raw).astype(np.float64)).astype(np.float32)
    found: Floats32 = _ONE / (_ONE + small)
    return np.where(raw < 0, _ONE - found, found)
