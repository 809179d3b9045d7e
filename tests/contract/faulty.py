"""A proxy that does what networks do: lose answers, cut connections, answer 503 in between.

It stands between a real client and a real stand-in, so that nothing of either is imitated.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import urllib3


@dataclass(frozen=True)
class Fault:
    """What happens to one request. `lose`: carried out, the connection ends without an answer.
    `status`: not carried out, answered so. `keep`: carried out, so many bytes of the answer's
    body come. `before` runs first."""

    lose: bool = False
    status: int = 0
    retry_after: str = ""
    keep: int | None = None
    before: Callable[[], object] = field(default=lambda: None)


class FaultyProxy:
    """`url` behaves like `target`, except for the next requests that `plan` has a fault for."""

    def __init__(self, target: str) -> None:
        self._pool = urllib3.PoolManager(retries=False)
        self._lock = threading.Lock()
        self._planned: list[tuple[str, str, Fault]] = []
        self.seen: list[str] = []
        self.target = target
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def plan(self, method: str, part: str, *faults: Fault) -> None:
        """The next requests with this method and this part in their target get these faults."""
        with self._lock:
            self._planned += [(method, part, fault) for fault in faults]

    @property
    def left(self) -> int:
        """Planned faults that nobody has met yet."""
        return len(self._planned)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fault(self, method: str, target: str) -> Fault:
        with self._lock:
            self.seen.append(f"{method} {target}")
            for number, (wanted, part, fault) in enumerate(self._planned):
                if wanted == method and part in target:
                    del self._planned[number]
                    return fault
        return Fault()

    def forward(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> urllib3.BaseHTTPResponse:
        return self._pool.request(
            method, self.target + target, headers=headers, body=body, decode_content=False
        )


@contextmanager
def faulty(target: str) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(target)
    try:
        yield proxy
    finally:
        proxy.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: FaultyProxy

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.fault(self.command, self.path)
        fault.before()
        if fault.status:
            self._answer(fault.status, {"Retry-After": fault.retry_after}, b"planned", None)
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        answer = self.proxy.forward(self.command, self.path, headers, body)
        if fault.lose:
            self.close_connection = True
            return
        self._answer(answer.status, dict(answer.headers), answer.data, fault.keep)

    def _answer(self, status: int, headers: dict[str, str], body: bytes, keep: int | None) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if value and name.lower() not in {"content-length", "connection"}:
                self.send_header(name, value.replace(self.proxy.target, self.proxy.url))
        if status not in {204, 304}:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:keep])
        self.wfile.flush()
        self.close_connection = self.close_connection or keep is not None

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Quiet."""
