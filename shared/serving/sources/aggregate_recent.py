"""The rows of a key that windows may still need after its last one, as the text a snapshot keeps.

    [times, cells of the first column, cells of the second, ...]     JSON, null: missing

With a cut-off for each record nobody knows beforehand which rows its windows hold: they move on
with it. No window reaches further back from a later moment than the widest does from the last
row, so rows before that are left out.

Standard library only.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property

from shared.serving.sources.aggregate_functions import Aggregate, Input, Rows, Value, compute
from shared.serving.times import before

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True)
class Recent:
    """`windows` are the aggregates with one; without any nothing is kept."""

    windows: tuple[Aggregate, ...]

    def text_of(self, rows: Rows) -> str | None:
        """The rows to keep, None for none."""
        if not self.windows or not rows.times:
            return None
        widest = max(one.window_seconds or 0 for one in self.windows)
        start = before(max(rows.times), widest)
        places = sorted(
            (place for place, time in enumerate(rows.times) if time >= start),
            key=lambda place: (
                rows.times[place],
                *(repr(rows.columns[x][place]) for x in self._inputs),
            ),
        )
        columns = [rows.columns[key] for key in self._inputs]
        cells = [[_null(column[place]) for place in places] for column in columns]
        return _encode([[rows.times[place] for place in places], *cells])

    def values(self, text: str | None, as_of: float) -> dict[str, Value]:
        """What the windows say of kept rows, all of them before `as_of`."""
        if text is None:
            return {}
        times, *cells = json.loads(text)
        columns: dict[Input, list[Value]] = {
            key: [math.nan if cell is None else cell for cell in column]
            for key, column in zip(self._inputs, cells, strict=True)
        }
        rows = Rows(times, columns)
        return {one.name: compute(one, rows, as_of) for one in self.windows}

    @cached_property
    def _inputs(self) -> tuple[Input, ...]:
        return tuple(dict.fromkeys(one.reads for one in self.windows if one.reads))


def _null(cell: Value) -> Value | None:
    return None if cell != cell else cell  # noqa: PLR0124 - NaN is not itself
