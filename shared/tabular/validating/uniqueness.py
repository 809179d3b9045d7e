"""Values that may stand in one row only: of good rows with the same one, the first stays."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from shared.tabular.validating.distinct import Distinct
from shared.tabular.validating.seen import NOWHERE, Hashes, Seen, hashes_of

_EXACT = 2.0**53
# A place is a record number, and above that the number of its source.
_RECORD_BITS = 48


class Unique:
    """Columns that must be unique, across all blocks that were given. Missing values may repeat."""

    def __init__(self, names: Sequence[str]) -> None:
        self._seen = {name: Seen() for name in names}
        self._sources: list[str] = []

    def repeats(
        self,
        source: str,
        record: NDArray[np.int64],
        columns: Mapping[str, Distinct],
        good: NDArray[np.bool_],
    ) -> Iterator[tuple[int, str, str]]:
        """Good rows that repeat a value: (row, column, where its first copy is). Those are bad
        from now on; all other good rows are remembered."""
        if not self._seen:
            return
        if source not in self._sources:
            self._sources.append(source)
        number = self._sources.index(source)
        places = record | (number << _RECORD_BITS)
        hashes = {name: _identities(columns[name]) for name in self._seen}
        present = {name: good & _present(columns[name].rows()) for name in self._seen}
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


def _identities(column: Distinct) -> Hashes:
    """What each row's value is known by. Whole numbers from 2**53 on share their float with their
    neighbours (ids often are so long), so there the digits count."""
    found = hashes_of(column.values)
    if column.values.dtype != object:
        long = np.flatnonzero(np.abs(column.values) >= _EXACT)
        if len(long):
            spelled = np.array([_digits(column.texts[int(at)].as_py()) for at in long], object)
            found = found.copy()
            found[long] = hashes_of(spelled)
    return found[column.codes]


def _digits(text: str) -> str:
    """A number's one spelling."""
    return str(Fraction(Decimal(text.strip().replace(",", "."))))


def _present(column: NDArray[np.generic]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = column != "" if column.dtype == object else ~np.isnan(column)
    return found


def _doubtful(seen: Seen, hashes: Hashes, present: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows whose value was seen before, or stands in several of these rows."""
    _, codes, counts = np.unique(hashes[present], return_inverse=True, return_counts=True)
    found: NDArray[np.bool_] = seen.places(hashes) != NOWHERE
    found[present] |= counts[codes] > 1
    return found
