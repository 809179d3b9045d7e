"""Metrics as plain formulas on arrays. Pure, numpy only.

`positive` and class targets are 0/1 or class positions, probabilities lie in 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Metric = Literal["auroc", "log_loss", "rmse"]

PRIMARY: dict[str, Metric] = {"binary": "auroc", "multiclass": "log_loss", "regression": "rmse"}
_TINY = 1e-15
ECE_BINS = 15


def primary(task: str, target: Floats, answers: Floats) -> float:
    """The metric that decides: AUROC (binary), log loss (multiclass), RMSE (regression).

    Args:
        answers: Probability of the positive class [n], of each class [n, k], or value [n].
    """
    if task == "binary":
        return auroc(target, answers)
    losses = row_losses(task, target, answers)
    return float(np.sqrt(losses.mean())) if task == "regression" else float(losses.mean())


def gain(task: str, challenger: float, champion: float) -> float:
    """How much better the challenger is; above 0 is better whatever the metric."""
    return challenger - champion if task == "binary" else champion - challenger


def row_losses(task: str, target: Floats, answers: Floats) -> Floats:
    """What each row adds to the mean: squared error (regression) or negative log likelihood."""
    if task == "regression":
        squared: Floats = (target - answers) ** 2
        return squared
    if answers.ndim == 1:
        answers = np.column_stack([1 - answers, answers])
    chosen = answers[np.arange(len(target)), target.astype(np.intp)]
    losses: Floats = -np.log(np.clip(chosen, _TINY, 1.0))
    return losses


def places(positive: Floats, scores: Floats) -> Floats:
    """For each positive the negatives with a lower score, for each negative the positives with a
    higher one, equal scores counting half [n] (placements: DeLong et al. 1988). O(n log n)."""
    order = np.argsort(scores)
    ordered, is_so = scores[order], positive[order].astype(np.float64)
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sizes = np.diff(np.r_[starts, len(ordered)])
    hits = np.add.reduceat(is_so, starts)
    others = sizes - hits
    below = np.cumsum(others) - others / 2
    above = is_so.sum() - np.cumsum(hits) + hits / 2
    found = np.empty(len(scores))
    found[order] = np.where(is_so > 0, np.repeat(below, sizes), np.repeat(above, sizes))
    return found


def auroc(positive: Floats, scores: Floats) -> float:
    """Area under the ROC curve = P(score of a positive > score of a negative) + half of P(equal),
    the Mann-Whitney form; NaN when there is only one class."""
    pairs = float(positive.sum()) * float(len(positive) - positive.sum())
    if not pairs:
        return float("nan")
    return float(places(positive, scores)[positive > 0].sum() / pairs)


def roc_points(positive: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """False and true positive rates at every distinct score, from (0, 0) to (1, 1)."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])
    true = hits[last] / max(hits[-1], 1)
    false = (last + 1 - hits[last]) / max(len(scores) - hits[-1], 1)
    return np.r_[0.0, false], np.r_[0.0, true]


def confusion(positive: Floats, scores: Floats, threshold: float) -> dict[str, int]:
    """Counts of the four cases; a score at the threshold is a positive answer."""
    said, is_so = scores >= threshold, positive > 0
    return {
        "true_positives": int((said & is_so).sum()),
        "false_positives": int((said & ~is_so).sum()),
        "false_negatives": int((~said & is_so).sum()),
        "true_negatives": int((~said & ~is_so).sum()),
    }


def binary(positive: Floats, scores: Floats, threshold: float) -> dict[str, float]:
    """Holdout metrics of a binary model."""
    counts = confusion(positive, scores, threshold)
    hits, false = counts["true_positives"], counts["false_positives"]
    missed, right = counts["false_negatives"], counts["true_negatives"]
    return {
        "auroc": auroc(positive, scores),
        "log_loss": primary_loss("binary", positive, scores),
        "brier": float(squared_distances(positive, scores).mean()),
        "ece": calibration_error(positive, scores),
        "f1": _ratio(2 * hits, 2 * hits + false + missed),
        "precision": _ratio(hits, hits + false),
        "recall": _ratio(hits, hits + missed),
        "false_positive_rate": _ratio(false, false + right),
        "accuracy": _ratio(hits + right, len(scores)),
        "base_rate": _ratio(hits + missed, len(scores)),
        "n": float(len(scores)),
    }


def multiclass(target: Floats, probabilities: Floats) -> dict[str, float]:
    """Holdout metrics of a multiclass model; AUROC is one against the rest, mean over classes."""
    areas = [auroc(is_so, scores) for is_so, scores in of_classes(target, probabilities)]
    right, chosen = called(target, probabilities)
    return {
        "log_loss": primary_loss("multiclass", target, probabilities),
        "brier": float(squared_distances(target, probabilities).mean()),
        "ece": calibration_error(right, chosen),
        "accuracy": float(right.mean()),
        "auroc_ovr": float(np.nanmean(areas)) if not np.isnan(areas).all() else float("nan"),
        "n": float(len(target)),
    }


def of_classes(target: Floats, probabilities: Floats) -> list[tuple[Floats, Floats]]:
    """Each class against the rest: who is of it, and its probability."""
    return [
        ((target == label).astype(np.float64), probabilities[:, label])
        for label in range(probabilities.shape[1])
    ]


def called(target: Floats, answers: Floats) -> tuple[Floats, Floats]:
    """What a probability is about, and the probability: the positive class of two, of several the
    one with the highest."""
    if answers.ndim == 1:
        return target.astype(np.float64), answers
    return (answers.argmax(axis=1) == target).astype(np.float64), answers.max(axis=1)


def squared_distances(target: Floats, answers: Floats) -> Floats:
    """Of each row's probabilities from what was so (Brier 1950): of the positive class alone for
    [n], of all classes for [n, k]."""
    if answers.ndim == 1:
        alone: Floats = (answers - target) ** 2
        return alone
    is_so = np.eye(answers.shape[1])[target.astype(np.intp)]
    distances: Floats = ((answers - is_so) ** 2).sum(axis=1)
    return distances


def regression(target: Floats, values: Floats) -> dict[str, float]:
    """Holdout metrics of a regression, in units of the spec's target scale."""
    errors = values - target
    spread = float(((target - target.mean()) ** 2).sum())
    return {
        "rmse": float(np.sqrt((errors**2).mean())),
        "mae": float(np.abs(errors).mean()),
        "r2": 1 - float((errors**2).sum()) / spread if spread else 0.0,
        "n": float(len(target)),
    }


def calibration_error(positive: Floats, scores: Floats) -> float:
    """Mean distance between score and observed share, over bins of equal size (expected
    calibration error, Naeini et al. 2015)."""
    if not len(scores):
        return float("nan")
    means = tie_means(positive, scores)
    return float(
        sum(abs(scores[rows].mean() - means[rows].mean()) * len(rows) for rows in bins_of(scores))
        / len(scores)
    )


def calibration_chance(scores: Floats) -> tuple[float, float]:
    """The calibration error of a perfectly calibrated model on so many rows with these scores: its
    mean, and what it surpasses in 5 % of samples. A bin is off by a half-normal distance."""
    means, variances = 0.0, 0.0
    for rows in bins_of(scores):
        variance = float((scores[rows] * (1 - scores[rows])).sum()) / len(scores) ** 2
        means += float(np.sqrt(2 / np.pi * variance))
        variances += (1 - 2 / np.pi) * variance
    return means, means + 1.645 * float(np.sqrt(variances))


def bins_of(scores: Floats, count: int = ECE_BINS) -> list[NDArray[np.intp]]:
    """Row numbers of bins of about equal size, in order of the scores."""
    order = np.argsort(scores, kind="stable")
    return [rows for rows in np.array_split(order, count) if len(rows)]


def tie_means(values: Floats, scores: Floats) -> Floats:
    """Of rows with one score each gets their mean, so that the order of rows decides nothing."""
    _, group = np.unique(scores, return_inverse=True)
    counts = np.bincount(group)
    means: Floats = (np.bincount(group, weights=values) / counts)[group]
    return means


def every(
    task: str, target: Floats, answers: Floats, threshold: float | None
) -> Mapping[str, float]:
    """All holdout metrics of a task."""
    if task == "regression":
        return regression(target, answers)
    if task == "multiclass":
        return multiclass(target, answers)
    return binary(target, answers, 0.5 if threshold is None else threshold)


def primary_loss(task: str, target: Floats, answers: Floats) -> float:
    """Mean of the row losses."""
    return float(row_losses(task, target, answers).mean())


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
