"""Rows of a joined source on their way to its aggregates: JSON values or texts as numbers,
categories and seconds.

Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from shared.serving.cells import BadCell, CellRules
from shared.serving.sources.aggregate_functions import Aggregate, Input, Kind, Rows, Value
from shared.serving.times import moment_of

Record = Mapping[str, object]  # a row of the source: JSON values or texts of a file


class BadRecord(ValueError):
    """A row of a source that cannot be aggregated: which `column`, its `value`, the `rule`."""

    def __init__(self, column: str, value: object, rule: str) -> None:
        super().__init__(f"{column} {rule}")
        self.column, self.value, self.rule = column, value, rule


@dataclass(frozen=True, kw_only=True)
class SourceRows:
    """How the rows of one joined source are read.

    Args:
        name: The source's name, and the field of a record that may hold its rows.
        key: The column that joins, here and in the primary.
        aggregates: What is computed; none for a source made by SQL.
        time: When a row happened; where it is declared, every row needs one.
        rules: How the cells of this source are written.
    """

    name: str
    key: str
    aggregates: tuple[Aggregate, ...] = ()
    time: str | None = None
    rules: CellRules = field(default_factory=CellRules)

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """The columns that are aggregated, and how their cells are read."""
        return tuple(dict.fromkeys(one.reads for one in self.aggregates if one.reads))

    @property
    def columns_needed(self) -> tuple[str, ...]:
        """The columns of the source that are read: key, time, aggregated ones."""
        time = [self.time] if self.time is not None else []
        return tuple(dict.fromkeys([self.key, *time, *(column for column, _ in self.inputs)]))

    def key_of(self, value: object) -> str:
        """A key of this source in the spelling that joins (`3`, `3.0` and `"3"` are one), "" for
        a missing one. Raises BadCell."""
        return self.rules.category_of(value)

    def convert(self, rows: Iterable[Record]) -> Rows:
        """Rows of JSON values or texts as numbers, categories and seconds. Raises BadRecord for
        the first cell that is none."""
        times: list[float] = []
        columns: dict[Input, list[Value]] = {key: [] for key in self.inputs}
        targets = [(*self._readers[key], cells.append) for key, cells in columns.items()]
        time, column, value = self.time, "", None  # the last two: which cell broke a rule
        try:
            for row in rows:
                if time is None:
                    times.append(math.nan)
                else:
                    column, value = time, row.get(time)
                    times.append(self.time_of(value))
                for column, read, keep in targets:
                    value = row.get(column)
                    keep(read(value))
        except BadCell as error:
            raise BadRecord(column, value, error.rule) from error
        return Rows(times, columns)

    def problems_of(self, row: Record) -> list[BadRecord]:
        """Everything that is wrong with one row; empty when `convert` takes it."""
        found: dict[str, BadRecord] = {}
        cells = [(self.time, self.time_of)] if self.time is not None else []
        for column, read in [*cells, *self._readers.values()]:
            try:
                read(row.get(column))
            except BadCell as error:
                found.setdefault(column, BadRecord(column, row.get(column), error.rule))
        return list(found.values())

    def time_of(self, value: object) -> float:
        """When a row happened, in seconds. Raises BadCell, also for a missing value."""
        moment = moment_of(value, self.rules.missing)
        if math.isnan(moment):
            raise BadCell("must be present: a row without a time has no place in order", "time")
        return moment

    def number_of(self, value: object) -> float:
        """The number in a cell; there is one zero. Raises BadCell."""
        return self.rules.number_of(value) + 0.0

    @cached_property
    def _readers(self) -> dict[Input, tuple[str, Callable[[object], Value]]]:
        read: dict[Kind, Callable[[object], Value]] = {
            "number": self.number_of,
            "category": self.rules.category_of,
        }
        return {(column, kind): (column, read[kind]) for column, kind in self.inputs}
