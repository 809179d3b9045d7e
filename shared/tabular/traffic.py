"""Do predictions and labels still come as they used to? Weekends and holidays are no outage.

A window is held against the same time of earlier weeks, labels against the longest pause that they
ever made lately. Where nothing is known yet, nothing is said. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from shared.tabular.quality import Check, Finding

# With fewer earlier weeks nobody knows what is usual.
MIN_WEEKS = 2
# Fewer than this part of the least of those weeks, more than so many times the most.
FEWEST, MOST = 0.5, 4.0
# Of a model with so few rows a window nothing is usual.
MIN_USUAL = 20
# How unlikely a low count must be by chance.
BY_CHANCE = 0.001
# Labels are late when they pause twice as long as ever, and at least so long.
PAUSE, LEAST_PAUSE = 2.0, timedelta(days=3)
MIN_ARRIVALS = 4
REMEMBERED = timedelta(days=60)


def expects_rows(same_time: Sequence[int]) -> bool:
    """True when predictions used to come at this time of the week, every week but for one of four:
    what comes every other week does not. `same_time` is newest first; weeks before the first
    prediction do not count."""
    known = _since_the_first(same_time)
    if len(known) < MIN_WEEKS or known.count(0) > len(known) / 4:
        return False
    return median(known) >= MIN_USUAL


def _since_the_first(same_time: Sequence[int]) -> list[int]:
    known = list(same_time)
    while known and not known[-1]:
        known.pop()
    return known


def judge_volume(rows: int, same_time: Sequence[int]) -> Finding | None:
    """`rows` of a window against those at the same time of earlier weeks; None where nothing is
    known of what is usual."""
    if not expects_rows(same_time):
        return None
    from scipy.special import pdtr

    known = [count for count in same_time if count]
    usual, least, most = float(median(known)), min(known), max(known)
    if rows > usual:
        limit = MOST * most
        return _finding("volume", usual, rows, limit, broken=rows > limit)
    limit = FEWEST * least
    broken = rows < limit and float(pdtr(rows, usual)) < BY_CHANCE
    return _finding("volume", usual, rows, limit, broken=broken)


def judge_arrivals(arrivals: Sequence[datetime], end: datetime) -> Finding | None:
    """When label files arrived, against the pause since; None where they never came regularly."""
    known = sorted({item for item in arrivals if end - REMEMBERED <= item <= end})
    # Files of one day are one arrival.
    days = sorted({item.date() for item in known})
    if len(days) < MIN_ARRIVALS:
        return None
    longest = max(later - sooner for sooner, later in pairwise(days))
    limit = max(PAUSE * longest, LEAST_PAUSE)
    pause = end - known[-1]
    day = timedelta(days=1)
    return _finding("no_labels", longest / day, pause / day, limit / day, broken=pause > limit)


def _finding(check: Check, usual: float, now: float, limit: float, *, broken: bool) -> Finding:
    return Finding("", check, usual, now, limit, 0.0, broken)
