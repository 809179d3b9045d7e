"""Parquet in blocks of texts, read by ranges: no copy of the file on disk, which may be memory.

A few bytes of Parquet may stand for gigabytes: a page unpacks to what it says itself, and a text of
a dictionary counts as often as rows name it. Nothing in the file tells beforehand (what its footer
says need not be so), so what a block takes is bounded while it is made: once more in blocks of
fewer rows, then refused.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from shared.errors import EmptyFile, UnpacksTooLarge, UnreadableText
from shared.files.content import PARQUET
from shared.ports import Bucket
from shared.runs import InputRef
from shared.serving.room import memory_bytes
from shared.tabular.allowance import allowance
from shared.tabular.reading.blocks import Block, check_lengths, rows_for
from shared.tabular.reading.spelling import texts_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER_BYTES = 1024 * 1024
# A block's cells, by what the footer says of them; then what making one may take, as a share of the
# memory there is and at least; and fewer rows, where a block of all took more.
_BLOCK_BYTES = 64 * 1024 * 1024
_SHARE, _LEAST_BYTES = 0.4, 192 * 1024 * 1024
_FEWER = (1, 16, 256)
# A row of real data differs from others by more than a tenth of a bit.
_ROWS_PER_BYTE, _SOME_ROWS = 100, 1_000_000


class RangeFile(io.RawIOBase):
    """One generation of an object as a seekable file: each read is a request of its range."""

    def __init__(self, bucket: Bucket, ref: InputRef) -> None:
        super().__init__()
        self._bucket, self._ref, self._at = bucket, ref, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._ref.size_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Raises ObjectNotFound, ServiceUnavailable."""
        view = memoryview(buffer).cast("B")
        ref, end = self._ref, self._at + len(view)
        data = self._bucket.read(ref.object, generation=ref.generation, start=self._at, end=end)
        view[: len(data.data)] = data.data
        self._at += len(data.data)
        return len(data.data)


def is_parquet(head: bytes) -> bool:
    return head.startswith(PARQUET)


class ParquetReader:
    """A Parquet file; `names` are its columns."""

    def __init__(self, file: BinaryIO | io.RawIOBase, decimal: str, *, block_rows: int) -> None:
        """`file` is seekable. Raises EmptyFile, UnreadableText, UnpacksTooLarge."""
        self._decimal = decimal
        self._may_take = max(_LEAST_BYTES, int(memory_bytes() * _SHARE))
        size_bytes = file.seek(0, io.SEEK_END)
        with self._bounded():
            self._file = pa.parquet.ParquetFile(
                pa.PythonFile(file, "r"), buffer_size=_BUFFER_BYTES, pre_buffer=False
            )
            self.names = [
                name.strip() or f"column_{place}"
                for place, name in enumerate(self._file.schema_arrow.names, start=1)
            ]
            about = self._file.metadata
        if not self.names or about.num_rows < 1:
            raise EmptyFile("the Parquet file has no rows")
        if about.num_rows > _SOME_ROWS + _ROWS_PER_BYTE * size_bytes:
            raise UnpacksTooLarge(
                f"the Parquet file has {about.num_rows:,} rows in {size_bytes:,} bytes, so hardly "
                f"one differs from another"
            )
        self._block_rows = min(rows_for(len(self.names), block_rows), _rows_within(about))

    def blocks(self) -> Iterator[Block]:
        """Once only. Raises UnreadableText, UnpacksTooLarge."""
        done = 0
        for fewer in _FEWER:
            try:
                for block in self._blocks(max(1, self._block_rows // fewer), done):
                    yield block
                    done += len(block)
            except UnpacksTooLarge:
                if fewer == _FEWER[-1]:
                    raise
            else:
                return

    def _blocks(self, rows: int, done: int) -> Iterator[Block]:
        """The blocks after so many rows. Raises UnreadableText, UnpacksTooLarge."""
        seen = 0
        batches = self._file.iter_batches(batch_size=rows, use_threads=False)
        while True:
            with self._bounded():
                batch = next(batches, None)
                if batch is None:
                    return
                seen += batch.num_rows
                batch = batch.slice(max(0, done - (seen - batch.num_rows)))
                if not batch.num_rows:
                    continue
                cells = {
                    name: _texts(column, self._decimal)
                    for name, column in zip(self.names, batch.columns, strict=True)
                }
                block = Block(cells, np.arange(done + 1, seen + 1, dtype=np.int64), [])
                check_lengths(block)
            done = seen
            yield block

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        try:
            with _in_words(), allowance(self._may_take):
                yield
        except (MemoryError, SystemError) as error:
            # Python says the second where there was no room for the first, as was seen. A traceback
            # holds what there was no room for.
            error.__traceback__ = None
            raise UnpacksTooLarge(
                f"rows of the Parquet file take more than {self._may_take >> 20:,} MiB once "
                f"unpacked"
            ) from error


def _rows_within(about: pa.parquet.FileMetaData) -> int:
    """How many rows a block may have whose cells take what the footer says."""
    groups = [about.row_group(place) for place in range(about.num_row_groups)]
    each = (group.total_byte_size / max(1, group.num_rows) for group in groups)
    row_bytes = max(each, default=1.0)
    return max(1, int(_BLOCK_BYTES / max(1.0, row_bytes)))


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except MemoryError:  # Arrow's is an ArrowException as well
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        first = str(error).strip().partition("\n")[0][:200]
        raise UnreadableText(
            f"the file cannot be read as Parquet ({first}); write it anew or drop it as CSV"
        ) from error


def _texts(column: pa.Array, decimal: str) -> pa.Array:
    """Any column as texts without nulls."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        texts = column.cast(pa.string()).fill_null("")
        texts.validate(full=True)  # some writers call any bytes text
        return texts
    if pa.types.is_timestamp(kind):
        # Only what is finer than a microsecond is cut; a longer unit could overflow.
        unit = "us" if kind.unit == "ns" else kind.unit
        column = column.cast(pa.timestamp(unit, kind.tz and "UTC"), safe=False)
    if pa.types.is_float16(kind):
        column = column.cast(pa.float32())
    if pa.types.is_nested(kind):
        return pa.array(texts_of(column.to_pylist(), decimal), pa.string())
    # Each different value is spelled once.
    encoded = column.dictionary_encode()
    spelled = pa.array(texts_of(_values(encoded.dictionary), decimal), pa.string())
    return spelled.take(encoded.indices).fill_null("")


def _values(column: pa.Array) -> list[Any]:
    """Python values; days and times that Python has none for are the bare numbers."""
    try:
        found: list[Any] = column.to_pylist()
    except OverflowError:
        found = list(map(_value, column))
    return found


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except OverflowError:
        return scalar.value
