"""Which models there are, for a process that looks at most once an interval."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property

from shared.errors import MillraceError, NotServed, ServiceUnavailable
from shared.manifests import served_models
from shared.ports import Bucket

_NEVER = float("-inf")


class Listing:
    """The names of the models with a champion, or the one that is pinned. Safe to share between
    threads.

    Args:
        on_problem: Told about a look that failed: ("", why).
        pinned: Gives the only model to serve, or nothing for all.
        monotonic: Seconds that never run backwards.
    """

    def __init__(
        self,
        lake: Callable[[], Bucket],
        *,
        on_problem: Callable[[str, MillraceError], None],
        pinned: Callable[[], str | None],
        interval_seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._lake, self._pin, self._interval = lake, pinned, interval_seconds
        self._on_problem, self._monotonic = on_problem, monotonic
        self._lock = threading.Lock()
        self._names: list[str] | None = None
        self._looked = _NEVER
        self._failure: MillraceError | None = None

    @cached_property
    def pinned(self) -> str | None:
        return self._pin() or None

    def names(self) -> list[str]:
        """At most one interval old while storage answers; raises its error when it never did."""
        if self.pinned is not None:
            return [self.pinned]
        if self._is_due() and self._lock.acquire(blocking=self._names is None):
            try:
                if self._is_due():
                    self._list()
            finally:
                self._lock.release()
        if self._names is None:
            raise self._failure or NotServed("no model is served here")
        return self._names

    def _is_due(self) -> bool:
        return self._monotonic() - self._looked >= self._interval

    def _list(self) -> None:
        try:
            self._names = served_models(lake=self._lake())
        except Exception as error:  # noqa: BLE001 - whatever storage says, the known names stay
            failure: MillraceError = ServiceUnavailable(f"{type(error).__name__}: {error}")
            self._failure = error if isinstance(error, MillraceError) else failure
            self._on_problem("", self._failure)
        self._looked = self._monotonic()
