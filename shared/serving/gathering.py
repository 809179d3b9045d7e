"""gunicorn's threaded worker, in which one thread answers all connections that are busy.

Eight threads with a connection each are after Python's lock at every system call of another one:
eight connections took a fifth to a half more CPU a request than one did. Here a thread that has
answered keeps the connection, and those of others, and is alone at work:

    answered --somebody gathers---------------> he gets the connection, too
             --nobody does--------------------> this thread gathers: whoever asks next is answered
    it has to wait for something (`aside`), ---> another thread of the pool goes on gathering;
    or a request takes STUCK_SECONDS            this one only ends what it has begun
    nobody asks for MOMENT_SECONDS, or -------> all connections go back to the main loop, which
    TERM_SECONDS are over                       gives each a thread when it asks, as ever

So whoever waits (for Pub/Sub, for storage, for a slow client) keeps nobody waiting, and what nobody
has thought of keeps others for STUCK_SECONDS. Read by gunicorn only.
"""

from __future__ import annotations

import select
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from shared.serving.patient import PatientWorker

MOMENT_SECONDS = 0.02
TERM_SECONDS = 1.0
STUCK_SECONDS = 0.1
# How long others may wait for a thread while this one gathers; it takes a while to gather all.
_QUEUE_SECONDS = 0.2
# What a request's thread says of a connection that it gave away, where gunicorn expects a bool.
_GATHERED = object()
_NOBODY, _SOMEBODY = 0, -1  # beside the ids of threads: somebody is asked to go on


class Gathered:
    """The connections that are answered by one thread, the gatherer. Safe to share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._poll = select.epoll()
        self._found: dict[int, Any] = {}
        self._gatherer, self._since = _NOBODY, 0.0
        self._busy: tuple[int, Any] | None = None  # the connection that is answered
        self.waiting = 0  # have asked, and are not answered yet

    @property
    def is_going_on(self) -> bool:
        return self._gatherer != _NOBODY

    @property
    def is_asked_for(self) -> bool:
        """Whether a thread is still to come."""
        return self._gatherer == _SOMEBODY

    def add(self, conn: Any) -> bool:
        """Take a connection, whose thread has to gather when this is true."""
        number = conn.sock.fileno()
        with self._lock:
            self._found[number] = conn
            self._poll.register(number, select.EPOLLIN)
            if self._gatherer != _NOBODY:
                return False
            self._gatherer = threading.get_ident()
            return True

    def go_on(self) -> bool:
        """This thread gathers now, where somebody is asked to."""
        with self._lock:
            asked = self._gatherer == _SOMEBODY
            if asked:
                self._gatherer = threading.get_ident()
            return asked

    def asking(self) -> list[int]:
        """The connections that have sent something, none when none has for a moment."""
        found = [number for number, _ in self._poll.poll(MOMENT_SECONDS)]
        self.waiting = len(found)
        return found

    def begin(self, number: int) -> Any:
        """One of these connections, None when this thread does not gather any more."""
        with self._lock:
            if self._gatherer != threading.get_ident():
                return None
            self.waiting -= 1
            conn = self._found[number]
            self._busy, self._since = (number, conn), time.monotonic()
            return conn

    def end(self, *, keep: bool) -> bool:
        """An answer is given. Whether this thread still gathers; if not, the connection is not
        among the others any more, nor is it when it is not kept."""
        with self._lock:
            if self._gatherer != threading.get_ident():
                return False
            if not keep:
                self._remove_busy()
            self._busy = None
            return True

    def give_up(self, *, gatherer: int | None = None, begun_before: float | None = None) -> bool:
        """Ask for another thread, if that one gathers, or has been at one request for so long;
        the request that it is at stays its own. Whether somebody is to be found."""
        with self._lock:
            if gatherer is not None and gatherer != self._gatherer:
                return False
            if begun_before is not None and (self._busy is None or self._since > begun_before):
                return False
            self._remove_busy()
            self._busy, self.waiting = None, 0
            self._gatherer = _SOMEBODY if self._found else _NOBODY
            return bool(self._found)

    def dissolve(self) -> list[Any]:
        """The connections, where this thread gathers, none of which is here any more."""
        with self._lock:
            if self._gatherer != threading.get_ident():
                return []
            found = list(self._found.values())
            for number in self._found:
                self._poll.unregister(number)
            self._found.clear()
            self._gatherer, self._busy, self.waiting = _NOBODY, None, 0
            return found

    def _remove_busy(self) -> None:
        """It may be closed already, and its number somebody else's."""
        number, conn = self._busy or (-1, None)
        if number >= 0 and self._found.get(number) is conn:
            del self._found[number]
            with suppress(OSError):
                self._poll.unregister(number)


class GatheringWorker(PatientWorker):
    """`PatientWorker` in all else."""

    def init_process(self) -> None:
        self._gathered = Gathered()
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """The requests that are there on a connection; in a thread of the pool."""
        kept = super().handle(conn)
        # True is a connection to keep; what else there is has its own meaning to gunicorn.
        if kept is not True or not self.alive:
            return kept
        conn.sock.before_waiting = self.aside
        if self._gathered.add(conn):
            self._gather()
        return _GATHERED

    def aside(self) -> None:
        """What comes now may take long: somebody else answers the others."""
        if self._gathered.give_up(gatherer=threading.get_ident()):
            self._find_somebody()

    def waiting(self) -> int:
        """Requests that no thread has taken; the pool has no public name for them."""
        return self._queued() + self._gathered.waiting

    def finish_request(self, conn: Any, fs: Any) -> None:
        gone = fs.cancelled() or fs.exception() is not None
        if gone or fs.result() is not _GATHERED:
            super().finish_request(conn, fs)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Of the main loop, which looks after whoever gathers: seldom, because each look takes
        Python's lock away from him, and without what else the main loop does."""
        until = time.monotonic() + min(timeout, TERM_SECONDS)
        while self._gathered.is_going_on and (left := until - time.monotonic()) > 0:
            super().wait_for_and_dispatch_events(min(left, STUCK_SECONDS))
            if self._gathered.give_up(begun_before=time.monotonic() - STUCK_SECONDS):
                self._find_somebody()
            if not self.alive:  # then the main loop counts connections after each event
                return
        super().wait_for_and_dispatch_events(max(0.0, until - time.monotonic()))

    def _find_somebody(self) -> None:
        with suppress(RuntimeError):  # the pool takes nothing any more: the process ends
            self.tpool.submit(self._go_on)

    def _go_on(self) -> None:
        if self._gathered.go_on():
            self._gather()

    def _gather(self) -> None:
        """Answer whoever asks."""
        self.method_queue.defer(int)  # the main loop has somebody to look after
        begun = time.monotonic()
        try:
            while (numbers := self._gathered.asking()) and self._answer(numbers):
                age = time.monotonic() - begun
                late = age > TERM_SECONDS or (age > _QUEUE_SECONDS and self._queued())
                if late or not self.alive:
                    break
        finally:  # nothing happens where another thread gathers by now
            for conn in self._gathered.dissolve():
                self._hand_back(conn, True)

    def _answer(self, numbers: list[int]) -> bool:
        """Answer these; whether this thread still gathers."""
        for number in numbers:
            conn = self._gathered.begin(number)
            if conn is None:
                return False
            kept = super().handle(conn)
            gathers = self._gathered.end(keep=kept is True)
            if kept is not True:
                self._hand_back(conn, kept)
            if not gathers:
                return kept is True and self._gathered.add(conn)
        return True

    def _hand_back(self, conn: Any, kept: Any) -> None:
        """To the main loop, as if this thread had done nothing else."""
        done: Future[Any] = Future()
        done.set_result(kept)
        self.method_queue.defer(self.finish_request, conn, done)

    def _queued(self) -> int:
        queued: int = self.tpool._work_queue.qsize() - self._gathered.is_asked_for
        return max(0, queued)
