"""How sure a difference is: paired bootstrap over holdout rows (Efron 1979). Pure, seeded.

Both models are judged on the same resampled rows, so that what is hard for both cancels out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from shared.tabular.metrics import Floats, Ranking, gain, primary, row_losses

ROUNDS = 1000
CONFIDENCE = 0.95
MAX_CELLS = 200_000  # of a block of resamples: what a processor cache likes


@dataclass(frozen=True, slots=True)
class Gain:
    """`value` above 0: the first is better. `lower` is the one-sided 95 % lower bound."""

    value: float
    lower: float


def paired_gain(
    task: str, target: Floats, first: Floats, second: Floats, *, seed: int, rounds: int = ROUNDS
) -> Gain:
    """How much better `first` answers than `second`, in the task's primary metric.

    Args:
        first, second: Answers [n] or [n, k] as `metrics.primary` takes them.
    """
    score_first, score_second = _scorer(task, target, first), _scorer(task, target, second)
    random = np.random.default_rng(seed)
    sign = gain(task, 1.0, 0.0)
    gains = np.concatenate(
        [
            sign * (score_first(weights) - score_second(weights))
            for weights in _resamples(random, len(target), rounds)
        ]
    )
    known = gains[~np.isnan(gains)]
    lower = float(np.quantile(known, 1 - CONFIDENCE)) if len(known) else float("-inf")
    point = gain(task, primary(task, target, first), primary(task, target, second))
    return Gain(point, lower)


def _resamples(random: np.random.Generator, rows: int, rounds: int) -> Iterator[Floats]:
    """How often each row is drawn, [k, rows] at a time, `rounds` in all."""
    at_once = max(1, min(rounds, MAX_CELLS // rows))
    for start in range(0, rounds, at_once):
        count = min(at_once, rounds - start)
        drawn = random.integers(0, rows, (count, rows)) + rows * np.arange(count)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=count * rows)
        yield counts.reshape(count, rows).astype(np.float64)


def _scorer(task: str, target: Floats, answers: Floats) -> Callable[[Floats], Floats]:
    """The primary metric under each row of weights [k, rows]."""
    if task == "binary":
        return Ranking(target, answers).aurocs
    losses = row_losses(task, target, answers)

    def mean(weights: Floats) -> Floats:
        found: Floats = weights @ losses / weights.sum(axis=1)
        return np.sqrt(found) if task == "regression" else found

    return mean
