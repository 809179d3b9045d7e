"""Bytes on their way into the storage engine: hashed while they stream, in bounded memory.

Small contents stay in memory and end as a row, large ones go to a file beside the database.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self

import google_crc32c

INLINE_BYTES: Final = 64 * 1024
CHUNK_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Content:
    """Finished bytes: either `data`, or a file at `path` that the engine will take over."""

    size_bytes: int
    crc32c: str
    md5: str
    data: bytes | None
    path: Path | None


class Staging:
    """Write to it inside a `with`, then `finish()`; what no engine took over is gone afterwards.
    Without a directory all stays in memory."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._buffer = bytearray()
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._crc32c = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.discard()

    def write(self, data: bytes) -> int:
        self._crc32c = google_crc32c.extend(self._crc32c, data)
        self._md5.update(data)
        self.size_bytes += len(data)
        if self._file is None and self._directory and self.size_bytes > INLINE_BYTES:
            self._path = self._directory / uuid.uuid4().hex
            self._file = self._path.open("wb")
            self._file.write(self._buffer)
            self._buffer.clear()
        if self._file is None:
            self._buffer += data
        else:
            self._file.write(data)
        return len(data)

    def drain(self, source: BinaryIO) -> None:
        """Write everything `source` gives."""
        while chunk := source.read(CHUNK_BYTES):
            self.write(chunk)

    def finish(self) -> Content:
        if self._file is not None:
            self._file.close()
        return Content(
            size_bytes=self.size_bytes,
            crc32c=base64.b64encode(self._crc32c.to_bytes(4)).decode(),
            md5=base64.b64encode(self._md5.digest()).decode(),
            data=None if self._path else bytes(self._buffer),
            path=self._path,
        )

    def discard(self) -> None:
        """Forget what was written, unless the engine moved it away."""
        if self._file is not None:
            self._file.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
