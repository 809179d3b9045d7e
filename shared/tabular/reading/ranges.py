"""A CSV file in ranges of bytes that can be read one without the others.

    look     which lines begin in a range, how many records they are, whether each ends where it
             begins: only then may ranges be read apart
    blocks   the records of one range, as `sheets.open_sheet` would give them

What cannot be proved is unsound, never guessed. Pure: takes bytes, knows no buckets.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.files import dialect
from shared.spec.model import Source
from shared.tabular.reading.blocks import Block
from shared.tabular.reading.lines import STEP_BYTES, Text, decode_as
from shared.tabular.reading.records import MAX_FIELD_CHARACTERS, allow_long_fields, is_blank
from shared.tabular.reading.sheets_csv import CsvReader, Wanted, blocks_of, is_plain

# A line may go on so far after the range that it begins in.
TAIL_BYTES = 256 * 1024
_LF = 10
_BLANKS = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())


@dataclass(frozen=True, slots=True)
class Look:
    """Bytes `start` to `end` hold the lines that begin in a range. Of an unsound range nothing else
    is known."""

    start: int
    end: int
    records: int
    sound: bool = True


def look(data: bytes, nominal: tuple[int, int], size: int, source: Source) -> Look:
    """What a range holds. `data` is the file from one byte before the range (from 0 for the first)
    to TAIL_BYTES behind it; `size` is the whole file's, `source` is settled."""
    first, last = nominal
    base = max(first - 1, 0)
    unsound = Look(first, last, 0, sound=False)
    start = 0 if first == 0 else data.find(b"\n", 0, last - base) + 1
    end = len(data) if last >= size else data.find(b"\n", last - 1 - base) + 1
    if (first and not start) or not end:
        return unsound
    records = 0
    for step in steps_of(data[start:end], bom=first == 0):
        found = _records(step, source)
        if found is None:
            return unsound
        records += found
    return Look(base + start, base + end, records)


def blocks(data: bytes, wanted: Wanted, *, before: int | None) -> Iterator[Block]:
    """The records of a sound range. `before` is how many records stand before it, None for the
    range that begins with the header, where there is one."""
    source = wanted.source
    if before is None:
        reader = CsvReader(Text(io.BytesIO(data), source), block_rows=wanted.block_rows)
        yield from reader.blocks(wanted.names, header=source.header, enough=wanted.enough)
        return
    steps = (_decoded(step, source) for step in steps_of(data))
    yield from blocks_of(steps, wanted, done=before)


def steps_of(data: bytes, *, bom: bool = False) -> Iterator[bytes]:
    """Whole lines of at most STEP_BYTES together, or one longer line."""
    at = len(dialect.BOM) if bom and data.startswith(dialect.BOM) else 0
    while at < len(data):
        end = data.rfind(b"\n", at, at + STEP_BYTES) + 1
        if not end:
            end = data.find(b"\n", at) + 1 or len(data)
        if at + STEP_BYTES >= len(data):
            end = len(data)
        yield data[at:end]
        at = end


def _decoded(step: bytes, source: Source) -> bytes:
    if source.encoding == "utf-8" or step.isascii():
        return step
    return decode_as(step, source.encoding).encode()


def _records(step: bytes, source: Source) -> int | None:
    """How many records whole lines hold; None where one does not end with its line, or where the
    file needs another reader."""
    if source.encoding == "utf-8" and not step.isascii():
        try:
            step.decode()
        except UnicodeDecodeError:
            return None
    text = _decoded(step, source)
    count = _plain_records if is_plain(text, source) else _quoted_records
    return count(text, source)


def _plain_records(step: bytes, source: Source) -> int | None:
    """Lines that are not blank."""
    data = np.frombuffer(step, np.uint8)
    ends = np.flatnonzero(data == _LF)
    if not len(ends) or ends[-1] != len(data) - 1:
        ends = np.append(ends, len(data))
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends - starts).max() > MAX_FIELD_CHARACTERS:
        return None
    # Empty lines begin with their line end; others that may be blank with a blank or a delimiter.
    first = data[np.minimum(starts, len(data) - 1)]
    maybe = np.flatnonzero(_may_be_blank(source)[first])
    blank = _blank_line(source)
    bounds = zip(starts[maybe].tolist(), ends[maybe].tolist(), strict=True)
    candidates = (step[start:end] for start, end in bounds if blank.fullmatch(step, start, end))
    return len(ends) - sum(_is_blank(line, source) for line in candidates)


def _is_blank(line: bytes, source: Source) -> bool:
    """Of a line of blanks, delimiters and quotes: a delimiter in quotes is a cell that is not."""
    if b'"' not in line:
        return True
    reader = csv.reader([line.decode()], delimiter=source.delimiter, skipinitialspace=source.strip)
    return all(is_blank(row) for row in reader)


def _may_be_blank(source: Source) -> NDArray[np.bool_]:
    found = np.zeros(256, np.bool_)
    found[list((_BLANKS + source.delimiter + '"').encode())] = True
    return found


def _blank_line(source: Source) -> re.Pattern[bytes]:
    choices = sorted({blank.encode() for blank in _BLANKS + source.delimiter + '"'})
    return re.compile(b"(?:" + b"|".join(map(re.escape, choices)) + b")*")


def _quoted_records(step: bytes, source: Source) -> int | None:
    """The same by the csv module, which knows what quotes mean."""
    allow_long_fields()
    ended = False

    def lines() -> Iterator[str]:
        nonlocal ended
        yield from io.StringIO(step.decode(), newline="")
        ended = True  # nobody asks for more but a record that has not ended

    reader = csv.reader(lines(), delimiter=source.delimiter, skipinitialspace=source.strip)
    records = seen = 0
    try:
        for row in reader:
            if ended or reader.line_num != seen + 1:
                return None
            seen += 1
            records += not is_blank(row)
    except csv.Error:
        return None
    return records
