"""One column of a window against its reference: how far it moved, and how sure that is. Pure.

Statistics over bins (PSI, Jensen-Shannon, Cramér's V) see all training rows, in the bins of the
reference profile. Those of values (Kolmogorov-Smirnov, Wasserstein) see the training rows that the
reference keeps a sample of, at most 2,000; where too few of these have a value, PSI stands in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.statistic_names import WRITTEN, Statistic
from shared.tabular import ordered
from shared.tabular.distances import (
    Counts,
    chi_square_p,
    corrected_psi,
    cramers_v,
    design_effect,
    jensen_shannon,
    pool,
)
from shared.tabular.measures import Measures

Role = Literal["feature", "answer", "target"]
# Files may be sorted by a column; no more rows than this count as one, however alike they are.
MOST_ROWS_FOR_ONE = 10.0
# Of a column with too many levels to keep, only those seen this often in the reference stand for
# themselves: the most frequent of many rare levels were merely lucky there.
MIN_SEEN = 30
OVER_BINS = {"psi": corrected_psi, "js": jensen_shannon, "chi_square": cramers_v}


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One column against its reference. `value` is the effect by its `statistic`, less what chance
    alone gives it, None when there are too few values to tell; `p_value` says how sure it is that
    anything moved; `ks` compares numbers with the reference's sample, for information. `counts`
    are the window's rows per bin of the reference; `worth` of `rows` they are worth when neighbours
    resemble each other; `season` is the value against earlier weeks where that was looked at.
    `sure` is a p-value that survived the control over all columns; `lasting` the mean value over
    the windows of `persistence`, this one the last, where the move was seen in each of them."""

    column: str
    kind: str
    value: float | None
    threshold: float
    p_value: float | None
    rows: int
    drifted: bool
    change: str
    ks: float | None = None
    ks_p_value: float | None = None
    counts: tuple[int, ...] = ()
    worth: float | None = None
    season: float | None = None
    role: Role = "feature"
    statistic: Statistic = "psi"
    sure: bool = False
    lasting: float | None = None

    @property
    def lasts(self) -> bool:
        """Far from the reference over several windows, whatever this one shows."""
        return self.lasting is not None and self.lasting >= self.threshold

    @property
    def effect(self) -> float:
        """What meets the threshold: of this window, or of several where this one falls short."""
        value = self.value or 0.0
        return value if value >= self.threshold or not self.lasts else self.lasting or 0.0

    @property
    def moved(self) -> bool:
        """Far from the reference, whatever else."""
        return self.value is not None and self.value >= self.threshold

    @property
    def far(self) -> float:
        """In thresholds, as a PSI would be: of any two columns it says which went farther."""
        ratio = self.effect / self.threshold
        return ratio if self.statistic == "psi" else ratio**2

    @property
    def measured(self) -> str:
        """Statistic and value as people write them."""
        over = "" if self.effect == (self.value or 0.0) else " on average of several windows"
        return f"{WRITTEN[self.statistic]} {self.effect:.3g}{over}"


def compare(
    name: str,
    profile: Mapping[str, Any],
    values: NDArray[Any],
    *,
    measures: Measures,
    min_rows: int,
    sample: Sequence[Any] | None = None,
    role: Role = "feature",
    part: float = 1.0,
) -> ColumnDrift:
    """`drifted` here says only that the effect is large enough: a `part` of the threshold. Missing
    values do not take part: they are the business of data quality."""
    kind = profile["kind"]
    present = values[~np.isnan(values)] if kind == "number" else values[values != ""]
    kept = _present(sample) if kind == "number" and sample else np.empty(0)
    statistic = measures.of(kind, name if role == "feature" else None)
    if statistic not in OVER_BINS and (len(kept) < min_rows or not _spread(profile)):
        statistic = "psi"
    threshold = measures.threshold(statistic, part)
    same: dict[str, Any] = {"column": name, "kind": kind, "threshold": threshold, "role": role}
    same |= {"rows": len(present), "statistic": statistic}
    if len(present) < min_rows or profile["present"] < min_rows:
        return ColumnDrift(**same, value=None, p_value=None, drifted=False, change="")
    before, codes, names = _binned(profile, present)
    counts = np.bincount(codes, minlength=len(before))
    worth = len(present) / min(design_effect(codes, len(before)), MOST_ROWS_FOR_ONE)
    apart = ordered.samples_apart(kept, present, worth) if len(kept) else None
    if apart is None or statistic in OVER_BINS:
        pooled = pool(before, counts.astype(np.float64) * (worth / len(present)))
        value, p_value = OVER_BINS[statistic](*pooled), chi_square_p(*pooled)
    else:
        value, p_value = _of_values(statistic, apart, profile)
    return ColumnDrift(
        **same,
        value=value,
        p_value=p_value,
        drifted=value >= threshold,
        change=_change(profile, present, counts, names),
        ks=apart.widest if apart else None,
        ks_p_value=ordered.kolmogorov_smirnov(apart)[1] if apart else None,
        counts=tuple(counts.tolist()),
        worth=round(worth, 1),
    )


def over_bins(
    statistic: Statistic, profile: Mapping[str, Any], before: Counts, now: Counts
) -> float:
    """The same effect of rows per bin, where no values are kept (earlier windows). Of values it is
    less than it would be with them: what moves within a bin is not seen."""
    if statistic in OVER_BINS:
        return OVER_BINS[statistic](*pool(before, now))
    return _of_values(statistic, ordered.bins_apart(before, now, _places(profile)), profile)[0]


def _places(profile: Mapping[str, Any]) -> NDArray[np.float64]:
    """Where the values of each bin are: in its middle; those of an outer one, which has a tail, at
    most as far out as the next bin is wide."""
    ends = np.array([profile["min"], *profile["edges"], profile["max"]], np.float64)
    wide = np.diff(ends)
    if len(wide) > 2:
        wide[0], wide[-1] = min(wide[0], 2 * wide[1]), min(wide[-1], 2 * wide[-2])
    middles: NDArray[np.float64] = (ends[:-1] + ends[1:]) / 2
    middles[0], middles[-1] = ends[1] - wide[0] / 2, ends[-2] + wide[-1] / 2
    return middles


def _of_values(
    statistic: Statistic, apart: ordered.Apart, profile: Mapping[str, Any]
) -> tuple[float, float]:
    if statistic == "ks":
        return ordered.kolmogorov_smirnov(apart)
    area, p_value = ordered.wasserstein(apart)
    return area / _spread(profile), p_value


def _spread(profile: Mapping[str, Any]) -> float:
    """The standard deviation of the training rows; 0 where it is none, or no number."""
    return float(profile.get("std") or 0.0)


def _present(sample: Sequence[Any]) -> NDArray[np.float64]:
    return np.array([value for value in sample if value is not None], np.float64)


def _binned(
    profile: Mapping[str, Any], present: NDArray[Any]
) -> tuple[Counts, NDArray[np.int64], list[str] | None]:
    """The reference's counts, the bin of each row, and the names of bins that have one."""
    if profile["kind"] != "number":
        return _levels(profile, present)
    before = np.array(profile["shares"]) * profile["present"]
    return before, np.searchsorted(np.array(profile["edges"]), present, side="left"), None


def _levels(
    profile: Mapping[str, Any], present: NDArray[Any]
) -> tuple[Counts, NDArray[np.int64], list[str]]:
    """The reference's counts per level, with one last place for everything else; the level of each
    row; and the levels."""
    least = MIN_SEEN / profile["present"] if profile["rest"] else 0.0
    levels = [level for level, share in profile["levels"].items() if share >= least]
    places = {level: place for place, level in enumerate(levels)}
    codes = np.array([places.get(value, len(levels)) for value in present.tolist()], np.int64)
    shares = np.array([*(profile["levels"][level] for level in levels), 0.0])
    shares[-1] = max(0.0, 1 - shares.sum())
    return shares * profile["present"], codes, levels


def _change(
    profile: Mapping[str, Any],
    present: NDArray[Any],
    counts: NDArray[np.int64],
    levels: list[str] | None,
) -> str:
    """The change as people say it: the mean, or the level that moved most."""
    if levels is None:
        return f"mean {profile['mean']:.4g} -> {present.mean():.4g}"
    before = np.array([*(profile["levels"][level] for level in levels), 0.0])
    before[-1] = max(0.0, 1 - before.sum())
    now = counts / len(present)
    at = int(np.abs(now - before).argmax())
    name = repr([*levels, "other values"][at])
    return f"share of {name} {before[at]:.1%} -> {now[at]:.1%}"
