"""A version's metrics on the holdout with intervals, beside the champion's on the same rows, and
the same for slices of the rows. Pure.

    measures(...) -> {metric: {value, low, high, error, freedom, rows, champion, drop, ...}}
    slices(...)   -> [{column, level, rows, enough, measures: {metric: {..., gap, gap_error}}}]

Numbers only; `shared.guardrails` judges them by the spec.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from shared.metric_names import METRICS, OF_SLICES, OF_TASK
from shared.serving.columns import Columns
from shared.serving.features import Feature
from shared.tabular.estimates import Estimate, Labels, estimate
from shared.tabular.gains import interval
from shared.tabular.influence import Influence, Metric, influence
from shared.tabular.metrics import Floats, calibration_chance, called

TAIL = 0.025
MIN_RESTING = 20  # rows of the rarer class, of called positives ...: what a slice's metric rests on
FEW_LEVELS = 8
MAX_COLUMNS = 8  # that are reported unasked
MAX_LEVELS = 30  # of a declared column; rarer levels go together
OTHERS, MISSING = "(others)", "(missing)"


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """Holdout rows with the answers of one model; the rest as for `gains.interval`."""

    task: str
    target: Floats
    answers: Floats
    threshold: float | None = None
    order: Labels | None = None
    groups: Labels | None = None

    def of(self, rows: NDArray[np.bool_]) -> Answered:
        return replace(
            self,
            target=self.target[rows],
            answers=self.answers[rows],
            order=None if self.order is None else self.order[rows],
            groups=None if self.groups is None else self.groups[rows],
        )

    def influence(self, metric: Metric) -> Influence:
        return influence(metric, self.target, self.answers, threshold=self.threshold)

    def estimate(self, of_rows: Influence) -> Estimate:
        return estimate(of_rows, self.order, self.groups)

    def measure(self, metric: Metric, of_rows: Influence) -> dict[str, Any]:
        found = self.estimate(of_rows)
        low, high = interval(
            metric,
            self.target,
            self.answers,
            threshold=self.threshold,
            order=self.order,
            groups=self.groups,
        )
        return {
            "value": of_rows.value,
            "low": _known(low),
            "high": _known(high),
            "error": found.error,
            "freedom": found.freedom,
            "rows": _rests_on(of_rows),
        }


def measures(mine: Answered, champion: Answered | None = None) -> dict[str, dict[str, Any]]:
    """Every metric with its 95 % interval; `drop` is how much worse than the champion on the same
    rows. What cannot be measured is left out."""
    found: dict[str, dict[str, Any]] = {}
    for metric in _metrics(mine.task):
        one = mine.influence(metric)
        if not mine.estimate(one).defined:
            continue
        found[metric] = mine.measure(metric, one)
        if metric == "ece":
            mean, high = calibration_chance(called(mine.target, mine.answers)[1])
            found[metric] |= {"chance": mean, "chance_high": high}
        other = champion.influence(metric) if champion else None
        if other is not None and not math.isnan(other.value):
            worse = other - one if METRICS[metric].higher_is_better else one - other
            drop = mine.estimate(worse)
            found[metric] |= {
                "champion": other.value,
                "drop": drop.value,
                "drop_low": _known(drop.lower(TAIL)),
                "drop_high": _known(drop.upper(TAIL)),
            }
    return found


def _metrics(task: str) -> list[Metric]:
    return [cast(Metric, metric) for metric in OF_TASK[task]]


def _rests_on(of_rows: Influence) -> int:
    """How many rows say something, such as the positives for recall; of two samples the fewer."""
    if of_rows.second is not None:
        return int(min(of_rows.second.sum(), (~of_rows.second).sum()))
    return int((of_rows.weights > 0).sum())


def _known(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None


# --- slices --------------------------------------------------------------------------------------


def slice_columns(
    declared: Sequence[str], features: Sequence[Feature], columns: Columns
) -> list[str]:
    """The declared columns that there are, or the first category columns with few levels."""
    categories = [feature.name for feature in features if feature.kind == "category"]
    if declared:
        return [name for name in declared if name in categories]
    few = [name for name in categories if 2 <= len(set(columns[name].tolist())) <= FEW_LEVELS]
    return few[:MAX_COLUMNS]


def slices(
    names: Sequence[str],
    columns: Columns,
    mine: Answered,
    *,
    min_rows: int,
    wanted: Collection[str] = (),
    gaps: bool = True,
) -> list[dict[str, Any]]:
    """Every level of these columns; `wanted` are metrics beside those that are always said. `gap`
    is how much worse a slice is than all other rows; it takes most of the time."""
    shown = {*OF_SLICES[mine.task], *wanted}
    found = []
    for name in names:
        for level, rows in _levels(columns[name]):
            body: dict[str, Any] = {"column": name, "level": level, "rows": int(rows.sum())}
            if mine.task == "binary":
                body["positives"] = int((mine.target[rows] > 0).sum())
            enough = body["rows"] >= min_rows
            measured = _within(mine, rows, shown, gaps=gaps) if enough else {}
            found.append({**body, "enough": enough, "measures": measured})
    return found


def _levels(column: NDArray[Any]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Levels with their rows, the most frequent first."""
    texts = [str(value) for value in column.tolist()]
    levels, inverse, counts = np.unique(
        np.array(texts, object), return_inverse=True, return_counts=True
    )
    order = sorted(range(len(levels)), key=lambda at: (-counts[at], levels[at]))
    found = [(levels[at] or MISSING, inverse == at) for at in order[:MAX_LEVELS]]
    if len(order) > MAX_LEVELS:
        found.append((OTHERS, np.isin(inverse, order[MAX_LEVELS:])))
    return found


def _within(
    mine: Answered, rows: NDArray[np.bool_], shown: Collection[str], *, gaps: bool
) -> dict[str, dict[str, Any]]:
    inside, outside = mine.of(rows), mine.of(~rows)
    found: dict[str, dict[str, Any]] = {}
    for metric in _metrics(mine.task):
        if metric not in shown:
            continue
        one = inside.influence(metric)
        known = inside.estimate(one)
        if not known.defined or _rests_on(one) < MIN_RESTING:
            continue
        found[metric] = inside.measure(metric, one)
        if not gaps:
            continue
        rest = outside.influence(metric)
        others = outside.estimate(rest)
        if not others.defined or _rests_on(rest) < MIN_RESTING:
            continue
        gap = others.minus(known) if METRICS[metric].higher_is_better else known.minus(others)
        found[metric] |= {
            "rest": rest.value,
            "gap": gap.value,
            "gap_error": gap.error,
            "gap_freedom": gap.freedom,
        }
    return found
