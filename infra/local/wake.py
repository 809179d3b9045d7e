"""Waiting for something to happen without polling, and without missing what happens meanwhile.

seen = wake.mark()      # 1. remember
look for work           # 2. nothing there ...
wake.wait(seen, ...)    # 3. ... returns at once if something happened since 1
"""

from __future__ import annotations

import threading
import time


class Wake:
    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0
        self.closed = False

    def set(self) -> None:
        """Something happened."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def close(self) -> None:
        """Nobody waits any more."""
        with self._condition:
            self.closed = True
            self._condition.notify_all()

    def mark(self) -> int:
        with self._condition:
            return self._count

    @staticmethod
    def deadline(seconds: float) -> float:
        return time.monotonic() + seconds

    def wait(self, seen: int, deadline: float | None = None, seconds: float | None = None) -> bool:
        """Until something happened since `seen`, or `seconds` passed. False: the deadline passed
        or it is closed, so there is no point in looking again."""
        now = time.monotonic()
        ends = [end for end in (deadline, now + seconds if seconds is not None else None) if end]
        with self._condition:
            timeout = max(min(ends) - now, 0) if ends else None
            self._condition.wait_for(lambda: self.closed or self._count != seen, timeout)
        return not self.closed and (deadline is None or time.monotonic() < deadline)
