"""Values that may stand in one row only: of good rows with the same one, the first stays."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.serving.columns import Columns
from shared.tabular.validating.seen import NOWHERE, Hashes, Seen, hashes_of

# A place is a record number, and above that the number of its source.
_RECORD_BITS = 48


class Unique:
    """Columns that must be unique, across all blocks that were given. Missing values may repeat."""

    def __init__(self, names: Sequence[str]) -> None:
        self._seen = {name: Seen() for name in names}
        self._sources: list[str] = []

    def repeats(
        self, source: str, record: NDArray[np.int64], columns: Columns, good: NDArray[np.bool_]
    ) -> Iterator[tuple[int, str, str]]:
        """Good rows that repeat a value: (row, column, where its first copy is). Those are bad
        from now on; all other good rows are remembered."""
        if not self._seen:
            return
        if source not in self._sources:
            self._sources.append(source)
        number = self._sources.index(source)
        places = record | (number << _RECORD_BITS)
        hashes = {name: hashes_of(columns[name]) for name in self._seen}
        present = {name: good & _present(columns[name]) for name in self._seen}
        doubtful = np.zeros(len(good), bool)
        for name, seen in self._seen.items():
            doubtful |= present[name] & _doubtful(seen, hashes[name], present[name])
        bad = yield from self._one_by_one(np.flatnonzero(doubtful), hashes, present, places, number)
        for name, seen in self._seen.items():
            new = present[name]
            new[bad] = False
            seen.add(hashes[name][new], places[new])

    def _one_by_one(
        self,
        rows: NDArray[np.intp],
        hashes: dict[str, Hashes],
        present: dict[str, NDArray[np.bool_]],
        places: NDArray[np.int64],
        number: int,
    ) -> Generator[tuple[int, str, str], None, list[int]]:
        """Rows whose values were seen, or stand several times among these: in their order. Gives
        back (as a generator's value) the bad ones."""
        known = {
            name: seen.places(hashes[name][rows]).tolist() for name, seen in self._seen.items()
        }
        here: dict[str, dict[int, int]] = {name: {} for name in self._seen}
        bad: list[int] = []
        for position, row in enumerate(rows.tolist()):
            repeated = False
            for name in self._seen:
                if not present[name][row]:
                    continue
                first = known[name][position]
                if first == NOWHERE:
                    first = here[name].get(int(hashes[name][row]), NOWHERE)
                if first != NOWHERE:
                    repeated = True
                    yield row, name, self._words(first, number)
            if repeated:
                bad.append(row)
                continue
            for name in self._seen:
                if present[name][row]:
                    here[name][int(hashes[name][row])] = int(places[row])
        return bad  # `yield from` takes it

    def _words(self, place: int, number: int) -> str:
        source, record = place >> _RECORD_BITS, place & ((1 << _RECORD_BITS) - 1)
        of = "" if source == number else f" of {self._sources[source]}"
        return f"record {record}{of}"


def _present(column: NDArray[np.generic]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = column != "" if column.dtype == object else ~np.isnan(column)
    return found


def _doubtful(seen: Seen, hashes: Hashes, present: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows whose value was seen before, or stands in several of these rows."""
    _, codes, counts = np.unique(hashes[present], return_inverse=True, return_counts=True)
    found: NDArray[np.bool_] = seen.places(hashes) != NOWHERE
    found[present] |= counts[codes] > 1
    return found
