"""What each row adds to the error of a metric: its linearisation (influence function). Pure.

    value - truth  ~  sum of `parts`, if each row's part is taken as its distance from what is usual

So every metric becomes a sum over rows, and one way of reckoning (shared.tabular.gains) serves all:
AUROC by its structural components (DeLong, DeLong and Clarke-Pearson 1988), means as they are,
shares of shares (precision, F1) and RMSE by the delta method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.tabular.metrics import (
    Floats,
    bins_of,
    calibration_error,
    called,
    of_classes,
    places,
    row_losses,
    squared_distances,
    tie_means,
)

Metric = Literal[
    "auroc",
    "log_loss",
    "rmse",
    "mae",
    "r2",
    "accuracy",
    "precision",
    "recall",
    "false_positive_rate",
    "f1",
    "brier",
    "ece",
    "auroc_ovr",
]
RATES = ("accuracy", "precision", "recall", "false_positive_rate")


@dataclass(frozen=True, slots=True, eq=False)
class Influence:
    """`parts` [n] add up to nothing. `weights` [n] are each row's share of its sample (1 in sum).
    `second` [n] marks the rows of the second of two samples (AUROC: the positives); none
    otherwise. `value` is NaN where the metric is not defined."""

    value: float
    parts: Floats
    weights: Floats
    second: NDArray[np.bool_] | None = None

    def __sub__(self, other: Influence) -> Influence:
        """The difference of two metrics of one kind on the same rows."""
        return Influence(
            self.value - other.value, self.parts - other.parts, self.weights, self.second
        )

    def __neg__(self) -> Influence:
        return Influence(0.0 - self.value, 0.0 - self.parts, self.weights, self.second)


def influence(
    metric: Metric, target: Floats, answers: Floats, *, threshold: float | None = None
) -> Influence:
    """A metric of these answers with the part of each row.

    Args:
        answers: As `metrics.primary` takes them: probabilities [n] or [n, k], or values [n].
        threshold: From which probability on the answer is positive (rates and F1 of two classes).
    """
    if not len(target) or bool(np.isnan(answers).any() or np.isnan(target).any()):
        return _undefined(len(target))
    if metric == "auroc":
        return _auroc(target, answers)
    if metric == "auroc_ovr":
        return _one_against_rest(target, answers)
    if metric == "ece":
        return _calibration(target, answers)
    found = ratio(*_shares(metric, target, answers, threshold))
    if metric == "rmse":
        return _root(found)
    return _one_minus(found) if metric == "r2" else found


def ratio(numerator: Floats, denominator: Floats) -> Influence:
    """sum(numerator) / sum(denominator); a mean where the denominators are ones."""
    total = float(denominator.sum())
    if not total:
        return _undefined(len(numerator))
    value = float(numerator.sum()) / total
    return Influence(value, (numerator - value * denominator) / total, denominator / total)


def _shares(
    metric: Metric, target: Floats, answers: Floats, threshold: float | None
) -> tuple[Floats, Floats]:
    """Numerator and denominator of each row."""
    ones = np.ones(len(target))
    if metric == "log_loss":
        return row_losses("multiclass", target, answers), ones
    if metric == "brier":
        return squared_distances(target, answers), ones
    if metric in ("rmse", "mae", "r2"):
        errors = target - answers
        spread = (target - target.mean()) ** 2 if metric == "r2" else ones
        return (np.abs(errors) if metric == "mae" else errors**2), spread
    said, is_so = _said(answers, threshold), target.astype(np.float64)
    right = said * is_so
    rates: dict[str, tuple[Floats, Floats]] = {
        "accuracy": ((said == is_so).astype(np.float64), ones),
        "precision": (right, said),
        "recall": (right, is_so),
        "false_positive_rate": (said - right, 1 - is_so),
        "f1": (2 * right, said + is_so),
    }
    return rates[metric]


def _said(answers: Floats, threshold: float | None) -> Floats:
    """The class answered."""
    level = 0.5 if threshold is None else threshold
    said = answers.argmax(axis=1) if answers.ndim > 1 else answers >= level
    return np.asarray(said, np.float64)


def _auroc(positive: Floats, scores: Floats) -> Influence:
    second = positive > 0
    hits = int(second.sum())
    others = len(positive) - hits
    if not hits or not others:
        return _undefined(len(positive))
    share = places(positive, scores) / np.where(second, others, hits)
    value = float(share[second].mean())
    weights = np.where(second, 1 / hits, 1 / others)
    return Influence(value, (share - value) * weights, weights, second)


def _one_against_rest(target: Floats, probabilities: Floats) -> Influence:
    """The mean over classes that are there."""
    areas = [_auroc(is_so, scores) for is_so, scores in of_classes(target, probabilities)]
    known = [area for area in areas if not np.isnan(area.value)]
    if not known:
        return _undefined(len(target))
    parts = np.mean([area.parts for area in known], axis=0)
    value = float(np.mean([area.value for area in known]))
    return Influence(value, parts, np.full(len(target), 1 / len(target)))


def _calibration(target: Floats, answers: Floats) -> Influence:
    """With the bins as they are: their edges move little."""
    positive, scores = called(target, answers)
    means, off = tie_means(positive, scores), np.empty(len(scores))
    for rows in bins_of(scores):
        side = np.sign(scores[rows].mean() - means[rows].mean())
        off[rows] = side * (scores[rows] - positive[rows])
    found = ratio(off, np.ones(len(off)))
    return Influence(calibration_error(positive, scores), found.parts, found.weights)


def _root(mean: Influence) -> Influence:
    value = float(np.sqrt(mean.value))
    scale = 1 / (2 * value) if value else 0.0
    return Influence(value, mean.parts * scale, mean.weights)


def _one_minus(mean: Influence) -> Influence:
    return Influence(1 - mean.value, -mean.parts, mean.weights)


def _undefined(rows: int) -> Influence:
    return Influence(float("nan"), np.zeros(rows), np.zeros(rows))
