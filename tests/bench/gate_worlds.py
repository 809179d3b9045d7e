"""Worlds for the simulation of the gate: holdouts, a champion, and challengers that are no better.

A world draws a holdout with the champion's answers, and then as many challengers for it as asked.
The truth is known by construction: the expected metric of both is equal (or the challenger's is
worse, where that is said, or better by `strength`). Everything is drawn from the given generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.signal import lfilter
from scipy.special import expit, logit, ndtr

from shared.tabular.comparison import ALONE, Alike
from shared.tabular.metrics import Floats

SIGNAL = 1.5  # how far the classes are apart in the champion's score: AUROC 0.856
SHARED = 0.9  # of the variance of the noise in scores is the same for both models
OWN = 0.5  # standard deviation of a regression model's own errors; the noise of the target has 1
RARE, HUGE, LARGE = 0.01, 8.0, 4.0  # share of rows with such errors, and their sizes

LASTING, GROUP = 0.9, 10

Random = np.random.Generator
Draw = Callable[[Random], Floats]
Task = Literal["binary", "multiclass", "regression"]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A holdout; `challenger` answers for its rows, another model with each call."""

    target: Floats
    champion: Floats
    challenger: Draw
    alike: Alike = ALONE


@dataclass(frozen=True, slots=True)
class Kind:
    """What is drawn. `shape`: how the challenger differs from the champion."""

    metric: Literal["auroc", "log_loss", "rmse"]
    shape: str
    rate: float = 0.0

    @property
    def task(self) -> Task:
        tasks: dict[str, Task] = {"auroc": "binary", "log_loss": "multiclass"}
        return tasks.get(self.metric, "regression")


SHAPES = {
    "alike": "another model of the same quality",
    "heavy": "Student noise (3 degrees of freedom) in its scores, equal AUROC",
    "bold": "twice as confident as it should be, equal log loss",
    "t3 noise": "the target has Student noise (3 degrees of freedom)",
    "t3 errors": "its own errors are Student (3 degrees of freedom), as the champion's",
    "rare": "as the champion, but 1 % of its errors are 8 standard deviations",
    "rare, paid for": "1 % of its errors are 4 standard deviations, all others smaller: equal RMSE",
    "lasting": "errors last (autocorrelation 0.9), judged by blocks of time",
    "grouped": "errors are common to groups of ten, judged by groups",
}


def draw(kind: Kind, rows: int, random: Random, strength: float = 0.0) -> Drawn:
    """A holdout and its champion. `strength` is how much more a challenger knows (0: no more)."""
    if kind.metric == "rmse":
        return _regression(kind.shape, rows, random, strength)
    return _classification(kind, rows, random, strength)


def true_gain(kind: Kind, strength: float) -> float:
    """The expected gain of a challenger of this strength (shape `alike`)."""
    if kind.metric == "auroc":
        return float(ndtr((SIGNAL + strength) / np.sqrt(2)) - ndtr(SIGNAL / np.sqrt(2)))
    if kind.metric == "log_loss":
        losses = [_log_loss(signal, kind.rate, 1.0) for signal in (SIGNAL, SIGNAL + strength)]
        return losses[0] - losses[1]
    variance = 3.0 if kind.shape == "t3 noise" else 1.0
    own = (OWN * (1 - strength)) ** 2
    return float(np.sqrt(variance + OWN**2) - np.sqrt(variance + own))


# --- two classes ---------------------------------------------------------------------------------


def _classification(kind: Kind, rows: int, random: Random, strength: float) -> Drawn:
    target = (random.random(rows) < kind.rate).astype(np.float64)
    common = np.sqrt(SHARED) * random.normal(size=rows)

    def score(signal: float, noise: Floats) -> Floats:
        found: Floats = signal * target + common + np.sqrt(1 - SHARED) * noise
        return found

    def answers(scores: Floats, signal: float, boldness: float = 1.0) -> Floats:
        if kind.metric == "auroc":
            return scores
        chance = expit(boldness * _odds(scores, signal, kind.rate))
        return np.column_stack([1 - chance, chance])

    def challenger(random: Random) -> Floats:
        if kind.shape == "heavy":
            return score(_heavy_signal(), random.standard_t(3, rows))
        noise = random.normal(size=rows)
        if kind.shape == "bold":
            signal = _bold_signal(kind.rate)
            return answers(score(signal, noise), signal, 2.0)
        signal = SIGNAL + strength
        return answers(score(signal, noise), signal)

    champion = answers(score(SIGNAL, random.normal(size=rows)), SIGNAL)
    return Drawn(target, champion, challenger)


def _odds(scores: Floats, signal: float, rate: float) -> Floats:
    """Log odds of a positive, given the score."""
    found: Floats = signal * scores - signal**2 / 2 + logit(rate)
    return found


def _log_loss(signal: float, rate: float, boldness: float) -> float:
    """Expected log loss of odds that are multiplied by `boldness`."""
    grid = np.linspace(-8, 8, 4001)
    density = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi) * (grid[1] - grid[0])
    positive = np.logaddexp(0, -boldness * _odds(grid + signal, signal, rate))
    negative = np.logaddexp(0, boldness * _odds(grid, signal, rate))
    return float((density * (rate * positive + (1 - rate) * negative)).sum())


@cache
def _bold_signal(rate: float) -> float:
    """How much more a model must know that is twice as confident as it should be."""
    wanted = _log_loss(SIGNAL, rate, 1.0)
    return float(brentq(lambda signal: _log_loss(signal, rate, 2.0) - wanted, SIGNAL, 8.0))


@cache
def _heavy_signal() -> float:
    """How far Student noise must have the classes apart for the champion's AUROC."""
    random = np.random.default_rng(0)
    size = 4_000_000
    common = np.sqrt(2 * SHARED) * random.normal(size=size)
    own = random.standard_t(3, size) - random.standard_t(3, size)
    spread = np.abs(common + np.sqrt(1 - SHARED) * own)
    return float(np.quantile(spread, 2 * ndtr(SIGNAL / np.sqrt(2)) - 1))


# --- numbers -------------------------------------------------------------------------------------


def _regression(shape: str, rows: int, random: Random, strength: float) -> Drawn:
    noise = random.standard_t(3, rows) if shape == "t3 noise" else random.normal(size=rows)

    def own(random: Random, deviation: float = OWN) -> Floats:
        if shape == "t3 errors":
            return np.asarray(deviation * random.standard_t(3, rows) / np.sqrt(3))
        drawn = random.normal(size=rows)
        if shape == "lasting":
            drawn = np.asarray(lfilter([np.sqrt(1 - LASTING**2)], [1, -LASTING], drawn))
        if shape == "grouped":
            drawn = np.repeat(drawn[: -(-rows // GROUP)], GROUP)[:rows]
        errors: Floats = deviation * drawn
        return errors

    def challenger(random: Random) -> Floats:
        if not shape.startswith("rare"):
            return own(random, OWN * (1 - strength))
        paid_for = shape == "rare, paid for"
        size = LARGE if paid_for else HUGE
        usual = np.sqrt((OWN**2 - RARE * size**2) / (1 - RARE)) if paid_for else OWN
        signs = np.where(random.random(rows) < 0.5, -size, size)
        return np.where(random.random(rows) < RARE, signs, own(random, float(usual)))

    if shape == "lasting":
        return Drawn(noise, own(random), challenger, Alike(order=np.arange(rows)))
    groups = np.arange(rows) // GROUP if shape == "grouped" else None
    return Drawn(noise, own(random), challenger, Alike(groups=groups))
