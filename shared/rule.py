"""One rule of a decision as it was applied: number, limit, verdict, and a sentence for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["ok", "broken", "unsure"]


@dataclass(frozen=True, slots=True)
class Rule:
    """`unsure`: this could not be judged, so a person has to. `low` and `high` are the interval of
    `value` and `rows` what it rests on, where there are such; `decides` marks the one that settled
    the matter."""

    name: str
    verdict: Outcome
    sentence: str
    value: float | None = None
    threshold: float | None = None
    low: float | None = None
    high: float | None = None
    rows: int | None = None
    decides: bool = False

    @property
    def passed(self) -> bool:
        return self.verdict == "ok"

    def as_dict(self) -> dict[str, Any]:
        """Without what is not there; `passed` for readers that know no `verdict`."""
        body: dict[str, Any] = {"name": self.name, "verdict": self.verdict, "passed": self.passed}
        for key in ("value", "threshold", "low", "high", "rows"):
            if getattr(self, key) is not None:
                body[key] = getattr(self, key)
        return {**body, "decides": self.decides, "sentence": self.sentence}
