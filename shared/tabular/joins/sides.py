"""One joined source inside the database: its rows come in, its columns by key come out.

    rows -> rows_<n> (keys, moments, cells) --aggregates--> keys_<n> (one row for each key)
                                                            found_<n> (one for each record, where
                                                                       records bring cut-offs)
    rows -> a database of its own -----------spec's SQL---> keys_<n>

A row at or after the cut-off is never handed to a function, nor to the SQL: what comes out cannot
depend on it, and whether a record finds a partner cannot, either.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from shared.errors import BadSource
from shared.serving.sources.aggregates import Known, Rows, SourceAggregates
from shared.tabular.joins.loading import Origin, load_block
from shared.tabular.joins.sandbox import Limits
from shared.tabular.joins.sql import SqlTable
from shared.tabular.joins.tables import Appender, groups, stream
from shared.tabular.validating.row_reasons import BadRow

_TYPES = {"number": pa.float64(), "category": pa.string()}
_BAD = pa.schema(
    [
        ("source", pa.string()),
        ("record", pa.int64()),
        ("cells", pa.list_(pa.string())),
        ("reasons", pa.list_(pa.string())),
        ("codes", pa.list_(pa.string())),
        ("names", pa.list_(pa.string())),
    ]
)


@dataclass(slots=True)
class Counts:
    """Records of a source that were read, and those that were not joined."""

    rows: int = 0
    bad: int = 0


class Side:
    """A source that is joined. `place` is its position among them, by which tables are named."""

    def __init__(
        self,
        place: int,
        source: SourceAggregates,
        database: duckdb.DuckDBPyConnection,
        folder: Path,
        *,
        sql: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.place, self.source = place, source
        self.counts = Counts()
        self.there = False
        self._database = database
        values = [(f"v{number}", _TYPES[kind]) for number, kind in enumerate(source.types.values())]
        self._keys = self._table(
            "keys",
            [("k", pa.string()), ("latest", pa.float64()), ("recent", pa.string()), *values],
        )
        self._found = self._table("found", [("rid", pa.int64()), *values])
        self._bad = Appender(database, f"bad_{place}", _BAD)
        self._sql: SqlTable | None = None
        if sql is not None:
            if source.as_of_column is not None:
                raise BadSource(
                    f"sources.{source.name}: SQL sees the rows up to one moment, so as_of must be "
                    f"a date such as 2026-01-31, and not the column {source.as_of_column!r}"
                )
            path = folder / f"source_{place}.duckdb"
            self._sql = SqlTable(path, source, sql, limits or Limits())

    def _table(self, name: str, columns: list[tuple[str, pa.DataType]]) -> Appender:
        return Appender(self._database, f"{name}_{self.place}", pa.schema(columns))

    def close(self) -> None:
        if self._sql is not None:
            self._sql.close()

    # --- rows come in ----------------------------------------------------------------------------

    def load(self, origins: Iterable[Origin]) -> None:
        """All rows of the source. Raises HeaderMismatch."""
        time = [("t", pa.float64())] if self.source.time is not None else []
        cells = [
            (f"c{number}", _TYPES[kind]) for number, (_, kind) in enumerate(self.source.inputs)
        ]
        names = ["k", *(name for name, _ in [*time, *cells])]
        rows = self._table("rows", [("k", pa.string()), *time, *cells, ("h", pa.uint64())])
        self.there = True
        for origin, block in origins:
            loaded = load_block(origin, block, self.source)
            self.counts.rows += len(block) + len(block.ragged)
            self._keep_bad(loaded.bad)
            raw = [name for name in loaded.table.column_names if name[0] == "r"]
            hashed = f"hash({', '.join(raw)}) AS h"
            rows.insert(loaded.table, ", ".join([*names, hashed]))
            if self._sql is not None:
                self._sql.add(loaded.table, list(block.cells))

    def _keep_bad(self, rows: list[BadRow]) -> None:
        for row in rows:
            self._bad.add((row.source, row.record, row.cells, row.reasons, row.codes, row.names))
        self._bad.flush()
        self.counts.bad += len(rows)

    def bad(self) -> Iterator[BadRow]:
        """Records that were not joined, in reading order."""
        for batch in stream(self._database, f"SELECT * FROM bad_{self.place}"):
            for row in batch.to_pylist():
                lists = {name: tuple(row[name]) for name in ("cells", "reasons", "codes", "names")}
                yield BadRow(
                    source=row["source"], record=row["record"], role=self.source.name, **lists
                )

    # --- columns come out ------------------------------------------------------------------------

    def compute(self) -> None:
        """Fill keys_<n>, and found_<n> for a source whose cut-off is a column."""
        if not self.there:
            pass
        elif self._sql is not None:
            for table in self._sql.values(self.counts.rows - self.counts.bad):
                self._keys.insert(table)
        elif self.source.as_of_column is None:
            for key, rows in self._groups(self._seen()):
                self._keep(self.source.known(key, rows))
        else:
            self._by_record()
        self._keys.flush()
        self._found.flush()

    def _seen(self) -> str:
        cutoff = self.source.fixed_as_of
        return "" if cutoff is None else f"WHERE t < {cutoff!r}"

    def _groups(self, where: str = "") -> Iterator[tuple[str, Rows]]:
        timed = self.source.time is not None
        inputs = self.source.inputs
        time = "t" if timed else "'NaN'::DOUBLE"
        names = ["k", time, *(f"c{number}" for number in range(len(inputs)))]
        # The time is no tie-breaker: no function depends on the order. It makes prefixes below.
        order = "k, t" if timed else "k"
        query = f"SELECT {', '.join(names)} FROM rows_{self.place} {where} ORDER BY {order}"
        for key, (times, *cells) in groups(stream(self._database, query)):
            yield key, Rows(times, dict(zip(inputs, cells, strict=True)))

    def _keep(self, known: Known) -> None:
        self._keys.add(
            (
                *(known.key, known.latest, known.recent),
                *(known.values[name] for name in self.source.types),
            )
        )

    def _by_record(self) -> None:
        """Records of the primary and rows of the source, both in the order of keys."""
        query = (
            f"SELECT k{self.place}, a{self.place}, rid FROM records WHERE code IS NULL ORDER BY ALL"
        )
        records = groups(stream(self._database, query))
        key, wanted = next(records, (None, []))
        for group, rows in self._groups():
            self._keep(self.source.known(group, rows))
            while key is not None and key < group:
                key, wanted = next(records, (None, []))
            if key == group:
                self._answer(rows, *wanted)

    def _answer(self, rows: Rows, cutoffs: list[float], records: list[int]) -> None:
        """The columns of each record of one key: of the rows before its own cut-off."""
        values: tuple[object, ...] = ()
        before = None
        for cutoff, record in zip(cutoffs, records, strict=True):
            if cutoff != before:
                end = bisect_left(rows.times, cutoff)
                seen = Rows(
                    rows.times[:end], {name: cells[:end] for name, cells in rows.columns.items()}
                )
                found = self.source.aggregate(seen, cutoff) if end else {}
                values = tuple(found[name] for name in self.source.types) if end else ()
                before = cutoff
            if values:
                self._found.add((record, *values))

    # --- for the queries that put sides together -------------------------------------------------

    @property
    def alias(self) -> str:
        return f"s{self.place}"

    @property
    def _by_record_too(self) -> bool:
        return self.source.as_of_column is not None

    @property
    def found_by(self) -> str:
        """What a record `r` is joined to, and by what; `k` is NULL where it found nothing."""
        place, alias = self.place, self.alias
        if self._by_record_too:
            return f"(SELECT rid AS k, * FROM found_{place}) {alias} ON r.rid = {alias}.k"
        return f"keys_{place} {alias} ON r.k{place} = {alias}.k"

    def answers(self) -> list[str]:
        """Expressions of this side's columns for a record: those found, or what no rows give. A
        source that did not come says nothing, not even that there were no rows."""
        if not self.there:
            nulls = {"number": "NULL::DOUBLE", "category": "NULL::VARCHAR"}
            return [nulls[kind] for kind in self.source.types.values()]
        return [
            f"CASE WHEN {self.alias}.k IS NULL "
            f"THEN {_literal(value)} ELSE {self.alias}.v{place} END"
            for place, value in enumerate(self.source.nothing().values())
        ]

    @property
    def empty(self) -> Known:
        """What is known of a key without rows."""
        if self._sql is not None:
            return Known("", self.source.nothing())
        return self.source.known("", Rows([], {name: [] for name in self.source.inputs}))

    def last_seen(self) -> float | None:
        """No row after this moment is in the columns; None where rows have no time."""
        if self.source.time is None or self.source.fixed_as_of is not None:
            return self.source.fixed_as_of
        query = f"SELECT max(t) FROM rows_{self.place}"
        (last,) = self._database.execute(query).fetchall()[0]
        return None if last is None else float(last)

    def every_key(self) -> str:
        """A query for the snapshot. Behind an inner join nobody without rows is known."""
        place = self.place
        others = (
            f"UNION SELECT k FROM rows_{place} UNION SELECT k{place} FROM records "
            f"WHERE k{place} <> ''"
        )
        values = ", ".join(f"s.v{number}" for number in range(len(self.source.types)))
        return (
            f"WITH every AS (SELECT k FROM keys_{place} "
            f"{others if self.source.join == 'left' else ''}) "
            f"SELECT every.k, s.k IS NOT NULL, s.latest, s.recent, {values} FROM every "
            f"LEFT JOIN keys_{place} s ON every.k = s.k ORDER BY every.k"
        )


def _literal(value: float | str) -> str:
    """A value that no rows give, in SQL."""
    if isinstance(value, str):
        return "''"
    return f"'{value!r}'::DOUBLE"
