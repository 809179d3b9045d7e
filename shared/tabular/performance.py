"""Realised performance: is the model worse on labelled rows than it was on its holdout?

    rows = worth_measuring(task, scores, predicted_labels, targets, positive)
    judge_performance(rows, reference["performance"], ...)

One metric per task: binary AUROC, regression RMSE, multiclass accuracy (a prediction keeps the
probability of its own label only, so no log loss). A drop counts when even the favourable end of a
one-sided 95 % bootstrap bound is worse than the holdout value by more than the minimum effect.
Pure, seeded, numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Metric = Literal["auroc", "rmse", "accuracy"]
MIN_EFFECT: dict[str, float] = {"auroc": 0.02, "accuracy": 0.02, "rmse": 0.05}
CONFIDENCE = 0.95
REPLICATES = 1000
# Beyond this many rows fewer replicates say the same in a bounded time.
MANY_ROWS = 20_000
MANY_ROWS_REPLICATES = 200


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
    `coverage` is the labelled share of the predictions."""

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


def worth_measuring(
    task: str,
    score: NDArray[np.float64],
    predicted: NDArray[Any] | None,
    target: NDArray[Any],
    positive: str | None,
) -> Measured | None:
    """The rows as measurable pairs; None when the metric is undefined on them (no rows, one class
    only, no predicted labels). Rows without a score or target are left out."""
    keep = ~np.isnan(score)
    if task == "regression":
        keep &= ~np.isnan(target.astype(np.float64))
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


def realised(rows: Measured, weights: NDArray[np.float64] | None = None) -> float:
    """The metric on these rows, each counted `weights` times."""
    weights = np.ones(rows.rows) if weights is None else weights
    if rows.metric == "auroc":
        order, starts = _ties(rows.score)
        return _auroc(rows.hit[order], weights[order], starts)
    mean = float((rows.hit * weights).sum() / weights.sum())
    return float(np.sqrt(mean)) if rows.metric == "rmse" else mean


def favourable_bound(rows: Measured, *, seed: int = 0) -> float:
    """The end of the one-sided 95 % Poisson-bootstrap interval that speaks for the model: the
    95th percentile, or the 5th where less is better (Chamandy et al. 2012, Estimating uncertainty
    for massive data streams)."""
    rng = np.random.default_rng(seed)
    replicates = REPLICATES if rows.rows <= MANY_ROWS else MANY_ROWS_REPLICATES
    order, starts = _ties(rows.score)
    hit = rows.hit[order]
    found = np.empty(replicates)
    for replicate in range(replicates):
        weights = rng.poisson(1.0, rows.rows).astype(np.float64)
        if rows.metric == "auroc":
            found[replicate] = _auroc(hit, weights, starts)
        else:
            total = weights.sum()
            found[replicate] = (hit * weights).sum() / total if total else np.nan
    if rows.metric == "rmse":
        return float(np.sqrt(np.nanquantile(found, 1 - CONFIDENCE)))
    return float(np.nanquantile(found, CONFIDENCE))


def judge_performance(
    rows: Measured | None,
    reference: Mapping[str, Any] | None,
    evidence: Evidence,
    *,
    predictions: int,
    labelled: int,
    seed: int = 0,
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
    effect = MIN_EFFECT[metric] if evidence.min_effect is None else evidence.min_effect
    limit = base * (1 + effect) if metric == "rmse" else base - effect
    bound = favourable_bound(rows, seed=seed)
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
        return (
            f"{coverage:.0%} of the predictions have a label ({evidence.min_coverage:.0%} needed)"
        )
    if labelled < evidence.min_rows:
        return f"{labelled} labelled rows ({evidence.min_rows} needed)"
    if rows is None:
        return "the labels are all of one class, or no labelled row has a score"
    # AUROC rests on the rarer class, whichever it is.
    rarer = rows.rows if rows.positives is None else min(rows.positives, rows.rows - rows.positives)
    if rarer < evidence.min_positives:
        return f"{rarer} labelled rows of the rarer class ({evidence.min_positives} needed)"
    return ""


def _ties(score: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Order by score, and where each group of equal scores starts in it."""
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    return order, starts


def _auroc(
    hit: NDArray[np.float64], weights: NDArray[np.float64], starts: NDArray[np.intp]
) -> float:
    """Weighted Mann-Whitney statistic over rows in score order; ties count half."""
    positive = np.add.reduceat(hit * weights, starts)
    negative = np.add.reduceat((1 - hit) * weights, starts)
    pairs = positive.sum() * negative.sum()
    if not pairs:
        return float("nan")
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / pairs)
