"""The three forms of one joined source in a record: its key, its columns, or its rows.

What a record has is found out here and made into the source's columns; `resolving`
does it for all sources and records. Two forms for one source are refused, not guessed between; the
key beside columns or rows is only a name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from shared.errors import FeaturesTooOld, PackageInvalid
from shared.serving.cells import BadCell
from shared.serving.columns import Schema
from shared.serving.sources.aggregates import BadRecord, LaterRows, SourceAggregates, Value
from shared.serving.sources.snapshot import Snapshot
from shared.serving.times import moment_of

MAX_ROWS = 10_000
Cells = dict[str, float | str | None]


@dataclass(frozen=True, slots=True)
class LookUp:
    """One source of one record came from the snapshot, or from defaults beside it."""

    source: str
    as_of: str
    too_old: bool
    defaulted: bool


class RefusedCells(Exception):
    """What is wrong with a record: (column, value, rule)."""

    def __init__(self, *cells: tuple[str, object, str]) -> None:
        super().__init__()
        self.cells = cells


class Reader:
    """One source."""

    def __init__(self, source: SourceAggregates, schema: Schema, snapshot: Snapshot | None) -> None:
        self.source = source
        self._schema, self._snapshot = schema, snapshot
        features = set(schema.names)
        self.wanted = [name for name in source.types if name in features]
        if snapshot is not None and not features & set(source.types) <= set(snapshot.meta.columns):
            raise PackageInvalid(f"the snapshot of {source.name} lacks columns of the model")
        # Rows are told from a feature of the source's own name by being an array.
        self._is_column = source.name in features

    def read(self, record: dict[str, Any], now: datetime, note: Callable[[LookUp], None]) -> Cells:
        """The columns that have to be added to the record. Raises RefusedCells, FeaturesTooOld."""
        source = self.source
        rows = record.get(source.name)
        nested = isinstance(rows, list) if self._is_column else rows is not None
        given = [
            name for name in self.wanted if name in record and not (nested and name == source.name)
        ]
        try:
            if nested:
                self._check_alone(given)
                return _cells(self._aggregate(record, rows))
            if given:
                self._check_complete(given)
                return {}
            if record.get(source.key) is not None:
                return _cells(self._look_up(record, now, note))
        except BadRecord as error:
            raise RefusedCells((error.column, error.value, error.rule)) from error
        raise RefusedCells((source.key, record.get(source.key), f"must be given, or {self._else}"))

    # --- rows ------------------------------------------------------------------------------------

    def _aggregate(self, record: dict[str, Any], rows: Any) -> dict[str, Value]:
        source = self.source
        if source.is_sql:
            rule = (
                "is made by SQL, which the predictor does not run: "
                f"send {source.key} alone, or {self._columns}"
            )
            raise BadRecord(source.name, None, rule)
        if type(rows) is not list or any(type(row) is not dict for row in rows):
            raise BadRecord(source.name, rows, "must be an array of objects")
        if len(rows) > MAX_ROWS:
            rule = f"has {len(rows)} rows, at most {MAX_ROWS} are taken: send {self._columns}"
            raise BadRecord(source.name, None, rule)
        as_of = source.cutoff(record, self._schema)
        self._check_keys(record, rows)
        self._check_columns(rows)
        try:
            converted = source.convert(rows)
        except BadRecord:
            found = [
                (at, problem) for at, row in enumerate(rows) for problem in source.problems_of(row)
            ]
            raise RefusedCells(
                *(
                    self._cell(at, problem.column, problem.value, problem.rule)
                    for at, problem in found
                )
            ) from None
        if source.join == "inner" and not source.seen(converted, as_of).times:
            rule = "has no row that is seen, and the model knows nobody without one (join: inner)"
            raise BadRecord(source.name, None, rule)
        return source.aggregate(converted, as_of)

    def _check_keys(self, record: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        """Rows that name their key belong to the record, and to one key."""
        name, owner = self.source.key, ""
        if record.get(name) is not None:
            owner = self._key(record)
        for at, row in enumerate(rows):
            value = row.get(name)
            if value is None:
                continue
            try:
                key = self.source.key_of(value)
            except BadCell as error:
                raise RefusedCells(self._cell(at, name, value, error.rule)) from error
            if key and key != (owner := owner or key):
                rule = f"is a row of somebody else: the others are of {owner!r}"
                raise RefusedCells(self._cell(at, name, value, rule))

    def _check_columns(self, rows: list[dict[str, Any]]) -> None:
        """A field that no row has is a wrong name; a missing value is null."""
        for column, _ in self.source.inputs:
            if rows and not any(column in row for row in rows):
                rule = "is in none of the rows; a value that is not known is null"
                raise RefusedCells((f"{self.source.name}[].{column}", sorted(rows[0])[:5], rule))

    def _cell(self, at: int, column: str, value: object, rule: str) -> tuple[str, object, str]:
        return f"{self.source.name}[{at}].{column}", value, rule

    # --- columns ---------------------------------------------------------------------------------

    def _check_alone(self, given: list[str]) -> None:
        if given:
            name = self.source.name
            rule = f"is given beside {name}, from which it is computed: send one of the two"
            raise RefusedCells(*((column, None, rule) for column in given))

    def _check_complete(self, given: list[str]) -> None:
        absent = [name for name in self.wanted if name not in given]
        if absent:
            rule = f"must be given (or null), because {', '.join(given)} of {self.source.name} are"
            raise RefusedCells(*((column, None, rule) for column in absent))

    # --- look-up ---------------------------------------------------------------------------------

    def _look_up(
        self, record: dict[str, Any], now: datetime, note: Callable[[LookUp], None]
    ) -> dict[str, Value]:
        source, snapshot = self.source, self._snapshot
        if snapshot is None:
            rule = f"cannot be looked up, this version has no snapshot of it: send {self._else}"
            raise BadRecord(source.name, None, rule)
        key = self._key(record)
        as_of = source.cutoff(record, self._schema)
        features_as_of = snapshot.meta.features_as_of
        too_old = self._is_too_old(now)
        if too_old and source.too_old == "refuse":
            raise FeaturesTooOld(
                source.name, features_as_of, source.max_age_seconds or 0, self._else
            )
        known = snapshot.get(key)
        if known is None and not source.defaults:
            rule = f"is not known in {source.name} as of {features_as_of}: send {self._else}"
            raise BadRecord(source.key, record[source.key], rule)
        note(LookUp(source.name, features_as_of, too_old, defaulted=known is None))
        if known is None:
            return {**source.nothing(), **source.defaults}
        try:
            return source.recall(known, as_of)
        except LaterRows as error:
            column = source.as_of_column or ""
            rule = (
                f"is before rows that {source.name} has of this key (as of {features_as_of}): "
                f"send {self._else}"
            )
            raise BadRecord(column, record.get(column), rule) from error

    def _key(self, record: dict[str, Any]) -> str:
        """The record's key in the spelling that joins. Raises BadRecord."""
        name = self.source.key
        try:
            key = self._schema.category_of(record[name])
        except BadCell as error:
            raise BadRecord(name, record[name], error.rule) from error
        if not key:
            raise BadRecord(name, record[name], f"must be present, or {self._else}")
        return key

    def _is_too_old(self, now: datetime) -> bool:
        limit = self.source.max_age_seconds
        return limit is not None and now.timestamp() - self._features_as_of > limit

    @cached_property
    def _features_as_of(self) -> float:
        return moment_of(self._snapshot.meta.features_as_of) if self._snapshot else math.nan

    # --- words -----------------------------------------------------------------------------------

    @cached_property
    def _columns(self) -> str:
        return "the columns " + ", ".join(self.wanted)

    @cached_property
    def _else(self) -> str:
        """What can be sent instead of the key."""
        rows = "" if self.source.is_sql else f"its rows as {self.source.name}: [...], or "
        return rows + self._columns

    def describe(self) -> dict[str, Any]:
        source, ref = self.source, self.source.snapshot
        rows = [dict.fromkeys(source.columns_needed)]
        forms: dict[str, Any] = {"columns": dict.fromkeys(self.wanted)}
        if self._snapshot is not None:
            forms["key"] = {source.key: None}
        if not source.is_sql:
            forms["rows"] = {source.name: rows}
        made = {one.name: str(one) for one in source.aggregates}
        return {
            "name": source.name,
            "key": source.key,
            "columns": {name: made.get(name, "sql") for name in source.types},
            "as_of": source.as_of,
            "forms": forms,
            "features_as_of": ref.features_as_of if ref else None,
            "keys": ref.keys if ref else None,
            "max_age_seconds": source.max_age_seconds,
            "too_old": source.too_old,
            "unknown_keys": "defaults" if source.defaults else "refused",
        }


def _cells(values: Mapping[str, Value]) -> Cells:
    """Values as JSON spells them."""
    return {
        name: None if value == "" or value != value else value  # noqa: PLR0124 - NaN
        for name, value in values.items()
    }
