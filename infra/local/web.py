"""The small HTTP/1.1 server under every stand-in: keep-alive, streamed bodies, thread per client.

An app is a function from `Request` to `Response`. What it raises on purpose is an `HttpError`;
anything else is answered with 500 and printed, and the connection lives on.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

_CHUNK = 256 * 1024


class HttpError(Exception):
    """Answer with this status; `message` goes into Google's error JSON."""

    def __init__(self, status: int, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.reason = status, message, reason


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is as it came, still percent-encoded, `target` is path and query; `body` ends where
    the request ends."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: BinaryIO
    base_url: str
    target: str

    def read(self) -> bytes:
        return self.body.read()

    def json(self) -> Any:
        """Raises HttpError 400."""
        try:
            return json.loads(self.read() or b"{}")
        except ValueError as error:
            raise HttpError(400, f"the body is no JSON: {error}") from error


@dataclass(frozen=True, slots=True)
class Response:
    """`body` is bytes, or a stream of which `length` bytes are sent."""

    status: int = 200
    body: bytes | BinaryIO = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


App = Callable[[Request], Response]


def json_response(value: object, status: int = 200) -> Response:
    return Response(
        status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=UTF-8"}
    )


def error_response(error: HttpError) -> Response:
    """The error form of Google's JSON APIs."""
    inner = {"message": error.message, "domain": "global", "reason": error.reason or "error"}
    body = {"error": {"code": error.status, "message": error.message, "errors": [inner]}}
    return json_response(body, error.status)


class Routes:
    """Method and path pattern to function; the pattern's groups become its arguments."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., Response]]] = []

    def add(self, method: str, pattern: str, function: Callable[..., Response]) -> None:
        self._routes.append((method, re.compile(pattern), function))

    def __call__(self, request: Request) -> Response:
        for method, pattern, function in self._routes:
            match = pattern.fullmatch(request.path) if method == request.method else None
            if match:
                return function(request, *match.groups())
        raise HttpError(404, f"this stand-in has no {request.method} {request.path}")


class HttpServer:
    """A running server; `url` has no trailing slash."""

    def __init__(self, app: App, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = _Server((host, port), type("Bound", (_Handler,), {"app": staticmethod(app)}))
        self.port: int = self._server.server_address[1]
        self.url = f"http://{host}:{self.port}"
        self._server.base_url = self.url
        self._closing = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while not self._closing:
            self._server.handle_request()  # blocks without polling until somebody knocks

    def close(self) -> None:
        """Stop listening and cut open connections."""
        self._closing = True
        with socket.socket() as knock:
            knock.settimeout(1)
            knock.connect_ex(self._server.server_address)
            self._thread.join(timeout=5)
        self._server.server_close()
        self._server.cut_connections()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    base_url = ""

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(*args)

    @contextmanager
    def remember(self, connection: socket.socket) -> Iterator[None]:
        with self._open_lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._open_lock:
                self._open.discard(connection)

    def cut_connections(self) -> None:
        with self._open_lock:
            connections = list(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was faster

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away in the middle is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = _CHUNK
    server: _Server
    app: App

    def handle(self) -> None:
        with self.server.remember(self.connection):
            super().handle()

    def _serve(self) -> None:
        body = _Body(self.rfile, self.headers)
        path, _, query = self.path.partition("?")
        request = Request(
            method=self.command,
            path=path,
            query=dict(parse_qsl(query, keep_blank_values=True)),
            headers=_Headers(self.headers.items()),
            body=body,  # type: ignore[arg-type]  # the reading half of BinaryIO
            base_url=self.server.base_url,
            target=self.path,
        )
        answer = Response(500)
        try:
            answer = type(self).app(request)
        except HttpError as error:
            answer = error_response(error)
        finally:
            # Also for errors we do not know: the client gets its 500, the traceback is printed.
            self._answer(answer, body)

    def _answer(self, answer: Response, body: _Body) -> None:
        body.skip()
        if isinstance(answer.body, bytes):
            length = len(answer.body) if answer.length is None else answer.length
        else:
            length = answer.length or 0
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if isinstance(answer.body, bytes):
            if self.command != "HEAD":
                self.wfile.write(answer.body)
        else:
            with answer.body:
                _copy(answer.body, self.wfile, 0 if self.command == "HEAD" else length)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Requests are not logged: CPU is shared with training."""

    def version_string(self) -> str:
        return "millrace-local"


class _Headers(dict[str, str]):
    """Case-insensitive look-up by lower-case keys."""

    def __init__(self, items: Any) -> None:
        super().__init__((name.lower(), value) for name, value in items)

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key.lower(), default)

    def __getitem__(self, key: str) -> str:
        return super().__getitem__(key.lower())

    def __contains__(self, key: object) -> bool:
        return super().__contains__(str(key).lower())


class _Body:
    """A request's body, with a length or in chunks; reads never run into the next request."""

    def __init__(self, source: Any, headers: Any) -> None:
        self._source = source
        self._chunked = "chunked" in (headers.get("Transfer-Encoding") or "").lower()
        self._left = 0 if self._chunked else int(headers.get("Content-Length") or 0)
        self._ended = not self._chunked

    def read(self, size: int = -1) -> bytes:
        parts: list[bytes] = []
        while size != 0 and self._more():
            wanted = self._left if size < 0 else min(size, self._left)
            data = self._source.read(wanted)
            if not data:
                raise ConnectionError("the client went away in the middle of a body")
            parts.append(data)
            self._left -= len(data)
            size = size if size < 0 else size - len(data)
            if self._chunked and self._left == 0:
                self._source.readline()
        return b"".join(parts)

    def _more(self) -> bool:
        if self._left == 0 and not self._ended:
            self._left = int(self._source.readline().split(b";")[0], 16)
            if self._left == 0:
                self._ended = True
                while self._source.readline().strip():  # trailers
                    pass
        return self._left > 0

    def skip(self) -> None:
        """Whatever the app left unread, so that the connection can be used again."""
        while self.read(_CHUNK):
            pass

    def readline(self, limit: int = 65_536) -> bytes:
        """Up to and with the next newline, or `limit` bytes."""
        if self._chunked:
            raise HttpError(411, "this request needs a Content-Length")
        line: bytes = self._source.readline(min(limit, self._left))
        self._left -= len(line)
        return line


def _copy(source: BinaryIO, target: Any, length: int) -> None:
    if length <= _CHUNK:
        target.write(source.read(length))
        return
    while length > 0:
        data = source.read(min(_CHUNK, length))
        if not data:
            raise ConnectionError("a stored object is shorter than its size")
        target.write(data)
        length -= len(data)
