"""Moves that last: a window of few rows shows the size of a move poorly, several in a row show it
well.

A move of PSI 0.2 is seen as 0.06 in one window and as 0.3 in the next where 1,000 rows are worth
300 independent ones. So a column counts also where the mean over the windows of `persistence`
reaches the threshold. In each of these windows the move must be sure (it survived the control of
false discoveries) and at least half the threshold: one far window does not last by itself, and what
is over is over. Windows that were in their season count with their distance from it. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

from shared.tabular.column_drift import ColumnDrift
from shared.tabular.season import Column, Season, Window

# Of the threshold, in every single window.
AT_LEAST = 0.5


def with_earlier(item: ColumnDrift, season: Season | None, windows: int) -> ColumnDrift:
    """The column with its mean over the last `windows`, this one included, and drifted where that
    reaches the threshold. As it was where one of them does not show the move, or where no week was
    seen yet: a first weekend lasts, too."""
    if season is None or not season.known or windows < 2 or not item.sure:
        return item
    before = season.between[: windows - 1]
    effects = [_effect(item.value, item.season)]
    effects += [_of_earlier(item, window) for window in before]
    if len(effects) < windows or min(effects) < AT_LEAST * item.threshold:
        return item
    mean = fmean(effects)
    return replace(item, lasting=mean, drifted=item.drifted or mean >= item.threshold)


def _of_earlier(item: ColumnDrift, window: Window) -> float:
    """0 where the window did not judge this column, judged it otherwise, or was not sure."""
    found: Column = window.get((item.role, item.column), {})
    sure = found.get("sure", found.get("drifted", False))  # reports of older versions do not say
    if not sure or found.get("statistic", "psi") != item.statistic:
        return 0.0
    return _effect(found["value"], found.get("season"))


def _effect(value: float | None, season: float | None) -> float:
    return (value if season is None else season) or 0.0
