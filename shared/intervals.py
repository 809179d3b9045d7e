"""How sure a measured value is at any confidence, from its standard error and degrees of freedom.
Pure, standard library only: promote, which is small, asks how certain a slice is; the intervals
that people read are made by `shared.tabular.gains`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

from shared.metric_names import METRICS


def at_best(metric: str, measure: Mapping[str, Any], *, alpha: float) -> float:
    """The value that speaks for the model, surpassed with probability `alpha` at most. Shares have
    Wilson's bound (1927), which stays right near 0 and 1."""
    about, value, error = METRICS[metric], measure["value"], measure["error"]
    side = 1 if about.higher_is_better else -1
    z = student(alpha, measure["freedom"])
    if not about.share or not measure["rows"]:
        return float(value + side * z * error)
    rows = _worth(value, error, measure["rows"])
    middle = value + z * z / (2 * rows)
    half = z * math.sqrt(value * (1 - value) / rows + z * z / (4 * rows * rows))
    return float((middle + side * half) / (1 + z * z / rows))


def _worth(value: float, error: float, rows: float) -> float:
    """As how many independent rows they count: fewer where rows hang together."""
    variance = value * (1 - value)
    return min(rows, variance / error**2) if variance and error else rows


def student(tail: float, freedom: float) -> float:
    """How many standard errors a value is off with probability `tail` (Student's quantile, by the
    expansion of Cornish and Fisher 1938: within 1 % from 8 degrees of freedom on)."""
    z = NormalDist().inv_cdf(1 - tail)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
