"""Drift: did the inputs or the predictions of a window move away from the version's reference?

A column drifted when its bias-corrected PSI reaches the threshold (minimum effect) *and* its
p-value survives Benjamini-Hochberg over all columns (false discoveries). The window drifted when
enough columns did, when the predictions did, or when one column went far. What is derived of other
columns counts among them only where it drifted and none of these did: ten copies of one column are
one witness. Persistence over windows is the business of `shared.tabular.alarms`.

Pure; numpy, and scipy where p-values are made. Bins are those of the reference profile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.serving.columns import Columns
from shared.tabular.profile import number_counts

Verdict = Literal["stable", "drifted", "insufficient_data"]
Counts = NDArray[np.float64]
FALSE_DISCOVERY_RATE = 0.05
# One column alone makes a window drift from this multiple of the threshold on (PSI 0.15 at the
# default 0.1): a lone jump matters, a lone wobble does not.
FAR = 1.5
# Bins expected less often than this in the window are pooled: chi-square's old rule.
MIN_EXPECTED = 5
# Of a column with too many levels to keep, only those seen this often in the reference stand for
# themselves: the most frequent of many rare levels were merely lucky there.
MIN_SEEN = 30


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One column against its reference. `value` is the bias-corrected PSI, None when there are too
    few values to tell; `ks` compares numbers with the reference's sample, for information."""

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


@dataclass(frozen=True, slots=True)
class Drift:
    """`columns` are the features, `predictions` the score (and the label of a multiclass model);
    both with the largest value first."""

    verdict: Verdict
    rows: int
    share: float
    columns: tuple[ColumnDrift, ...]
    predictions: tuple[ColumnDrift, ...]
    sentence: str


def judge_drift(
    reference: Mapping[str, Any],
    columns: Columns,
    scores: NDArray[np.float64],
    labels: NDArray[Any] | None,
    *,
    threshold: float,
    drift_share: float,
    min_rows: int,
) -> Drift:
    """Hold a window's rows against a version's reference (`profile.build_reference`). `scores` and
    `labels` may lack the rows that were refused."""
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
    answers = [same("score", expected["score"], scores, sample=sample["score"])]
    if reference["task"] == "multiclass" and expected["label"] and labels is not None:
        answers.append(same("label", expected["label"], labels))
    judged = _control([*compared, *answers])
    features, predictions = judged[: len(compared)], judged[len(compared) :]
    made_of = reference.get("made_of", {})
    return _verdict(
        rows, features, predictions, threshold, drift_share=drift_share, made_of=made_of
    )


def compare(
    name: str,
    profile: Mapping[str, Any],
    values: NDArray[Any],
    *,
    threshold: float,
    min_rows: int,
    sample: Sequence[Any] | None = None,
) -> ColumnDrift:
    """One column; `drifted` here says only that the effect is large enough. Missing values do not
    take part: they are the business of data quality."""
    kind = profile["kind"]
    present = values[~np.isnan(values)] if kind == "number" else values[values != ""]
    if len(present) < min_rows or profile["present"] < min_rows:
        return ColumnDrift(
            name, kind, None, threshold, None, len(present), drifted=False, change=""
        )
    if kind == "number":
        before = np.array(profile["shares"]) * profile["present"]
        now = number_counts(present, np.array(profile["edges"])).astype(np.float64)
        change = f"mean {profile['mean']:.4g} -> {present.mean():.4g}"
    else:
        before, now, change = _levels(profile, present)
    before, now = pool(before, now)
    value = corrected_psi(before, now)
    ks, ks_p = _ks(sample, present) if kind == "number" and sample else (None, None)
    return ColumnDrift(
        column=name,
        kind=kind,
        value=value,
        threshold=threshold,
        p_value=chi_square_p(before, now),
        rows=len(present),
        drifted=value >= threshold,
        change=change,
        ks=ks,
        ks_p_value=ks_p,
    )


# --- statistics ----------------------------------------------------------------------------------


def corrected_psi(before: Counts, now: Counts) -> float:
    """Population stability index of two sets of counts, less what chance alone gives it:
    (bins - 1)(1/n + 1/m) (Yurdakul & Naranjo 2020, Statistical properties of the population
    stability index). Half a row per bin keeps empty bins finite. Not below 0."""
    n, m, bins = before.sum(), now.sum(), len(before)
    p = (before + 0.5) / (n + 0.5 * bins)
    q = (now + 0.5) / (m + 0.5 * bins)
    psi = float(((q - p) * np.log(q / p)).sum())
    return max(0.0, psi - (bins - 1) * float(1 / n + 1 / m))


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


def _levels(profile: Mapping[str, Any], present: NDArray[Any]) -> tuple[Counts, Counts, str]:
    """Counts per reference level, with one last place for everything else, and what moved most."""
    seen = Counter(str(value) for value in present.tolist())
    least = MIN_SEEN / profile["present"] if profile["rest"] else 0.0
    levels = {level: share for level, share in profile["levels"].items() if share >= least}
    now = np.array([*(seen.get(level, 0) for level in levels), 0], np.float64)
    now[-1] = len(present) - now.sum()
    shares = np.array([*levels.values(), 0.0])
    shares[-1] = max(0.0, 1 - shares.sum())
    moved = now / len(present) - shares
    at = int(np.abs(moved).argmax())
    name = repr([*levels, "other values"][at])
    change = f"share of {name} {shares[at]:.1%} -> {now[at] / len(present):.1%}"
    return shares * profile["present"], now, change


def _ks(
    sample: Sequence[float | None], present: NDArray[np.float64]
) -> tuple[float, float] | tuple[None, None]:
    from scipy.stats import ks_2samp

    before = np.array([value for value in sample if value is not None], np.float64)
    if not len(before):
        return None, None
    result = ks_2samp(before, present, method="asymp")
    return float(result.statistic), float(result.pvalue)


# --- verdicts ------------------------------------------------------------------------------------


def _control(compared: list[ColumnDrift]) -> list[ColumnDrift]:
    """Keep `drifted` only where the p-value survives the control over all columns."""
    tested = [item for item in compared if item.p_value is not None]
    kept = benjamini_hochberg([item.p_value or 0.0 for item in tested])
    real = {id(item) for item, survives in zip(tested, kept, strict=True) if survives}
    return [replace(item, drifted=item.drifted and id(item) in real) for item in compared]


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
    reasons = []
    if moved and share >= drift_share:
        reasons.append(f"{moved} of {len(counted)} columns drifted ({share:.0%})")
    elif far:
        reasons.append(f"{far[0].column} went far (PSI {far[0].value:.3g})")
    if answers:
        reasons.append(
            f"the predictions drifted (PSI {answers[0].value:.3g} of {answers[0].column})"
        )
    if reasons:
        return Drift(
            "drifted", rows, share, tuple(features), tuple(predictions), " and ".join(reasons)
        )
    if not any(item.value is not None for item in [*features, *predictions]):
        sentence = f"no column has enough values in {rows} rows to tell drift"
        return Drift("insufficient_data", rows, 0.0, tuple(features), tuple(predictions), sentence)
    sentence = f"{moved} of {len(counted)} columns drifted ({drift_share:.0%} needed)"
    return Drift("stable", rows, share, tuple(features), tuple(predictions), sentence)
