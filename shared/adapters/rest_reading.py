"""The reading half of `rest_storage.RestBucket`: pinned generations, ranges, pages."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from shared.adapters.objects import appear, check_name, info_from_resource, looks, restless
from shared.adapters.rest import Http
from shared.adapters.rest_stream import AS_STORED, ObjectStream
from shared.config import Config
from shared.errors import ObjectNotFound, ServiceUnavailable
from shared.ports import Blob, ObjectInfo

FIELDS = (
    "bucket,name,generation,metageneration,size,crc32c,md5Hash,"
    "contentType,contentEncoding,timeCreated,metadata"
)
_BUFFER_BYTES = 1024 * 1024
_PAGE = 1000


class RestReader:
    """The reading methods of `ports.Bucket`."""

    def __init__(self, config: Config, name: str, http: Http | None = None) -> None:
        self._http = http or Http(config)
        self._name = name
        self._endpoint = config.storage_endpoint
        self._objects = self._objects_of(name)

    @property
    def name(self) -> str:
        return self._name

    def stat(self, name: str, *, generation: int | None = None) -> ObjectInfo:
        return info_from_resource(self._resource(name, generation))

    def read(
        self,
        name: str,
        *,
        generation: int | None = None,
        start: int = 0,
        end: int | None = None,
    ) -> Blob:
        # Two requests: an answer with the bytes has no metadata and no creation time.
        for _ in looks():
            info = self.stat(name, generation=generation)
            data = self._bytes(info, start, end)
            if data is not None:
                return Blob(info, data)
            if generation is not None:
                raise ObjectNotFound(self._name, name, generation)
        raise restless(self._name, name)

    def read_if_changed(self, name: str, known_generation: int) -> Blob | None:
        answer = self._http.request(
            "GET",
            self._object(name),
            query={"ifGenerationNotMatch": known_generation, "fields": FIELDS},
            repeatable=True,
            accept={304, 404},
        )
        if answer.status == 304:
            return None
        if answer.status == 404:
            raise ObjectNotFound(self._name, name)
        info = info_from_resource(answer.json())
        data = self._bytes(info, 0, None)
        return self.read(name) if data is None else Blob(info, data)

    def download(self, name: str, to: Path, *, generation: int | None = None) -> ObjectInfo:
        return appear(to, lambda part: self._download(name, part, generation))

    def open_reader(self, name: str, *, generation: int | None = None) -> BinaryIO:
        return self._stream(self.stat(name, generation=generation))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        for page in self._pages({"prefix": prefix, "fields": f"nextPageToken,items({FIELDS})"}):
            yield from map(info_from_resource, page.get("items", ()))

    def folders(self, prefix: str = "") -> Iterator[str]:
        query = {"prefix": prefix, "delimiter": "/", "fields": "nextPageToken,prefixes"}
        for page in self._pages(query):
            yield from page.get("prefixes", ())

    # --- parts -----------------------------------------------------------------------------------

    def _objects_of(self, bucket: str) -> str:
        return f"{self._endpoint}/storage/v1/b/{quote(bucket, safe='')}/o"

    def _object(self, name: str) -> str:
        return f"{self._objects}/{quoted(name)}"

    def _resource(self, name: str, generation: int | None) -> dict[str, Any]:
        answer = self._http.request(
            "GET",
            self._object(name),
            query={"generation": generation, "fields": FIELDS},
            repeatable=True,
            accept={404},
        )
        if answer.status == 404:
            raise ObjectNotFound(self._name, name, generation)
        resource: dict[str, Any] = answer.json()
        return resource

    def _bytes(self, info: ObjectInfo, start: int, end: int | None) -> bytes | None:
        """The range within this generation, or None when it has gone."""
        last = min(info.size_bytes, info.size_bytes if end is None else end)
        if start >= last:
            return b""  # HTTP has no empty range
        whole = start == 0 and last == info.size_bytes
        answer = self._http.request(
            "GET",
            self._object(info.name),
            query={"alt": "media", "generation": info.generation},
            headers=AS_STORED if whole else {**AS_STORED, "Range": f"bytes={start}-{last - 1}"},
            repeatable=True,
            accept={404},
        )
        if answer.status == 404:
            return None
        if whole:
            _check_md5(info, hashlib.md5(answer.data, usedforsecurity=False).digest())
        return answer.data

    def _stream(self, info: ObjectInfo) -> io.BufferedReader:
        return io.BufferedReader(
            ObjectStream(self._http, self._object(info.name), info), _BUFFER_BYTES
        )

    def _download(self, name: str, part: Path, generation: int | None) -> ObjectInfo:
        for _ in looks():
            info = self.stat(name, generation=generation)
            md5 = hashlib.md5(usedforsecurity=False)
            try:
                with self._stream(info) as source, part.open("wb") as target:
                    while chunk := source.read(_BUFFER_BYTES):
                        md5.update(chunk)
                        target.write(chunk)
            except ObjectNotFound:
                if generation is not None:
                    raise
                continue
            _check_md5(info, md5.digest())
            return info
        raise restless(self._name, name)

    def _pages(self, query: Mapping[str, object]) -> Iterator[dict[str, Any]]:
        token: str | None = None
        while True:
            page = self._http.request(
                "GET",
                self._objects,
                query={**query, "maxResults": _PAGE, "pageToken": token},
                repeatable=True,
            ).json()
            yield page
            token = page.get("nextPageToken")
            if not token:
                return


def quoted(name: str) -> str:
    """The name as one segment of a URL. Raises ValueError as `check_name`."""
    return quote(check_name(name), safe="")


def _check_md5(info: ObjectInfo, md5: bytes) -> None:
    if info.md5 is not None and base64.b64encode(md5).decode() != info.md5:
        raise ServiceUnavailable(f"the bytes of gs://{info.bucket}/{info.name} arrived damaged")
