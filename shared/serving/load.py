"""How much a process works on at once, in bytes of bodies: memory is what runs out first.

A body becomes some twenty times its size as Python values, and an instance has 512 MiB. Small ones
pass: the server's threads bound their number.
"""

from __future__ import annotations

import threading

from shared.serving.protocols.asked import Refusal

MAX_BYTES = 16 * 1024 * 1024
_SMALL = 256 * 1024


class Load:
    """Bytes of the large requests that are worked on. Safe to share between threads."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit, self._bytes = limit, 0
        self._lock = threading.Lock()

    def enter(self, body: bytes) -> None:
        """Take a request in, or raise Refusal when it would be too much beside the others; alone,
        it never is."""
        size = len(body)
        if size < _SMALL:
            return
        with self._lock:
            if self._bytes and self._bytes + size > self._limit:
                message = "other large requests are being answered; try again in a moment"
                raise Refusal(429, "busy", message, {"Retry-After": "1"})
            self._bytes += size

    def leave(self, body: bytes) -> None:
        size = len(body)
        if size >= _SMALL:
            with self._lock:
                self._bytes -= size
