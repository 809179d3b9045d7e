"""Drift: did the inputs or the predictions of a window move away from the version's reference?

A column drifted when its statistic reaches the threshold (minimum effect) *and* its
p-value survives Benjamini-Hochberg over all columns (false discoveries). The window drifted when
enough columns did, when the predictions did, or when one column went far. What is derived of other
columns counts among them only where it drifted and none of these did: ten copies of one column are
one witness. A column that is as it was at this time of earlier weeks is in its season and does not
count (`shared.tabular.season`); one whose move is seen better over several windows than in this one
counts (`shared.tabular.lasting`). Persistence over windows is the business of
`shared.tabular.alarms`.

Pure. One column is the business of `shared.tabular.column_drift`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.serving.columns import Columns
from shared.tabular.column_drift import ColumnDrift, compare, over_bins
from shared.tabular.distances import benjamini_hochberg
from shared.tabular.lasting import with_earlier
from shared.tabular.measures import Measures
from shared.tabular.season import Season

Verdict = Literal["stable", "drifted", "insufficient_data"]
# One column alone makes a window drift from this multiple of the threshold on (PSI 0.125 at the
# default 0.1): a lone jump matters, a lone wobble does not.
FAR = 1.25
TARGET = "target"
# A share that goes from 24 % to 34 % is a PSI of 0.05 and another world: the target is one column,
# often of two values, and its threshold this part of the others'.
OF_THE_TARGET = 0.5


@dataclass(frozen=True, slots=True)
class Drift:
    """`columns` are the features, `predictions` the score (and the label of a multiclass model);
    both with the largest value first. `causes` are the columns that the verdict rests on, `lasting`
    those of them that earlier windows show, too; `target` is there once enough labels are."""

    verdict: Verdict
    rows: int
    share: float
    columns: tuple[ColumnDrift, ...]
    predictions: tuple[ColumnDrift, ...]
    sentence: str
    causes: tuple[str, ...] = ()
    target: ColumnDrift | None = None
    lasting: tuple[str, ...] = ()

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
    measures: Measures,
    drift_share: float,
    min_rows: int,
    season: Season | None = None,
    truths: NDArray[Any] | None = None,
    windows: int = 1,
) -> Drift:
    """Hold a window's rows, in order of time, against a version's reference
    (`profile.build_reference`). `scores` and `labels` may lack the rows that were refused. A move
    may show over so many `windows` of the `season`, this one included."""
    rows = len(next(iter(columns.values()))) if columns else 0
    if rows < min_rows:
        sentence = f"{rows} rows, {min_rows} needed to tell drift"
        return Drift("insufficient_data", rows, 0.0, (), (), sentence)
    sample, expected = reference["sample"], reference["prediction"]
    same = partial(compare, measures=measures, min_rows=min_rows)
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
            same(
                TARGET,
                reference["target"],
                truths,
                role="target",
                part=OF_THE_TARGET,
            )
        ]
    )
    found = _control([*compared, *answers, *known])
    judged = [with_earlier(_in_season(item, season, reference), season, windows) for item in found]
    first, second = len(compared), len(compared) + len(answers)
    drift = _verdict(
        rows,
        judged[:first],
        judged[first:second],
        drift_share=drift_share,
        made_of=reference.get("made_of", {}),
    )
    drift = _with_target(drift, judged[second]) if known else drift
    lasting = {item.column for item in drift.judged if item.lasts}
    drift = replace(drift, lasting=tuple(name for name in drift.causes if name in lasting))
    if drift.in_season:
        names = [item.column for item in drift.judged if item.season is not None]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        as_before = f"{', '.join(names[:3])}{more} as at this time of earlier weeks"
        drift = replace(drift, sentence=f"{drift.sentence}; {as_before}")
    return drift


# --- verdicts ------------------------------------------------------------------------------------


def _control(compared: list[ColumnDrift]) -> list[ColumnDrift]:
    """`sure` where the p-value survives the control over all columns; only such ones drifted."""
    tested = [item for item in compared if item.p_value is not None]
    kept = benjamini_hochberg([item.p_value or 0.0 for item in tested])
    real = {id(item) for item, survives in zip(tested, kept, strict=True) if survives}
    return [
        replace(item, sure=id(item) in real, drifted=item.drifted and id(item) in real)
        for item in compared
    ]


def _in_season(
    item: ColumnDrift, season: Season | None, reference: Mapping[str, Any]
) -> ColumnDrift:
    """Not drifted where the column is as it was at this time of earlier weeks."""
    before = None
    if season and item.drifted:
        before = season.counts_of((item.role, item.column), len(item.counts))
    if before is None or item.worth is None:
        return item
    now = np.array(item.counts, np.float64)
    profile = _profile_of(item, reference)
    value = over_bins(item.statistic, profile, before, now * (item.worth / now.sum()))
    return replace(item, season=value, drifted=value >= item.threshold)


def _profile_of(item: ColumnDrift, reference: Mapping[str, Any]) -> Mapping[str, Any]:
    if item.role == "answer":
        found = reference["prediction"][item.column]
    else:
        found = reference["target"] if item.role == "target" else reference["columns"][item.column]
    return dict(found)


def _verdict(
    rows: int,
    features: list[ColumnDrift],
    predictions: list[ColumnDrift],
    *,
    drift_share: float,
    made_of: Mapping[str, Sequence[str]],
) -> Drift:
    features = sorted(features, key=lambda item: -item.far)
    judged = [item for item in features if item.value is not None]
    drifted = [item for item in judged if item.drifted]
    far = [item for item in drifted if item.far >= FAR or item.lasts]
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
        reasons.append(f"{far[0].column} went far ({far[0].measured})")
    if answers:
        reasons.append(f"the predictions drifted ({answers[0].measured} of {answers[0].column})")
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
    why = f"the target drifted ({target.change}, {target.measured})"
    if found.verdict == "drifted":
        why = f"{found.sentence} and {why}"
    return replace(
        found, verdict="drifted", sentence=why, causes=(*found.causes, TARGET), target=target
    )
