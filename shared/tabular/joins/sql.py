"""A joined source whose columns the spec makes by SQL: the table it reads, the rows it gives.

In the table, the key is a text in the spelling that joins and the time a TIMESTAMP (UTC); any other
column is a DOUBLE when every one of its cells is a number, else a VARCHAR. A missing cell is NULL.
The table lies in a database of its own, which a process of its own reads (`sandbox.run_sql`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from shared.errors import BadSql
from shared.serving.cells import BadCell
from shared.serving.sources.aggregates import Kind, SourceAggregates
from shared.tabular.joins import sandbox
from shared.tabular.joins.loading import read_column
from shared.tabular.joins.sandbox import Limits
from shared.tabular.joins.tables import Appender, quoted

_EXAMPLES = 5


class SqlTable:
    """The rows of one source that its SQL may see."""

    def __init__(self, path: Path, source: SourceAggregates, sql: str, limits: Limits) -> None:
        self._path, self._source, self._sql, self._limits = path, source, sql, limits
        sandbox.check_sql(sql, {source.name})  # before anything is read
        self._database = sandbox.connect(path, limits)
        self._names: list[str] = []
        self._rows: Appender | None = None

    def add(self, table: pa.Table, names: list[str]) -> None:
        """Good rows of a block: `k`, `t`, and the cells of the columns `names` as `r0`..."""
        columns = {name: table[name] for name in ("k", "t") if name in table.column_names}
        for place in range(len(names)):
            cells = table[f"r{place}"].combine_chunks()
            plain = read_column(cells, self._plain, number=False).values
            columns[f"r{place}"] = pa.array(plain, pa.string())
        texts = pa.table(columns)
        if self._rows is None:
            self._names = names
            self._rows = Appender(self._database, "texts", texts.schema)
        self._rows.insert(texts)

    def values(self, rows: int) -> Iterator[pa.Table]:
        """What the SQL says of each key, as the table `k, latest, recent, v0...`. Raises BadSql."""
        self._finish()
        found: list[pa.Table] = []
        with sandbox.run_sql(
            self._sql,
            self._path,
            {self._source.name},
            max_rows=max(rows, 1),
            limits=self._limits,
        ) as batches:
            found.extend(_values(batch, self._source) for batch in batches)
        keys = pa.concat_tables(found)["k"] if found else pa.chunked_array([], pa.string())
        _check_once(keys, self._source)
        yield from found

    def close(self) -> None:
        self._database.close()

    def _plain(self, text: str) -> str:
        rules = self._source.rules
        stripped = text.strip() if rules.strip else text
        return "" if stripped in rules.missing else stripped

    def _finish(self) -> None:
        """Give the columns their types, and leave nothing but that table behind."""
        table = quoted(self._source.name)
        if self._rows is None:
            columns = ", ".join(
                f"NULL::VARCHAR AS {quoted(name)}" for name in self._source.columns_needed
            )
            self._database.execute(f"CREATE TABLE {table} AS SELECT {columns} LIMIT 0")
        else:
            cutoff = self._source.fixed_as_of
            where = "" if cutoff is None else f"WHERE t < {cutoff!r}"
            columns = ", ".join(
                f"{self._typed(place, name)} AS {quoted(name)}"
                for place, name in enumerate(self._names)
            )
            self._database.execute(f"CREATE TABLE {table} AS SELECT {columns} FROM texts {where}")
            self._database.execute("DROP TABLE texts")
        self.close()

    def _typed(self, place: int, name: str) -> str:
        if name == self._source.key:
            return "k"
        if name == self._source.time:
            return "make_timestamp(CAST(round(t * 1000000) AS BIGINT))"
        text = f"nullif(r{place}, '')"
        number = f"TRY_CAST({self._pointed(text)} AS DOUBLE)"
        (odd,) = self._one(
            f"SELECT count(*) FROM texts WHERE {text} IS NOT NULL AND "
            f"(coalesce(NOT isfinite({number}), true) OR contains(r{place}, '_'))"
        )
        return text if odd else number

    def _pointed(self, text: str) -> str:
        """A number's text with a decimal point; one with both marks is no number."""
        mark = self._source.rules.decimal
        if mark == ".":
            return text
        return f"CASE WHEN contains({text}, '.') THEN NULL ELSE replace({text}, '{mark}', '.') END"

    def _one(self, query: str) -> Any:
        return self._database.execute(query).fetchall()[0]


def _check_once(keys: pa.ChunkedArray, source: SourceAggregates) -> None:
    counted = [item["values"] for item in keys.value_counts().to_pylist() if item["counts"] > 1]
    if counted:
        few = ", ".join(map(repr, sorted(counted)[:_EXAMPLES]))
        raise BadSql(
            f"sources.{source.name}.sql gives more than one row for {len(counted):,} keys "
            f"({source.key} {few}); it must give one row per key: group by it"
        )


def _values(batch: pa.RecordBatch, source: SourceAggregates) -> pa.Table:
    names = batch.schema.names
    missing = [name for name in (source.key, *source.types) if name not in names]
    if missing:
        raise BadSql(
            f"sources.{source.name}.sql gives {', '.join(names)[:300]}; it lacks "
            f"{', '.join(missing)}"
        )
    keys = pa.array([_text(value, source) for value in batch[source.key].to_pylist()], pa.string())
    columns = {
        "k": keys,
        "latest": pa.nulls(len(batch), pa.float64()),
        "recent": pa.nulls(len(batch), pa.string()),
    }
    for place, (name, kind) in enumerate(source.types.items()):
        columns[f"v{place}"] = _column(batch[name], name, kind, source)
    table = pa.table(columns)
    return table.filter(pa.array([key != "" for key in keys.to_pylist()], pa.bool_()))


def _column(values: pa.Array, name: str, kind: Kind, source: SourceAggregates) -> pa.Array:
    if kind == "category":
        return pa.array([_text(value, source) for value in values.to_pylist()], pa.string())
    try:
        numbers = values.cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadSql(
            f"sources.{source.name}.sql gives {name} as {values.type}, but sql_columns says number"
        ) from error
    # An infinity is no number that a model can take, as in a file.
    return pa.array(
        [
            math.nan if value is None or math.isinf(value) else value + 0.0
            for value in numbers.to_pylist()
        ],
        pa.float64(),
    )


def _text(value: object, source: SourceAggregates) -> str:
    """A category as a cell of a file would give it; dates and the like in their own spelling."""
    try:
        return source.rules.category_of(value)
    except BadCell:
        return source.rules.category_of(str(value))
