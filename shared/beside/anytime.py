"""Is a share certainly larger than a limit, at whichever look? Pure, standard library only.

    e = evidence(total, trials, limit)      >= 1 / alpha: certainly larger

Each trial is between 0 and 1, such as the failed share of a request. Where their mean is `limit` or
less, `q^x (1 - q)^(1 - x) / (limit^x (1 - limit)^(1 - x))` multiplied over the trials is a
non-negative supermartingale for each q above `limit` (Bernoulli trials are the extreme case:
Hoeffding 1963), and so is an average over several q. By Ville's inequality it ever reaches
1 / alpha with probability alpha at most, however often and whenever somebody looks (Waudby-Smith
and Ramdas 2024, Estimating means of bounded random variables by betting). So looks need not be
counted.
"""

from __future__ import annotations

import math

# Where between the limit and 1 the average looks: a share little larger, or much.
_GRID = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
_LEAST = 1e-6
_HALVINGS = 40


def evidence(total: float, trials: float, limit: float) -> float:
    """How many times likelier these trials are by a larger share than by `limit`; infinite where
    that is beyond all numbers. `total` is the sum of the trials' values."""
    if trials <= 0 or limit >= 1:
        return 0.0
    limit = max(limit, _LEAST)
    logs = []
    for part in _GRID:
        share = limit + (1 - limit) * part
        up, down = math.log(share / limit), math.log((1 - share) / (1 - limit))
        logs.append(total * up + (trials - total) * down)
    most = max(logs)
    if most > 700:
        return math.inf
    return math.exp(most) * sum(math.exp(one - most) for one in logs) / len(logs)


def at_least(total: float, trials: float, alpha: float) -> float:
    """The lower bound of the share that holds at all looks together, with 1 - `alpha`."""
    if trials <= 0 or evidence(total, trials, 0.0) < 1 / alpha:
        return 0.0
    low, high = 0.0, total / trials
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if evidence(total, trials, middle) >= 1 / alpha:
            low = middle
        else:
            high = middle
    return low
