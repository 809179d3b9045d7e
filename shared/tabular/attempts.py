"""One recipe, fold after fold: fitted on the others, judged on each. Boosting finds its number of
trees here.

XGBoost is fitted with early stopping in every fold; the recipe's number of trees is the one that is
best over all judged folds together, and the answers are those of that number, so no fold has trees
of its own choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.serving.encoder import Encoder
from shared.serving.features import Feature
from shared.serving.package import Task
from shared.spec.model import Candidate
from shared.tabular import candidates, metrics, spaces
from shared.tabular.inner import Folds
from shared.tabular.metrics import Floats
from shared.tabular.spaces import Params

_STOP_ON = {"binary": "logloss", "multiclass": "mlogloss", "regression": "rmse"}


@dataclass(frozen=True, slots=True)
class Side:
    """One fold, encoded for a candidate: rows that fit and rows that judge."""

    x: NDArray[Any]
    target: Floats
    judged_x: NDArray[Any]
    judged: Floats


@dataclass(slots=True)
class Encoded:
    """The folds as one candidate sees them, encoded once for all its trials (`keep`)."""

    candidate: Candidate
    task: Task
    folds: Folds
    features: tuple[Feature, ...]
    keep: bool = True
    _known: dict[int, Side] = field(default_factory=dict)

    def side(self, number: int) -> Side:
        if number in self._known:
            return self._known[number]
        train, judge = self.folds.split(number)
        encoder = Encoder.fit(train.columns, self.features, candidates.layout_of(self.candidate))
        found = Side(
            candidates.encode(self.candidate, encoder, train.columns),
            train.target,
            candidates.encode(self.candidate, encoder, judge.columns),
            judge.target,
        )
        if self.keep:
            self._known[number] = found
        return found


@dataclass(slots=True)
class Attempt:
    """A recipe being judged. `params` has XGBoost's number of trees once a fold was judged."""

    data: Encoded
    params: Params
    seed: int
    balanced: bool = False
    _answers: list[Floats] = field(default_factory=list)
    _targets: list[Floats] = field(default_factory=list)
    _boosters: list[tuple[Callable[[int], Floats], list[float]]] = field(default_factory=list)

    def judge(self, number: int) -> float:
        """The primary metric over all rows judged so far, after one more fold.
        Raises ValueError when the library cannot fit it."""
        side = self.data.side(number)
        task = self.data.task
        self._targets.append(side.judged)
        if self.data.candidate == "xgboost":
            self._boosters.append(self._boost(side))
            self._settle_rounds()
        else:
            estimator = candidates.make(self.data.candidate, self.params, task, self.seed)
            candidates.fit_estimator(estimator, side.x, side.target, balanced=self.balanced)
            self._answers.append(candidates.answer(task, estimator, side.judged_x))
        return metrics.primary(task, np.concatenate(self._targets), np.concatenate(self._answers))

    def answers(self) -> Floats:
        """Each row's answer by a model that never saw it; NaN for rows that cannot be judged."""
        folds = self.data.folds
        found = np.full((len(folds.rows), *self._answers[0].shape[1:]), np.nan)
        for number, answer in zip(folds.numbers, self._answers, strict=True):
            found[folds.fold == number] = answer
        return found

    def _boost(self, side: Side) -> tuple[Callable[[int], Floats], list[float]]:
        """Answers by number of trees, and the loss after each."""
        task = self.data.task
        params = self.params | {"n_estimators": spaces.BOOSTING_ROUNDS}
        estimator = candidates.make("xgboost", params, task, self.seed)
        estimator.set_params(
            early_stopping_rounds=spaces.EARLY_STOPPING_ROUNDS, eval_metric=_STOP_ON[task]
        )
        stop: dict[str, Any] = {"eval_set": [(side.judged_x, side.judged)], "verbose": False}
        if self.balanced:
            stop["sample_weight_eval_set"] = [candidates.balance(side.judged)]
        candidates.fit_estimator(estimator, side.x, side.target, balanced=self.balanced, **stop)
        losses = list(map(float, estimator.evals_result()["validation_0"][_STOP_ON[task]]))

        def answer(trees: int) -> Floats:
            return candidates.answer(task, estimator, side.judged_x, trees=trees)

        return answer, losses

    def _settle_rounds(self) -> None:
        """The number of trees that is best on average, among those that every fold tried."""
        curves = [losses for _, losses in self._boosters]
        tried = min(map(len, curves))
        sizes = [float(len(target)) for target in self._targets]
        mean = np.average([curve[:tried] for curve in curves], axis=0, weights=sizes)
        trees = int(mean.argmin()) + 1
        self.params = self.params | {"n_estimators": trees}
        self._answers = [answer(trees) for answer, _ in self._boosters]
