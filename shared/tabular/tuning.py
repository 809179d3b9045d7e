"""A small seeded search per candidate, on one inner split of the fit rows. Optuna lives here.

XGBoost finds its number of trees by early stopping on the inner validation rows; the recipe keeps
that number, so nothing is stopped by anything later.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shared.errors import NotTrainable
from shared.serving.encoder import Encoder
from shared.serving.features import Feature
from shared.serving.package import Task
from shared.spec.model import Candidate
from shared.tabular import candidates, metrics, spaces
from shared.tabular.dataset import Examples
from shared.tabular.spaces import Params, Range
from shared.tabular.splitting import folds, row_keys

INNER_FOLDS = 4


@dataclass(frozen=True, slots=True)
class Trial:
    params: Params
    score: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """The best parameters found for a candidate. `score` is the primary metric on the inner
    validation rows; `cut` says that the time limit ended the search early."""

    candidate: Candidate
    params: Params
    score: float
    trials: tuple[Trial, ...] = field(default=())
    cut: bool = False


def load_libraries() -> None:
    """Import what threads are about to need: two threads importing at once see half a module."""
    import onnxmltools  # noqa: F401
    import optuna  # noqa: F401
    import skl2onnx  # noqa: F401
    import xgboost  # noqa: F401
    from sklearn import ensemble, linear_model  # noqa: F401


def one_thread_each() -> AbstractContextManager[Any]:
    """Numeric libraries on one thread while we spread candidates and folds ourselves: threads
    within threads wait for each other, and sums depend on how many there are."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(1)
    return limits


def inner_split(
    rows: Examples, task: Task, seed: int, features: Sequence[Feature]
) -> tuple[Examples, Examples]:
    """Three quarters to fit trials on, one quarter to judge them, no row on both sides.

    Raises NotTrainable where equal rows leave a side without a class."""
    classes = None if task == "regression" else rows.target
    fold = folds(len(rows), INNER_FOLDS, seed, classes, row_keys(rows.columns, features))
    every = 1 if classes is None else len(np.unique(classes))
    for number in range(INNER_FOLDS):
        train, judge = rows.take(fold != number), rows.take(fold == number)
        if classes is None:
            usable = min(len(train), len(judge)) > 0
        else:
            wanted = every if task == "binary" else 1
            there = len(np.unique(train.target)), len(np.unique(judge.target))
            usable = there[0] == every and there[1] >= wanted
        if usable:
            return train, judge
    raise NotTrainable(
        "too many rows are equal in all features: a class has no two different rows to learn from "
        "and to judge by"
    )


def search(
    candidate: Candidate,
    task: Task,
    inner: tuple[Examples, Examples],
    features: tuple[Feature, ...],
    *,
    trials: int,
    seed: int,
    deadline: float,
) -> Recipe:
    """The best of `trials` recipes, the first of which is the hand-set one.

    `deadline` is a `time.monotonic()`; the trial that runs then is the last.
    Raises ValueError when the library cannot fit these rows.
    """
    train, judge = inner
    encoder = Encoder.fit(train.columns, features, candidates.layout_of(candidate))
    x = candidates.encode(candidate, encoder, train.columns)
    judged = candidates.encode(candidate, encoder, judge.columns)

    def attempt(params: Params) -> tuple[Params, float]:
        estimator = candidates.make(candidate, _searched(candidate, params), task, seed)
        if candidate == "xgboost":
            stop = {"eval_set": [(judged, judge.target)], "verbose": False}
            params = params | {"n_estimators": _boost(estimator, x, train.target, stop, task)}
        else:
            estimator.fit(x, train.target)
        found = candidates.answer(task, estimator, judged)
        return params, metrics.primary(task, judge.target, found)

    made = _study(candidate, task, attempt, trials=trials, seed=seed, deadline=deadline)
    best = max(made, key=lambda trial: metrics.gain(task, trial.score, 0.0))
    return Recipe(candidate, best.params, best.score, tuple(made), len(made) < trials)


def _study(
    candidate: Candidate,
    task: Task,
    attempt: Callable[[Params], tuple[Params, float]],
    *,
    trials: int,
    seed: int,
    deadline: float,
) -> list[Trial]:
    import optuna

    # A trial that its library refuses is recorded by us; optuna would print its whole stack.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="maximize" if task == "binary" else "minimize",
        sampler=optuna.samplers.TPESampler(seed=seed),
    )
    study.enqueue_trial(spaces.FIRST[candidate])
    made: list[Trial] = []

    def objective(trial: Any) -> float:
        started = time.monotonic()
        params, score = attempt(_suggest(trial, spaces.SPACES[candidate]))
        made.append(Trial(params, score, round(time.monotonic() - started, 3)))
        if time.monotonic() >= deadline:
            study.stop()
        return score

    study.optimize(objective, n_trials=trials)
    return made


def _suggest(trial: Any, space: dict[str, Range]) -> Params:
    return {
        name: trial.suggest_int(name, int(item.low), int(item.high), log=item.log)
        if item.whole
        else trial.suggest_float(name, item.low, item.high, log=item.log)
        for name, item in space.items()
    }


def _searched(candidate: Candidate, params: Params) -> Params:
    return params | {"n_estimators": spaces.BOOSTING_ROUNDS} if candidate == "xgboost" else params


def _boost(estimator: Any, x: Any, target: Any, stop: dict[str, Any], task: Task) -> int:
    """Fit with early stopping; the number of trees that was best comes back."""
    metric = {"binary": "logloss", "multiclass": "mlogloss", "regression": "rmse"}[task]
    estimator.set_params(early_stopping_rounds=spaces.EARLY_STOPPING_ROUNDS, eval_metric=metric)
    estimator.fit(x, target, **stop)
    return int(estimator.best_iteration) + 1


def out_of_fold(
    recipe: Recipe,
    task: Task,
    rows: Examples,
    *,
    features: tuple[Feature, ...],
    fold: np.ndarray,
    seed: int,
    spread: Callable[[Callable[[int], metrics.Floats], list[int]], list[metrics.Floats]],
) -> metrics.Floats:
    """Each row's answer by a model that never saw it, [n] or [n, k].

    `fold` gives each row's fold; `spread` maps a function over folds, maybe in threads.
    """

    def one(number: int) -> metrics.Floats:
        fitted = candidates.fit(
            recipe.candidate,
            recipe.params,
            task,
            rows.take(fold != number),
            features=features,
            seed=seed,
        )
        return fitted.answer(rows.take(fold == number).columns)

    numbers = sorted(set(fold.tolist()))
    answers = spread(one, numbers)
    found = np.empty((len(rows), *answers[0].shape[1:]))
    for number, answer in zip(numbers, answers, strict=True):
        found[fold == number] = answer
    return found
