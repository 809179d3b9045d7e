"""The two ways of sending bytes to Cloud Storage: one request, or a resumable session in chunks."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

from shared.adapters.rest import Answer, Http
from shared.errors import ServiceUnavailable

CHUNK_BYTES = 8 * 1024 * 1024  # a multiple of 256 KiB, as the protocol wants
_FORBIDDEN, _PRECONDITION_FAILED = 403, 412
_RESUME = 308


def refusals(query: Mapping[str, object]) -> set[int]:
    """What may become of a write beside a success. Whoever may create objects but not replace them
    can be answered 403 where something is there already, before the precondition is looked at."""
    only_new = query.get("ifGenerationMatch") == 0
    return {_PRECONDITION_FAILED, _FORBIDDEN} if only_new else {_PRECONDITION_FAILED}


def send_whole(
    http: Http, url: str, query: Mapping[str, object], resource: Mapping[str, Any], data: bytes
) -> Answer:
    """Metadata and bytes in one multipart request; 200 or one of `refusals`.

    Sent again only under a precondition: without one, a repeat could put old bytes over what
    somebody else wrote in between, and would fire a second finalize event.
    """
    boundary = uuid.uuid4().hex
    head = (
        f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
        f"{json.dumps(resource)}\r\n"
        f"--{boundary}\r\nContent-Type: {resource['contentType']}\r\n\r\n"
    )
    return http.request(
        "POST",
        url,
        query={**query, "uploadType": "multipart"},
        headers={"Content-Type": f"multipart/related; boundary={boundary}"},
        body=b"".join((head.encode(), data, f"\r\n--{boundary}--\r\n".encode())),
        repeatable=query.get("ifGenerationMatch") is not None,
        accept=refusals(query),
    )


def send_in_chunks(
    http: Http,
    url: str,
    query: Mapping[str, object],
    resource: Mapping[str, Any],
    source: BinaryIO,
    *,
    size: int,
) -> Answer:
    """`size` (> 0) bytes of `source`, one chunk in memory at a time; 200 or one of `refusals`.

    The service remembers what it has, so a lost answer is asked for again instead of guessed:
    nothing is stored twice, with or without a precondition. Raises ServiceUnavailable.
    """
    started = http.request(
        "POST",
        url,
        query={**query, "uploadType": "resumable"},
        headers={
            "Content-Type": "application/json; charset=UTF-8",
            "X-Upload-Content-Type": str(resource["contentType"]),
            "X-Upload-Content-Length": str(size),
        },
        body=json.dumps(resource).encode(),
        repeatable=True,  # a session that nobody uses costs nothing
        accept=refusals(query),
    )
    if started.status in refusals(query):
        return started
    session = _Session(http, started.headers["Location"], size, refusals(query))
    offset = standing = 0
    while True:
        answer = session.send_chunk(source, offset)
        if answer.status != _RESUME:
            return answer
        reached = _received(answer)
        standing = 0 if reached > offset else standing + 1
        if standing >= http.attempts:
            raise ServiceUnavailable(f"an upload to {url} does not get past byte {offset}")
        if standing:
            http.pause(standing)
        offset = reached


class _Session(NamedTuple):
    """A resumable upload under way; `refused` are answers that end it."""

    http: Http
    url: str
    size: int
    refused: set[int]

    def send_chunk(self, source: BinaryIO, offset: int) -> Answer:
        """The answer to the chunk at `offset`, or, where it was lost, to "what do you have?"."""
        source.seek(offset)
        chunk = source.read(CHUNK_BYTES)
        if not chunk:  # everything is there, only the service has not said so yet
            return self._ask()
        content_range = f"bytes {offset}-{offset + len(chunk) - 1}/{self.size}"
        try:
            return self._put(content_range, chunk, repeatable=False)
        except ServiceUnavailable:
            return self._ask()

    def _ask(self) -> Answer:
        return self._put(f"bytes */{self.size}", b"", repeatable=True)

    def _put(self, content_range: str, body: bytes, *, repeatable: bool) -> Answer:
        answer = self.http.request(
            "PUT",
            self.url,
            headers={"Content-Range": content_range},
            body=body,
            repeatable=repeatable,
            accept={_RESUME, 404, 410, *self.refused},
        )
        if answer.status in {404, 410}:
            raise ServiceUnavailable("the service lost the upload session; start again")
        return answer


def _received(answer: Answer) -> int:
    """How many bytes the service has: `Range: bytes=0-262143`, or no header at all for none."""
    reached = answer.headers.get("Range")
    return int(reached.rsplit("-", 1)[1]) + 1 if reached else 0
