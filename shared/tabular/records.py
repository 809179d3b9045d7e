"""CSV records, for training and scoring alike: one reader and one writer, so that all see the same
rows and names."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Protocol, TextIO, cast

from shared.errors import UnreadableText
from shared.spec.model import Source

# One field larger than this is a quote that was never closed, not data.
MAX_FIELD_CHARACTERS = 1024 * 1024
_STEP_BYTES = 4 * 1024 * 1024


class _Steps(io.BufferedIOBase):
    """A stream in large steps. TextIOWrapper asks for 8 KiB by `read1`, which goes past a buffer
    straight to the source: one request to storage each."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def read1(self, size: int = -1, /) -> bytes:  # noqa: ARG002  # larger is allowed
        return self._stream.read(_STEP_BYTES)


def read_records(stream: BinaryIO, source: Source) -> Iterator[list[str]]:
    """Records that are not blank lines, in bounded memory; quoted line ends belong to their field.
    Raises UnreadableText."""
    allow_long_fields()
    encoding = "utf-8-sig" if source.encoding == "utf-8" else source.encoding
    text = io.TextIOWrapper(cast(BinaryIO, _Steps(stream)), encoding=encoding, newline="")
    reader = csv.reader(text, delimiter=source.delimiter, skipinitialspace=source.strip)
    try:
        for row in reader:
            if len(row) > 1 or (row and row[0].strip()):
                yield row
    except UnicodeDecodeError as error:
        raise UnreadableText(
            f"after line {reader.line_num} there are bytes that are not {source.encoding}; save "
            f"the file as UTF-8 or set source.encoding (latin-1 or cp1252) in the spec"
        ) from error
    except csv.Error as error:
        raise UnreadableText(
            f"line {reader.line_num} is not CSV: {error}; is a quote left open?"
        ) from error


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
