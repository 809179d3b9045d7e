"""Small joins for tests: rows as dictionaries in, cells and reasons out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from shared.serving.cells import CellRules
from shared.serving.sources.aggregates import Known, SourceAggregates
from shared.spec.model import JoinedSource
from shared.tabular.joins.joining import Join
from shared.tabular.joins.report import report_of
from shared.tabular.joins.sandbox import Limits
from shared.tabular.reading.blocks import Block, block_of
from shared.tabular.validating.row_reasons import BadRow

Row = Mapping[str, str]
RULES = CellRules()
AGGREGATES = {
    "n": "count",
    "total": "sum(x)",
    "average": "mean(x)",
    "least": "min(x)",
    "most": "max(x)",
    "newest": "last(x)",
    "kinds": "distinct(c)",
    "since": "recency",
    "n_lately": "count over 1d",
    "total_lately": "sum(x) over 90d",
    "average_lately": "mean(x) over 1d",
    "least_lately": "min(x) over 86400s",
    "most_lately": "max(x) over 24h",
    "newest_lately": "last(x) over 1s",
    "kinds_lately": "distinct(c) over 1441m",
}
LIMITS = Limits(memory_mb=64, spill_mb=256, seconds=20)


def source_of(name: str = "t", **spec: Any) -> SourceAggregates:
    body = {"key": "id", "time": "at", "as_of": "2020-06-01", "aggregates": AGGREGATES, **spec}
    return SourceAggregates.of(name, JoinedSource.model_validate(body))


def blocks(rows: Sequence[Row], columns: Sequence[str], size: int = 3) -> Iterator[Block]:
    """Rows in small blocks, so that keys and moments lie across their borders."""
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        cells = [[row.get(name, "") for row in part] for name in columns]
        yield block_of(columns, cells, range(start + 1, start + 1 + len(part)), [])


@dataclass
class Joined:
    """What came out: by primary row its cells, or why it has none."""

    rows: list[dict[str, str]] = field(default_factory=list)
    codes: dict[int, str] = field(default_factory=dict)
    sentences: dict[int, str] = field(default_factory=dict)
    bad: list[BadRow] = field(default_factory=list)
    known: dict[str, list[Known]] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)


@contextmanager
def opened(
    primary: Sequence[Row],
    others: Mapping[str, Sequence[Row]],
    sources: Sequence[SourceAggregates],
    *,
    sql: Mapping[str, str] | None = None,
    rules: CellRules = RULES,
) -> Iterator[Join]:
    """A computed join."""
    with (
        TemporaryDirectory() as folder,
        closing(Join(Path(folder), sources, rules, sql=sql, limits=LIMITS)) as join,
    ):
        for source in sources:
            rows = others.get(source.name)
            if rows is not None:
                columns = list(dict.fromkeys([*source.columns_needed, *(rows or [{}])[0]]))
                join.load(source.name, [(source.name, part) for part in blocks(rows, columns)])
        join.place(blocks(primary, list(primary[0]) if primary else ["id"]))
        join.compute()
        yield join


def joined(
    primary: Sequence[Row],
    others: Mapping[str, Sequence[Row]],
    *sources: SourceAggregates,
    sql: Mapping[str, str] | None = None,
    rules: CellRules = RULES,
) -> Joined:
    with opened(primary, others, sources, sql=sql, rules=rules) as join:
        return read(join, primary, sources)


def read(join: Join, primary: Sequence[Row], sources: Sequence[SourceAggregates]) -> Joined:
    found = Joined(bad=list(join.bad()), report=report_of(join, primary="p"))
    reading = join.read()
    for block in blocks(primary, list(primary[0]) if primary else ["id"]):
        beside = reading.beside(block)
        start = len(found.rows)
        columns = [texts.to_pylist() for texts in beside.cells.values()]
        found.rows += [
            dict(zip(beside.cells, cells, strict=True)) for cells in zip(*columns, strict=True)
        ]
        for row, why in beside.unusable.items():
            found.codes[start + row] = why.code
            found.sentences[start + row] = why.sentence
    found.known = {
        source.name: list(join.known(source.name))
        for source in sources
        if join.side(source.name).there
    }
    return found
