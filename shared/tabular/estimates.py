"""A value with its uncertainty, from what each row adds to it (shared.tabular.influence). Pure.

A metric is the sum of its rows' parts, so its standard error and skewness are sums over *units*,
things that are independent of one another: rows; contiguous blocks of time where rows have an
`order`, since rows near in time are alike; or `groups`.

Bounds are value -+ t * standard error, with Student's quantile for the number of units (few blocks:
Ibragimov and Mueller 2010) and, where the estimate is skewed against the bound, Hall's (1992) cubic
correction of it. Skewness only ever makes a bound more careful.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.tabular.influence import Influence
from shared.tabular.metrics import Floats

Labels = NDArray[Any]  # one per row: a moment, or the name of a group
MIN_BLOCKS, MAX_BLOCKS = 10, 30
_NO_SKEWNESS = 1e-6
_ALL = 1e-9  # of a sample in one unit: nothing is left without it


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its standard error, its skewness and the degrees of freedom of the error; NaN
    and no units where it is not defined. `worst` and `best` say how far the single row (or group)
    that pulls most has moved the value down and up."""

    value: float
    error: float
    skewness: float
    freedom: float
    units: float
    worst: float = 0.0
    best: float = 0.0

    @property
    def defined(self) -> bool:
        return self.freedom > 0 and bool(np.isfinite(self.value) and np.isfinite(self.error))

    def lower(self, alpha: float) -> float:
        """One-sided lower bound; minus infinity where nothing is known."""
        if not self.defined:
            return float("-inf")
        return self.value - self.error * _critical(alpha, self.freedom, self.skewness)

    def upper(self, alpha: float) -> float:
        if not self.defined:
            return float("inf")
        return self.value + self.error * _critical(alpha, self.freedom, -self.skewness)

    def cautious(self) -> Estimate:
        """As if one more row had gone as badly as the worst that was seen: a holdout shows too few
        of the errors that are rare and large, and none of them when luck has it. It costs little
        where no row stands out, and less the more rows there are."""
        error = float(np.hypot(self.error, self.worst))
        return replace(self, value=self.value - self.worst, error=error)

    def minus(self, other: Estimate) -> Estimate:
        """The difference of two independent ones (Welch 1947)."""
        squares = self.error**2, other.error**2
        variance = sum(squares)
        third = self.skewness * self.error**3 - other.skewness * other.error**3
        return _estimate(
            self.value - other.value,
            variance,
            third,
            _freedom(squares, (self.freedom, other.freedom)),
            min(self.units, other.units),
            extremes=(max(self.worst, other.best), max(self.best, other.worst)),
        )


def estimate(
    of_rows: Influence, order: Labels | None = None, groups: Labels | None = None
) -> Estimate:
    """Standard error and skewness of a metric from its rows, blocks of time or groups. With both an
    order and groups the less certain of the two counts."""
    by_rows = _by_rows(of_rows)
    found = []
    if order is not None:
        by_blocks = _by_units(of_rows, blocks(order))
        # Of ten blocks no tail can be told; that of the rows is what their sums inherit.
        tail = {"skewness": by_rows.skewness, "worst": by_rows.worst, "best": by_rows.best}
        found.append(replace(by_blocks, **tail))
    if groups is not None:
        found.append(_by_units(of_rows, np.unique(groups, return_inverse=True)[1]))
    return max(found, key=lambda each: each.error, default=by_rows)


def independent_units(
    samples: Sequence[NDArray[np.bool_]], order: Labels | None, groups: Labels | None
) -> float | None:
    """As how many blocks of time or groups of equal size these rows count: the fewest among the
    `samples` (classes) that must be spread over them. None where each row stands alone."""
    found = []
    if order is not None:
        found.append(blocks(order))
    if groups is not None:
        found.append(np.unique(groups, return_inverse=True)[1])
    if not found:
        return None
    return min(
        effective(np.bincount(unit[mask]) / max(int(mask.sum()), 1))
        for unit in found
        for mask in samples
    )


def blocks(order: NDArray[Any]) -> NDArray[np.intp]:
    """Contiguous blocks in time of equal size: the cube root of the number of rows of them, 10 at
    least and 30 at most. So few because a block must be much longer than anything that lasts; what
    that costs is in Student's quantile for so few."""
    rows = len(order)
    count = min(int(np.clip(round(rows ** (1 / 3)), MIN_BLOCKS, MAX_BLOCKS)), max(rows, 1))
    found = np.empty(rows, np.intp)
    found[np.argsort(order, kind="stable")] = np.arange(rows) * count // max(rows, 1)
    return found


# --- sums over units -----------------------------------------------------------------------------


def _by_rows(of_rows: Influence) -> Estimate:
    """Each row is a unit of its own; samples of several are independent of one another."""
    variances, thirds, freedoms, sizes, extremes = [], [], [], [], []
    for mask in _samples(of_rows):
        shares = of_rows.weights[mask]
        parts = _left_out(of_rows.parts[mask], shares)
        size = effective(shares)
        variances.append(_factor(size) * float((parts**2).sum()))
        # Not **3: the power is ten times slower.
        thirds.append(_factor(size) * float((parts * parts * parts).sum()))
        freedoms.append(size - 1)
        sizes.append(size)
        extremes.append(_extremes(parts))
    variance = sum(variances)
    return _estimate(
        of_rows.value,
        variance,
        sum(thirds),
        _freedom(variances, freedoms),
        min(sizes),
        extremes=(max(worst for worst, _ in extremes), max(best for _, best in extremes)),
    )


def _by_units(of_rows: Influence, unit: NDArray[np.intp]) -> Estimate:
    """Rows of one unit are added up first, those of both samples."""
    count = int(unit.max(initial=0)) + 1
    totals, sizes = np.zeros(count), []
    for mask in _samples(of_rows):
        shares = _added_up(of_rows.weights[mask], unit[mask], count)
        totals += _left_out(_added_up(of_rows.parts[mask], unit[mask], count), shares)
        sizes.append(effective(shares))
    size = min(sizes)
    variance, third = (_factor(count) * float((totals**power).sum()) for power in (2, 3))
    return _estimate(of_rows.value, variance, third, size - 1, size, extremes=_extremes(totals))


def _samples(of_rows: Influence) -> list[NDArray[np.bool_]]:
    if of_rows.second is None:
        return [np.ones(len(of_rows.parts), bool)]
    return [~of_rows.second, of_rows.second]


def _added_up(values: Floats, unit: NDArray[np.intp], count: int) -> Floats:
    return np.bincount(unit, weights=values, minlength=count).astype(np.float64)


def _left_out(parts: Floats, shares: Floats) -> Floats:
    """How far the metric moves when a unit is left out (the jackknife's differences)."""
    rest = 1 - shares
    moved: Floats = np.divide(parts, rest, out=np.full(len(parts), np.nan), where=rest > _ALL)
    return moved


def effective(shares: Floats) -> float:
    """As how many units of equal size they count."""
    squares = float((shares**2).sum())
    return 1 / squares if squares else 0.0


def _factor(size: float) -> float:
    return (size - 1) / size if size > 1 else 0.0


def _freedom(variances: Sequence[float], freedoms: Sequence[float]) -> float:
    """Degrees of freedom of a sum of independent variances (Welch 1947)."""
    total = sum(variances)
    if min(freedoms) <= 0 or not total:
        return min(freedoms)
    # Shares, since the square of a variance of 1e-170 (answers that are all but perfect) is none.
    parts = zip(variances, freedoms, strict=True)
    return 1 / sum((each / total) ** 2 / freedom for each, freedom in parts)


def _extremes(parts: Floats) -> tuple[float, float]:
    """The largest pull down and up."""
    return float(-parts.min(initial=0.0)), float(parts.max(initial=0.0))


def _estimate(
    value: float,
    variance: float,
    third: float,
    freedom: float,
    units: float,
    *,
    extremes: tuple[float, float],
) -> Estimate:
    error = float(np.sqrt(variance))
    # Step by step: the cube of a small error is none.
    skewness = third / error / error / error if error > 0 else 0.0
    return Estimate(value, error, skewness, freedom, units, *extremes)


def student(alpha: float, freedom: float) -> float:
    """Student's upper quantile."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - alpha))


def _critical(alpha: float, freedom: float, skewness: float) -> float:
    """How many standard errors a lower bound is below its value: Student's quantile, or Hall's if
    that is larger, as it is where the estimate has its long tail below (skewness < 0)."""
    usual = student(alpha, freedom)
    if abs(skewness) < _NO_SKEWNESS:
        return usual
    inside = 1 + skewness * (usual - skewness / 6)
    return max(usual, float(3 / skewness * (np.cbrt(inside) - 1)))
