"""The error budget of the gate: how certain a gain must be, and why. Pure, standard library only.

A champion meets one challenger after another. If each were let through with 5 % chance although it
is no better, twelve of them would get one through in nearly every second case. So the last twelve
comparisons share 5 %, in equal parts: whichever twelve in a row are taken, their parts add up to
the budget, and nothing has to be remembered (infra/decisions/010-error-budget.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BUDGET = 0.05
LOOKS = 12
ALPHA = BUDGET / LOOKS
_BECAUSE = re.compile(r", because up to \w+ challengers share one error budget of [\d.]+ %")


@dataclass(frozen=True, slots=True)
class Looks:
    """What was compared before: `comparisons` of this model's challengers with a champion, and
    `same_holdout` of them on the very rows of this one. `holdout` names those rows."""

    holdout: str
    comparisons: int = 0
    same_holdout: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "total": BUDGET,
            "over": LOOKS,
            "holdout": self.holdout,
            "comparisons": self.comparisons,
            "same_holdout": self.same_holdout,
        }

    @property
    def sentence(self) -> str:
        """How often this holdout was used, for the card and whoever decides."""
        if not self.comparisons:
            return "This is the model's first comparison with a champion"
        plural = "" if self.comparisons == 1 else "s"
        return (
            f"Before this one the model had {self.comparisons} comparison{plural}, "
            f"{self.same_holdout or 'none'} on these holdout rows"
        )


def certainty(comparison: Mapping[str, Any]) -> str:
    """How certain a comparison's lower bound is, in words. Comparisons of before there was a budget
    have no `alpha`: theirs is 95 %."""
    alpha = comparison.get("alpha")
    if alpha is None or alpha >= BUDGET:
        return "with 95 % confidence"
    budget = comparison.get("budget") or {}
    looks, total = _number(budget.get("over", LOOKS)), budget.get("total", BUDGET)
    return (
        f"judged at {100 * (1 - alpha):.1f} %, because up to {looks} challengers share one error "
        f"budget of {100 * total:.0f} %"
    )


def briefly(sentence: str) -> str:
    """A sentence that says how certain it is, without why: the rule's own sentence says that."""
    return _BECAUSE.sub("", sentence)


def _number(count: int) -> str:
    return "twelve" if count == 12 else str(count)
