"""Cloud Storage's JSON API over the engine: `STORAGE_EMULATOR_HOST` points here.

Objects, their reading and their changing; uploads are in `storage_uploads`, buckets in
`storage_buckets`. What it does not know it refuses: a parameter silently ignored would be a
precondition silently lost.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote

from infra.local.storage_buckets import bucket_routes
from infra.local.storage_uploads import Uploads
from infra.local.storage_wire import (
    checked_query,
    describe,
    generation,
    preconditions,
    source_preconditions,
    translated,
)
from infra.local.web import HttpError, HttpServer, Request, Response, Routes, json_response
from shared.adapters.memory.cloud import Engine
from shared.adapters.memory.listing import Query
from shared.adapters.memory.objects import Stored, etag, resource
from shared.adapters.memory.storage import Storage

_MAX_PAGE = 1000
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def serve(engine: Engine, host: str = "127.0.0.1", port: int = 0) -> HttpServer:
    """Start the server on its own threads; `.url`, `.close()`."""
    return HttpServer(app(engine.storage), host, port)


def app(storage: Storage) -> Callable[[Request], Response]:
    routes = Routes()
    objects, uploads = _Objects(storage), Uploads(storage)
    one = r"/storage/v1/b/([^/]+)/o/"
    routes.add("POST", r"/upload/storage/v1/b/([^/]+)/o", uploads.start)
    routes.add("PUT", r"/upload/storage/v1/b/([^/]+)/o", uploads.resume)
    routes.add("DELETE", r"/upload/storage/v1/b/([^/]+)/o", uploads.cancel)
    routes.add("GET", r"/download/storage/v1/b/([^/]+)/o/(.+)", objects.media)
    routes.add("GET", r"/storage/v1/b/([^/]+)/o", objects.list)
    routes.add("POST", one + r"([^/]+)/compose", objects.compose)
    routes.add("POST", one + r"([^/]+)/copyTo/b/([^/]+)/o/([^/]+)", objects.copy)
    routes.add("POST", one + r"([^/]+)/rewriteTo/b/([^/]+)/o/([^/]+)", objects.rewrite)
    routes.add("GET", one + r"(.+)", objects.get)
    routes.add("PATCH", one + r"(.+)", objects.patch)
    routes.add("PUT", one + r"(.+)", objects.update)
    routes.add("DELETE", one + r"(.+)", objects.delete)
    bucket_routes(routes, storage)

    def answer(request: Request) -> Response:
        checked_query(request)
        return translated(lambda: routes(request))

    return answer


class _Objects:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def get(self, request: Request, bucket: str, name: str) -> Response:
        if request.query.get("alt") == "media":
            return self.media(request, bucket, name)
        found = self._storage.get(
            unquote(bucket),
            unquote(name),
            generation=generation(request),
            when=preconditions(request),
        )
        return _object(request, found)

    def media(self, request: Request, bucket: str, name: str) -> Response:
        stored, stream = self._storage.open(
            unquote(bucket),
            unquote(name),
            generation=generation(request),
            when=preconditions(request),
        )
        size = stored.info.size_bytes
        wanted = _range(request.headers.get("range"), size)
        headers = _media_headers(stored)
        if wanted is None:
            return Response(200, stream, headers, length=size)
        start, end = wanted
        if start >= end:
            stream.close()
            return Response(416, b"", {"Content-Range": f"bytes */{size}"})
        stream.seek(start)
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        return Response(206, stream, headers, length=end - start)

    def list(self, request: Request, bucket: str) -> Response:
        query = request.query
        start, first = query.get("startOffset", ""), 0
        if query.get("pageToken"):
            start, first = _from_token(query["pageToken"])
        page = self._storage.page(
            unquote(bucket),
            Query(
                prefix=query.get("prefix", ""),
                delimiter=query.get("delimiter", ""),
                start=start,
                start_generation=first,
                end=query.get("endOffset", ""),
                limit=min(int(query.get("maxResults") or _MAX_PAGE), _MAX_PAGE),
                versions=query.get("versions", "").lower() == "true",
            ),
        )
        body: dict[str, Any] = {"kind": "storage#objects"}
        if page.items:
            body["items"] = [resource(item, request.base_url) for item in page.items]
        if page.prefixes:
            body["prefixes"] = page.prefixes
        if page.next:
            body["nextPageToken"] = _to_token(page.next)
        return json_response(body)

    def compose(self, request: Request, bucket: str, name: str) -> Response:
        body = request.json()
        sources = [
            (item["name"], _number(item.get("generation")), source_preconditions(item))
            for item in body.get("sourceObjects", [])
        ]
        destination = body.get("destination") or {}
        found = self._storage.compose(
            unquote(bucket),
            sources,
            unquote(name),
            describe=describe(destination) if destination.get("contentType") else None,
            when=preconditions(request),
        )
        return _object(request, found)

    def copy(self, request: Request, *names: str) -> Response:
        return _object(request, self._copy(request, *names))

    def rewrite(self, request: Request, *names: str) -> Response:
        """Always done in one step: the bytes are shared, not moved."""
        found = self._copy(request, *names)
        size = str(found.info.size_bytes)
        return json_response(
            {
                "kind": "storage#rewriteResponse",
                "totalBytesRewritten": size,
                "objectSize": size,
                "done": True,
                "resource": resource(found, request.base_url),
            }
        )

    def _copy(
        self, request: Request, bucket: str, name: str, to_bucket: str, to_name: str
    ) -> Stored:
        body = request.json()
        return self._storage.copy(
            (unquote(bucket), unquote(name), _number(request.query.get("sourceGeneration"))),
            unquote(to_bucket),
            unquote(to_name),
            describe=describe(body) if body else None,
            when=preconditions(request),
            source_when=preconditions(request, source=True),
        )

    def patch(self, request: Request, bucket: str, name: str) -> Response:
        return self._change(request, bucket, name, _writable(request.json()))

    def update(self, request: Request, bucket: str, name: str) -> Response:
        """PUT replaces: keys of the old metadata that are not named go."""
        changes = _writable(request.json())
        old = self._storage.get(unquote(bucket), unquote(name), generation=generation(request))
        wanted = changes.get("metadata") or {}
        changes["metadata"] = dict.fromkeys(old.info.metadata) | wanted
        return self._change(request, bucket, name, changes)

    def _change(
        self, request: Request, bucket: str, name: str, changes: Mapping[str, Any]
    ) -> Response:
        found = self._storage.patch(
            unquote(bucket),
            unquote(name),
            changes=changes,
            generation=generation(request),
            when=preconditions(request),
        )
        return _object(request, found)

    def delete(self, request: Request, bucket: str, name: str) -> Response:
        self._storage.delete(
            unquote(bucket),
            unquote(name),
            generation=generation(request),
            when=preconditions(request),
        )
        return Response(204)


def _object(request: Request, stored: Stored) -> Response:
    return json_response(resource(stored, request.base_url))


def _media_headers(stored: Stored) -> dict[str, str]:
    info = stored.info
    hashes = f"crc32c={info.crc32c}" + (f",md5={info.md5}" if info.md5 else "")
    headers = {
        "Content-Type": info.content_type,
        "ETag": etag(info),
        "Last-Modified": format_datetime(stored.updated, usegmt=True),
        "Accept-Ranges": "bytes",
        "X-Goog-Generation": str(info.generation),
        "X-Goog-Metageneration": str(info.metageneration),
        "X-Goog-Hash": hashes,
        "X-Goog-Storage-Class": "STANDARD",
        "X-Goog-Stored-Content-Length": str(info.size_bytes),
        "X-Goog-Stored-Content-Encoding": info.content_encoding or "identity",
    }
    if info.content_encoding:
        headers["Content-Encoding"] = info.content_encoding
    for key, header in (
        ("cacheControl", "Cache-Control"),
        ("contentDisposition", "Content-Disposition"),
        ("contentLanguage", "Content-Language"),
    ):
        if key in stored.properties:
            headers[header] = stored.properties[key]
    return headers


def _range(header: str | None, size: int) -> tuple[int, int] | None:
    """Start and exclusive end of a range header; None: the whole object. An unsatisfiable range
    comes back empty."""
    match = _RANGE.fullmatch(header or "")
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return max(size - int(last), 0), size
    end = size if not last else min(int(last) + 1, size)
    return int(first), end


def _number(value: object) -> int | None:
    return None if value in (None, "") else int(str(value))


def _writable(body: Mapping[str, Any]) -> dict[str, Any]:
    known = {
        *("contentType", "contentEncoding", "metadata", "cacheControl"),
        *("contentDisposition", "contentLanguage", "customTime"),
    }
    return {key: value for key, value in body.items() if key in known}


def _to_token(at: tuple[str, int]) -> str:
    return base64.urlsafe_b64encode(json.dumps(at).encode()).decode()


def _from_token(token: str) -> tuple[str, int]:
    try:
        name, first = json.loads(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise HttpError(400, f"{token!r} is no page token of ours") from error
    return str(name), int(first)
