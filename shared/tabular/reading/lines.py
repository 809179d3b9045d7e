"""The text of a file in steps that end at line ends, as UTF-8, in bounded memory.

    bytes -> unpacked (gzip) -> cut at line ends -> decoded (declared or detected) -> UTF-8 steps

Standard library only. Knows no records: a line end may belong to a quoted field.
"""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterator
from typing import BinaryIO

from shared.errors import UnreadableText
from shared.files import dialect
from shared.spec.model import Source

STEP_BYTES = 4 * 1024 * 1024
# A longer line is a quote that was never closed or no text at all; memory stays bounded by it.
MAX_LINE_BYTES = 16 * 1024 * 1024
# cp1252 leaves five bytes without a character; latin-1 has one for each.
_CP1252 = "".join(
    bytes([code]).decode("cp1252", errors="ignore") or chr(code) for code in range(256)
)


class Text:
    """An opened file: `source` as settled by its first bytes, and its steps. With encoding `auto`
    a file may turn out not to be UTF-8 late: from the first such byte on it is cp1252, unless
    other characters than ASCII came before, which were UTF-8 then."""

    def __init__(
        self,
        stream: BinaryIO,
        source: Source,
        *,
        name: str = "",
        expected: Collection[str] = (),
        step_bytes: int = STEP_BYTES,
    ) -> None:
        self._stream = dialect.unzip(stream)
        self.packed = dialect.is_packed(self._stream)
        self._head = self._stream.read(dialect.HEAD_BYTES)
        self._step_bytes = step_bytes
        self.source = dialect.settle(source, self._head, name, expected)
        self._open = source.encoding == "auto" and self.source.encoding == "utf-8"
        self._overruled = source.encoding not in ("auto", self.source.encoding)
        self._lines = 0

    @property
    def head(self) -> bytes:
        """The first dialect.HEAD_BYTES of the content."""
        return self._head

    def steps(self) -> Iterator[bytes]:
        """UTF-8 without a mark at its start, whole lines each; once only. Raises
        UnreadableText."""
        for number, data in enumerate(self._cut()):
            text = self._decoded(data.removeprefix(dialect.BOM) if number == 0 else data)
            self._lines += data.count(b"\n")
            if text:
                yield text

    def _cut(self) -> Iterator[bytes]:
        """Raw bytes, each step but the last with a line end as its last byte, or with the end of an
        object in JSON, whose readers need no lines. LF is LF in every encoding that we read, and CR
        alone ends lines only of files without LF."""
        ready = left = b""
        for piece in self._pieces():
            data = left + piece if left else piece
            end = data.rfind(b"\n") + 1
            if not end:
                end = data.rfind(b"\r", 0, len(data) - 1) + 1  # an LF may follow the last one
            if not end and self.source.format == "json":  # most programs write one line
                end = data.rfind(b"}") + 1
            if end:
                if ready:
                    yield ready
                ready = data[:end]
            left = data[end:]
            if len(left) > MAX_LINE_BYTES:
                raise UnreadableText(
                    f"a line is longer than {MAX_LINE_BYTES >> 20} MiB; "
                    f"is it text with line ends, and is no quote left open?"
                )
        if ready or left:  # a last line without an end is no step of its own
            yield ready + left

    def _pieces(self) -> Iterator[bytes]:
        size = self._step_bytes
        for start in range(0, len(self._head), size):
            piece = self._head[start : start + size]
            yield piece + self._stream.read(size - len(piece))
        while piece := self._stream.read(size):
            yield piece

    def _decoded(self, data: bytes) -> bytes:
        if data.isascii():
            return data
        if self.source.encoding != "utf-8":
            return decode_as(data, self.source.encoding).encode()
        try:
            data.decode()
        except UnicodeDecodeError as error:
            if self._open and data[: error.start].isascii():
                self.source = self.source.model_copy(update={"encoding": "cp1252"})
                return self._decoded(data)
            line = self._lines + data.count(b"\n", 0, error.start) + 1
            advice = "save the file as UTF-8 or set source.encoding (latin-1 or cp1252) in the spec"
            if self._overruled:
                advice = "before it all is UTF-8, so two encodings are mixed; export it as UTF-8"
            raise UnreadableText(
                f"in line {line} there are bytes that are not utf-8; {advice}"
            ) from error
        self._open = False
        return data


def decode_as(data: bytes, encoding: str) -> str:
    """Bytes in an encoding of one byte per character, each of which has one."""
    if encoding == "cp1252":
        return codecs.charmap_decode(data, "strict", _CP1252)[0]
    return data.decode(encoding)
