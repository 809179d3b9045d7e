"""The threshold of a binary model, from out-of-fold scores. Pure.

The best value of the declared metric among thresholds whose false positive rate is, with 95 %
confidence, under the ceiling. A point estimate under the ceiling is not enough: a threshold picked
that way broke its ceiling on the next data more often than not.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from shared.tabular.metrics import Floats
from shared.tabular.rates import rate_upper

ThresholdMetric = Literal["f1", "accuracy", "youden"]


@dataclass(frozen=True, slots=True)
class Choice:
    """`false_positive_upper` is the one-sided 95 % bound on `negatives` out-of-fold rows."""

    threshold: float
    metric: ThresholdMetric
    value: float
    false_positive_rate: float
    false_positive_upper: float
    negatives: int
    ceiling: float | None

    @property
    def under_ceiling(self) -> bool:
        return self.ceiling is None or self.false_positive_upper <= self.ceiling

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "under_ceiling": self.under_ceiling}


def choose_threshold(
    positive: Floats, scores: Floats, metric: ThresholdMetric, ceiling: float | None
) -> Choice:
    """The threshold, halfway between two scores that were seen (so that noise in the last digits
    moves no row). When no threshold keeps the ceiling, the one with the fewest false positives."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True])
    hits = np.cumsum(positive[order])[last]
    false = last + 1 - hits
    negatives = len(scores) - float(positive.sum())
    values = _values(metric, hits, false, float(positive.sum()), negatives)
    upper = rate_upper(false, negatives)
    allowed = np.ones(len(last), bool) if ceiling is None else upper <= ceiling
    if not allowed.any():
        allowed = false == false.min()
    best = int(np.argmax(np.where(allowed, values, -np.inf)))
    upto = float(ordered[last[best]])
    lower = float(ordered[last[best] + 1]) if best + 1 < len(last) else 0.0
    middle = (upto + lower) / 2
    return Choice(
        # Between neighbouring floats there is nothing: half way is one of them, maybe the lower.
        threshold=middle if middle > lower else upto,
        metric=metric,
        value=float(values[best]),
        false_positive_rate=float(false[best] / negatives) if negatives else 0.0,
        false_positive_upper=float(upper[best]),
        negatives=int(negatives),
        ceiling=ceiling,
    )


def _values(
    metric: ThresholdMetric, hits: Floats, false: Floats, positives: float, negatives: float
) -> Floats:
    if metric == "f1":
        f1: Floats = 2 * hits / (hits + false + positives)
        return f1
    if metric == "accuracy":
        accuracy: Floats = (hits + negatives - false) / (positives + negatives)
        return accuracy
    youden: Floats = hits / max(positives, 1) - false / max(negatives, 1)
    return youden
