"""How many labelled rows an experiment takes to show a difference of a given size. Pure.

A plan, not a promise: the spread is that of the champion on its holdout, and a difference that is
there is shown in 4 of 5 experiments of that length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from shared.tabular.arms import ALPHA, PLANNED, always_valid
from shared.tabular.influence import Metric
from shared.tabular.splitting import MIN_RARER, MIN_ROWS

MISSED = 0.2
_ROUNDS = 50


def rows_needed(
    metric: Metric, facts: Mapping[str, float], difference: float, share: float, *, planned: bool
) -> int | None:
    """Labelled rows of both arms together that show a true difference of this size in 4 of 5
    experiments; None where the holdout said too little to know.

    Args:
        facts: The champion on its holdout: `auroc` and `base_rate`, `accuracy`, or `rmse`.
    """
    spread = _spread(metric, facts)
    if spread is None:
        return None
    worth = spread * (1 / share + 1 / (1 - share)) / difference**2
    smaller = min(share, 1 - share)
    rows = MIN_ROWS / smaller
    if metric == "auroc":
        rarer = min(facts["base_rate"], 1 - facts["base_rate"])
        rows = max(rows, MIN_RARER / (smaller * rarer))
    for _ in range(_ROUNDS):
        critical = _normal(PLANNED) if planned else always_valid(ALPHA, int(rows))
        needed = (critical + _normal(MISSED)) ** 2 * worth
        if needed <= rows:
            break
        rows = needed
    return math.ceil(rows)


def _spread(metric: Metric, facts: Mapping[str, float]) -> float | None:
    """Variance of the metric times the number of rows."""
    value = facts.get(metric)
    if value is None:
        return None
    if metric == "rmse":  # of normal errors; long tails need more
        return float(value) ** 2 / 2
    if metric == "accuracy":
        return float(value * (1 - value))
    rate = facts.get("base_rate")
    if not rate or rate >= 1:
        return None
    # Hanley and McNeil 1982, of many rows
    negatives = value / (2 - value) - value**2
    positives = 2 * value**2 / (1 + value) - value**2
    return float(negatives / (1 - rate) + positives / rate)


def _normal(tail: float) -> float:
    from scipy.special import ndtri

    return float(-ndtri(tail))
