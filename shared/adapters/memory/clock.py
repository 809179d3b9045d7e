"""A clock that a test moves by hand, and times as SQLite and JSON hold them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

_START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


class FixedClock:
    """Stands still until it is moved. Thread-safe."""

    def __init__(self, now: datetime = _START) -> None:
        if now.tzinfo is None:
            raise ValueError("a clock needs an aware time")
        self._now = now.astimezone(UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def advance(self, step: timedelta | float) -> datetime:
        """Move forward by a timedelta or a number of seconds; the new time comes back."""
        step = step if isinstance(step, timedelta) else timedelta(seconds=step)
        if step < timedelta(0):
            raise ValueError("a clock does not run backwards")
        with self._lock:
            self._now += step
            return self._now

    def advance_to(self, time: datetime) -> datetime:
        """Move forward to `time`; a time in the past changes nothing."""
        with self._lock:
            self._now = max(self._now, time.astimezone(UTC))
            return self._now


def micros(time: datetime) -> int:
    """Microseconds since 1970: how times are stored, exact and ordered."""
    delta = time - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_micros(value: int) -> datetime:
    return _EPOCH + timedelta(microseconds=value)


def rfc3339(time: datetime) -> str:
    """`2026-01-05T09:00:00.123Z`, the form of Google's JSON."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
