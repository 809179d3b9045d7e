"""A seeded search per candidate. Optuna lives here.

Trials are judged fold after fold, and given up as soon as they are behind the median of those that
were finished before them, on the same folds. Which trial comes next depends on earlier trials of
the same candidate alone, so the number of workers and the time that things take change nothing -
until the time limit bites, which is recorded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from shared.serving.features import Feature
from shared.serving.package import Task
from shared.spec.model import Candidate
from shared.tabular import metrics, spaces
from shared.tabular.attempts import Attempt, Encoded
from shared.tabular.inner import Folds
from shared.tabular.metrics import Floats
from shared.tabular.spaces import Params, Range

# Trials that are drawn without looking at earlier ones, after the hand-set one.
BLIND_TRIALS = 3


@dataclass(frozen=True, slots=True)
class Trial:
    """`score` is of the `folds` that were judged: of all, unless it was given up."""

    params: Params
    score: float
    seconds: float
    folds: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """The best parameters found for a candidate. `score` is the primary metric of `answers`, which
    are out of fold; `cut` says that the time limit ended the search early."""

    candidate: Candidate
    params: Params
    score: float
    answers: Floats
    trials: tuple[Trial, ...] = field(default=())
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """How much a search may try. `deadline` is a `time.monotonic()`: the fold that is judged then
    is the last, but a first trial is always finished."""

    trials: int
    deadline: float


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


def search(
    candidate: Candidate,
    task: Task,
    folds: Folds,
    features: tuple[Feature, ...],
    *,
    space: Mapping[str, Range],
    budget: Budget,
    seed: int,
    balanced: bool = False,
) -> Recipe:
    """The best of the budget's recipes, the first of which is the hand-set one.

    Raises ValueError when the library cannot fit these rows.
    """
    # A single trial asks for every fold once: keeping them encoded is memory for nothing.
    data = Encoded(candidate, task, folds, features, keep=budget.trials > 1)
    study = _Study(task, folds.numbers, budget)
    best = study.run(
        lambda params: Attempt(data, params, seed, balanced),
        space,
        spaces.first_of(candidate, space),
        seed,
    )
    return replace(_recipe(best), trials=tuple(study.trials), cut=study.cut)


def judge(
    candidate: Candidate,
    params: Params,
    task: Task,
    folds: Folds,
    features: tuple[Feature, ...],
    *,
    seed: int,
    balanced: bool = False,
) -> Recipe:
    """A recipe on folds that it was not found on; boosting finds its number of trees there.

    Raises ValueError when the library cannot fit these rows.
    """
    data = Encoded(candidate, task, folds, features, keep=False)
    made = Attempt(data, params, seed, balanced)
    for number in folds.numbers:
        made.judge(number)
    return _recipe(made)


def _recipe(made: Attempt) -> Recipe:
    """What was judged on all folds."""
    folds, answers = made.data.folds, made.answers()
    there = folds.judged
    score = metrics.primary(made.data.task, folds.rows.target[there], answers[there])
    return Recipe(made.data.candidate, made.params, score, answers)


class _Study:
    """The trials of one candidate, one after the other."""

    def __init__(self, task: Task, numbers: tuple[int, ...], budget: Budget) -> None:
        self._task, self._numbers, self._budget = task, numbers, budget
        self._best: tuple[float, Attempt] | None = None
        self.trials: list[Trial] = []
        self.cut = False

    def run(
        self,
        attempt: Callable[[Params], Attempt],
        space: Mapping[str, Range],
        first: Params,
        seed: int,
    ) -> Attempt:
        """The best attempt that was judged on all folds."""
        import optuna

        # A trial that its library refuses is recorded by us; optuna would print its whole stack.
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(
            direction="maximize" if self._task == "binary" else "minimize",
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=BLIND_TRIALS),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=1),
        )
        study.enqueue_trial(first)

        def objective(trial: Any) -> float:
            started = time.monotonic()
            made = attempt(_suggest(trial, space))
            score, judged = self._judge(made, trial)
            spent = round(time.monotonic() - started, 3)
            self.trials.append(Trial(made.params, score, spent, judged))
            if time.monotonic() >= self._budget.deadline:
                self.cut = self.cut or len(self.trials) < self._budget.trials
                study.stop()
            if judged < len(self._numbers):
                raise optuna.TrialPruned
            if self._best is None or metrics.gain(self._task, score, self._best[0]) > 0:
                self._best = score, made
            return score

        study.optimize(objective, n_trials=self._budget.trials)
        if self._best is None:
            raise ValueError("no trial could be judged")
        return self._best[1]

    def _judge(self, made: Attempt, trial: Any) -> tuple[float, int]:
        """The score on the folds that were judged, and how many those are."""
        score = float("nan")
        for step, number in enumerate(self._numbers):
            score = made.judge(number)
            trial.report(score, step)
            last = step == len(self._numbers) - 1
            if self._best is None or last:
                continue
            late = time.monotonic() >= self._budget.deadline
            self.cut = self.cut or late
            if late or trial.should_prune():
                return score, step + 1
        return score, len(self._numbers)


def _suggest(trial: Any, space: Mapping[str, Range]) -> Params:
    return {
        name: trial.suggest_int(name, int(item.low), int(item.high), log=item.log)
        if item.whole
        else trial.suggest_float(name, item.low, item.high, log=item.log)
        for name, item in space.items()
    }
