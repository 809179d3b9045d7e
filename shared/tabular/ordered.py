"""How far two samples of numbers are apart without bins: Kolmogorov and Smirnov, Wasserstein. Pure.

Both look at the two distribution functions between neighbouring values: at the widest gap, or at
the area. Of two samples of one distribution the difference is a Brownian bridge, from which come
what chance alone gives each and how sure each is:

    n(D)    sup |bridge|: Kolmogorov's distribution, E D^2 = pi^2 / 12
    n(W)    integral of |bridge| over the values: its mean and variance are known (the absolute
            values of two normal variables with a correlation), its tail is taken for a gamma's

with n = n m / (n + m). Rows that resemble their neighbours count for what they are worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Mean square of the supremum of a Brownian bridge's absolute value (Kolmogorov's distribution).
SQUARE_OF_CHANCE = np.pi**2 / 12
# The variance of the area is reckoned over so many pieces of the values.
PIECES = 128


@dataclass(frozen=True, slots=True)
class Apart:
    """Two distribution functions on the same stretches of values: `before` and `now` of the rows at
    or below each stretch, which is `wide`; `rows` are what both samples are worth."""

    before: Floats
    now: Floats
    wide: Floats
    rows: tuple[float, float]

    @property
    def size(self) -> float:
        n, m = self.rows
        return n * m / (n + m)

    @property
    def widest(self) -> float:
        return float(np.abs(self.before - self.now).max(initial=0.0))

    @property
    def pooled(self) -> Floats:
        n, m = self.rows
        return (n * self.before + m * self.now) / (n + m)


def samples_apart(before: Floats, now: Floats, worth: float) -> Apart:
    """Of values; those of the window are `worth` so many independent ones."""
    first, second = np.sort(before), np.sort(now)
    values = np.unique(np.concatenate([first, second]))
    below = [np.searchsorted(of, values[:-1], side="right") / len(of) for of in (first, second)]
    return Apart(below[0], below[1], np.diff(values), (float(len(before)), worth))


def bins_apart(before: Floats, now: Floats, places: Floats) -> Apart:
    """Of rows per bin, all of a bin's at its place: less than the values themselves would tell."""
    below = [np.cumsum(of)[:-1] / of.sum() for of in (before, now)]
    return Apart(below[0], below[1], np.diff(places), (float(before.sum()), float(now.sum())))


def kolmogorov_smirnov(apart: Apart) -> tuple[float, float]:
    """The widest difference (0 to 1), corrected, and the p-value (asymptotic, as in scipy; of
    columns with few values it errs to the cautious side)."""
    from scipy.stats import kstwo

    widest = apart.widest
    corrected = np.sqrt(max(0.0, widest**2 - SQUARE_OF_CHANCE / apart.size))
    return float(corrected), float(kstwo.sf(widest, max(1, round(apart.size))))


def wasserstein(apart: Apart) -> tuple[float, float]:
    """The area between both, in the column's own unit, corrected, and the p-value."""
    from scipy.special import gammaincc

    area = float((np.abs(apart.before - apart.now) * apart.wide).sum())
    mean, variance = _area_of_chance(apart)
    if not variance > 0:
        return area, 1.0
    corrected = np.sqrt(max(0.0, area**2 - mean**2 - variance))
    return float(corrected), float(gammaincc(mean**2 / variance, area * mean / variance))


def _area_of_chance(apart: Apart) -> tuple[float, float]:
    """Mean and variance of the area where nothing moved. For normal X and Y with a correlation r,
    cov(|X|, |Y|) = 2/pi sd(X) sd(Y) (sqrt(1 - r^2) + r arcsin r - 1)."""
    share = apart.pooled
    inside = (share > 0) & (share < 1)
    share = share[inside]
    if not len(share):
        return 0.0, 0.0
    spread = np.sqrt(share * (1 - share) / apart.size) * apart.wide[inside]
    ends = np.unique(np.linspace(0, len(spread), PIECES + 1).astype(int))[:-1]
    pieces = np.add.reduceat(spread, ends)
    # Each piece stands where its middle is; what is in one piece moves together.
    middles = share[(ends + np.append(ends[1:], len(share)) - 1) // 2]
    odds = np.sqrt(middles / (1 - middles))
    r = np.minimum(odds[:, None], odds) / np.maximum(odds[:, None], odds)
    of_pairs = np.sqrt(np.maximum(0.0, 1 - r**2)) + r * np.arcsin(np.minimum(r, 1.0)) - 1
    covariance = 2 / np.pi * pieces[:, None] * pieces * of_pairs
    return float(np.sqrt(2 / np.pi) * spread.sum()), float(covariance.sum())
