"""Realised performance: is the model worse on labelled rows than it was on its holdout?

    rows = worth_measuring(task, scores, predicted_labels, targets, positive)
    judge_performance(rows, reference["performance"], ...)

One metric per task: binary AUROC, regression RMSE, multiclass accuracy (a prediction keeps the
probability of its own label only, so no log loss). A drop counts when even the favourable end of a
one-sided 95 % bound is worse than the holdout value by more than the minimum effect.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.tabular import metrics
from shared.tabular.estimates import estimate
from shared.tabular.gains import ALPHA
from shared.tabular.influence import Influence, influence, ratio

Metric = Literal["auroc", "rmse", "accuracy"]
MIN_EFFECT: dict[str, float] = {"auroc": 0.02, "accuracy": 0.02, "rmse": 0.05}


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Rows that have both a prediction and a label. `hit` is per row: the target is the positive
    label (auroc), squared error (rmse), or predicted = true (accuracy)."""

    metric: Metric
    score: NDArray[np.float64]
    hit: NDArray[np.float64]
    positives: int | None

    @property
    def rows(self) -> int:
        return len(self.score)

    def of(self, kept: NDArray[np.bool_]) -> Measured:
        """These rows only."""
        hit = self.hit[kept]
        positives = None if self.positives is None else int(hit.sum())
        return Measured(self.metric, self.score[kept], hit, positives)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a judgement needs. `min_effect` None is the metric's default: 0.02 of AUROC or accuracy,
    5 % of the reference RMSE."""

    min_rows: int
    min_coverage: float
    min_positives: int
    min_effect: float | None = None


@dataclass(frozen=True, slots=True)
class Performance:
    """What labels say about one version in one window. `breach` is None without a judgement;
    `coverage` is the labelled share of the predictions. `biased`: only some kinds of predictions
    get labels."""

    metric: str
    value: float | None
    bound: float | None
    reference: float | None
    limit: float | None
    labelled: int
    positives: int | None
    coverage: float
    breach: bool | None
    sentence: str
    biased: bool = False


def worth_measuring(
    task: str,
    score: NDArray[np.float64],
    predicted: NDArray[Any] | None,
    target: NDArray[Any],
    positive: str | None,
) -> Measured | None:
    """The rows as measurable pairs; None when the metric is undefined on them (no rows, one class
    only, no predicted labels). Rows without a score or target are left out."""
    keep = measurable(task, score, target)
    score, target = score[keep], target[keep]
    if not len(score):
        return None
    if task == "regression":
        return Measured("rmse", score, (score - target.astype(np.float64)) ** 2, None)
    if task == "binary":
        hit = (target == positive).astype(np.float64)
        positives = int(hit.sum())
        return Measured("auroc", score, hit, positives) if 0 < positives < len(hit) else None
    if predicted is None:
        return None
    return Measured("accuracy", score, (predicted[keep] == target).astype(np.float64), None)


def measurable(task: str, score: NDArray[np.float64], target: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows have a score and a target."""
    keep = ~np.isnan(score)
    if task == "regression":
        keep &= ~np.isnan(target.astype(np.float64))
    return keep


def realised(rows: Measured) -> float:
    """The metric on these rows."""
    if rows.metric == "auroc":
        return metrics.auroc(rows.hit, rows.score)
    mean = float(rows.hit.mean())
    return float(np.sqrt(mean)) if rows.metric == "rmse" else mean


def favourable_bound(rows: Measured, *, in_time: bool = False) -> float:
    """The end of the one-sided 95 % interval that speaks for the model: the upper one, or the lower
    one where less is better. `in_time`: rows are in order of time, neighbours which
    resemble each other are worth fewer."""
    order = np.arange(rows.rows) if in_time else None
    found = estimate(error_of(rows), order)
    if rows.metric == "rmse":
        return float(np.sqrt(max(found.lower(ALPHA), 0.0)))
    return min(found.upper(ALPHA), 1.0)


def error_of(rows: Measured) -> Influence:
    """What each row adds to the error of the metric; of RMSE to that of its square."""
    if rows.metric == "auroc":
        return influence("auroc", rows.hit, rows.score)
    return ratio(rows.hit, np.ones(rows.rows))


def effect_of(metric: str, told: float | None) -> float:
    """The minimum effect: as told, or the metric's own."""
    return MIN_EFFECT[metric] if told is None else told


def limit_of(metric: str, base: float, effect: float) -> float:
    """What realised performance must not be worse than."""
    return base * (1 + effect) if metric == "rmse" else base - effect


def judge_performance(
    rows: Measured | None,
    reference: Mapping[str, Any] | None,
    evidence: Evidence,
    *,
    predictions: int,
    labelled: int,
    in_time: bool = False,
) -> Performance:
    """Hold realised performance against the holdout's; too little evidence is no judgement, with
    the numbers that say how little. `labelled` of `predictions` rows have a label."""
    coverage = labelled / predictions if predictions else 0.0
    metric = str(reference["metric"]) if reference else (rows.metric if rows else "")
    positives = rows.positives if rows else None
    value = realised(rows) if rows else None
    base = float(reference["value"]) if reference else None
    lacks = _lacks(rows, labelled, coverage, evidence)
    if base is None:
        lacks = lacks or "the reference of this version has no holdout performance"
    if lacks or rows is None or base is None or value is None:
        sentence = f"no judgement on performance: {lacks}"
        return Performance(
            metric, value, None, base, None, labelled, positives, coverage, None, sentence
        )
    limit = limit_of(metric, base, effect_of(metric, evidence.min_effect))
    bound = favourable_bound(rows, in_time=in_time)
    breach = bound > limit if metric == "rmse" else bound < limit
    side = "at least" if metric == "rmse" else "at most"
    sentence = (
        f"{metric_name(metric)} {value:.4g} on {rows.rows} labelled rows ({side} {bound:.4g} with "
        f"95 % confidence), holdout {base:.4g}, limit {limit:.4g}"
    )
    return Performance(
        metric, value, bound, base, limit, labelled, positives, coverage, breach, sentence
    )


def metric_name(metric: str) -> str:
    """As people write it."""
    return metric.upper() if metric in ("auroc", "rmse") else metric


def _lacks(rows: Measured | None, labelled: int, coverage: float, evidence: Evidence) -> str:
    """What is missing for a judgement, or nothing."""
    if not labelled:
        return "no labels yet"
    if coverage < evidence.min_coverage:
        needed = f"{evidence.min_coverage:.0%} needed"
        return f"{100 * coverage:.3g}% of the predictions have a label ({needed})"
    if labelled < evidence.min_rows:
        return f"{labelled} labelled rows ({evidence.min_rows} needed)"
    if rows is None:
        return "the labels are all of one class, or no labelled row has a score"
    # AUROC rests on the rarer class, whichever it is.
    rarer = rows.rows if rows.positives is None else min(rows.positives, rows.rows - rows.positives)
    if rarer < evidence.min_positives:
        return f"{rarer} labelled rows of the rarer class ({evidence.min_positives} needed)"
    return ""
