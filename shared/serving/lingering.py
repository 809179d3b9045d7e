"""gunicorn's threaded worker, whose threads stay with a connection for a moment after an answer.

Between two requests of a connection that is kept alive gunicorn hands it from the thread to the
main loop and back: two changes of threads, a dozen system calls and the fight for Python's lock,
together more than a prediction costs. A client that asks again at once finds its thread here:

    answer --next request within MOMENT_MS-----------------> the same thread answers
           --a request waits for a thread, or nothing came-> back to the main loop, as ever

SPARE threads never linger: connections that come meanwhile find one. Read by gunicorn only.
"""

from __future__ import annotations

import select
import threading
from typing import Any

from shared.serving.patient import PatientWorker

MOMENT_MS = 5
SPARE = 2


class LingeringWorker(PatientWorker):
    """`PatientWorker` in all else."""

    def init_process(self) -> None:
        self._places = threading.Semaphore(max(0, self.cfg.threads - SPARE))
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """Requests of one connection, until none is there; in a thread of the pool."""
        kept = super().handle(conn)
        # True is a connection to keep; what else there is has its own meaning to gunicorn.
        if kept is not True or not self._places.acquire(blocking=False):
            return kept
        try:
            poll = select.poll()
            poll.register(conn.sock.fileno(), select.POLLIN)
            while kept is True and self._may_linger() and poll.poll(MOMENT_MS):
                kept = super().handle(conn)
            return kept
        finally:
            self._places.release()

    def waiting(self) -> int:
        """Requests that no thread has taken; the pool has no public name for them."""
        count: int = self.tpool._work_queue.qsize()
        return count

    def _may_linger(self) -> bool:
        return bool(self.alive) and not self.waiting()
