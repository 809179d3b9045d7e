"""CSV in blocks: pyarrow where lines are records, the csv module where quotes may say otherwise.

    header (csv module) -> steps of whole lines -> pyarrow, until a step has a quote within a cell
                                                   or over a line end, or a lone CR
                                                -> csv module, from that step to the end

Both give the same records as `records.read_records`; a property test holds them to it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shared.errors import EmptyFile, UnreadableText
from shared.files import dialect
from shared.spec.model import Source
from shared.tabular.reading.blocks import Block, Ragged, block_of, slices, wrong_width
from shared.tabular.reading.lines import MAX_LINE_BYTES, Text
from shared.tabular.reading.quickly import has_blanks, has_clean_quotes, read_quickly, split_lines
from shared.tabular.reading.records import (
    MAX_FIELD_CHARACTERS,
    allow_long_fields,
    is_blank,
    numbered_steps,
)

_OPEN = "opens a quote that is never closed: what follows it in the file is in this record"


class CsvReader:
    """A CSV file behind its first record: `first` is that record, the header where there is one,
    and `blocks` are all records after the header, or all of them."""

    def __init__(self, text: Text, *, block_rows: int) -> None:
        """Raises EmptyFile, UnreadableText."""
        self._text, self._block_rows = text, block_rows
        self._steps = text.steps()
        self.first, self._whole, self._rest = self._first_record()

    def _first_record(self) -> tuple[list[str], bytes, bytes]:
        """The first record, the text it was found in, and what of that comes after it."""
        allow_long_fields()
        data, row = b"", None
        for step in self._steps:
            data += step
            text = io.StringIO(data.decode(), newline="")
            source = self._text.source
            reader = csv.reader(text, delimiter=source.delimiter, skipinitialspace=source.strip)
            try:
                row = next((row for row in reader if not is_blank(row)), None)
            except csv.Error as error:
                raise UnreadableText(
                    f"line {reader.line_num} is not CSV: {error}; is a quote left open?"
                ) from error
            rest = text.read()
            if row is not None and rest:  # at the end of the text it may go on in the next step
                return row, data, rest.encode()
            if row is None and b'"' not in data:  # an open quote makes blanks part of a field
                data = b""
            elif len(data) > MAX_LINE_BYTES:
                raise UnreadableText("the first record does not end; is a quote left open?")
        if data and row is not None:
            return row, data, b""
        raise EmptyFile("the file holds only blank lines")

    def blocks(
        self, names: Sequence[str], *, header: bool, enough: Sequence[str] | None = None
    ) -> Iterator[Block]:
        """Once only. `enough` as in `blocks_of`. Raises UnreadableText."""
        start = self._rest if header else self._whole
        steps = chain((start,) if start else (), self._steps)
        wanted = Wanted(names, self._text.source, self._block_rows, enough)
        yield from blocks_of(steps, wanted, done=0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What blocks are made of. `enough` are the columns that suffice where a block brings its
    records as they stand, None where all are needed."""

    names: Sequence[str]
    source: Source
    block_rows: int
    enough: Sequence[str] | None = None


def blocks_of(steps: Iterator[bytes], wanted: Wanted, *, done: int) -> Iterator[Block]:
    """The records of steps (UTF-8, whole lines) that come after `done` others. Raises
    UnreadableText."""
    names, source, block_rows = wanted.names, wanted.source, wanted.block_rows
    for step in steps:
        plain = is_plain(step, source)
        if plain and wanted.enough:
            quick = read_quickly(step, names, wanted.enough, source)
            if quick is not None:
                record = np.arange(done + 1, done + 1 + len(quick.lines), dtype=np.int64)
                done += len(record)
                yield from slices(quick.cells, record, [], block_rows, quick.lines)
                continue
        table = _parsed(step, len(names), source) if plain else None
        if table is None:
            yield from _carefully(chain((step,), steps), names, source, done, block_rows)
            return
        columns, bad = table
        cells = dict(zip(names, columns, strict=True))
        cells, record, ragged, done = _numbered(cells, bad, done, source)
        yield from slices(cells, record, ragged, block_rows)


def is_plain(step: bytes, source: Source) -> bool:
    """Quotes and line ends that both readers see alike."""
    if step.count(b"\r") != step.count(b"\r\n"):
        return False
    return b'"' not in step or has_clean_quotes(step, source)


def _parsed(
    step: bytes, width: int, source: Source
) -> tuple[list[pa.Array], list[tuple[int, str]]] | None:
    """Columns of the records of equal width, and the others with their place among all that are no
    empty lines (from 1). None where a field is too long to be one."""
    bad: list[tuple[int, str]] = []

    def keep(row: pa.csv.InvalidRow) -> str:
        bad.append((row.number, row.text))
        return "skip"

    if step.startswith(dialect.BOM):
        step = b"\n" + step  # not the file's start, so it is text
    columns = split_lines(step, width, range(width), source, keep)
    if any(_longest(column) > MAX_FIELD_CHARACTERS for column in columns):
        return None
    if has_blanks(step, source):
        columns = [pc.utf8_ltrim(column, " ") for column in columns]
    return columns, bad


def _numbered(
    cells: dict[str, pa.Array], bad: list[tuple[int, str]], done: int, source: Source
) -> tuple[dict[str, pa.Array], NDArray[np.int64], list[Ragged], int]:
    """Cells without blank records, their places in the file, the ragged records, and how many
    records there are until here."""
    rows = len(next(iter(cells.values())))
    counts = np.ones(rows + len(bad), np.bool_)  # by place in the step
    good = np.ones(rows + len(bad), np.bool_)
    ragged_cells: dict[int, list[str]] = {}
    for number, line in bad:
        good[number - 1] = False
        row = _row(line, source)
        if is_blank(row):
            counts[number - 1] = False
        else:
            ragged_cells[number - 1] = row
    blank = _blank(list(cells.values()))
    if blank.any():
        counts[np.flatnonzero(good)[blank]] = False
        keep = pa.array(~blank)
        cells = {name: column.filter(keep) for name, column in cells.items()}
    places = done + np.cumsum(counts)
    ragged = [
        wrong_width(int(places[place]), row, len(cells)) for place, row in ragged_cells.items()
    ]
    total = int(places[-1]) if len(places) else done
    return cells, places[good & counts].astype(np.int64), ragged, total


def _row(line: str, source: Source) -> list[str]:
    """One record that pyarrow gave back, as the csv module reads it. Raises UnreadableText."""
    reader = csv.reader([line], delimiter=source.delimiter, skipinitialspace=source.strip)
    try:
        return next(reader, [])
    except csv.Error as error:
        raise UnreadableText(f"{line[:40]!r}... is not CSV: {error}") from error


def _blank(columns: list[pa.Array]) -> NDArray[np.bool_]:
    """Rows whose cells are all blank; arrow and `str.isspace` know the same blanks."""
    rows = np.arange(len(columns[0]))
    for column in columns:
        few = column if len(rows) == len(column) else column.take(pa.array(rows))
        empty = pc.equal(pc.utf8_trim_whitespace(few), "").to_numpy(zero_copy_only=False)
        rows = rows[empty]
        if not len(rows):
            break
    found = np.zeros(len(columns[0]), np.bool_)
    found[rows] = True
    return found


def _longest(column: pa.Array) -> int:
    return pc.max(pc.binary_length(column)).as_py() or 0


def _carefully(
    steps: Iterator[bytes], names: Sequence[str], source: Source, done: int, block_rows: int
) -> Iterator[Block]:
    """Records by the csv module; a block ends where a step does, so that memory is bounded."""
    width = len(names)
    rows: list[list[str]] = []
    record: list[int] = []
    ragged: list[Ragged] = []
    began = 0
    number = done
    for begun, row, ends in numbered_steps(steps, source):
        if begun != began or len(rows) >= block_rows:
            if rows or ragged:
                yield block_of(names, list(zip(*rows, strict=True)), record, ragged)
            began, rows, record, ragged = begun, [], [], []
        number += 1
        if not ends:
            ragged.append(Ragged(number, tuple(row), _OPEN, "quote"))
        elif len(row) == width:
            rows.append(row)
            record.append(number)
        else:
            ragged.append(wrong_width(number, row, width))
    if rows or ragged:
        yield block_of(names, list(zip(*rows, strict=True)), record, ragged)
