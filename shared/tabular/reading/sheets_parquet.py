"""Parquet in blocks of texts, read by ranges: no copy of the file on disk, which may be memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from shared.errors import EmptyFile, UnreadableText
from shared.files.content import PARQUET
from shared.ports import Bucket
from shared.runs import InputRef
from shared.tabular.reading.blocks import Block, check_lengths, rows_for
from shared.tabular.reading.spelling import texts_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER_BYTES = 1024 * 1024


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
        """`file` is seekable. Raises EmptyFile, UnreadableText."""
        self._decimal, self._block_rows = decimal, block_rows
        with _in_words():
            self._file = pa.parquet.ParquetFile(
                pa.PythonFile(file, "r"), buffer_size=_BUFFER_BYTES, pre_buffer=False
            )
            self.names = [
                name.strip() or f"column_{place}"
                for place, name in enumerate(self._file.schema_arrow.names, start=1)
            ]
            rows = self._file.metadata.num_rows
        if not self.names or not rows:
            raise EmptyFile("the Parquet file has no rows")

    def blocks(self) -> Iterator[Block]:
        """Once only. Raises UnreadableText."""
        done = 0
        rows = rows_for(len(self.names), self._block_rows)
        with _in_words():
            batches = self._file.iter_batches(batch_size=rows, use_threads=False)
        while True:
            with _in_words():
                batch = next(batches, None)
                if batch is None:
                    return
                cells = {
                    name: _texts(column, self._decimal)
                    for name, column in zip(self.names, batch.columns, strict=True)
                }
            record = np.arange(done + 1, done + 1 + batch.num_rows, dtype=np.int64)
            done += batch.num_rows
            if batch.num_rows:
                block = Block(cells, record, [])
                check_lengths(block)
                yield block


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
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
