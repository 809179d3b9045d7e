"""CSV files into rows of texts: good ones by column, bad ones with their reasons.

Good plus bad is always the number of records in the file. A record that only a person can mend
(wrong number of fields, a number that is none, a broken `require`, no target) goes to quarantine
with its original cells. Knows no buckets; bounded memory is the reader's business only.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from shared.errors import EmptyFile, HeaderMismatch
from shared.serving.columns import Columns, Problem, Schema
from shared.spec.model import Spec
from shared.tabular.records import column_names, read_records, record_writer
from shared.tabular.targets import Outcome

Cells = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that cannot be used; `record` counts from 1 within `source`."""

    source: str
    record: int
    cells: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Records of equal width, column by column, cells as in the file."""

    names: tuple[str, ...]
    cells: Cells
    source: list[str]
    record: list[int]
    bad: list[BadRow] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All records that were read."""
        return len(self.record) + len(self.bad)

    def row(self, position: int) -> tuple[str, ...]:
        return tuple(self.cells[name][position] for name in self.names)


@dataclass(frozen=True, slots=True)
class Sifted:
    """Good rows: normalised cells ("" is missing) of features and target; and all bad rows."""

    cells: Cells
    record: list[int]
    bad: list[BadRow]


def read_table(stream: BinaryIO, spec: Spec, source: str = "") -> Table:
    """All records of a training file. Raises EmptyFile, UnreadableText, HeaderMismatch."""
    records = read_records(stream, spec.source)
    first = next(records, None)
    if first is None:
        raise EmptyFile("the file holds only blank lines")
    if spec.source.header:
        names = column_names(first)
    else:
        names, records = spec.file_columns(with_target=True), _chain(first, records)
    _check_names(names, spec)
    columns: list[list[str]] = [[] for _ in names]
    numbers: list[int] = []
    bad: list[BadRow] = []
    for number, row in enumerate(records, start=1):
        if len(row) != len(names):
            reason = f"has {len(row)} fields, expected {len(names)}"
            bad.append(BadRow(source, number, tuple(row), (reason,)))
            continue
        numbers.append(number)
        for column, cell in zip(columns, row, strict=True):
            column.append(cell)
    if not numbers and not bad:
        raise EmptyFile("the file has a header and no rows")
    cells = dict(zip(names, columns, strict=True))
    return Table(tuple(names), cells, [source] * len(numbers), numbers, bad)


def join(tables: Sequence[Table]) -> Table:
    """Files of one batch as one table: the columns of the first that all of them have."""
    first = tables[0]
    if len(tables) == 1:
        return first
    names = tuple(name for name in first.names if all(name in table.cells for table in tables))
    return Table(
        names,
        {name: [cell for table in tables for cell in table.cells[name]] for name in names},
        [source for table in tables for source in table.source],
        [record for table in tables for record in table.record],
        [row for table in tables for row in table.bad],
    )


def normalise(cells: Sequence[str], schema: Schema) -> list[str]:
    """Cells as they are kept: stripped where the spec strips, "" for every missing marker."""
    missing = {*schema.missing, ""}
    known: dict[str, str] = {}
    for cell in set(cells):
        text = cell.strip() if schema.strip else cell
        known[cell] = "" if text in missing else text
    return [known[cell] for cell in cells]


def sift(table: Table, schema: Schema, target: str, outcome: Outcome) -> Sifted:
    """Separate the rows that a model can learn from and those it cannot."""
    kept = {name: normalise(table.cells[name], schema) for name in (*schema.names, target)}
    _, problems = schema.from_cells({name: kept[name] for name in schema.names})
    reasons: dict[int, list[str]] = {}
    for problem in problems:
        reasons.setdefault(cast(int, problem["row"]), []).append(_in_words(problem))
    for row, rule in outcome.parse(kept[target]).problems.items():
        reasons.setdefault(row, []).append(f"{target}: {rule}")
    good = [row for row in range(len(table.record)) if row not in reasons]
    bad = [
        BadRow(table.source[row], table.record[row], table.row(row), tuple(why))
        for row, why in sorted(reasons.items())
    ]
    return Sifted(
        {name: [column[row] for row in good] for name, column in kept.items()},
        [table.record[row] for row in good],
        sorted([*table.bad, *bad], key=lambda row: (row.source, row.record)),
    )


def columns_of(cells: Cells, schema: Schema) -> Columns:
    """Columns of cells that were sifted before."""
    return schema.from_cells({name: cells[name] for name in schema.names})[0]


def quarantine_csv(bad: Sequence[BadRow], names: Sequence[str]) -> bytes:
    """Bad rows as a file that a person can mend and drop again: the original cells come last."""
    out = io.StringIO(newline="")
    writer = record_writer(out)
    writer.writerow(["quarantine_source", "quarantine_record", "quarantine_reasons", *names])
    for row in bad:
        writer.writerow([row.source, row.record, "; ".join(row.reasons), *row.cells])
    return out.getvalue().encode()


def _chain(first: list[str], rest: Iterator[list[str]]) -> Iterator[list[str]]:
    yield first
    yield from rest


def _check_names(names: Sequence[str], spec: Spec) -> None:
    wanted = [*spec.feature_names(), spec.target.column]
    missing = [name for name in wanted if name not in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if missing:
        raise HeaderMismatch(
            f"the file lacks {', '.join(missing)}; its header is {', '.join(names)[:300]}"
        )
    if twice:
        raise HeaderMismatch(f"the header names {', '.join(twice)} more than once")


def _in_words(problem: Problem) -> str:
    return f"{problem['column']}: {problem['rule']} (it is {problem['value']!r})"
