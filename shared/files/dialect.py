"""How a file is written, from its name and first bytes: what `auto` in a spec's source stands for.

Standard library only: intake asks before a run exists, the jobs ask again and get the same answer,
because only the first SAMPLE_BYTES of the unpacked content and the name decide.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

from shared.errors import UnreadableText
from shared.files.content import PARQUET
from shared.spec.model import Source

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HEAD_BYTES = 64 * 1024
# Less than a head: of a packed file the first 64 KiB may give a little less than that unpacked.
SAMPLE_BYTES = 32 * 1024
DELIMITERS: tuple[Delimiter, ...] = ("\t", ";", "|", ",")  # of equals the first: "1,5" may be one
BOM = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"

Delimiter = Literal[",", ";", "\t", "|"]
Encoding = Literal["utf-8", "latin-1", "cp1252"]
Format = Literal["csv", "json", "jsonl", "parquet"]

_FORMATS: dict[str, Format] = {
    "csv": "csv",
    "tsv": "csv",
    "tab": "csv",
    "txt": "csv",
    "json": "json",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "parquet": "parquet",
    "pq": "parquet",
}
_SAMPLE_LINES = 200
_BUFFER_BYTES = 1024 * 1024
_OBJECT = re.compile(r'\s*\{\s*("|\}|$)')
_ARRAY = re.compile(r"\s*\[\s*(\{|\]|$)")


def settle(source: Source, head: bytes, name: str = "", expected: Collection[str] = ()) -> Source:
    """The source with every `auto` replaced. `head` is the first HEAD_BYTES (at least SAMPLE_BYTES,
    or all) of the file's unpacked content; `expected` are columns that a header should have."""
    sample, whole = head[:SAMPLE_BYTES], len(head) < SAMPLE_BYTES
    if sample.startswith(BOM) or _is_surely_utf8(sample, whole):
        encoding: Encoding = "utf-8"  # whatever the spec says: read as cp1252, ä would become Ã¤
    elif source.encoding != "auto":
        encoding = source.encoding
    else:
        encoding = "utf-8" if _is_utf8(sample, whole) else "cp1252"
    text = sample.decode(encoding, errors="replace").removeprefix("\ufeff")
    form = _format(source, sample, text, name)
    delimiter: Delimiter = ","
    if source.delimiter != "auto":
        delimiter = source.delimiter
    elif form == "csv":
        delimiter = _delimiter(_lines(text, whole), source.header, expected, name)
    return source.model_copy(update={"encoding": encoding, "format": form, "delimiter": delimiter})


# --- gzip ----------------------------------------------------------------------------------------


def unzip(stream: BinaryIO) -> BinaryIO:
    """The content of a file that may be packed with gzip, whatever it is called. Reading it raises
    UnreadableText where the packing is broken; memory is bounded however much comes out."""
    start = _read_up_to(stream, len(GZIP))
    whole = cast(BinaryIO, io.BufferedReader(_Joined(start, stream), _BUFFER_BYTES))
    if start != GZIP:
        return whole
    return cast(BinaryIO, io.BufferedReader(Unpacked(whole), _BUFFER_BYTES))


def is_packed(stream: BinaryIO) -> bool:
    """Whether `unzip` found a packed file."""
    return isinstance(getattr(stream, "raw", None), Unpacked)


def unzip_head(head: bytes, size_bytes: int) -> tuple[bytes, bool]:
    """From a file's first bytes (HEAD_BYTES, or all) the first HEAD_BYTES of its content, and
    whether that is all of it. Raises UnreadableText."""
    packed_whole = len(head) >= size_bytes
    if not head.startswith(GZIP):
        return head[:HEAD_BYTES], packed_whole and len(head) <= HEAD_BYTES
    content, rest = b"", head
    while rest and len(content) <= HEAD_BYTES:
        member = zlib.decompressobj(wbits=31)
        try:
            content += member.decompress(rest, HEAD_BYTES + 1 - len(content))
        except zlib.error as error:
            raise UnreadableText(_broken_packing(error)) from error
        if not member.eof:
            if packed_whole and len(content) <= HEAD_BYTES:
                raise UnreadableText(_broken_packing("it ends too early"))
            return content[:HEAD_BYTES], False
        rest = member.unused_data.lstrip(b"\0")
    return content[:HEAD_BYTES], packed_whole and len(content) <= HEAD_BYTES


def _broken_packing(why: object) -> str:
    return f"the file is packed with gzip, and broken ({why}); pack and upload it again"


class _Joined(io.RawIOBase):
    """Bytes that were read from a stream already, and then the stream."""

    def __init__(self, start: bytes, stream: BinaryIO) -> None:
        super().__init__()
        self._start, self._stream = start, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._start[: len(view)] or self._stream.read(len(view))
        self._start = self._start[len(view) :]
        view[: len(data)] = data
        return len(data)


class Unpacked(io.RawIOBase):
    """What a gzip stream holds; its faults in our words."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._file = gzip.GzipFile(fileobj=stream, mode="rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._file.read(len(view))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UnreadableText(_broken_packing(error)) from error
        view[: len(data)] = data
        return len(data)


def _read_up_to(stream: BinaryIO, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    return data


# --- format and delimiter ------------------------------------------------------------------------


def not_utf8(data: bytes, *, whole: bool) -> int | None:
    """Where the first byte stands that is not UTF-8; None when all are. Of a part of a file, a
    character that is cut at the end is none of them."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        cut = error.reason == "unexpected end of data" and error.end == len(data)
        return None if cut and not whole else error.start
    return None


def _is_utf8(sample: bytes, whole: bool) -> bool:
    """Also where UTF-8 came first and something else later: then it is UTF-8, and broken."""
    end = not_utf8(sample, whole=whole)
    return end is None or not sample[:end].isascii()


def _is_surely_utf8(sample: bytes, whole: bool) -> bool:
    """Other characters than ASCII, and all of them UTF-8: in another encoding no text has only
    such neighbours."""
    return not sample.isascii() and not_utf8(sample, whole=whole) is None


def _format(source: Source, sample: bytes, text: str, name: str) -> Format:
    """What the content cannot be mistaken for, else what the name says, else CSV."""
    form = source.format
    if form == "auto":
        base = name.lower().rpartition("/")[2].removesuffix(".gz").removesuffix(".gzip")
        _, dot, suffix = base.rpartition(".")
        form = _FORMATS.get(suffix, "csv") if dot else "csv"
        if sample.startswith(PARQUET):
            form = "parquet"
        elif _ARRAY.match(text) or _OBJECT.match(text):
            form = "json"
    if form == "json" and _OBJECT.match(text) and _has_object_lines(text):
        return "jsonl"  # often under the name .json; line by line, a broken one harms no other
    return form


def _has_object_lines(text: str) -> bool:
    """Whether a line is an object by itself, or there is one long line only."""
    lines = [line for line in text.split("\n")[:20] if line.strip()]
    if len(lines) == 1:
        return True
    for line in lines:
        try:
            if isinstance(json.loads(line), dict):
                return True
        except (ValueError, RecursionError):
            continue
    return False


def _lines(text: str, whole: bool) -> list[str]:
    """Lines that are not blank, with quoted fields as `q`: what stands in quotes is no delimiter.
    The last one is left out where the sample may have cut it."""
    lines = re.split(r"\r\n|\r|\n", _unquoted(text))
    if not whole and len(lines) > 1:
        lines.pop()
    return [line for line in lines if line.strip()][:_SAMPLE_LINES]


def _unquoted(text: str) -> str:
    """The text with `q` for every quoted field; an open quote takes the rest. Each character is
    looked at once: this runs on what anybody drops."""
    found, at = [], 0
    while (start := text.find('"', at)) >= 0:
        found.append(text[at:start])
        if start and text[start - 1] not in ",;\t|\r\n ":  # within a field it is a character
            found.append('"')
            at = start + 1
            continue
        end = text.find('"', start + 1)
        while end >= 0 and text[end + 1 : end + 2] == '"':
            end = text.find('"', end + 2)
        found.append("q")
        at = end + 1 if end >= 0 else len(text)
    return "".join([*found, text[at:]])


def _delimiter(
    lines: Sequence[str], header: bool, expected: Collection[str], name: str
) -> Delimiter:
    """The delimiter whose header has most of the expected columns, else the one under which most
    rows are as wide as the header, else as each other."""
    if not lines:
        return ","
    wanted = set(expected) if header else set()
    best: Delimiter = ","
    best_score = (0, 0.0, 0.0, False)
    for delimiter in DELIMITERS:
        widths = [line.count(delimiter) + 1 for line in lines]
        if max(widths) == 1:
            continue
        cells = {cell.strip().strip('"') for cell in lines[0].split(delimiter)}
        rows = widths[1:] or widths
        common, count = Counter(rows).most_common(1)[0]
        as_header = widths.count(widths[0]) / len(widths) if widths[0] > 1 else 0.0
        score = (
            len(cells & wanted) if len(cells) > 1 else 0,
            round(as_header, 1),
            count / len(rows) if common > 1 else 0.0,
            delimiter == "\t" and name.lower().removesuffix(".gz").endswith((".tsv", ".tab")),
        )
        if score > best_score:
            best, best_score = delimiter, score
    return best
