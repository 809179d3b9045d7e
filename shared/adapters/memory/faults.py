"""What a real Pub/Sub does now and then: deliver twice, late, in another order. Seeded.

Used by `drain` in unit tests and by the push dispatcher of the local stack.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Probabilities from 0 to 1 per delivery. A duplicate is an acknowledgement that gets lost;
    each message is duplicated and delayed at most once per subscription."""

    duplicate: float = 0.0
    delay: float = 0.0
    delay_seconds: float = 5.0
    reorder: bool = False
    seed: int = 0


class Faults:
    """A plan with its random state. Thread-safe; `plan` may be replaced while it runs."""

    def __init__(self, plan: FaultPlan | None = None) -> None:
        self._lock = threading.Lock()
        self._seen: set[tuple[str, str, int]] = set()
        self.set(plan or FaultPlan())

    def set(self, plan: FaultPlan) -> None:
        with self._lock:
            self.plan = plan
            self._random = random.Random(plan.seed)  # noqa: S311 - faults, not secrets
            self._seen.clear()

    def loses_ack(self, subscription: str, message: int) -> bool:
        """True: act as if the answer to this delivery never arrived."""
        return self._once("ack", subscription, message, self.plan.duplicate)

    def delay(self, subscription: str, message: int) -> float:
        """Seconds by which this delivery is late; 0 is usual."""
        if not self._once("delay", subscription, message, self.plan.delay):
            return 0.0
        with self._lock:
            return self._random.uniform(0.001, max(self.plan.delay_seconds, 0.001))

    def order(self, items: Sequence[T]) -> list[T]:
        """The items, shuffled when the plan says so."""
        found = list(items)
        if self.plan.reorder:
            with self._lock:
                self._random.shuffle(found)
        return found

    def _once(self, kind: str, subscription: str, message: int, chance: float) -> bool:
        key = (kind, subscription, message)
        if chance <= 0 or key in self._seen:
            return False
        with self._lock:
            hit = self._random.random() < chance
            self._seen.add(key)
        return hit
