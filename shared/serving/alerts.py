"""What people hear of versions that do not load: that one does not, and that it does again; and of
a second version that an instance gives up.

    a look fails -> noted -> the request's answer is sent -> published, before the thread is free

Nobody's answer waits for it. Each failure is told once by a process, and by all processes of an
installation under one id, which `notify` posts once: it is made of model, version and revision.
What may pass by itself (storage that does not answer) is told after a minute. A publish that fails
is counted and tried again a minute later, five times at most. Knows no HTTP.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from shared.ports import Clock, Publisher
from shared.serving.publishing import refusal_to_publish

if TYPE_CHECKING:
    from shared.beside.second_version import SecondVersion
    from shared.events import AutomationNoted

SOURCE = "predict"
PATIENCE_SECONDS = 60.0
_AGAIN_SECONDS = 60.0
_ATTEMPTS = 5
_REASON = 300
# Which of a model's versions: the one that answers, or a second one beside it.
Role = Literal["champion", "beside"]


@dataclass(slots=True)
class _Seen:
    """A failure that lasts: what does not load, since when, and whether somebody heard."""

    subject: str
    since: float
    told: bool = False


class Alerts:
    """The alerts of one process. Safe to share between threads.

    Args:
        on_lost: Told about an alert that was not accepted: (model, why).
        monotonic: Seconds that never run backwards.
    """

    def __init__(
        self,
        publisher: Callable[[], Publisher],
        clock: Callable[[], Clock],
        *,
        on_lost: Callable[[str, Exception], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publisher, self._clock, self._on_lost = publisher, clock, on_lost
        self._monotonic = monotonic
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._seen: dict[tuple[str, Role], _Seen] = {}
        self._due: deque[dict[str, Any]] = deque()
        self._refused, self._not_before = 0, float("-inf")

    def fails(
        self,
        model: str,
        role: Role,
        subject: str,
        why: Exception,
        answers: str | None,
        *,
        lasting: bool,
    ) -> None:
        """Note a failure.

        Args:
            subject: What does not load, as all processes name it.
            answers: The version that answers instead, None when nothing does.
            lasting: It will not get better by itself.
        """
        now = self._monotonic()
        with self._lock:
            seen = self._seen.get((model, role))
            if seen is None or seen.subject != subject:
                seen = self._seen[model, role] = _Seen(subject, now)
            if seen.told or not (lasting or now - seen.since >= PATIENCE_SECONDS):
                return
            seen.told = True
            instead = f"{answers} answers instead." if answers else "Nothing can answer."
            reason = str(why)[:_REASON] or type(why).__name__
            self._due.append(
                {
                    "model": model,
                    "subject": subject,
                    "sentence": f"{subject} does not load: {reason}. {instead}",
                    "asks": "act now" if role == "champion" else "decide",
                }
            )

    def loads(self, model: str, role: Role, version: str) -> None:
        """Note that a version loaded: whoever heard of a failure hears of its end."""
        if not self._seen:  # on the way of every manifest that moves
            return
        with self._lock:
            seen = self._seen.pop((model, role), None)
            if seen is None or not seen.told:
                return
            self._due.append(
                {
                    "model": model,
                    "subject": f"{seen.subject}: over",
                    "sentence": f"{version} is loaded and answers; "
                    f"it was {seen.subject} that did not load.",
                    "asks": "know",
                }
            )

    def forget(self, model: str, role: Role) -> None:
        """What failed is not asked for any more."""
        if self._seen:
            with self._lock:
                self._seen.pop((model, role), None)

    def given_up(self, model: str, second: SecondVersion, sentence: str) -> None:
        """Note that this instance does not ask a second version any more. A canary's judge sees it
        in the log; an experiment has none but people."""
        about = {"model": model, "subject": f"{second.kind} {second.id}: given up by an instance"}
        asks = "decide" if second.kind == "experiment" else "know"
        with self._lock:
            self._due.append({**about, "sentence": sentence, "asks": asks})

    @property
    def are_due(self) -> bool:
        return bool(self._due) and self._monotonic() >= self._not_before

    def send(self) -> None:
        """Publish what is due, unless another thread does."""
        if not self.are_due or not self._sending.acquire(blocking=False):
            return
        try:
            while self._due and self._sent(self._due[0]):
                self._due.popleft()
        finally:
            self._sending.release()

    def _sent(self, note: dict[str, Any]) -> bool:
        """Whether a note is settled: accepted, or refused too often."""
        from shared.events import encode  # cold start: few instances have something to tell

        event = _event(note)
        body = encode(event, self._clock().now())
        error = refusal_to_publish(self._publisher, event.topic, body, event.type)
        if error is None:
            self._refused = 0
            return True
        self._refused += 1
        self._on_lost(note["model"], error)
        if self._refused < _ATTEMPTS:
            self._not_before = self._monotonic() + _AGAIN_SECONDS
            return False
        self._refused = 0
        return True


def _event(note: dict[str, Any]) -> AutomationNoted:
    from shared.events import AutomationNoted

    return AutomationNoted(source=SOURCE, **note)
