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

import errno
import math
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn.http.body import Body, LengthReader
from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import ThreadWorker

HEAD_SECONDS = 5.0
# Cloud Run ends a request after a minute; 10 MiB take this long at 3 Mbit/s.
BODY_SECONDS = 30.0
# What is on its way when an answer closes the connection; closing on it would cut the answer.
_DRAIN_SECONDS = 0.2
# At once; gunicorn takes 8 KiB, so that a batch comes in forty pieces.
_PIECE = 64 * 1024
# A client that sends is waited for so long by a thread that others need; then it says so.
_MOMENT_MS = 2
_NO_FILES = (errno.EMFILE, errno.ENFILE)


class PatientSocket:
    """A client's socket with a time by which reading has to be over; afterwards the client has
    gone, as far as anybody can read.

    Below it never blocks: what is there is taken without asking first, and only what is not there
    is waited for. The times that gunicorn sets and takes back around every request, each a system
    call that lets go of Python's lock, are not its own."""

    def __init__(self, found: socket.socket) -> None:
        found.setblocking(False)
        self._socket, self._until = found, 0.0
        self._head: bytes | None = None
        self.has_gone = False
        self.before_waiting: Callable[[], object] = int

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
            try:
                return self._socket.recv(max(size, _PIECE))
            except BlockingIOError:
                self._wait(select.POLLIN, left)
            except OSError:  # reset by the client: no error of ours
                break
        self.has_gone = True
        return b""

    def sendall(self, data: bytes) -> None:
        """Raises TimeoutError, OSError."""
        if self._head is not None:
            if not self._head:
                self._head = data
                return
            head, self._head = self._head, None
            if len(data) > _PIECE:  # a system call is cheaper than a copy
                self.sendall(head)
            else:
                data = head + data
        rest, until = memoryview(data), time.monotonic() + BODY_SECONDS
        while rest:
            with suppress(BlockingIOError):
                rest = rest[self._socket.send(rest) :]
                continue
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError("the client does not take the answer")
            self._wait(select.POLLOUT, left)

    def hold_head(self) -> None:
        """What is sent next is the head of an answer, which waits for its body: one system call
        instead of two."""
        self._head = b""

    def send_head(self) -> None:
        """Of an answer without a body."""
        held, self._head = self._head, None
        if held:
            self.sendall(held)

    def forget_head(self) -> None:
        """The answer failed before it had a body."""
        self._head = None

    def _wait(self, event: int, seconds: float) -> None:
        """Until it may go on, or the time is over."""
        poll, milliseconds = select.poll(), math.ceil(seconds * 1000)
        poll.register(self._socket, event)
        if not poll.poll(min(_MOMENT_MS, milliseconds)):
            self.before_waiting()
            poll.poll(milliseconds)

    def drain(self) -> None:
        """Say that nothing more comes, and read what still does."""
        self.begin(_DRAIN_SECONDS)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            while self.recv(4096):
                pass
        self.begin(0.0)


class _Body(Body):  # type: ignore[misc]  # gunicorn has no types
    """A request's body that is read in one piece; gunicorn copies it a kilobyte at a time.
    Raises OSError for what no body is."""

    def read(self, size: int | None = None) -> bytes:
        if type(self.reader) is not LengthReader or self.buf.tell():
            try:
                data: bytes = super().read(size)
            except ParseException as error:  # lines behind the last chunk that are no headers
                raise OSError(str(error)) from error
        elif size is None or size < 0:
            data = self.reader.read(self.reader.length)
        else:
            data = self.reader.read(size)
        return data


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    def accept(self, listener: Any) -> None:
        """A connection more where there is room; the main loop looks for room now and then only,
        and the process would end where the system has no file for it."""
        try:
            if self.nr_conns < self.worker_connections:
                super().accept(listener)
                return
        except OSError as error:
            if error.errno not in _NO_FILES:
                raise
        self.set_accept_enabled(False)  # until the main loop looks again

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
        req.body = _Body(req.body.reader)
        conn.sock.hold_head()
        try:
            kept = super().handle_request(req, conn)
            conn.sock.send_head()
        finally:
            conn.sock.forget_head()
        return kept

    def waiting(self) -> int:
        """Requests that no thread has taken; the pool has no public name for them."""
        count: int = self.tpool._work_queue.qsize()
        return count

    def aside(self) -> None:
        """The thread will wait for something; others have threads of their own."""
