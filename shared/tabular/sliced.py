"""Realised performance of parts of the rows, each against its own part of the holdout. Pure.

    reference_slices(...)  at training: what each slice comes to on the holdout, and how sure
    judge_slices(...)      of a window: the same, and which are certainly worse than they were

A slice is one level of a category column. It is worse when it lost more than the minimum effect,
both being uncertain (Welch), and that survives the control of false discoveries over all slices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.tabular.distances import benjamini_hochberg
from shared.tabular.estimates import Estimate, estimate
from shared.tabular.measuring import MAX_LEVELS, MIN_RESTING, MISSING
from shared.tabular.performance import Measured, error_of, limit_of, realised

TAIL = 0.025  # of the intervals, on either side
Texts = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Slice:
    """One level of a column, with its 95 % interval where it has enough rows. `reference` is its
    own value on the holdout, `limit` what it must not be worse than; both None where the reference
    does not know it. `worse`: certainly beyond the limit; None where that cannot be told."""

    column: str
    level: str
    rows: int
    positives: int | None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    reference: float | None = None
    limit: float | None = None
    p_value: float | None = None
    worse: bool | None = None

    @property
    def name(self) -> str:
        return f"{self.column}={self.level}"


def reference_slices(rows: Measured, columns: Mapping[str, Texts]) -> list[dict[str, Any]]:
    """Of the holdout, as plain JSON; slices that rest on too little have no value."""
    found = []
    for column, level, mask in _levels(columns):
        one = rows.of(mask)
        known = _estimate(one, in_time=False)
        body: dict[str, Any] = {"column": column, "level": level, "rows": one.rows}
        body["positives"] = one.positives
        if known is not None:
            body |= {"value": known.value, "error": known.error, "freedom": known.freedom}
        found.append(body)
    return found


def judge_slices(
    rows: Measured,
    columns: Mapping[str, Texts],
    reference: Sequence[Mapping[str, Any]],
    *,
    min_rows: int,
    effect: float,
    in_time: bool = False,
) -> tuple[Slice, ...]:
    """All slices of a window's labelled rows: those that are worse before the others, and of either
    what lost most first (not what is surest: that would be the largest slice)."""
    known = {(item["column"], item["level"]): item for item in reference}
    found = []
    for column, level, mask in _levels(columns):
        one = rows.of(mask)
        now = _estimate(one, in_time=in_time) if one.rows >= min_rows else None
        measured = _measured(Slice(column, level, one.rows, one.positives), one.metric, now)
        before = known.get((column, level), {})
        if now is not None and before.get("value") is not None and before["rows"] >= min_rows:
            base = Estimate(before["value"], before["error"], 0.0, before["freedom"], 0.0)
            measured = _compared(measured, one.metric, now, base, effect)
        found.append(measured)
    tested = [item for item in found if item.p_value is not None]
    kept = benjamini_hochberg([item.p_value or 0.0 for item in tested])
    certain = {item.name for item, real in zip(tested, kept, strict=True) if real}
    judged = [replace(item, worse=_worse(item, item.name in certain, rows)) for item in found]
    return tuple(
        sorted(judged, key=lambda item: (not item.worse, -_lost(item, rows.metric), item.name))
    )


def describe_slice(item: Slice, metric: str) -> str:
    """As a short line: `sex=Female: AUROC 0.71 (95 %: 0.66 to 0.75) on 400 rows, holdout 0.80`."""
    if item.value is None:
        return f"{item.name}: too little to tell on {item.rows} rows"
    text = f"{item.name}: {metric} {item.value:.4g} (95 %: {item.low:.4g} to {item.high:.4g})"
    text += f" on {item.rows} rows"
    if item.reference is None:
        return f"{text}, no holdout value"
    return f"{text}, holdout {item.reference:.4g}, limit {item.limit:.4g}"


def _measured(found: Slice, metric: str, now: Estimate | None) -> Slice:
    if now is None:
        return found
    top = np.inf if metric == "rmse" else 1.0
    low, high = max(now.lower(TAIL), 0.0), min(now.upper(TAIL), top)
    return replace(found, value=now.value, low=low, high=high)


def _compared(found: Slice, metric: str, now: Estimate, base: Estimate, effect: float) -> Slice:
    limit = limit_of(metric, base.value, effect)
    lost = now.minus(base) if metric == "rmse" else base.minus(now)
    beyond = lost.value - abs(limit - base.value)
    return replace(found, reference=base.value, limit=limit, p_value=_chance(beyond, lost))


def _chance(beyond: float, lost: Estimate) -> float:
    """The p-value of a loss that is so much beyond the minimum effect."""
    from scipy.special import stdtr

    if not lost.error > 0:
        return 0.0 if beyond > 0 else 1.0
    return float(stdtr(lost.freedom, -beyond / lost.error))


def _worse(item: Slice, certain: bool, rows: Measured) -> bool | None:
    if item.value is None or item.limit is None:
        return None
    beyond = item.value > item.limit if rows.metric == "rmse" else item.value < item.limit
    return certain and beyond


def _lost(item: Slice, metric: str) -> float:
    """How far a slice went from its own value on the holdout, in the units of the limit."""
    if item.value is None or item.reference is None:
        return -np.inf
    return item.value / item.reference - 1 if metric == "rmse" else item.reference - item.value


def _estimate(rows: Measured, *, in_time: bool) -> Estimate | None:
    """None where the slice rests on too little, or the metric is not defined on it."""
    rests = rows.rows if rows.positives is None else min(rows.positives, rows.rows - rows.positives)
    if rests < MIN_RESTING:
        return None
    found = estimate(error_of(rows), np.arange(rows.rows) if in_time else None)
    if rows.metric == "rmse":
        # From the mean square to its root.
        found = replace(found, value=realised(rows), error=found.error / (2 * realised(rows) or 1))
    return found if found.defined else None


def _levels(columns: Mapping[str, Texts]) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """The most frequent levels of each column with their rows."""
    for name, column in columns.items():
        texts = np.array([str(value) for value in column.tolist()], object)
        levels, inverse, counts = np.unique(texts, return_inverse=True, return_counts=True)
        order = sorted(range(len(levels)), key=lambda at: (-counts[at], levels[at]))
        for at in order[:MAX_LEVELS]:
            yield name, str(levels[at]) or MISSING, inverse == at
