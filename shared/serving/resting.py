"""Leaving a service alone that keeps everybody waiting.

    asked --refused after PATIENCE_SECONDS or more--> left alone for REST_SECONDS
          --then one asks, the others do not---------> an answer: asked by all again
                                                       none: left alone again

A service that refuses at once is asked each time: that costs nobody anything. Knows no service.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

PATIENCE_SECONDS = 0.25
REST_SECONDS = 5.0
_NEVER = float("-inf")


class Resting:
    """Safe to share between threads. `monotonic` gives seconds that never run backwards."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic, self._lock = monotonic, threading.Lock()
        self._until = _NEVER

    def may_ask(self) -> bool:
        """Whether the caller asks; of those who come when a rest is over, the first one."""
        if self._until == _NEVER:
            return True
        with self._lock:
            now = self._monotonic()
            if now < self._until:
                return False
            self._until = now + REST_SECONDS  # for the others, while this one finds out
            return True

    def asked(self, seconds: float, *, accepted: bool) -> None:
        """Say how it went: after so many seconds."""
        with self._lock:
            if accepted:
                self._until = _NEVER
            elif seconds >= PATIENCE_SECONDS or self._until != _NEVER:
                self._until = self._monotonic() + REST_SECONDS
