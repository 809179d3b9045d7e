"""How many rows repeat others, counted while they stream by in bounded memory.

A row counts by the hash of its features, so that all rows of one hash are counted or none: first
all hashes, then every second, fourth ... of them (distinct sampling, Gibbons 2001). A sample of
rows would miss the copies of what it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.tabular.metrics import Floats

LIMIT = 50_000
_MOST_HALVINGS = 62


@dataclass(frozen=True, slots=True)
class Repeated:
    """`copies` are rows equal to an earlier one in features and target, `disagreeing` those with a
    row of equal features and another target, `different` counts distinct features; all of the
    `counted` rows, which stand for `rows`."""

    rows: int
    counted: int
    copies: int
    disagreeing: int
    different: int


class Repeats:
    """Holds at most about `limit` different rows."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit, self._halvings, self._rows = limit, 0, 0
        self._key, self._target = np.empty(0, np.uint64), np.empty(0, np.float64)
        self._times = np.empty(0, np.int64)

    def add(self, keys: Sequence[bytes], target: Floats) -> None:
        """The next rows: keys as of `splitting.row_keys`, and targets [n_rows]."""
        fresh = np.frombuffer(b"".join(key[:8] for key in keys), np.uint64)
        self._rows += len(fresh)
        self._key = np.concatenate([self._key, fresh])
        self._target = np.concatenate([self._target, target])
        self._times = np.concatenate([self._times, np.ones(len(fresh), np.int64)])
        self._thin()
        while len(self._key) > self._limit and self._halvings < _MOST_HALVINGS:
            self._halvings += 1
            self._thin()

    def result(self) -> Repeated:
        first, group = np.unique(self._key, return_inverse=True)
        targets = np.bincount(group, minlength=len(first))
        counted = int(self._times.sum())
        return Repeated(
            rows=self._rows,
            counted=counted,
            copies=counted - len(self._key),
            disagreeing=int(self._times[targets[group] > 1].sum()),
            different=len(first),
        )

    def _thin(self) -> None:
        """Keep the hashes that still count, and each different row once with its number."""
        low_bits = np.uint64((1 << self._halvings) - 1)
        kept = (self._key & low_bits) == 0
        key, target, times = self._key[kept], self._target[kept], self._times[kept]
        order = np.lexsort((target, key))
        key, target, times = key[order], target[order], times[order]
        starts = _starts(key, target)
        self._key, self._target = key[starts], target[starts]
        self._times = np.add.reduceat(times, starts) if len(starts) else times


def _starts(key: NDArray[np.uint64], target: Floats) -> NDArray[np.intp]:
    """Where a new row begins among sorted ones."""
    if not len(key):
        return np.empty(0, np.intp)
    new = (key[1:] != key[:-1]) | (target[1:] != target[:-1])
    return np.flatnonzero(np.r_[True, new])
