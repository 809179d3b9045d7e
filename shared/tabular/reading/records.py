"""CSV records, for training and scoring alike: one reader and one writer, so that all see the same
rows and names."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Protocol, TextIO

from shared.errors import UnreadableText
from shared.spec.model import Source
from shared.tabular.reading.lines import MAX_LINE_BYTES, Text

# One field larger than this is a quote that was never closed, not data.
MAX_FIELD_CHARACTERS = 1024 * 1024


def read_records(
    stream: BinaryIO, source: Source, *, name: str = "", expected: Collection[str] = ()
) -> Iterator[list[str]]:
    """Records of a CSV file that are not blank, in bounded memory; quoted line ends belong to their
    field. A record of nothing but delimiters and blanks is blank. Raises UnreadableText."""
    text = Text(stream, source, name=name, expected=expected)
    for _, row, _ in numbered_steps(text.steps(), text.source):
        yield row


def numbered_steps(steps: Iterable[bytes], source: Source) -> Iterator[tuple[int, list[str], bool]]:
    """Records that are not blank, with how many steps (UTF-8, whole lines) were begun to read them,
    and whether the record ends: not where a quote is left open until the text's end. Raises
    UnreadableText."""
    allow_long_fields()
    begun, waiting, over = 0, 0, False

    def lines() -> Iterator[str]:
        nonlocal begun, waiting, over
        for step in steps:
            begun += 1
            waiting += len(step)
            if waiting - len(step) > MAX_LINE_BYTES:
                raise UnreadableText(
                    f"a record before line {reader.line_num} is longer than "
                    f"{MAX_LINE_BYTES >> 20} MiB; is a quote left open?"
                )
            # Line ends as TextIOWrapper sees them with newline="", and no others.
            yield from io.StringIO(step.decode(), newline="")
        over = True  # nobody asks for more lines but a record that has not ended

    reader = csv.reader(lines(), delimiter=source.delimiter, skipinitialspace=source.strip)
    try:
        for row in reader:
            waiting = 0
            if not is_blank(row):
                yield begun, row, not over
    except csv.Error as error:
        raise UnreadableText(
            f"line {reader.line_num} is not CSV: {error}; is a quote left open?"
        ) from error


def is_blank(row: Sequence[str]) -> bool:
    """Nothing but delimiters and blanks: no record, as a blank line is none."""
    if row and row[0] and not row[0].isspace():  # nearly always
        return False
    return not any(cell and not cell.isspace() for cell in row)


def column_names(cells: Sequence[str]) -> list[str]:
    """The names in a header. A column without one (an index that was written along) is called by
    its place, as in a drafted spec."""
    return [cell.strip() or f"column_{place}" for place, cell in enumerate(cells, start=1)]


class RecordWriter(Protocol):
    """What the csv module makes and has no public name for."""

    def writerow(self, row: Iterable[Any], /) -> Any: ...

    def writerows(self, rows: Iterable[Iterable[Any]], /) -> None: ...


class _LineFeeds:
    """Takes lines that end in CR LF, passes them on with LF. The csv module quotes the characters
    of its own line end only: with LF alone, a cell with a CR in it would come back as two rows."""

    def __init__(self, text: TextIO) -> None:
        self._write = text.write

    def write(self, line: str) -> int:
        return self._write(line[:-2] + "\n")


def record_writer(text: TextIO) -> RecordWriter:
    """A writer of CSV with commas and LF, whose records `read_records` and the csv module read as
    they were. `text` is opened with `newline=""`."""
    return csv.writer(_LineFeeds(text), lineterminator="\r\n")


def allow_long_fields() -> None:
    """For readers of what was read with `read_records` once: the csv module's own limit is 128 KiB,
    and a resumed run has not called that."""
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
