"""Uploads: media, multipart and resumable, streamed to disk while they are hashed."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from infra.local.storage_wire import describe, preconditions
from infra.local.web import HttpError, Request, Response, json_response
from shared.adapters.memory.objects import Stored, resource
from shared.adapters.memory.preconditions import Preconditions
from shared.adapters.memory.staging import Content, Staging
from shared.adapters.memory.storage import Storage

_CHUNK = 1024 * 1024
_MAX_SESSIONS = 1000
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass(slots=True)
class _Session:
    """A resumable upload. `done` is its result, for a client that did not hear the first time."""

    bucket: str
    body: dict[str, Any]
    content_type: str | None
    when: Preconditions
    staging: Staging
    lock: threading.Lock = field(default_factory=threading.Lock)
    done: Stored | None = None


class Uploads:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._lock = threading.Lock()

    def start(self, request: Request, bucket: str) -> Response:
        kind = request.query.get("uploadType")
        if kind == "media":
            return self._media(request, unquote(bucket))
        if kind == "multipart":
            return self._multipart(request, unquote(bucket))
        if kind == "resumable":
            return self._resumable(request, unquote(bucket))
        raise HttpError(400, f"uploadType {kind!r} is none of media, multipart, resumable")

    def _media(self, request: Request, bucket: str) -> Response:
        body: dict[str, Any] = {
            "name": request.query.get("name"),
            "contentType": request.headers.get("content-type"),
        }
        if request.query.get("contentEncoding"):
            body["contentEncoding"] = request.query["contentEncoding"]
        with self._storage.stage() as staging:
            staging.drain(request.body)
            stored = self._finish(bucket, body, None, staging, preconditions(request))
        return json_response(resource(stored, request.base_url))

    def _multipart(self, request: Request, bucket: str) -> Response:
        match = re.search(
            r"boundary=\"?([^\";]+)\"?", request.headers.get("content-type", ""), re.IGNORECASE
        )
        if match is None:
            raise HttpError(400, "a multipart upload needs a boundary in its Content-Type")
        parts = _Parts(request, match[1].encode())
        parts.headers()
        try:
            body = json.loads(parts.text())
        except ValueError as error:
            raise HttpError(400, "the first part of the upload is no JSON") from error
        content_type = parts.headers().get("content-type")
        body.setdefault("name", request.query.get("name"))
        with self._storage.stage() as staging:
            parts.rest(staging)
            stored = self._finish(bucket, body, content_type, staging, preconditions(request))
        return json_response(resource(stored, request.base_url))

    def _resumable(self, request: Request, bucket: str) -> Response:
        self._storage.bucket(bucket)
        body = request.json()
        body.setdefault("name", request.query.get("name"))
        session = _Session(
            bucket=bucket,
            body=body,
            content_type=request.headers.get("x-upload-content-type"),
            when=preconditions(request),
            staging=self._storage.stage(),
        )
        key = uuid.uuid4().hex
        with self._lock:
            self._sessions[key] = session
            if len(self._sessions) > _MAX_SESSIONS:
                self._sessions.popitem(last=False)[1].staging.discard()
        location = f"{request.base_url}/upload/storage/v1/b/{quote(bucket, safe='')}/o"
        return Response(200, b"", {"Location": f"{location}?uploadType=resumable&upload_id={key}"})

    def resume(self, request: Request, _bucket: str) -> Response:
        session = self._sessions.get(request.query.get("upload_id", ""))
        if session is None:
            raise HttpError(404, "no such upload; it ended, or the stand-in was restarted")
        with session.lock:
            if session.done is None:
                total = _append(request, session.staging)
                if total is None or session.staging.size_bytes < total:
                    return _so_far(session.staging.size_bytes)
                session.done = self._finish(
                    session.bucket,
                    session.body,
                    session.content_type,
                    session.staging,
                    session.when,
                )
        return json_response(resource(session.done, request.base_url))

    def cancel(self, request: Request, _bucket: str) -> Response:
        with self._lock:
            session = self._sessions.pop(request.query.get("upload_id", ""), None)
        if session is None:
            raise HttpError(404, "no such upload")
        session.staging.discard()
        return Response(499)

    def _finish(
        self,
        bucket: str,
        body: dict[str, Any],
        content_type: str | None,
        staging: Staging,
        when: Preconditions,
    ) -> Stored:
        content = staging.finish()
        name = body.get("name")
        if not name:
            raise HttpError(400, "an upload needs an object name")
        _check_hashes(body, content)
        return self._storage.put(bucket, name, content, describe(body, content_type), when=when)


def _append(request: Request, staging: Staging) -> int | None:
    """Add what this request brings beyond what we have; the total size, None if not known yet."""
    header = request.headers.get("content-range")
    if header is None:
        staging.drain(request.body)
        return staging.size_bytes
    match = _CONTENT_RANGE.fullmatch(header)
    if match is None:
        raise HttpError(400, f"Content-Range {header!r} is not understood")
    if match[1] is not None:
        overlap = staging.size_bytes - int(match[1])
        if overlap < 0:
            raise HttpError(503, f"bytes from {staging.size_bytes} on are missing")
        request.body.read(overlap)  # the client did not hear that we had these
        staging.drain(request.body)
    return None if match[3] == "*" else int(match[3])


def _so_far(size: int) -> Response:
    headers = {"Range": f"bytes=0-{size - 1}"} if size else {}
    return Response(308, b"", headers)


def _check_hashes(body: dict[str, Any], content: Content) -> None:
    for key, ours in (("crc32c", content.crc32c), ("md5Hash", content.md5)):
        if body.get(key) and body[key] != ours:
            raise HttpError(400, f"{key} is {ours}, the client says {body[key]}")


class _Parts:
    """multipart/related with two parts; the second may be large and of any bytes."""

    def __init__(self, request: Request, boundary: bytes) -> None:
        self._body, self._boundary = request.body, boundary
        while (line := self._body.readline(65_536)).strip() != b"--" + boundary:
            if not line:
                raise HttpError(400, "the multipart upload has no part")

    def headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        while line := self._body.readline(65_536).strip():
            name, _, value = line.decode("latin-1").partition(":")
            found[name.strip().lower()] = value.strip()
        return found

    def text(self) -> bytes:
        """The first part's content."""
        lines: list[bytes] = []
        while (line := self._body.readline(65_536)).strip() != b"--" + self._boundary:
            if not line:
                raise HttpError(400, "the multipart upload has one part, expected two")
            lines.append(line)
        return b"".join(lines)

    def rest(self, staging: Staging) -> None:
        """Everything up to the closing boundary, which ends the body."""
        end = b"--" + self._boundary + b"--"
        held = b""
        while data := self._body.read(_CHUNK):
            held += data
            keep = len(end) + 8  # the closing line with its line breaks
            if len(held) > keep:
                staging.write(held[:-keep])
                held = held[-keep:]
        cut = held.rfind(end)
        if cut < 0:
            raise HttpError(400, "the multipart upload has no end")
        content = held[:cut]
        staging.write(content[:-2] if content.endswith(b"\r\n") else content.removesuffix(b"\n"))
