"""DuckDB behind walls: databases that touch nothing else, and one SELECT of a spec's author.

    SQL of a spec --check_sql--> what it may name --run_sql--> a process of its own, which sees
                                                               one database file and nothing else

`check_sql` reads DuckDB's own syntax tree and lets through what is known to be harmless: one query,
tables that were given, functions that answer alike each time. DuckDB itself refuses files, network,
extensions and settings, whatever got past that. The process has no environment, limited memory and
limited time, because DuckDB's memory limit does not count long texts and lists (`repeat('x', 1e9)`
ignores it, and interrupts, too).

Knows no buckets and no specs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, cast

import duckdb
import pyarrow as pa

from shared.errors import BadSql

MAX_SQL = 20_000
SAYS = "sql: "
_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_REFERENCES = {"BASE_TABLE", "SUBQUERY", "JOIN", "EMPTY", "EXPRESSION_LIST", "TABLE_FUNCTION"}
_TABLE_FUNCTIONS = {"range", "generate_series", "unnest"}
# What stands for a call without brackets, or asks about the process and not about the rows.
_CLOCKS = {
    *("current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"),
    *("current_catalog", "current_database", "current_query", "current_role", "current_schema"),
    *("current_user", "session_user", "user"),
}
_OUTSIDE = re.compile(r"(current|duckdb|pragma|pg|has|inet|get|read|json_execute)_.*|getvariable")
_NOT_REPEATABLE = {"ago", "version"}
_SYSTEM_TABLES = re.compile(r"(duckdb|pg|pragma|sqlite)_.*")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a database may use. `spill_mb` is its temporary files' size, which on Cloud Run is
    memory as well."""

    memory_mb: int = 128
    spill_mb: int = 2048
    seconds: float = 120.0
    threads: int = 1


def connect(path: Path, limits: Limits | None = None) -> duckdb.DuckDBPyConnection:
    """A database file that reads and writes nothing but itself and its own temporary folder."""
    limits = limits or Limits()
    database = duckdb.connect(str(path), config={"threads": str(limits.threads)})
    # The walls come last but one, and then nothing can be moved any more.
    for name, value in {
        "memory_limit": f"{limits.memory_mb}MiB",
        "temp_directory": str(path.with_suffix(".spill")),
        "max_temp_directory_size": f"{limits.spill_mb}MiB",
        "python_enable_replacements": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "allow_persistent_secrets": False,
        "enable_external_access": False,
        "lock_configuration": True,
    }.items():
        database.execute(f"SET {name} = ?", [value])
    return database


# --- what a query may say ------------------------------------------------------------------------


def check_sql(sql: str, tables: Collection[str]) -> None:
    """Refuse all but one query over `tables` (and information_schema). Raises BadSql."""
    if len(sql) > MAX_SQL:
        raise BadSql(f"the SQL is longer than {MAX_SQL:,} characters")
    with duckdb.connect() as database:  # only its parser is used
        tree = _tree(sql, database)
    steady = _steady_functions()
    names = {table.lower() for table in tables}
    nodes = list(_nodes(tree))
    known = names | {str(key).lower() for node in nodes for key in _named_queries(node)}
    known = {name for name in known if not _SYSTEM_TABLES.fullmatch(name)}
    for node in nodes:
        _check_node(node, known, names, steady)


def _tree(sql: str, database: duckdb.DuckDBPyConnection) -> object:
    """DuckDB's syntax tree of one query."""
    try:
        statements = database.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise BadSql("sql must be one SELECT statement and nothing else")
        (text,) = database.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()[0]
        tree = json.loads(text)
    except duckdb.Error as error:
        raise BadSql(in_words(error)) from error
    except RecursionError as error:
        raise BadSql("the SQL is nested too deeply") from error
    if tree["error"]:
        raise BadSql(f"sql must be one SELECT statement: {tree['error_message']}")
    return tree["statements"]


@cache
def _steady_functions() -> frozenset[str]:
    """Functions that give the same for the same rows, whenever they are asked."""
    with duckdb.connect() as database:
        rows = database.execute(
            "SELECT lower(function_name) FROM duckdb_functions() GROUP BY 1 HAVING bool_and("
            "function_type IN ('macro', 'aggregate', 'window') OR stability = 'CONSISTENT')"
        ).fetchall()
    return frozenset(name for (name,) in rows) - _NOT_REPEATABLE | {"unnest"}


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    """Every object of a tree, without recursion: it may be deep."""
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _named_queries(node: Mapping[str, Any]) -> Iterator[str]:
    """Names that `WITH` gives."""
    for item in node.get("cte_map", {}).get("map", []):
        yield item["key"]


def _check_node(
    node: Mapping[str, Any], known: set[str], tables: set[str], steady: Collection[str]
) -> None:
    kind = str(node.get("type", ""))
    if kind.endswith("_NODE") and kind not in _NODES:
        raise BadSql("sql may only read: it must be one SELECT statement and nothing else")
    if node.get("sample"):
        raise BadSql("sql may not sample: the same rows must give the same columns each time")
    if "sample" in node and "alias" in node and kind not in _REFERENCES:
        raise BadSql("sql may only select from its tables; DESCRIBE, SHOW and PIVOT do not work")
    if kind == "BASE_TABLE":
        _check_table(node, known, tables)
    elif kind == "TABLE_FUNCTION":
        name = str(node["function"].get("function_name", "")).lower()
        if name not in _TABLE_FUNCTIONS:
            allowed = ", ".join(sorted(_TABLE_FUNCTIONS))
            raise BadSql(f"{name}(...) is no table that sql may read; allowed are {allowed}")
    elif "function_name" in node:
        _check_function(node, steady)
    elif kind == "COLUMN_REF":
        names = node["column_names"]
        if len(names) == 1 and str(names[0]).lower() in _CLOCKS:
            raise BadSql(f"{names[0]} is another each time; write the moment, or use as_of")


def _check_table(node: Mapping[str, Any], known: set[str], tables: set[str]) -> None:
    name, schema = str(node["table_name"]).lower(), str(node["schema_name"]).lower()
    if node["catalog_name"] or schema not in {"", "information_schema"}:
        raise BadSql("sql may name tables without catalog and schema only")
    if not schema and name not in known:
        raise BadSql(f"there is no table {node['table_name']!r}; sql sees {', '.join(tables)}")


def _check_function(node: Mapping[str, Any], steady: Collection[str]) -> None:
    name = str(node["function_name"]).lower()
    if name in _TABLE_FUNCTIONS and name in steady:
        return
    if name not in steady or _OUTSIDE.fullmatch(name):
        raise BadSql(
            f"{name}() cannot be used: it is unknown here, or gives something else each time"
        )
    if name == "age" and len(node.get("arguments", node.get("children", ()))) == 1:
        raise BadSql("age() of one moment counts from today; write age(later, earlier)")


# --- running it ----------------------------------------------------------------------------------


@contextmanager
def run_sql(
    sql: str,
    database: Path,
    tables: Collection[str],
    *,
    max_rows: int,
    limits: Limits | None = None,
) -> Iterator[Iterator[pa.RecordBatch]]:
    """What one SELECT gives, batch by batch, from a closed database file that holds `tables`.

    Reading raises BadSql: the query failed, wanted too much, or gave more than `max_rows`.
    """
    check_sql(sql, tables)
    limits = limits or Limits()
    order = {"sql": sql, "database": str(database), "limits": asdict(limits)}
    child = subprocess.Popen(
        [sys.executable, "-m", "shared.tabular.joins.sandboxed"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Nothing of ours, credentials least of all; where modules lie is all that it needs.
        env={"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1", "HOME": os.devnull},
    )
    late = threading.Event()

    def stop() -> None:
        late.set()
        child.kill()

    watch = threading.Timer(limits.seconds, stop)
    watch.daemon = True
    watch.start()
    try:
        with cast(IO[bytes], child.stdin) as order_pipe:
            order_pipe.write(json.dumps(order).encode())
        yield _answer(child, late, limits, max_rows)
    finally:
        watch.cancel()
        watch.join()
        child.kill()
        child.wait()
        for pipe in (child.stdout, child.stderr):
            cast(IO[bytes], pipe).close()


def _answer(
    child: subprocess.Popen[bytes], late: threading.Event, limits: Limits, max_rows: int
) -> Iterator[pa.RecordBatch]:
    """The child's batches; what it says instead of them is raised."""
    rows = 0
    try:
        with pa.ipc.open_stream(child.stdout) as stream:
            for batch in stream:
                rows += len(batch)
                if rows > max_rows:
                    raise BadSql(
                        f"sql gives more than {max_rows:,} rows, which is more than its source "
                        "has; it must give one row per key"
                    )
                yield batch
        ended = child.wait() == 0
    except (pa.ArrowInvalid, OSError):
        ended = False
    if not ended:
        raise _failed(child, late, limits)


def _failed(child: subprocess.Popen[bytes], late: threading.Event, limits: Limits) -> BadSql:
    """Why there is no (whole) answer."""
    said = cast(IO[bytes], child.stderr).read(MAX_SQL).decode(errors="replace")
    if late.is_set():
        return BadSql(f"sql did not end within {limits.seconds:g} seconds, so it was stopped")
    if said.startswith(SAYS):
        return BadSql(said.removeprefix(SAYS).strip())
    if said.startswith("Traceback"):
        raise RuntimeError(f"the sandbox broke: {said[-2000:]}")
    return BadSql(
        f"sql needs more memory than it may have ({limits.memory_mb:,} MB), so it was stopped; "
        "aggregate earlier, and avoid long texts and lists"
    )


def in_words(error: duckdb.Error) -> str:
    """What DuckDB says, without anything about the machine it runs on."""
    if isinstance(error, (duckdb.PermissionException, duckdb.IOException)):
        return "sql may read nothing but its tables: no files, no network, no settings"
    if isinstance(error, duckdb.OutOfMemoryException):
        return "sql needs more memory than it may have; join or sort less"
    text = str(error).split("\n\n")[0].replace("\n", " ")
    return f"sql does not work: {text[:400]}"
