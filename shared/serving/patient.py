"""gunicorn's threaded worker for clients that are slow, on purpose or by nature.

gunicorn gives a connection a thread as soon as it is there, reads from it without a limit of time,
and waits in its main loop for those that do not close. Eight connections that say nothing, or half
a request, or one after the other that never closes, stop such a server. Here:

    accepted --> waits in the poller, without a thread, until there is something to read
             --> a thread reads: headers within HEAD_SECONDS and the body within BODY_SECONDS, or
                 the client has gone; who does not take the answer within BODY_SECONDS has gone, too
             --> a connection that ends is read empty for a moment by its thread, then closed

Requests that come together are answered one after the other, and a server that is told to end
answers what comes on open connections before it closes them.

Read by gunicorn alone, and tied to its insides; tests ask it through raw connections.
"""

from __future__ import annotations

import math
import select
import socket
import time
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

HEAD_SECONDS = 5.0
# Cloud Run ends a request after a minute; 10 MiB take this long at 3 Mbit/s.
BODY_SECONDS = 30.0
# What is on its way when an answer closes the connection; closing on it would cut the answer.
_DRAIN_SECONDS = 0.2


class PatientSocket:
    """A client's socket with a time by which reading has to be over; afterwards the client has
    gone, as far as anybody can read.

    Below it never blocks: what is there is taken without asking first, and only what is not there
    is waited for. The times that gunicorn sets and takes back around every request, each a system
    call that lets go of Python's lock, are not its own."""

    def __init__(self, found: socket.socket) -> None:
        found.setblocking(False)
        self._socket, self._until = found, 0.0
        self.has_gone = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def fileno(self) -> int:
        """For the poller."""
        return self._socket.fileno()

    def begin(self, seconds: float) -> None:
        """Reading is over so many seconds from now."""
        self._until = time.monotonic() + seconds

    def setblocking(self, flag: bool) -> None:
        """Not needed."""

    def settimeout(self, seconds: float | None) -> None:
        """Not needed: `begin` says how long."""

    def gettimeout(self) -> float | None:
        return None

    def recv(self, size: int) -> bytes:
        while (left := self._until - time.monotonic()) > 0:
            with suppress(BlockingIOError):
                return self._socket.recv(size)
            self._wait(select.POLLIN, left)
        self.has_gone = True
        return b""

    def sendall(self, data: bytes) -> None:
        """Raises TimeoutError, OSError."""
        rest, until = memoryview(data), time.monotonic() + BODY_SECONDS
        while rest:
            with suppress(BlockingIOError):
                rest = rest[self._socket.send(rest) :]
                continue
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError("the client does not take the answer")
            self._wait(select.POLLOUT, left)

    def _wait(self, event: int, seconds: float) -> None:
        """Until it may go on, or the time is over."""
        poll = select.poll()
        poll.register(self._socket, event)
        poll.poll(math.ceil(seconds * 1000))

    def drain(self) -> None:
        """Say that nothing more comes, and read what still does."""
        self.begin(_DRAIN_SECONDS)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            while self.recv(4096):
                pass
        self.begin(0.0)


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    def enqueue_req(self, conn: Any) -> None:
        """A new connection waits for its first byte without a thread."""
        if isinstance(conn.sock, PatientSocket):
            super().enqueue_req(conn)
            return
        conn.sock = PatientSocket(conn.sock)
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.pending_conns.append(conn)
        waiting = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, EVENT_READ, waiting)

    def handle(self, conn: Any) -> Any:
        """All that the client has sent: of requests that came together gunicorn would leave the
        second one where no poller looks."""
        kept, more = True, 1
        while kept is True and more:
            conn.sock.begin(HEAD_SECONDS)
            kept = super().handle(conn)
            more = conn.parser.unreader.buf.getbuffer().nbytes if kept is True else 0
        if kept is False or conn.sock.has_gone:
            conn.sock.drain()
            return False
        return kept

    def finish_request(self, conn: Any, fs: Any) -> None:
        """While the process ends, whoever was told that his connection stays open may have sent
        his next request: it is answered, and that he should close. gunicorn would hang up."""
        if self.alive or fs.cancelled() or fs.exception() is not None or fs.result() is not True:
            super().finish_request(conn, fs)
            return
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.keepalived_conns.append(conn)
        readable = partial(self.on_client_socket_readable, conn)
        self.poller.register(conn.sock, EVENT_READ, readable)

    def handle_request(self, req: Any, conn: Any) -> Any:
        conn.sock.begin(BODY_SECONDS)
        return super().handle_request(req, conn)
