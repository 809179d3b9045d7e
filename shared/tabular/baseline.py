"""What a model must beat to be worth serving: always the same answer, and the best single column.

A single column answers with the mean target of its bin (numbers, twenty of equal size) or level
(categories), drawn towards the overall mean where rows are few. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.serving.features import Feature
from shared.serving.package import Task
from shared.tabular import metrics
from shared.tabular.dataset import Examples
from shared.tabular.estimates import Labels
from shared.tabular.gains import paired_gain
from shared.tabular.metrics import Floats

BINS = 20
PRIOR_ROWS = 20.0


@dataclass(frozen=True, slots=True)
class Baseline:
    """`value` is the metric of the best single column, `constant` that of the base rate or mean.
    `gain_lower` is the smaller of the two one-sided 95 % lower bounds of the model's gain,
    `constant_gain_lower` the one over the constant alone."""

    column: str
    value: float
    constant: float
    gain: float
    gain_lower: float
    constant_gain_lower: float


def single_columns(
    task: Task, fit: Examples, holdout: Examples, features: Sequence[Feature], classes: int
) -> dict[str, Floats]:
    """Answers on the holdout by each column alone."""
    target = _targets(task, fit.target, classes)
    return {feature.name: _single(feature, fit, holdout, target, task) for feature in features}


def constant(task: Task, fit: Examples, rows: int, classes: int) -> Floats:
    """The base rates (classification) or the mean (regression) as the answer to every row."""
    answer = _targets(task, fit.target, classes).mean(axis=0)
    repeated = np.repeat(answer[None, :], rows, axis=0)
    return repeated if task == "multiclass" else repeated[:, 0]


def judge(
    task: Task,
    fit: Examples,
    holdout: Examples,
    answers: Floats,
    features: Sequence[Feature],
    *,
    classes: int,
    order: Labels | None = None,
    groups: Labels | None = None,
) -> Baseline:
    """The model's `answers` on the holdout against both baselines.

    The column that is best on the holdout itself is taken: that favours the baseline."""
    means = _targets(task, fit.target, classes)

    def answers_of(feature: Feature) -> Floats:
        return _single(feature, fit, holdout, means, task)

    # Answers of one column at a time: two thousand with a hundred classes are gigabytes.
    scores = {
        feature.name: metrics.primary(task, holdout.target, answers_of(feature))
        for feature in features
    }
    best = max(scores, key=lambda name: (metrics.gain(task, scores[name], 0.0), name))
    single = answers_of(next(feature for feature in features if feature.name == best))
    always = constant(task, fit, len(holdout), classes)
    over_column, over_constant = (
        paired_gain(task, holdout.target, answers, other, order=order, groups=groups)
        for other in (single, always)
    )
    return Baseline(
        column=best,
        value=scores[best],
        constant=metrics.primary(task, holdout.target, always),
        gain=min(over_column.value, over_constant.value),
        gain_lower=min(over_column.lower, over_constant.lower),
        constant_gain_lower=over_constant.lower,
    )


def _targets(task: Task, target: Floats, classes: int) -> Floats:
    """Target columns [n, 1], or one per class [n, k]."""
    if task == "multiclass":
        return np.eye(classes)[target.astype(np.intp)]
    return target[:, None]


def _single(
    feature: Feature, fit: Examples, holdout: Examples, target: Floats, task: Task
) -> Floats:
    fitted, asked = _groups(feature, fit.columns[feature.name], holdout.columns[feature.name])
    overall = target.mean(axis=0)
    size = int(max(fitted.max(initial=0), asked.max(initial=0))) + 1
    counts = np.bincount(fitted, minlength=size)[:, None]
    sums = np.column_stack(
        [np.bincount(fitted, weights=column, minlength=size) for column in target.T]
    )
    means = (sums + PRIOR_ROWS * overall) / (counts + PRIOR_ROWS)
    answers: Floats = means[asked] if task == "multiclass" else means[asked, 0]
    return answers


def _groups(
    feature: Feature, fit: NDArray[Any], asked: NDArray[Any]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Group numbers; missing is a group of its own, unseen levels are an empty one."""
    if feature.kind == "category":
        levels = {level: number for number, level in enumerate(dict.fromkeys(fit.tolist()))}
        unseen = len(levels)
        return (
            np.array([levels[value] for value in fit.tolist()], np.intp),
            np.array([levels.get(value, unseen) for value in asked.tolist()], np.intp),
        )
    known = fit[~np.isnan(fit)]
    edges: Floats = (
        np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else known
    )

    def group(values: NDArray[Any]) -> NDArray[np.intp]:
        found = np.searchsorted(edges, values, side="left")
        return np.where(np.isnan(values), len(edges) + 1, found).astype(np.intp)

    return group(fit), group(asked)
