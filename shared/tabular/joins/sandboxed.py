"""The process in which `sandbox.run_sql` lets a spec's SELECT run: one order in, batches out.

    stdin   {"sql", "database", "limits"}
    stdout  an Arrow stream
    stderr  what went wrong, in words for people

Its memory is limited by the operating system where that can (Linux); the parent keeps the time.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa

from shared.tabular.allowance import data_bytes
from shared.tabular.joins import sandbox
from shared.tabular.joins.sandbox import SAYS, Limits

_MIB = 1024 * 1024
_SLACK_MB = 256
_BATCH_ROWS = 20_000


def main() -> int:
    order: dict[str, Any] = json.load(sys.stdin)
    limits = Limits(**order["limits"])
    with sandbox.connect(Path(order["database"]), limits) as database:
        limit_memory(limits.memory_mb + _SLACK_MB)
        try:
            answer(database, order["sql"], sys.stdout.buffer)
        except (duckdb.Error, MemoryError, pa.ArrowException) as error:
            sys.stderr.write(SAYS + sentence(error))
            return 1
    return 0


def answer(database: duckdb.DuckDBPyConnection, sql: str, out: BinaryIO) -> None:
    """Write the batches of a query."""
    reader = database.sql(sql).to_arrow_reader(_BATCH_ROWS)
    with pa.ipc.new_stream(out, reader.schema) as stream:
        for batch in reader:
            stream.write_batch(batch)


def limit_memory(extra_mb: int) -> None:
    """Let this process have so much more than it has now."""
    now = data_bytes()
    if now is None:  # DuckDB's own limit has to do
        return
    limit = now + extra_mb * _MIB
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def sentence(error: BaseException) -> str:
    if isinstance(error, duckdb.Error):
        return sandbox.in_words(error)
    return "sql needs more memory than it may have; avoid long texts and lists"


if __name__ == "__main__":
    sys.exit(main())
