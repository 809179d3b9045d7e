"""Reading one generation of an object piece by piece, through broken connections."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from urllib3.exceptions import HTTPError

from shared.adapters.rest import Http, UnexpectedAnswer
from shared.errors import ObjectNotFound, ServiceUnavailable
from shared.ports import ObjectInfo

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from urllib3 import BaseHTTPResponse

# Without this header Cloud Storage unpacks objects stored with `Content-Encoding: gzip`.
AS_STORED = {"Accept-Encoding": "gzip"}


class ObjectStream(io.RawIOBase):
    """The bytes of `info`'s generation as stored. A connection that breaks is opened again at the
    byte it had reached; the pinned generation makes that the same object."""

    def __init__(self, http: Http, url: str, info: ObjectInfo) -> None:
        super().__init__()
        self._http, self._url, self._info = http, url, info
        self._offset = 0
        self._response: BaseHTTPResponse | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Raises ServiceUnavailable, ObjectNotFound (deleted while we read)."""
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._info.size_bytes - self._offset)
        if wanted == 0:
            return 0
        data = self._some(wanted)
        view[: len(data)] = data
        self._offset += len(data)
        return len(data)

    def close(self) -> None:
        self._drop()
        super().close()

    def _some(self, wanted: int) -> bytes:
        fault: HTTPError | None = None
        for attempt in range(1, self._http.attempts + 1):
            if self._response is None:
                self._response = self._open()
            try:
                data = self._response.read(wanted, decode_content=False)
            except HTTPError as error:
                fault, data = error, b""
            if data:
                return data
            self._drop()
            self._http.pause(attempt)
        raise ServiceUnavailable(
            f"reading {self._url} broke at byte {self._offset} again and again: {fault}"
        ) from fault

    def _open(self) -> BaseHTTPResponse:
        query = {"alt": "media", "generation": self._info.generation}
        headers = {**AS_STORED, "Range": f"bytes={self._offset}-"}
        try:
            return self._http.open(self._url, query=query, headers=headers)
        except UnexpectedAnswer as answer:
            if answer.status == 404:
                info = self._info
                raise ObjectNotFound(info.bucket, info.name, info.generation) from answer
            raise

    def _drop(self) -> None:
        if self._response is not None:
            self._response.close()  # not released: it may have unread bytes
            self._response = None
