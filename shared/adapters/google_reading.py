"""The reading half of `google_storage.GoogleBucket`: pinned generations, ranges, pages."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from google.api_core.exceptions import NotModified
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from shared.adapters.google_errors import Insistence, translated
from shared.adapters.objects import appear, check_name, looks, restless, unmarked
from shared.config import Config
from shared.errors import ObjectNotFound
from shared.ports import Blob, ObjectInfo

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

TIMEOUT = (5.0, 60.0)  # seconds to connect, seconds between bytes
CHUNK_BYTES = 8 * 1024 * 1024


def storage_client(config: Config) -> storage.Client:
    """A client for `config`'s endpoint; buckets of one process share it. Makes no request."""
    anonymous: Any = AnonymousCredentials  # untyped
    return storage.Client(
        project=config.project,
        credentials=anonymous() if config.anonymous else None,
        client_options={"api_endpoint": config.storage_endpoint},
    )


class GoogleReader:
    """The reading methods of `ports.Bucket`."""

    def __init__(self, config: Config, name: str, client: storage.Client | None = None) -> None:
        self._client = client or storage_client(config)
        self._name = name
        self._bucket = self._client.bucket(name)

    @property
    def name(self) -> str:
        return self._name

    def stat(self, name: str, *, generation: int | None = None) -> ObjectInfo:
        return info_from_blob(self._look(name, generation))

    def read(
        self,
        name: str,
        *,
        generation: int | None = None,
        start: int = 0,
        end: int | None = None,
    ) -> Blob:
        for _ in looks():
            info = self.stat(name, generation=generation)
            try:
                return Blob(info, self.range(info, start, end))
            except ObjectNotFound:
                if generation is not None:
                    raise
        raise restless(self._name, name)

    def read_if_changed(self, name: str, known_generation: int) -> Blob | None:
        blob = self._blob(name)
        try:
            with translated(self._name, name):
                blob.reload(
                    if_generation_not_match=known_generation,
                    timeout=TIMEOUT,
                    retry=insist_reading(),
                )
        except NotModified:
            return None
        return self.read(name)

    def range(self, info: ObjectInfo, start: int, end: int | None) -> bytes:
        """Bytes of exactly that generation. Raises ObjectNotFound."""
        last = min(info.size_bytes, info.size_bytes if end is None else end)
        if start >= last:
            return b""  # HTTP has no empty range
        whole = start == 0 and last == info.size_bytes
        blob = self._blob(info.name, info.generation)
        with translated(self._name, info.name, info.generation):
            data: bytes = blob.download_as_bytes(
                start=None if whole else start,
                end=None if whole else last - 1,
                raw_download=True,
                checksum="auto" if whole else None,
                timeout=TIMEOUT,
                retry=insist_reading(),
            )
        return data

    def download(self, name: str, to: Path, *, generation: int | None = None) -> ObjectInfo:
        return appear(to, lambda part: self._download(name, part, generation))

    def open_reader(self, name: str, *, generation: int | None = None) -> BinaryIO:
        info = self.stat(name, generation=generation)
        return io.BufferedReader(_Stream(self, info), CHUNK_BYTES)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        with translated(self._name, prefix):
            yield from map(info_from_blob, self._listing(prefix))

    def generations(self, prefix: str = "") -> Iterator[ObjectInfo]:
        with translated(self._name, prefix):
            yield from map(info_from_blob, self._listing(prefix, versions=True))

    def folders(self, prefix: str = "") -> Iterator[str]:
        with translated(self._name, prefix):
            for page in self._listing(prefix, delimiter="/").pages:
                yield from sorted(page.prefixes)

    # --- parts -----------------------------------------------------------------------------------

    def _blob(self, name: str, generation: int | None = None) -> storage.Blob:
        return self._bucket.blob(check_name(name), generation=generation)

    def _look(self, name: str, generation: int | None = None) -> storage.Blob:
        blob = self._blob(name, generation)
        with translated(self._name, name, generation):
            blob.reload(timeout=TIMEOUT, retry=insist_reading())
        return blob

    def _listing(self, prefix: str, delimiter: str | None = None, *, versions: bool = False) -> Any:
        return self._client.list_blobs(
            self._bucket,
            prefix=prefix,
            delimiter=delimiter,
            versions=versions or None,
            timeout=TIMEOUT,
            retry=insist_reading(),
        )

    def _download(self, name: str, part: Path, generation: int | None) -> ObjectInfo:
        for _ in looks():
            info = self.stat(name, generation=generation)
            try:
                with translated(self._name, name, info.generation):
                    self._blob(name, info.generation).download_to_filename(
                        str(part), raw_download=True, timeout=TIMEOUT, retry=insist_reading()
                    )
            except ObjectNotFound:
                if generation is not None:
                    raise
                continue
            return info
        raise restless(self._name, name)


class _Stream(io.RawIOBase):
    """One generation, a range at a time."""

    def __init__(self, bucket: GoogleReader, info: ObjectInfo) -> None:
        super().__init__()
        self._bucket, self._info, self._offset = bucket, info, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._bucket.range(self._info, self._offset, self._offset + len(view))
        view[: len(data)] = data
        self._offset += len(data)
        return len(data)

    def readall(self) -> bytes:
        """The rest at once: the inherited one would ask for 8 KiB at a time."""
        data = self._bucket.range(self._info, self._offset, None)
        self._offset += len(data)
        return data


def insist_reading() -> Any:
    return Insistence(repeatable=True).policy


def info_from_blob(blob: storage.Blob) -> ObjectInfo:
    return ObjectInfo(
        bucket=blob.bucket.name,
        name=blob.name,
        generation=int(blob.generation),
        metageneration=int(blob.metageneration),
        size_bytes=int(blob.size),
        crc32c=blob.crc32c or "",
        md5=blob.md5_hash,
        content_type=blob.content_type or "application/octet-stream",
        content_encoding=blob.content_encoding or None,
        created=blob.time_created,
        metadata=unmarked(blob.metadata),
    )
