"""How sure a metric and a difference of metrics are: the one way of reckoning it. Pure, no chance.

    paired_gain(task, target, first, second, alpha=...)   two models on the same rows
    unpaired_gain(task, sample, sample, alpha=...)        two models on rows of their own
    interval(metric, target, answers)                     one model

Both models of a pair are judged on the same rows, so that what is hard for both cancels out. How
bounds come about stands in shared.tabular.estimates; those of gains are cautious ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.tabular.estimates import Estimate, Labels, effective, estimate, student
from shared.tabular.influence import RATES, Influence, Metric, influence
from shared.tabular.metrics import PRIMARY, Floats
from shared.tabular.rates import CONFIDENCE, rate_interval

ALPHA = 0.05
_UPTO_ONE = (*RATES, "auroc", "auroc_ovr", "ece", "f1", "r2")


@dataclass(frozen=True, slots=True)
class Gain:
    """`value` above 0: the first is better. `lower` is its one-sided lower bound, wrong with
    probability `alpha`. `units` says on how many independent rows, blocks or groups it rests (fewer
    than there are where their sizes differ)."""

    value: float
    lower: float
    standard_error: float = float("nan")
    alpha: float = ALPHA
    units: float = float("nan")


@dataclass(frozen=True, slots=True)
class Sample:
    """Labelled answers of one model on rows of its own."""

    target: Floats
    answers: Floats
    order: Labels | None = None
    groups: Labels | None = None


def paired_gain(
    task: str,
    target: Floats,
    first: Floats,
    second: Floats,
    *,
    alpha: float = ALPHA,
    order: Labels | None = None,
    groups: Labels | None = None,
) -> Gain:
    """How much better `first` answers than `second` on the same rows, in the task's primary metric.

    Args:
        first, second: Answers [n] or [n, k] as `metrics.primary` takes them.
        order: When each row was [n]; rows near in time may be alike.
        groups: Which rows belong together [n].
    """
    metric = PRIMARY[task]
    one, other = (influence(metric, target, answers) for answers in (first, second))
    difference = _of_roots(one, other) if metric == "rmse" else _better(metric, one - other)
    return _gain(estimate(difference, order, groups), alpha)


def unpaired_gain(task: str, first: Sample, second: Sample, *, alpha: float = ALPHA) -> Gain:
    """How much better `first` answers its rows than `second` answers others (an experiment)."""
    metric = PRIMARY[task]
    estimates = [
        estimate(
            _better(metric, influence(metric, each.target, each.answers)), each.order, each.groups
        )
        for each in (first, second)
    ]
    return _gain(estimates[0].minus(estimates[1]), alpha)


def interval(
    metric: Metric,
    target: Floats,
    answers: Floats,
    *,
    threshold: float | None = None,
    confidence: float = CONFIDENCE,
    order: Labels | None = None,
    groups: Labels | None = None,
) -> tuple[float, float]:
    """Two-sided interval of one model's metric; as wide as its range where nothing is known."""
    tail = (1 - confidence) / 2
    if metric == "rmse":
        found = estimate(_squared(influence(metric, target, answers)), order, groups)
        return _root(found.lower(tail)), _root(found.upper(tail))
    of_rows = influence(metric, target, answers, threshold=threshold)
    found = estimate(of_rows, order, groups)
    if metric in RATES:
        return _rate(of_rows, found, confidence)
    if metric == "auroc" and found.defined and not found.error:
        return _ranking(found.value, target, tail)
    low = found.lower(tail) if metric == "r2" else max(found.lower(tail), 0.0)
    return low, min(found.upper(tail), 1.0) if metric in _UPTO_ONE else found.upper(tail)


def _gain(found: Estimate, alpha: float) -> Gain:
    return Gain(found.value, found.cautious().lower(alpha), found.error, alpha, found.units)


def _better(metric: str, of_rows: Influence) -> Influence:
    """Above 0 is better."""
    return of_rows if metric == "auroc" else -of_rows


def _rate(of_rows: Influence, found: Estimate, confidence: float) -> tuple[float, float]:
    """Exact for the rows that the units are worth (Korn and Graubard 1998)."""
    rows = effective(of_rows.weights)
    if not rows:
        return 0.0, 1.0
    value = of_rows.value
    worth = value * (1 - value) / found.error**2 if found.error > 0 else found.units
    few = student(ALPHA, rows - 1) / student(ALPHA, found.freedom) if found.defined else 1.0
    worth = min(rows, worth * few**2)
    return rate_interval(value * worth, worth, confidence)


def _ranking(value: float, target: Floats, tail: float) -> tuple[float, float]:
    """An AUROC without any spread (1 or 0 on all rows): what else it may be (Newcombe 2006, by the
    variance of Hanley and McNeil 1982)."""
    from scipy.special import ndtri

    positives = float((target > 0).sum())
    negatives = len(target) - positives
    if value not in (0.0, 1.0):
        return value, value
    areas = np.linspace(0.0, 1.0, 10_001)[1:-1]
    more = (positives + negatives) / 2 - 1
    bracket = 1 + more * ((1 - areas) / (2 - areas) + areas / (1 + areas))
    spread = np.sqrt(areas * (1 - areas) / (positives * negatives) * bracket)
    near = areas[np.abs(areas - value) <= -ndtri(tail) * spread]
    return (float(near.min()), 1.0) if value else (0.0, float(near.max()))


def _squared(of_rows: Influence) -> Influence:
    """The mean of squares behind a root of it."""
    return Influence(of_rows.value**2, of_rows.parts * (2 * of_rows.value), of_rows.weights)


def _of_roots(first: Influence, second: Influence) -> Influence:
    """How much smaller the first root is: the difference of the squares over the sum of the roots.
    The sum is taken as known, so that the sign is as certain as that of the difference of squares,
    in which errors that both models make cancel."""
    squares = _squared(second) - _squared(first)
    total = first.value + second.value
    scale = 1 / total if total else 0.0
    return Influence(second.value - first.value, squares.parts * scale, squares.weights)


def _root(value: float) -> float:
    return float(np.sqrt(max(value, 0.0)))
