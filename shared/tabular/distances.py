"""How far two samples of one column are apart: counts over bins in, numbers out. Pure.

    corrected_psi, jensen_shannon, cramers_v    effects, over bins
    chi_square_p                                how sure any of these is

`shared.tabular.ordered` has those of numbers without bins. Every effect is less what chance alone
gives it, on the scale of squares, where chance adds to what is there: PSI is about the square of a
move, the other effects are about the move. Over the same bins the squares are nearly one thing:
PSI = 8 JS^2 = 4 V^2 for small moves.

Rows of a window that resemble their neighbours are worth fewer independent ones. What they are
worth is estimated from the window itself (`design_effect`), and counts are weighed accordingly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]
FALSE_DISCOVERY_RATE = 0.01
# Bins expected less often than this in the window are pooled: chi-square's old rule.
MIN_EXPECTED = 5
# Into so many stretches a window is cut to see whether neighbours resemble each other.
STRETCHES = 20


def design_effect(codes: NDArray[np.int64], bins: int) -> float:
    """By how much shares vary more between stretches of neighbouring rows than those of independent
    rows would: so many rows are worth one. `codes` are bins in row order. At least 1.

    First-order correction of chi-square for clusters (Rao and Scott 1981, The analysis of
    categorical data from complex sample surveys), with stretches in place of clusters."""
    length = len(codes) // STRETCHES
    if length < 2 or bins < 2:
        return 1.0
    used = codes[: length * STRETCHES]
    place = np.repeat(np.arange(STRETCHES), length) * bins + used
    counts = np.bincount(place, minlength=STRETCHES * bins).reshape(STRETCHES, bins)
    # Bins that most stretches lack tell noise only.
    kept = counts.sum(axis=0) >= STRETCHES
    if kept.sum() < 2:
        return 1.0
    counts = counts[:, kept]
    shares = counts / length
    spread = shares.var(axis=0, ddof=1) * length / shares.mean(axis=0)
    free = float((1 - shares.mean(axis=0)).sum())
    return max(1.0, float(spread.sum()) / free)


def corrected_psi(before: Counts, now: Counts) -> float:
    """Population stability index of two sets of counts, less what chance alone gives it:
    (bins - 1)(1/n + 1/m) (Yurdakul & Naranjo 2020, Statistical properties of the population
    stability index). Half a row per bin keeps empty bins finite. Not below 0."""
    n, m, bins = before.sum(), now.sum(), len(before)
    p = (before + 0.5) / (n + 0.5 * bins)
    q = (now + 0.5) / (m + 0.5 * bins)
    psi = float(((q - p) * np.log(q / p)).sum())
    return max(0.0, psi - _of_chance(before, now))


def jensen_shannon(before: Counts, now: Counts) -> float:
    """Jensen-Shannon distance, the root of the divergence in nats (0 to 0.83), corrected."""
    p, q = before / before.sum(), now / now.sum()
    middle = (p + q) / 2
    divergence = 0.0
    for share in (p, q):
        seen = share > 0
        divergence += float((share[seen] * np.log(share[seen] / middle[seen])).sum()) / 2
    return _root(divergence - _of_chance(before, now) / 8)


def cramers_v(before: Counts, now: Counts) -> float:
    """Cramér's V (0 to 1) of the table of both samples, corrected, as if both were of one size:
    otherwise it would be smaller the more rows the model learned from."""
    p, q = before / before.sum(), now / now.sum()
    both = p + q
    seen = both > 0
    square = float(((p[seen] - q[seen]) ** 2 / both[seen]).sum()) / 2
    return _root(square - _of_chance(before, now) / 4)


def _of_chance(before: Counts, now: Counts) -> float:
    """What chi-square of two samples of one distribution comes to, by a row."""
    return (len(before) - 1) * float(1 / before.sum() + 1 / now.sum())


def _root(square: float) -> float:
    return float(np.sqrt(max(0.0, square)))


def chi_square_p(before: Counts, now: Counts) -> float:
    """p-value of the two-sample chi-square test that both counts come from one distribution."""
    from scipy.special import gammaincc

    n, m = before.sum(), now.sum()
    both = before + now
    kept = both > 0
    if kept.sum() < 2:
        return 1.0
    before, now, both = before[kept], now[kept], both[kept]
    value = float(((np.sqrt(m / n) * before - np.sqrt(n / m) * now) ** 2 / both).sum())
    return float(gammaincc((len(both) - 1) / 2, value / 2))


def benjamini_hochberg(p_values: Sequence[float], rate: float = FALSE_DISCOVERY_RATE) -> list[bool]:
    """Which hypotheses are rejected at this false discovery rate (Benjamini & Hochberg 1995)."""
    p = np.asarray(p_values, np.float64)
    if not len(p):
        return []
    order = np.argsort(p)
    passed = np.flatnonzero(p[order] <= rate * np.arange(1, len(p) + 1) / len(p))
    rejected = np.zeros(len(p), bool)
    if len(passed):
        rejected[order[: passed[-1] + 1]] = True
    return [bool(item) for item in rejected]


def pool(before: Counts, now: Counts) -> tuple[Counts, Counts]:
    """Bins that are too rare to tell anything become one."""
    n, m = before.sum(), now.sum()
    expected = (before + now) * min(n, m) / (n + m)
    small = expected < MIN_EXPECTED
    if small.sum() < 2:
        return before, now
    return (
        np.append(before[~small], before[small].sum()),
        np.append(now[~small], now[small].sum()),
    )
