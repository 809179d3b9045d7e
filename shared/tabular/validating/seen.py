"""Which values were seen before, for columns that must be unique: 16 bytes for each value.

Values are known by 64 bits: numbers and times by their own, texts by a hash. Of a million texts two
are taken for one with a chance of one in 40 million. A file of 18 million rows (2 GiB) needs about
290 MB for each such column, and twice that while runs are merged.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]
NOWHERE = -1


def hashes_of(values: NDArray[Any]) -> Hashes:
    """64 bits for each value, the same ones in every process: float64, or object arrays of str."""
    if values.dtype == object:
        found = (blake2b(text.encode(), digest_size=8).digest() for text in values.tolist())
        return np.frombuffer(b"".join(found), np.uint64)
    return (values + 0.0).view(np.uint64)  # -0.0 and 0.0 are one number


class Seen:
    """Hashes with the place where each was seen first, in sorted runs of growing size."""

    def __init__(self) -> None:
        self._runs: list[tuple[Hashes, Places]] = []

    def places(self, hashes: Hashes) -> Places:
        """Where each was seen, NOWHERE for new ones."""
        found = np.full(len(hashes), NOWHERE, np.int64)
        for known, places in self._runs:
            at = np.searchsorted(known, hashes)
            at[at == len(known)] = 0
            hit = known[at] == hashes
            found[hit] = places[at[hit]]
        return found

    def add(self, hashes: Hashes, places: Places) -> None:
        """Remember new hashes, all different."""
        if not len(hashes):
            return
        order = np.argsort(hashes)
        run = hashes[order], places[order]
        # As long runs are merged, few are left to look through: about log2 of the number of adds.
        while self._runs and len(self._runs[-1][0]) <= len(run[0]):
            run = _merged(self._runs.pop(), run)
        self._runs.append(run)


def _merged(one: tuple[Hashes, Places], two: tuple[Hashes, Places]) -> tuple[Hashes, Places]:
    at = np.searchsorted(one[0], two[0])
    return np.insert(one[0], at, two[0]), np.insert(one[1], at, two[1])
