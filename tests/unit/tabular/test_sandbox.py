"""The SQL of a spec: what it may do, and every way out that is closed."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from shared.errors import BadSql
from shared.tabular.joins import sandbox
from shared.tabular.joins.sandbox import Limits

SMALL = Limits(memory_mb=64, spill_mb=64, seconds=20)
TABLES = {"tt"}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 rows of 100 keys, in a closed file."""
    path = tmp_path_factory.mktemp("sandbox") / "rows.duckdb"
    with sandbox.connect(path, SMALL) as made:
        made.execute(
            "CREATE TABLE tt AS SELECT (range % 100)::VARCHAR AS k, range::DOUBLE AS x "
            "FROM range(1000)"
        )
    return path


@pytest.fixture(scope="module")
def open_database(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with DuckDB's own walls only."""
    path = database.with_name("walls.duckdb")
    with sandbox.connect(path, SMALL) as made:
        yield made


def run(sql: str, database: Path, *, limits: Limits = SMALL, max_rows: int = 1000) -> list[object]:
    with sandbox.run_sql(sql, database, TABLES, max_rows=max_rows, limits=limits) as batches:
        return [row for batch in batches for row in batch.to_pylist()]


GOOD = [
    "SELECT k, sum(x) AS spent FROM tt GROUP BY k",
    "WITH a AS (SELECT k, max(x) AS m FROM tt GROUP BY k) SELECT k, m FROM a ORDER BY m",
    "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r WHERE i < 5) SELECT i FROM r",
    "SELECT k FROM tt WHERE x < 3 UNION ALL SELECT k FROM tt WHERE x > 996",
    "SELECT k, row_number() OVER (PARTITION BY k ORDER BY x) AS n FROM tt QUALIFY n = 1",
    "SELECT a.k FROM tt a JOIN tt b ON a.x = b.x ASOF JOIN tt c ON a.k = c.k AND a.x >= c.x",
    "SELECT list_transform([x], lambda v: v + 1) AS v FROM tt",
    "SELECT CASE WHEN x > 1 THEN 'a' END AS c FROM tt",
    "SELECT quantile_cont(x, 0.5) AS m, count(*) FILTER (WHERE x > 3) AS n FROM tt",
    "SELECT coalesce(nullif(k, 'x'), 'y') AS z, upper(k) AS u, round(x / 3, 2) AS r FROM tt",
    "SELECT date_diff('day', DATE '2020-01-01', DATE '2020-02-01') AS days",
    "SELECT unnest([1, 2]) AS n",
    "FROM tt SELECT k LIMIT 3",
    "SELECT table_name FROM information_schema.tables",
    "-- a comment; not a statement\nSELECT k /* ; DROP TABLE tt */ FROM tt;",
]


@pytest.mark.parametrize("sql", GOOD)
def test_a_select_over_its_own_tables_runs(sql: str, database: Path) -> None:
    """Whatever one SELECT can say about the rows of its source is allowed."""
    assert run(sql, database)


WAYS_OUT = [
    # files, by function, by name, by format
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_csv_auto('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM read_parquet('/tmp/a.parquet')",
    "SELECT * FROM parquet_scan('/tmp/a.parquet')",
    "SELECT * FROM parquet_metadata('/tmp/a.parquet')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'data.csv'",
    "SELECT (SELECT content FROM read_text('/etc/passwd')) AS x",
    "SELECT k FROM tt WHERE k IN (SELECT filename FROM read_blob('/etc/*'))",
    # network and extensions
    "SELECT * FROM read_csv('https://example.com/a.csv')",
    "SELECT * FROM 's3://bucket/a.parquet'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SELECT * FROM duckdb_extensions()",
    # other databases, writing
    "ATTACH '/tmp/other.duckdb' AS other",
    "COPY tt TO '/tmp/stolen.csv'",
    "COPY (SELECT 1) TO '/tmp/stolen.csv'",
    "EXPORT DATABASE '/tmp/stolen'",
    "CREATE TABLE more AS SELECT 1",
    "CREATE MACRO m() AS 1",
    "INSERT INTO tt VALUES ('q', 1)",
    "WITH gone AS (DELETE FROM tt) SELECT 1",
    "WITH more AS (INSERT INTO tt VALUES ('q', 1)) SELECT * FROM more",
    "WITH more AS (COPY tt TO '/tmp/stolen.csv') SELECT * FROM more",
    "UPDATE tt SET x = 0",
    "DROP TABLE tt",
    # settings and the environment
    "SET memory_limit = '100GB'",
    "RESET lock_configuration",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "SELECT current_setting('temp_directory')",
    "SELECT getvariable('x')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_databases()",
    "SELECT * FROM pg_catalog.pg_settings",
    "SELECT * FROM pg_settings",
    "WITH pg_settings AS (SELECT 1) SELECT * FROM pg_settings",
    "SELECT getenv('HOME')",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM which_secret('s3://a', 's3')",
    "DESCRIBE tt",
    "SELECT * FROM (DESCRIBE tt)",
    "SHOW TABLES",
    "EXPLAIN ANALYZE SELECT 1",
    # SQL inside SQL, memory addresses
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('tt')",
    "SELECT * FROM json_execute_serialized_sql('{}')",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM pandas_scan(1)",
    "SELECT * FROM python_map_function(1)",
    "EXECUTE prepared",
    "PREPARE prepared AS SELECT 1",
    # more than one statement, or none
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE tt",
    "SELECT 1 /* */; -- \nDROP TABLE tt",
    "-- only a comment",
    "",
    "SELEC k FROM tt",
    "SELECT $1",
    # another answer each time
    "SELECT random()",
    "SELECT now()",
    "SELECT current_date",
    "SELECT CURRENT_TIMESTAMP",
    "SELECT today()",
    "SELECT ago(INTERVAL 1 DAY)",
    "SELECT age(TIMESTAMP '2020-01-01')",
    "SELECT uuid()",
    "SELECT sleep_ms(1000)",
    "SELECT * FROM tt USING SAMPLE 3",
    "SELECT * FROM tt TABLESAMPLE 10%",
]


@pytest.mark.parametrize("sql", WAYS_OUT)
def test_every_way_out_is_closed(sql: str, database: Path) -> None:
    """Files, network, settings, other statements and clocks are refused before anything runs, in
    a sentence that says nothing about the machine."""
    with pytest.raises(BadSql) as refused:
        run(sql, database)
    assert str(database.parent) not in str(refused.value)
    assert str(Path.home()) not in str(refused.value)


@pytest.mark.parametrize(
    "sql", [sql for sql in WAYS_OUT if "/" in sql and "*/" not in sql and "_secret" not in sql]
)
def test_duckdb_itself_has_no_way_to_files(
    sql: str, open_database: duckdb.DuckDBPyConnection
) -> None:
    """Also what got past our own look at the syntax finds neither files nor network."""
    with pytest.raises(duckdb.Error):
        open_database.execute(sql).fetchall()


def test_settings_cannot_be_moved(open_database: duckdb.DuckDBPyConnection) -> None:
    """Walls stay up: no setting changes any more, and no extension is loaded."""
    for sql in (
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "SET lock_configuration = false",
        "SET temp_directory = '/tmp'",
        "INSTALL httpfs",
        "LOAD httpfs",
    ):
        with pytest.raises(duckdb.Error):
            open_database.execute(sql)


def test_variables_of_this_process_are_no_tables(
    open_database: duckdb.DuckDBPyConnection, database: Path
) -> None:
    """A data frame that happens to be called as a table in the SQL is not read."""
    secret = duckdb.connect(":memory:").sql("SELECT 42 AS answer").arrow()
    assert secret is not None
    with pytest.raises(duckdb.CatalogException):
        open_database.sql("SELECT * FROM secret")
    with pytest.raises(BadSql, match="there is no table 'secret'"):
        run("SELECT * FROM secret", database)


def test_what_never_ends_is_stopped(database: Path) -> None:
    """The time limit holds for queries that neither fail nor answer."""
    sql = "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r) SELECT max(i) FROM r"
    with pytest.raises(BadSql, match="did not end within 1 seconds"):
        run(sql, database, limits=Limits(memory_mb=64, spill_mb=64, seconds=1))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT length(repeat('x', 2000000000)) AS n",
        "SELECT len(range(300000000)) AS n",
        "SELECT length(string_agg(repeat('abc', 10000), '')) AS n FROM tt a, tt b",
        "SELECT a.k, b.k, c.k, d.k FROM tt a, tt b, tt c, tt d ORDER BY 4, 3",
    ],
)
def test_what_wants_too_much_memory_is_stopped(sql: str, database: Path) -> None:
    """The memory limit holds for sorting, and for texts and lists that DuckDB does not count."""
    with pytest.raises(BadSql, match="more memory"):
        run(sql, database)


def test_more_rows_than_allowed_are_refused(database: Path) -> None:
    """A join that explodes ends at the first row too many, not at the last."""
    with pytest.raises(BadSql, match="more than 1,000 rows"):
        run("SELECT a.k FROM tt a, tt b, tt c, tt d", database)


def test_mistakes_are_explained(database: Path) -> None:
    """What DuckDB says of a wrong name or value reaches the author of the spec."""
    with pytest.raises(BadSql, match='"nope" not found'):
        run("SELECT nope FROM tt", database)
    with pytest.raises(BadSql, match="Could not convert"):
        run("SELECT CAST(k || 'x' AS DOUBLE) AS n FROM tt", database)
    with pytest.raises(BadSql, match="longer than"):
        run("SELECT " + "1 + " * 10_000 + "1", database)
    with pytest.raises(BadSql, match=r"nested|depth|deep"):
        run("SELECT " + "(" * 4000 + "1" + ")" * 4000, database)


def test_the_child_gets_nothing_of_ours(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment variable of the job, and so no credentials, reach the process of the SQL."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/secret")
    before = threading.active_count()
    with sandbox.run_sql(
        "SELECT k FROM tt", database, TABLES, max_rows=1000, limits=SMALL
    ) as batches:
        for child in _children():
            assert b"GOOGLE" not in (child / "environ").read_bytes()
        assert sum(len(batch) for batch in batches) == 1000
    assert threading.active_count() == before


def _children() -> Iterator[Path]:
    """Processes that run SQL for this one, where the system shows them (Linux)."""
    for found in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (found / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and b"sandboxed" in (found / "cmdline").read_bytes():
                yield found


def test_a_database_leaves_nothing_outside_its_folder() -> None:
    """Spilled and stored data lie in the folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.duckdb"
        with sandbox.connect(path, Limits(memory_mb=32, spill_mb=256)) as database:
            database.execute(
                "CREATE TABLE a AS SELECT range AS n, hash(range)::VARCHAR AS t FROM range(500000)"
            )
            database.execute("SELECT count(*) FROM (SELECT * FROM a ORDER BY t, n DESC)")
        assert {item.name for item in Path(folder).iterdir()} <= {"a.duckdb", "a.spill"}
