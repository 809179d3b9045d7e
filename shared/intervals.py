"""Is a measured value certainly beyond a limit, at any confidence? From its standard error and
degrees of freedom. Pure, standard library only: promote, which is small, asks it about slices; the
intervals that people read are made by `shared.tabular.gains`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

from shared.metric_names import METRICS

MANY = 2000  # rows from which on a share is as good as normal


def certainly_worse(metric: str, measure: Mapping[str, Any], limit: float, *, alpha: float) -> bool:
    """True where a model that just keeps the limit would be measured so badly with probability
    `alpha` at most. Shares of few rows by the binomial distribution itself: near 0 and 1 nothing
    else holds what it promises."""
    about, value = METRICS[metric], float(measure["value"])
    if about.worse_by(value, limit) <= 0:
        return False
    if about.share and 0 < limit < 1:
        rows = _worth(value, measure["error"], measure["rows"])
        if rows <= MANY:
            hits, of = round(value * rows), round(rows)
            # As many hits or fewer, or as many misses or fewer.
            found, chance = (hits, limit) if about.higher_is_better else (of - hits, 1 - limit)
            return at_most(found, of, chance) <= alpha
    errors = student(alpha, measure["freedom"])
    return about.worse_by(value, limit) > errors * float(measure["error"])


def at_most(hits: int, rows: int, chance: float) -> float:
    """How likely so many hits or fewer are, of so many rows with this chance each (0 to 1, both
    excluded)."""
    logs = (
        math.lgamma(rows + 1)
        - math.lgamma(count + 1)
        - math.lgamma(rows - count + 1)
        + count * math.log(chance)
        + (rows - count) * math.log1p(-chance)
        for count in range(hits + 1)
    )
    return math.fsum(map(math.exp, logs))


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
