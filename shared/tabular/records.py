"""CSV records, for training and scoring alike: one reader, so that both see the same rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import BinaryIO, cast

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
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
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
