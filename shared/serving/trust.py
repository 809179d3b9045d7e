"""How long an instance goes on asking a second version that fails or takes too long.

    it raised, or took more than its cap -> that request gets the champion's answers at once
    three such requests in a row, or one that took FAR more -> it is not asked again here

A call into a model cannot be interrupted in Python, and a thread beside the request would have no
CPU once that has its answer. So a cap ends nothing that runs: it decides about the requests that
follow, and what a second version can cost is bounded by how many are late before that.

What is held against the cap is the CPU time of the thread. On a busy machine a request waits for
its turn, and waiting says nothing about a model: by the wall a challenger that was its champion's
twin broke its cap in up to a third of the requests, by CPU in one of 22,000 (decision 018).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

# Of the champion's own for the same request, but never less than the floors. A package has no code
# that waits for anything, so the one for waiting is far out.
TIMES = 10
FLOOR_CPU_SECONDS = 0.05
FLOOR_SECONDS = 0.5
# One that takes this much more than its cap is not given a second chance.
FAR = 20
IN_A_ROW = 3


class Spent(NamedTuple):
    """Seconds that a thread worked, and that went by."""

    cpu: float
    wall: float

    def since(self, before: Spent) -> Spent:
        return Spent(self.cpu - before.cpu, self.wall - before.wall)


Timer = Callable[[], Spent]


def cap_of(champion: Spent) -> Spent:
    """The most that a second version may take for a request that took the champion so long."""
    return Spent(
        max(FLOOR_CPU_SECONDS, TIMES * champion.cpu), max(FLOOR_SECONDS, TIMES * champion.wall)
    )


def over(took: Spent, cap: Spent) -> float:
    """How many times its cap it took: slow from 1 on."""
    return max(took.cpu / cap.cpu, took.wall / cap.wall)


@dataclass(slots=True)
class Trust:
    """What one instance holds of one second version. Safe to share between threads."""

    lost: bool = False
    _strikes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def keep(self) -> None:
        """It answered in time."""
        if self._strikes:
            with self._lock:
                self._strikes = 0

    def strike(self, *, far: bool = False) -> bool:
        """It failed, or was slow; True for the one that loses the trust, which never comes back."""
        with self._lock:
            self._strikes += IN_A_ROW if far else 1
            lost_now = self._strikes >= IN_A_ROW and not self.lost
            self.lost = self.lost or lost_now
        return lost_now
