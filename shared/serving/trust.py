"""How long an instance goes on asking a second version that fails or takes too long.

    it raised, or took longer than its cap -> that request gets the champion's answers at once
    three such requests in a row, or one that took FAR longer -> it is not asked again here

A call into a model cannot be interrupted in Python, and a thread beside the request would have no
CPU once that has its answer. So a cap ends nothing that runs: it decides about the requests that
follow, and what a second version can cost is bounded by how many are late before that.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

# Of the champion's own time for the same request, but never less than the floor: below that a busy
# machine is the likelier reason. What was measured stands in infra/docs/predict.md.
TIMES = 10
FLOOR_SECONDS = 0.05
# One that takes this much beyond its cap is not given a second chance.
FAR = 20
IN_A_ROW = 3


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


def cap_of(champion_seconds: float) -> float:
    """The longest that a second version may take for a request, in seconds."""
    return max(FLOOR_SECONDS, TIMES * champion_seconds)
