"""Drift: did the inputs or the predictions of a window move away from the version's reference?

A column drifted when its bias-corrected PSI reaches the threshold (minimum effect) *and* its
p-value survives Benjamini-Hochberg over all columns (false discoveries). The window drifted when
enough columns did, when the predictions did, or when one column went far. What is derived of other
columns counts among them only where it drifted and none of these did: ten copies of one column are
one witness. A column that is as it was at this time of earlier weeks is in its season and does not
count (`shared.tabular.season`). Persistence over windows is the business of
`shared.tabular.alarms`.

Pure; numpy, and scipy where p-values are made. Bins are those of the reference profile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.serving.columns import Columns
from shared.tabular.distances import (
    Counts,
    benjamini_hochberg,
    chi_square_p,
    corrected_psi,
    design_effect,
    kolmogorov_smirnov,
    pool,
)
from shared.tabular.season import Season

Verdict = Literal["stable", "drifted", "insufficient_data"]
Role = Literal["feature", "answer", "target"]
# One column alone makes a window drift from this multiple of the threshold on (PSI 0.125 at the
# default 0.1): a lone jump matters, a lone wobble does not.
FAR = 1.25
# Files may be sorted by a column; no more rows than this count as one, however alike they are.
MOST_ROWS_FOR_ONE = 10.0
# Of a column with too many levels to keep, only those seen this often in the reference stand for
# themselves: the most frequent of many rare levels were merely lucky there.
MIN_SEEN = 30
TARGET = "target"
# A share that goes from 24 % to 34 % is a PSI of 0.05 and another world: the target is one column,
# often of two values, and its threshold this part of the others'.
OF_THE_TARGET = 0.5


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One column against its reference. `value` is the bias-corrected PSI, None when there are too
    few values to tell; `ks` compares numbers with the reference's sample, for information. `counts`
    are the window's rows per bin of the reference; `worth` of `rows` they are worth when neighbours
    resemble each other; `season` is the value against earlier weeks where that was looked at."""

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

    @property
    def moved(self) -> bool:
        """Far from the reference, whatever else."""
        return self.value is not None and self.value >= self.threshold


@dataclass(frozen=True, slots=True)
class Drift:
    """`columns` are the features, `predictions` the score (and the label of a multiclass model);
    both with the largest value first. `causes` are the columns that the verdict rests on;
    `target` is there once enough labels are."""

    verdict: Verdict
    rows: int
    share: float
    columns: tuple[ColumnDrift, ...]
    predictions: tuple[ColumnDrift, ...]
    sentence: str
    causes: tuple[str, ...] = ()
    target: ColumnDrift | None = None

    @property
    def judged(self) -> tuple[ColumnDrift, ...]:
        """All that were compared, what matters most to people first."""
        target = () if self.target is None else (self.target,)
        return (*self.predictions, *target, *self.columns)

    @property
    def in_season(self) -> bool:
        """Stable only because it was so at this time of earlier weeks: no proof that a drift which
        was there before is over."""
        quieted = any(item.season is not None and not item.drifted for item in self.judged)
        return self.verdict == "stable" and quieted


def judge_drift(
    reference: Mapping[str, Any],
    columns: Columns,
    scores: NDArray[np.float64],
    labels: NDArray[Any] | None,
    *,
    threshold: float,
    drift_share: float,
    min_rows: int,
    season: Season | None = None,
    truths: NDArray[Any] | None = None,
) -> Drift:
    """Hold a window's rows, in order of time, against a version's reference
    (`profile.build_reference`). `scores` and `labels` may lack the rows that were refused."""
    rows = len(next(iter(columns.values()))) if columns else 0
    if rows < min_rows:
        sentence = f"{rows} rows, {min_rows} needed to tell drift"
        return Drift("insufficient_data", rows, 0.0, (), (), sentence)
    sample, expected = reference["sample"], reference["prediction"]
    same = partial(compare, threshold=threshold, min_rows=min_rows)
    compared = [
        same(name, profile, columns[name], sample=sample["columns"].get(name))
        for name, profile in reference["columns"].items()
        if name in columns
    ]
    score = same("score", expected["score"], scores, sample=sample["score"], role="answer")
    answers = [score]
    if reference["task"] == "multiclass" and expected["label"] and labels is not None:
        answers.append(same("label", expected["label"], labels, role="answer"))
    known = (
        []
        if truths is None
        else [
            compare(
                TARGET,
                reference["target"],
                truths,
                threshold=threshold * OF_THE_TARGET,
                min_rows=min_rows,
                role="target",
            )
        ]
    )
    judged = [_in_season(item, season) for item in _control([*compared, *answers, *known])]
    first, second = len(compared), len(compared) + len(answers)
    found = _verdict(
        rows,
        judged[:first],
        judged[first:second],
        threshold,
        drift_share=drift_share,
        made_of=reference.get("made_of", {}),
    )
    found = _with_target(found, judged[second]) if known else found
    if found.in_season:
        names = [item.column for item in found.judged if item.season is not None]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        as_before = f"{', '.join(names[:3])}{more} as at this time of earlier weeks"
        found = replace(found, sentence=f"{found.sentence}; {as_before}")
    return found


def compare(
    name: str,
    profile: Mapping[str, Any],
    values: NDArray[Any],
    *,
    threshold: float,
    min_rows: int,
    sample: Sequence[Any] | None = None,
    role: Role = "feature",
) -> ColumnDrift:
    """One column; `drifted` here says only that the effect is large enough. Missing values do not
    take part: they are the business of data quality."""
    kind = profile["kind"]
    present = values[~np.isnan(values)] if kind == "number" else values[values != ""]
    if len(present) < min_rows or profile["present"] < min_rows:
        rows = len(present)
        return ColumnDrift(
            name, kind, None, threshold, None, rows, drifted=False, change="", role=role
        )
    if kind == "number":
        before = np.array(profile["shares"]) * profile["present"]
        codes = np.searchsorted(np.array(profile["edges"]), present, side="left")
        names = None
    else:
        before, codes, names = _levels(profile, present)
    counts = np.bincount(codes, minlength=len(before))
    worth = len(present) / min(design_effect(codes, len(before)), MOST_ROWS_FOR_ONE)
    pooled = pool(before, counts.astype(np.float64) * (worth / len(present)))
    value = corrected_psi(*pooled)
    ks, ks_p = kolmogorov_smirnov(sample, present) if kind == "number" and sample else (None, None)
    return ColumnDrift(
        column=name,
        kind=kind,
        value=value,
        threshold=threshold,
        p_value=chi_square_p(*pooled),
        rows=len(present),
        drifted=value >= threshold,
        change=_change(profile, present, counts, names),
        ks=ks,
        ks_p_value=ks_p,
        counts=tuple(counts.tolist()),
        worth=round(worth, 1),
        role=role,
    )


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


# --- verdicts ------------------------------------------------------------------------------------


def _control(compared: list[ColumnDrift]) -> list[ColumnDrift]:
    """Keep `drifted` only where the p-value survives the control over all columns."""
    tested = [item for item in compared if item.p_value is not None]
    kept = benjamini_hochberg([item.p_value or 0.0 for item in tested])
    real = {id(item) for item, survives in zip(tested, kept, strict=True) if survives}
    return [replace(item, drifted=item.drifted and id(item) in real) for item in compared]


def _in_season(item: ColumnDrift, season: Season | None) -> ColumnDrift:
    """Not drifted where the column is as it was at this time of earlier weeks."""
    before = None
    if season and item.drifted:
        before = season.counts_of((item.role, item.column), len(item.counts))
    if before is None or item.worth is None:
        return item
    now = np.array(item.counts, np.float64)
    value = corrected_psi(*pool(before, now * (item.worth / now.sum())))
    return replace(item, season=value, drifted=value >= item.threshold)


def _verdict(
    rows: int,
    features: list[ColumnDrift],
    predictions: list[ColumnDrift],
    threshold: float,
    *,
    drift_share: float,
    made_of: Mapping[str, Sequence[str]],
) -> Drift:
    features = sorted(features, key=lambda item: -(item.value or 0.0))
    judged = [item for item in features if item.value is not None]
    drifted = [item for item in judged if item.drifted]
    far = [item for item in drifted if (item.value or 0.0) >= FAR * threshold]
    answers = [item for item in predictions if item.drifted]
    names = {item.column for item in drifted}
    counted = [
        item
        for item in judged
        if item.column not in made_of or (item.drifted and names.isdisjoint(made_of[item.column]))
    ]
    moved = sum(item.drifted for item in counted)
    share = moved / len(counted) if counted else 0.0
    reasons, causes = [], [item.column for item in answers]
    if moved and share >= drift_share:
        causes += [item.column for item in drifted]
        reasons.append(f"{moved} of {len(counted)} columns drifted ({share:.0%})")
    elif far:
        causes += [item.column for item in far]
        reasons.append(f"{far[0].column} went far (PSI {far[0].value:.3g})")
    if answers:
        reasons.append(
            f"the predictions drifted (PSI {answers[0].value:.3g} of {answers[0].column})"
        )
    if reasons:
        why = " and ".join(reasons)
        return Drift(
            "drifted", rows, share, tuple(features), tuple(predictions), why, tuple(causes)
        )
    if not any(item.value is not None for item in [*features, *predictions]):
        sentence = f"no column has enough values in {rows} rows to tell drift"
        return Drift("insufficient_data", rows, 0.0, tuple(features), tuple(predictions), sentence)
    sentence = f"{moved} of {len(counted)} columns drifted ({drift_share:.0%} needed)"
    return Drift("stable", rows, share, tuple(features), tuple(predictions), sentence)


def _with_target(found: Drift, target: ColumnDrift) -> Drift:
    """A target that moved is drift, whatever the features do."""
    if not target.drifted:
        return replace(found, target=target)
    why = f"the target drifted ({target.change}, PSI {target.value:.3g})"
    if found.verdict == "drifted":
        why = f"{found.sentence} and {why}"
    return replace(
        found, verdict="drifted", sentence=why, causes=(*found.causes, TARGET), target=target
    )
