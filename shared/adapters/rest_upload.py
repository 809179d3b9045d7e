"""The two ways of sending bytes to Cloud Storage: one request, or a resumable session in chunks."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, BinaryIO

from shared.adapters.rest import Answer, Http
from shared.errors import ServiceUnavailable

CHUNK_BYTES = 8 * 1024 * 1024  # a multiple of 256 KiB, as the protocol wants
_PRECONDITION_FAILED = 412
_RESUME = 308


def send_whole(
    http: Http, url: str, query: Mapping[str, object], resource: Mapping[str, Any], data: bytes
) -> Answer:
    """Metadata and bytes in one multipart request; 200 or 412.

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
        accept={_PRECONDITION_FAILED},
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
    """`size` (> 0) bytes of `source`, one chunk in memory at a time; 200 or 412.

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
        accept={_PRECONDITION_FAILED},
    )
    if started.status == _PRECONDITION_FAILED:
        return started
    session = started.headers["Location"]
    offset = standing = 0
    while True:
        answer = _send_chunk(http, session, source, offset, size)
        if answer.status != _RESUME:
            return answer
        reached = _received(answer)
        standing = 0 if reached > offset else standing + 1
        if standing >= http.attempts:
            raise ServiceUnavailable(f"an upload to {url} does not get past byte {offset}")
        if standing:
            http.pause(standing)
        offset = reached


def _send_chunk(http: Http, session: str, source: BinaryIO, offset: int, size: int) -> Answer:
    """The answer to the chunk at `offset`, or, where it was lost, to "what do you have?"."""
    source.seek(offset)
    chunk = source.read(CHUNK_BYTES)
    if not chunk:  # everything is there, only the service has not said so yet
        return _ask(http, session, size)
    content_range = f"bytes {offset}-{offset + len(chunk) - 1}/{size}"
    try:
        return _put(http, session, content_range, chunk, repeatable=False)
    except ServiceUnavailable:
        return _ask(http, session, size)


def _ask(http: Http, session: str, size: int) -> Answer:
    return _put(http, session, f"bytes */{size}", b"", repeatable=True)


def _put(http: Http, session: str, content_range: str, body: bytes, *, repeatable: bool) -> Answer:
    answer = http.request(
        "PUT",
        session,
        headers={"Content-Range": content_range},
        body=body,
        repeatable=repeatable,
        accept={_RESUME, _PRECONDITION_FAILED, 404, 410},
    )
    if answer.status in {404, 410}:
        raise ServiceUnavailable("the service lost the upload session; start again")
    return answer


def _received(answer: Answer) -> int:
    """How many bytes the service has: `Range: bytes=0-262143`, or no header at all for none."""
    reached = answer.headers.get("Range")
    return int(reached.rsplit("-", 1)[1]) + 1 if reached else 0
