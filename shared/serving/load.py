"""How much a process works on at once, and how much waits for it.

In bytes of bodies: memory is what runs out first. A body becomes some twenty times its size as
Python values, and an instance has 512 MiB. Small ones pass: the server's threads bound their
number. In requests that wait for a thread: a queue that only grows answers people who have gone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from shared.serving.protocols.asked import Refusal

MAX_BYTES = 16 * 1024 * 1024
_SMALL = 256 * 1024
# Record, answer and line of the log of a row with next to nothing in it, in bytes of bodies.
_ROW = 96
# Some ten rows, and some 20 milliseconds of work: bodies of this size take turns.
_LEAST_TURN, _MOST_TURN = 4 * 1024, 1024 * 1024
# More than Cloud Run sends an instance at once (`concurrency` in topology.yaml): there it is the
# platform that refuses.
MAX_WAITING = 128

Port = TypeVar("Port")


class Load:
    """Bytes of the large requests that are worked on. Safe to share between threads.

    `waiting` tells how many requests wait for a thread, where the server can tell. `aside` is to be
    called by a thread that will wait for somebody else (storage, Pub/Sub) or work for long, where
    the server can find another one for what this one would do next.
    """

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit, self._bytes = limit, 0
        self.waiting: Callable[[], int] = int
        self.aside: Callable[[], object] = int
        self.most_waiting = MAX_WAITING
        self._lock, self._turn = threading.Lock(), threading.Lock()

    def turn(self, body: bytes) -> AbstractContextManager[object]:
        """One thread at a time between a batch's bytes and its answer. There is one lock in Python
        anyway, and numpy lets go of it a hundred times in a batch: with eight threads after it each
        time, a batch took three times its CPU. A single row is done before waiting would pay; a
        large batch takes no turn, so that small ones need not wait for it."""
        return self._turn if _LEAST_TURN <= len(body) <= _MOST_TURN else nullcontext()

    def apart(self, port: Callable[[], Port]) -> Callable[[], Port]:
        """A port to somebody whom a thread that takes it is about to wait for."""

        def taken() -> Port:
            self.aside()
            return port()

        return taken

    def shed(self) -> None:
        """Refuse a request when too many wait behind it: that costs next to nothing, and so the
        queue gets short at once. Raises Refusal."""
        if self.waiting() > self.most_waiting:
            message = "too many requests wait to be answered; try again in a moment"
            raise Refusal(503, "overloaded", message, {"Retry-After": "1"})

    def enter(self, body: bytes) -> None:
        """Take a request in, or raise Refusal when it would be too much beside the others; alone,
        it never is."""
        size = len(body)
        if size < _SMALL:
            return
        if size > _MOST_TURN:
            self.aside()
        with self._lock:
            if self._bytes and self._bytes + size > self._limit:
                message = "other large requests are being answered; try again in a moment"
                raise Refusal(429, "busy", message, {"Retry-After": "1"})
            self._bytes += size

    def found(self, body: bytes, rows: int) -> int:
        """What a request that was taken in weighs, to be given to `leave`, now that its rows are
        counted: short ones take more than their bytes say. Raises Refusal as `enter`."""
        size = len(body)
        if size < _SMALL:
            return size
        with self._lock:
            more = max(0, rows * _ROW - size)
            if more and self._bytes > size and self._bytes + more > self._limit:
                message = "other large requests are being answered; try again in a moment"
                raise Refusal(429, "busy", message, {"Retry-After": "1"})
            self._bytes += more
        return size + more

    def leave(self, size: int) -> None:
        if size >= _SMALL:
            with self._lock:
                self._bytes -= size
