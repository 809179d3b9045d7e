"""What a column looked like at the same time of earlier weeks: weekends are not drift.

Only a column that comes and goes has a season: in at least half of the windows of the last week it
was near the reference, and at this time of earlier weeks it was away from it. One that moved and
stayed is no season of itself, and neither is one that was where it always is: few rows of a week
ago may by chance have strayed the same way. Pure; plain JSON of earlier reports in, counts out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

WEEK = timedelta(days=7)
WEEKS = 4
# Of the windows of the last week, so many must have been near the reference.
MOSTLY_NEAR = 0.5
# Of the threshold, so far were the windows at this time of earlier weeks on average.
AWAY = 0.5

# A judged column as a report keeps it: `counts`, `worth`, `rows`, `value`, `threshold`.
Column = Mapping[str, Any]
Key = tuple[str, str]  # role and name: a feature may be called "score"
Window = Mapping[Key, Column]


def window_of(drift: Mapping[str, Any]) -> dict[Key, Column]:
    """The judged columns of a stored judgement on drift."""
    judged = [*drift["columns"], *drift["predictions"]]
    judged += [drift["target"]] if drift.get("target") else []
    return {(item.get("role", ""), item["column"]): item for item in judged}


@dataclass(frozen=True, slots=True)
class Season:
    """`alike` are the windows at the same time of earlier weeks, `between` those of the last week;
    both of the version that is judged, a judged column per name."""

    alike: Sequence[Window]
    between: Sequence[Window]

    @property
    def known(self) -> bool:
        """True once there was a week to learn from."""
        return bool(self.alike)

    def counts_of(self, column: Key, bins: int) -> NDArray[np.float64] | None:
        """Rows per bin (what they are worth) at this time of earlier weeks, added up; None where
        the column has no season."""
        last = [window[column] for window in self.between if column in window]
        judged = [item for item in last if item["value"] is not None]
        near = sum(item["value"] < item["threshold"] for item in judged)
        if not judged or near < MOSTLY_NEAR * len(judged):
            return None
        alike = [item for window in self.alike if (item := _countable(window, column, bins))]
        if not alike or fmean(item["value"] / item["threshold"] for item in alike) < AWAY:
            return None
        found = np.zeros(bins)
        for item in alike:
            found += np.array(item["counts"], np.float64) * (item["worth"] / item["rows"])
        return found


def _countable(window: Window, column: Key, bins: int) -> Column | None:
    """The column of an earlier window, where it was judged over the same number of bins."""
    item = window.get(column, {})
    same = len(item.get("counts", ())) == bins and item["rows"] and item["value"] is not None
    return item if same else None
