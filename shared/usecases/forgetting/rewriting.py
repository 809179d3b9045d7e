"""An object is written again without somebody: streamed through a file of this machine, and swapped
for the generation that was read. What is not changed keeps its bytes.

    open_reader -> rows -> emptied -> file -> upload (if that generation is still there)

An object that was emptied says so in its metadata, so that a later look knows without a report.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from shared.errors import PreconditionFailed, Retryable, UnreadableText
from shared.ports import Bucket, ObjectInfo
from shared.spec.model import Source
from shared.tabular.reading.lines import Text
from shared.tabular.reading.records import allow_long_fields, is_blank

_BLANK = -1
MARK = "forgotten-"  # metadata: forgotten-<id> = rows
Change = Callable[[BinaryIO, BinaryIO], int]
# The number of a record (0: the header), its cells; the cells to write instead, [] for none at all,
# or None where it stays as it is.
Row = Callable[[int, list[str]], list[str] | None]


def rewrite(bucket: Bucket, info: ObjectInfo, change: Change, *, forget_id: str) -> int:
    """How many rows were emptied, now or by an earlier try under this id. `change` reads an object,
    writes it again, and says how many rows it emptied: nothing is stored for none. Raises Retryable
    where somebody else changed the object meanwhile."""
    before = int(info.metadata.get(MARK + forget_id, 0))
    with tempfile.TemporaryDirectory(prefix="millrace-forget-") as folder:
        path = Path(folder) / "object"
        with (
            bucket.open_reader(info.name, generation=info.generation) as source,
            path.open("wb") as target,
        ):
            rows = change(source, target)
        if not rows:
            return before
        metadata = {**info.metadata, MARK + forget_id: str(before + rows)}
        try:
            bucket.upload(
                info.name,
                path,
                if_generation=info.generation,
                content_type=info.content_type,
                metadata=metadata,
            )
        except PreconditionFailed as error:
            raise Retryable(f"{info.name} changed while it was read; run it again") from error
    return before + rows


def packed_as(source: BinaryIO) -> tuple[BinaryIO, bool]:
    """The stream from its start, and whether it is packed with gzip."""
    buffered = io.BufferedReader(cast("io.RawIOBase", source), 1 << 20)
    return buffered, buffered.peek(2)[:2] == b"\x1f\x8b"


@contextmanager
def _packing(target: BinaryIO, *, packed: bool) -> Iterator[BinaryIO]:
    if not packed:
        yield target
        return
    with gzip.GzipFile("", "wb", 4, target, mtime=0) as found:
        yield cast("BinaryIO", found)


# --- CSV -----------------------------------------------------------------------------------------


def csv_change(settings: Source, name: str, row: Row, expected: Sequence[str] = ()) -> Change:
    """Records of a CSV file, numbered as everywhere: from 1 below the header, blank ones not."""

    def change(source: BinaryIO, target: BinaryIO) -> int:
        stream, packed = packed_as(source)
        text = Text(stream, settings, name=name, expected=expected)
        count = 0
        with _packing(target, packed=packed) as out:
            for number, cells, raw in _records(text):
                wanted = None if number == _BLANK else row(number, cells)
                count += wanted is not None
                written = raw if wanted is None else _line(wanted, raw, text.source)
                out.write(_encoded(written, text.source.encoding))
        return count

    return change


def _records(text: Text) -> Iterator[tuple[int, list[str], str]]:
    """Every record with the text that it stands in; blank ones have no number."""
    allow_long_fields()
    waiting: list[str] = []

    def lines() -> Iterator[str]:
        for step in text.steps():
            for line in io.StringIO(step.decode(), newline=""):
                waiting.append(line)
                yield line

    source = text.source
    reader = csv.reader(lines(), delimiter=source.delimiter, skipinitialspace=source.strip)
    number = 0 if source.header else 1
    try:
        for cells in reader:
            raw = "".join(waiting)
            waiting.clear()
            if is_blank(cells):
                yield _BLANK, cells, raw
                continue
            yield number, cells, raw
            number += 1
    except csv.Error as error:
        raise UnreadableText(f"line {reader.line_num} is not CSV: {error}") from error


def _line(cells: Sequence[str], raw: str, source: Source) -> str:
    if not cells:
        return ""
    out = io.StringIO(newline="")
    end = "\r\n" if raw.endswith("\r\n") else raw[-1] if raw[-1:] in ("\n", "\r") else ""
    csv.writer(out, delimiter=source.delimiter, lineterminator=end).writerow(cells)
    return out.getvalue()


def _encoded(text: str, encoding: str) -> bytes:
    if encoding == "cp1252":  # bytes without a character there were read as those of latin-1
        return b"".join(
            _byte(character) if ord(character) > 127 else character.encode() for character in text
        )
    return text.encode(encoding)


def _byte(character: str) -> bytes:
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:
        return character.encode("latin-1")


# --- JSON lines ----------------------------------------------------------------------------------


def lines_change(
    row: Callable[[int, dict[str, Any]], dict[str, Any] | None], *, signs: Sequence[str] = ()
) -> Change:
    """Objects of a JSON lines file, numbered from 1; what is no object stays. With `signs` only
    lines that hold one of these texts are looked at."""
    spelled = [
        json.dumps(sign, ensure_ascii=way)[1:-1].encode() for sign in signs for way in (True, False)
    ]

    def change(source: BinaryIO, target: BinaryIO) -> int:
        stream, packed = packed_as(source)
        unpacked = cast("BinaryIO", gzip.GzipFile(fileobj=stream)) if packed else stream
        count = number = 0
        with _packing(target, packed=packed) as out:
            for raw in unpacked:
                number += bool(raw.strip())
                known = not spelled or any(text in raw for text in spelled)
                found = _object(raw) if known else None
                wanted = row(number, found) if found is not None else None
                count += wanted is not None
                out.write(raw if wanted is None else _dumped(wanted))
        return count

    return change


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _dumped(body: dict[str, Any]) -> bytes:
    return (json.dumps(body, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


# --- Parquet -------------------------------------------------------------------------------------


def parquet_change(is_theirs: Callable[[int, dict[str, Any]], bool], kept: Sequence[str]) -> Change:
    """Rows of a Parquet file: theirs have nothing left but the columns in `kept`."""

    def change(source: BinaryIO, target: BinaryIO) -> int:
        with tempfile.TemporaryFile() as local:  # a reader of Parquet wants to seek
            while piece := source.read(1 << 20):
                local.write(piece)
            local.seek(0)
            file = pq.ParquetFile(local)
            schema = pa.schema([part.with_nullable(True) for part in file.schema_arrow])
            count = number = 0
            with pq.ParquetWriter(target, schema) as writer:
                for batch in file.iter_batches(10_000):
                    rows = batch.to_pylist()
                    for place, row in enumerate(rows):
                        number += 1
                        if is_theirs(number, row):
                            rows[place] = {name: row[name] for name in kept if name in row}
                            count += 1
                    writer.write_table(pa.Table.from_pylist(rows, schema))
        return count

    return change
