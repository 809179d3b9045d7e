"""The first part of a CSV file as somebody who drafts a spec sees it: dialect, names, cells.

What is guessed here (delimiter, encoding, header, decimal mark) is what `Source` declares; the
cells are read as training will read them. Knows no buckets and needs only the standard library.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.errors import BadSpec, BinaryFile, EmptyFile
from shared.spec.model import Source

SAMPLE_BYTES = 8 * 1024 * 1024
SAMPLE_ROWS = 50_000

Delimiter = Literal[",", ";", "\t", "|"]
Encoding = Literal["utf-8", "latin-1", "cp1252"]
Decimal = Literal[".", ","]
DELIMITERS: tuple[Delimiter, ...] = (",", ";", "\t", "|")
NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
COMMA_NUMBER = re.compile(r"[-+]?\d*,(\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class Sample:
    """Cells stripped; `names` in file order; `columns[i]` are the cells of `names[i]`."""

    names: list[str]
    columns: list[list[str]]
    source: Source
    whole: bool

    @property
    def rows(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def number(self, cell: str) -> float | None:
        """The number that a cell spells, None for another text."""
        return number_of(cell, self.source.decimal)


def read_sample(path: Path, target: str) -> tuple[Sample, list[str]]:
    """The sample and sentences about what was guessed. Raises EmptyFile, BinaryFile, BadSpec."""
    with path.open("rb") as stream:
        raw = stream.read(SAMPLE_BYTES)
        whole = not stream.read(1)
    if not raw.strip():
        raise EmptyFile(f"{path} is empty; a training file needs rows")
    if b"\0" in raw or raw[:4] in (b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"PAR1", b"%PDF"):
        raise BinaryFile(f"{path} is not text; a CSV file was expected (unpack archives first)")
    text, encoding = _decode(raw if whole else raw[: raw.rfind(b"\n") + 1])
    delimiter = _delimiter(text)
    try:
        rows = [[cell.strip() for cell in row] for row in _reader(text, delimiter) if row]
    except csv.Error as error:
        raise BadSpec(f"{path} is not CSV: {error}; is a quote left open?") from error
    rows = rows[:SAMPLE_ROWS]
    header, names = _names(rows, target, path)
    body = [row for row in rows[header:] if len(row) == len(names)]
    if not body:
        raise EmptyFile(f"{path} has a header but no rows")
    notes = _file_notes(rows, header, names, body, whole)
    columns = [[row[i] for row in body] for i in range(len(names))]
    decimal = _decimal(columns)
    if decimal == ",":
        notes.append("Numbers are written with a decimal comma.")
    source = Source(delimiter=delimiter, encoding=encoding, header=bool(header), decimal=decimal)
    return Sample(names, columns, source, whole), notes


def number_of(cell: str, decimal: Decimal) -> float | None:
    """The number that a cell spells, None for another text."""
    if decimal == ",":
        cell = "." if "." in cell else cell.replace(",", ".")
    return float(cell) if NUMBER.fullmatch(cell) else None


def _file_notes(
    rows: list[list[str]], header: int, names: list[str], body: list[list[str]], whole: bool
) -> list[str]:
    notes = []
    if not header:
        notes.append(
            f"The file has no header: its {len(names)} columns are named column_1 to "
            f"column_{len(names)}; rename them in the spec as you like."
        )
    torn = len(rows) - header - len(body)
    if torn:
        notes.append(f"{torn} rows do not have {len(names)} cells; they will be quarantined.")
    if not whole or len(rows) == SAMPLE_ROWS:
        notes.append(f"Only the first {len(body)} rows were looked at.")
    return notes


def _decode(raw: bytes) -> tuple[str, Encoding]:
    for encoding, codec in (("utf-8", "utf-8-sig"), ("cp1252", "cp1252")):
        try:
            return raw.decode(codec), encoding  # type: ignore[return-value]
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1"), "latin-1"


def _reader(text: str, delimiter: Delimiter) -> Iterator[list[str]]:
    """Records as `tabular.records` reads them: any line end, blanks before a quote skipped."""
    lines = io.StringIO(text, newline="")
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True)


def _delimiter(text: str) -> Delimiter:
    """The one that splits most lines into the same number of cells, more than one."""
    few = "".join(text.splitlines(keepends=True)[:200])
    best: Delimiter = ","
    score = (0.0, 0)
    for delimiter in DELIMITERS:
        try:
            widths = Counter(len(row) for row in _reader(few, delimiter) if row)
        except csv.Error:
            continue
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        found = (count / max(1, widths.total()), width)
        if width > 1 and found > score:
            best, score = delimiter, found
    return best


def _decimal(columns: list[list[str]]) -> Decimal:
    """A comma where a column of numbers needs one. `1,234` alone may as well group thousands, so
    some cell must have other than three digits behind it."""
    for column in columns:
        if any("," in cell for cell in column):
            found = {cell: COMMA_NUMBER.fullmatch(cell) for cell in set(column)}
            numbers = sum(
                found[cell] is not None or NUMBER.fullmatch(cell) is not None for cell in column
            )
            behind = {len(match[1]) for match in found.values() if match}
            pointed = any("." in cell and NUMBER.fullmatch(cell) for cell in found)
            if behind - {3} and numbers >= 0.5 * len(column) and not pointed:
                return ","
    return "."


def _names(rows: list[list[str]], target: str, path: Path) -> tuple[int, list[str]]:
    """1 and the header's names, or 0 and made-up ones. Raises BadSpec."""
    first = rows[0]
    made_up = [f"column_{i}" for i in range(1, len(first) + 1)]
    if target in first:
        # A column without a name (an index that was written along) is read under the same name.
        names = [name or made_up[i] for i, name in enumerate(first)]
        doubled = [name for name, count in Counter(names).items() if count > 1]
        if doubled:
            raise BadSpec(f"{path}: these columns are there twice: {', '.join(doubled)}")
        return 1, names
    if target in made_up:
        return 0, made_up
    close = difflib.get_close_matches(target, first, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise BadSpec(
        f"{path} has no column {target!r}: {hint}its first line is {', '.join(first)}. If that is "
        f"no header, call the target column_1 ... column_{len(first)}."
    )
