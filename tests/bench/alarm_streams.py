"""Streams of predictions of a model like Adult's: 14 features, a score, labels, day after day.

    normal latents (one common factor) -> 6 numbers and 8 categories, by their quantiles
    a logit of them -> the class, which the model knows up to some blur

Rows come in order of time. What is not drift: `independent` rows; `autocorrelated` ones, where each
row resembles the one before and each day the day before, `strongly` so that 1,000 rows are worth
110 to 200 independent ones; `weekly` ones, where weekends are another
mix of people and fewer of them. What is drift, or broken: SHIFTS. Seeds are fixed by who calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtri

from shared.serving.columns import Columns
from shared.serving.features import Feature

Floats = NDArray[np.float64]
Kind = Literal["independent", "autocorrelated", "strongly autocorrelated", "weekly"]
Shift = Literal["one feature", "prior", "missing burst", "new category", "one slice"]
STREAMS: tuple[Kind, ...] = (
    "independent",
    "autocorrelated",
    "weekly",
    "strongly autocorrelated",
)
SHIFTS: tuple[Shift, ...] = (
    "one feature",
    "prior",
    "missing burst",
    "new category",
    "one slice",  # only where slices are watched
)

NUMBERS = ("age", "weight", "school_years", "gain", "loss", "hours")
LEVELS = {"work": 8, "school": 16, "married": 7, "job": 14, "family": 6, "origin": 5, "sex": 2}
LEVELS["country"] = 42
NAMES = (*NUMBERS, *LEVELS)
FEATURES = [Feature(name, "number" if name in NUMBERS else "category") for name in NAMES]
TOGETHER = 0.4  # how much of every latent is the common factor
LIKE_THE_ROW_BEFORE = {"autocorrelated": 0.5, "strongly autocorrelated": 0.8}
LIKE_THE_DAY_BEFORE, DAYS_DIFFER = 0.9, 0.05
WEEKEND_ROWS, WEEKEND_MOVES, WEEKEND_COLUMNS = 0.4, 0.5, ("age", "hours", "work", "job", "family")
USUALLY_MISSING = {"work": 0.06, "job": 0.06, "country": 0.02}
ODDS = 2.3  # of the base rate, times so many: 24 % becomes 42 %


@dataclass(frozen=True, slots=True, eq=False)
class Day:
    """The rows of one day with their scores and true classes."""

    columns: Columns
    scores: Floats
    truths: NDArray[Any]


class Stream:
    """Days of one kind, one after another; `shift` begins with the day `starts`."""

    def __init__(
        self, kind: Kind, random: np.random.Generator, *, rows: int = 1_000, moved: str = "age"
    ) -> None:
        self.kind, self.random, self.rows = kind, random, rows
        self.moved = moved
        self._effect = random.normal(size=len(NAMES)) * DAYS_DIFFER
        self._last = random.normal(size=len(NAMES) + 1)

    def day(self, number: int, shift: Shift | None = None) -> Day:
        """The rows of day `number` (0 is a Monday)."""
        weekend = self.kind == "weekly" and number % 7 >= 5
        rows = int(self.rows * WEEKEND_ROWS) if weekend else self.rows
        latent = self._latent(rows)
        if weekend:
            latent[:, [NAMES.index(name) for name in WEEKEND_COLUMNS]] += WEEKEND_MOVES
        day = answered(latent, self.random, ODDS if shift == "prior" else 1.0)
        if shift not in (None, "prior"):
            spoil(day, latent, shift, self.moved, self.random)
        return day

    def _latent(self, rows: int) -> Floats:
        noise = self.random.normal(size=(rows, len(NAMES) + 1))
        if self.kind in LIKE_THE_ROW_BEFORE:
            like = LIKE_THE_ROW_BEFORE[self.kind]
            noise, _ = lfilter(
                [np.sqrt(1 - like**2)], [1, -like], noise, axis=0, zi=like * self._last[None]
            )
            self._last = noise[-1]
        latent: Floats = np.sqrt(1 - TOGETHER**2) * noise[:, :-1] + TOGETHER * noise[:, -1:]
        if self.kind in LIKE_THE_ROW_BEFORE:
            like, fresh = LIKE_THE_DAY_BEFORE, self.random.normal(size=len(NAMES)) * DAYS_DIFFER
            self._effect = like * self._effect + np.sqrt(1 - like**2) * fresh
            latent += self._effect
        return latent


def answered(latent: Floats, random: np.random.Generator, odds: float = 1.0) -> Day:
    """Rows with classes, and what the model says. With other odds of the base rate the rows are
    others: those of the class that grew come more often."""
    weights = np.linspace(1.0, 0.2, len(NAMES)) / 2
    logit = -1.9 + latent @ weights
    truths = random.random(len(latent)) < 1 / (1 + np.exp(-logit))
    if odds != 1:
        share = np.where(truths, odds, 1.0)
        picked = random.choice(len(latent), len(latent), p=share / share.sum())
        latent, logit, truths = latent[picked], logit[picked], truths[picked]
    columns: Columns = {name: columned(name, latent[:, place]) for place, name in enumerate(NAMES)}
    for name, often in USUALLY_MISSING.items():
        columns[name][random.random(len(latent)) < often] = ""
    scores = 1 / (1 + np.exp(-(logit + random.normal(size=len(latent)) * 0.4)))
    return Day(columns, scores, np.where(truths, "yes", "no").astype(object))


def columned(name: str, latent: Floats) -> NDArray[Any]:
    """Latents as cells of a column."""
    if name in LEVELS:
        ends, levels = _levels(name)
        return levels[np.searchsorted(ends, latent)]
    if name == "age":
        return np.clip(np.round(39 + 13 * latent), 17, 90)
    if name == "weight":
        return np.exp(12 + 0.5 * latent)
    if name == "school_years":
        return np.clip(np.round(10 + 2.6 * latent), 1, 16)
    if name == "hours":
        return np.where(np.abs(latent) < 0.6, 40.0, np.clip(np.round(40 + 13 * latent), 1, 99))
    rare = 1.4 if name == "gain" else 1.67
    return np.where(latent > rare, np.round(np.exp(7 + (latent - rare))), 0.0)


def spoil(
    day: Day, latent: Floats, shift: Shift | None, name: str, random: np.random.Generator
) -> None:
    """What went wrong, in place."""
    rows = len(day.scores)
    if shift == "one feature":
        place = NAMES.index(name)
        day.columns[name] = columned(name, latent[:, place] + move_of(name, 0.2))
    elif shift == "one slice":
        of_it = day.columns["family"] == "family-1"  # a fifth of the rows
        day.truths[of_it] = random.permutation(day.truths[of_it])
    elif shift == "missing burst":
        start = int(random.integers(rows - rows // 10))
        day.columns["hours"][start : start + rows // 10] = np.nan
    else:
        day.columns["school"][random.random(rows) < 0.03] = "Night school"


@cache
def move_of(name: str, psi: float) -> float:
    """By how much latents move for this PSI of a column over the bins of a reference: bisection."""
    from shared.tabular.column_drift import compare
    from shared.tabular.measures import Measures
    from shared.tabular.profile import profile

    latent = ndtri((np.arange(200_000) + 0.5) / 200_000)
    before = profile(columned(name, latent), "number" if name in NUMBERS else "category")
    low, high = 0.0, 4.0
    while high - low > 0.001:
        middle = (low + high) / 2
        after = compare(
            name, before, columned(name, latent + middle), measures=Measures(psi), min_rows=200
        )
        low, high = (middle, high) if (after.value or 0.0) < psi else (low, middle)
    return high


@cache
def _levels(name: str) -> tuple[Floats, NDArray[Any]]:
    count = LEVELS[name]
    weights = np.full(count, 1.0) if count == 2 else 1 / np.arange(1, count + 1) ** 1.2
    if name == "country":
        weights[0] = 9 * weights[1:].sum()
    # In an order of the latents that mixes frequent and rare ones.
    order = np.random.default_rng(len(name)).permutation(count)
    ends = ndtri(np.cumsum(weights[order] / weights.sum())[:-1])
    return ends, np.array([f"{name}-{level}" for level in order], object)
