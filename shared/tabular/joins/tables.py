"""Small helpers around a join's database: tables that are appended to, and rows read by key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

STEP_ROWS = 20_000
_INCOMING = "incoming"


def quoted(name: str) -> str:
    """A name of a table or column inside SQL."""
    return '"' + name.replace('"', '""') + '"'


class Appender:
    """A new table that grows by rows or by whole Arrow tables."""

    def __init__(self, database: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema) -> None:
        self._database, self._name, self._schema = database, quoted(name), schema
        self._waiting: list[Sequence[Any]] = []
        self._send(schema.empty_table(), f"CREATE TABLE {self._name} AS SELECT * FROM {_INCOMING}")

    def add(self, row: Sequence[Any]) -> None:
        """One row; call `flush` after the last."""
        self._waiting.append(row)
        if len(self._waiting) >= STEP_ROWS:
            self.flush()

    def flush(self) -> None:
        rows, self._waiting = self._waiting, []
        if rows:
            columns = [
                pa.array(values, field.type)
                for values, field in zip(zip(*rows, strict=True), self._schema, strict=True)
            ]
            self.insert(pa.Table.from_arrays(columns, schema=self._schema))

    def insert(self, table: pa.Table, select: str = "*") -> None:
        """The rows of a table, or what an expression list makes of them."""
        self._send(table, f"INSERT INTO {self._name} SELECT {select} FROM {_INCOMING}")

    def _send(self, table: pa.Table, statement: str) -> None:
        self._database.register(_INCOMING, table)
        try:
            self._database.execute(statement)
        finally:
            self._database.unregister(_INCOMING)


def stream(database: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    """The answer in steps, beside whatever else the database does."""
    with database.cursor() as cursor:
        yield from cursor.sql(query).to_arrow_reader(STEP_ROWS)


def groups(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, list[list[Any]]]]:
    """Rows that follow each other with one value in the first column: that value, and the other
    columns as lists. One group is in memory at a time."""
    key: str | None = None
    found: list[list[Any]] = []
    for batch in batches:
        keys = batch.column(0).to_numpy(zero_copy_only=False)
        lists = [column.to_pylist() for column in batch.columns[1:]]
        edges = np.flatnonzero(keys[1:] != keys[:-1]) + 1
        for start, end in pairwise([0, *edges.tolist(), len(keys)]):
            rows = [values[start:end] for values in lists]
            if keys[start] != key:
                if key is not None:
                    yield key, found
                key, found = keys[start], rows
            else:
                for values, more in zip(found, rows, strict=True):
                    values.extend(more)
    if key is not None:
        yield key, found
