"""comparison.json: what promote needs to know about a version, in numbers and sentences. Pure.

    judge(...) -> Judgement -> to_json()

A gain above 0 always means that the challenger is better, whatever the metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.budget import Looks, briefly, certainty
from shared.metric_names import figure_of
from shared.serving.package import Task
from shared.tabular.baseline import Baseline
from shared.tabular.estimates import Labels, independent_units
from shared.tabular.gains import Gain
from shared.tabular.metrics import PRIMARY, Floats
from shared.tabular.parity import TOLERANCE
from shared.tabular.rates import rate_lower
from shared.tabular.splitting import MIN_RARER, MIN_ROWS, MIN_UNITS, enough_evidence

Evidence = Literal["sufficient", "insufficient_evidence", "not_comparable"]
HoldoutKind = Literal["random", "grouped", "time", "new_labels"]

NAMES = {
    "auroc": "AUROC (1 ranks perfectly, 0.5 guesses)",
    "log_loss": "log loss (0 is perfect)",
    "rmse": "RMSE (typical error; 0 is perfect)",
}


@dataclass(frozen=True, slots=True)
class Alike:
    """Which holdout rows are no evidence of their own: when each was, or which belong together."""

    order: Labels | None = None
    groups: Labels | None = None

    @property
    def name(self) -> str:
        return "groups" if self.groups is not None else "blocks of time"

    def take(self, rows: NDArray[np.bool_]) -> Alike:
        return Alike(*(None if each is None else each[rows] for each in (self.order, self.groups)))


ALONE = Alike()


@dataclass(frozen=True, slots=True)
class Holdout:
    """The rows of the comparison. `overlap` counts rows that either model had used (they were
    taken out, so that it is 0 in what was compared); `removed` says how many those were."""

    kind: HoldoutKind
    rows: int
    positives: int | None
    rarer: int | None
    overlap: int = 0
    removed: int = 0
    alike: Alike = ALONE
    units: float | None = None

    @property
    def enough(self) -> bool:
        return enough_evidence(self.rows, self.rarer, self.units)

    @property
    def needed(self) -> str:
        """What is enough, and what there is of it where rows do not stand alone."""
        rarer = "" if self.rarer is None else f" and {MIN_RARER} of the rarer class"
        if self.units is None:
            return f"{MIN_ROWS} rows{rarer}"
        return (
            f"{MIN_ROWS} rows{rarer}, in {MIN_UNITS} {self.alike.name} or more; these rows count "
            f"as {self.units:.1f} of equal size"
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "rows": self.rows,
            "positives": self.positives,
            "overlap": self.overlap,
            "removed": self.removed,
            **({} if self.units is None else {"units": {self.alike.name: round(self.units, 1)}}),
        }


def holdout_of(
    task: Task,
    target: Floats,
    kind: HoldoutKind,
    *,
    classes: int,
    overlap: int,
    removed: int,
    alike: Alike = ALONE,
) -> Holdout:
    """What there is to know about these holdout rows."""
    rarer, samples = None, [np.ones(len(target), bool)]
    if task != "regression":
        counts = np.bincount(target.astype(np.intp), minlength=classes)
        rarer = int(counts.min())
        samples = [target == label for label in range(classes)]
    positives = int((target == 1).sum()) if task == "binary" else None
    units = independent_units(samples, alike.order, alike.groups)
    return Holdout(kind, len(target), positives, rarer, overlap, removed, alike, units)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A version measured against the champion of the day (`against`, None without one).
    `why_not` says why the champion could not be scored on these rows; `identical`: it gave the same
    answers to all of them, to the last bit."""

    version: str
    task: Task
    holdout: Holdout
    challenger: float
    baseline: Baseline | None
    guardrails: list[dict[str, Any]]
    against: str | None = None
    champion: float | None = None
    gain: Gain | None = None
    why_not: str = ""
    looks: Looks | None = None
    identical: bool = False

    @property
    def evidence(self) -> Evidence:
        if self.why_not:
            return "not_comparable"
        return "sufficient" if self.holdout.enough else "insufficient_evidence"

    @property
    def beats_baseline(self) -> bool:
        """With too few rows for an interval the point decides: a person has the last word then."""
        if self.baseline is None:
            return False
        return (self.baseline.gain_lower if self.holdout.enough else self.baseline.gain) > 0

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "against": self.against,
            "holdout": self.holdout.to_json(),
            "metric": PRIMARY[self.task],
            "challenger": self.challenger,
            "champion": self.champion,
            "gain": self.gain.value if self.gain else None,
            "gain_lower": _finite(self.gain.lower) if self.gain else None,
            "standard_error": _finite(self.gain.standard_error) if self.gain else None,
            "alpha": self.gain.alpha if self.gain else None,
            "identical": self.identical,
            "budget": self.looks.to_json() if self.looks else None,
            "baseline": self._baseline(),
            "eligible": self.beats_baseline,
            "evidence": self.evidence,
            "guardrails": self.guardrails,
            "sentence": self.sentence(),
        }

    def sentence(self) -> str:
        """The outcome for somebody who decides and does not compute."""
        metric = PRIMARY[self.task]
        shown = partial(figure_of, metric)
        rows = f"{self.holdout.rows:,} rows that no model was fitted on"
        if not self.holdout.rows:
            return "There is no row to compare on."
        mine = f"On {rows}, the {NAMES[metric]} of the new version is {shown(self.challenger, 3)}"
        if self.why_not:
            return f"{mine}. It cannot be compared with {self.against}: {self.why_not}."
        if self.champion is None or self.gain is None:
            parts = [f"{mine}; there is no champion yet"]
        else:
            better = "better" if self.gain.value >= 0 else "worse"
            sure = briefly(certainty({"alpha": self.gain.alpha}))
            exactly = "; it answers exactly as the champion on these rows" if self.identical else ""
            against = (
                f"{mine}, that of the champion {self.against} {shown(self.champion, 3)}: "
                f"{better} by {shown(abs(self.gain.value))}, and "
                f"{_at_least(metric, self.gain.lower)} ({sure}){exactly}"
            )
            parts = [against]
        if not self.holdout.enough:
            little = "that is too little to decide on (needed"
            if self.champion is None:  # what decides then is the baseline; nobody is compared with
                little = "so few rows say it roughly (too little to compare versions on; needed"
            parts.append(f"{little}: {self.holdout.needed})")
        before = f" {self.looks.sentence}." if self.gain and self.looks else ""
        return "; ".join(parts) + "." + before

    def _baseline(self) -> dict[str, Any]:
        if self.baseline is None:
            sentence = "There is no row to measure a baseline on."
            return {"value": None, "beats": False, "sentence": sentence}
        base, metric = self.baseline, PRIMARY[self.task]
        shown = partial(figure_of, metric)
        always = "the mean" if self.task == "regression" else "the base rate"
        verb = "beats" if self.beats_baseline else "does not clearly beat"
        sure = f"the gain is at least {shown(base.gain_lower, 3, '+')} with 95 % confidence"
        if _finite(base.gain_lower) is None:
            sure = "on so few rows nothing is certain about the gain"
        return {
            "value": base.value,
            "beats": self.beats_baseline,
            "column": base.column,
            "constant": base.constant,
            "gain_lower": _finite(base.gain_lower),
            "constant_gain_lower": _finite(base.constant_gain_lower),
            "sentence": (
                f"The model ({metric} {shown(self.challenger, 3)}) {verb} the best single column "
                f"`{base.column}` ({shown(base.value, 3)}) and {always} "
                f"({shown(base.constant, 3)}); {sure}."
            ),
        }


def _finite(value: float) -> float | None:
    """As JSON has it: None where nothing is known."""
    return value if np.isfinite(value) else None


def _at_least(metric: str, lower: float) -> str:
    if lower == float("-inf"):
        return "nothing is certain about it"
    size = figure_of(metric, abs(lower))
    if lower > 0:
        return f"certainly at least {size} better"
    return f"certainly no more than {size} worse"


# --- guardrails ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """False positives among the negative rows of a holdout; the champion's on the same rows."""

    count: int
    negatives: int
    champion: int | None = None

    @property
    def rate(self) -> float:
        return self.count / self.negatives if self.negatives else 0.0


def false_positive_guardrail(
    point: float, upper: float, ceiling: float, out_of_fold: int, held: FalseAlarms
) -> dict[str, Any]:
    """The ceiling holds out of fold (`upper` bound of the `point`), and the holdout does not
    contradict it. Where the world has changed so much that nobody keeps it there, a version that
    raises no more false alarms than the champion passes: keeping the champion would not be
    safer."""
    kept = upper <= ceiling and rate_lower(held.count, held.negatives) <= ceiling
    no_worse = held.champion is not None and held.count <= held.champion
    passed = kept or (upper <= ceiling and no_worse)
    low = rate_lower(held.count, held.negatives)
    chance = (
        " The holdout's share is within what chance explains: with 95 % confidence it is "
        f"{low:.1%} or more, which the ceiling allows."
        if kept and held.rate > ceiling
        else ""
    )
    verdict = "" if kept else ": broken"
    if passed and not kept and held.champion is not None:
        verdict = f": broken, as by the champion with {held.champion / held.negatives:.1%}"
    return {
        "name": "false_positive_rate",
        "value": upper,
        "threshold": ceiling,
        "pass": passed,
        "point": point,
        "n": out_of_fold,
        "holdout": held.rate,
        "sentence": (
            f"False alarms: {point:.1%} of {out_of_fold:,} negative rows out of fold, with 95 % "
            f"confidence at most {upper:.1%}, and {held.rate:.1%} of {held.negatives:,} in the "
            f"holdout (ceiling {ceiling:.1%}{verdict}).{chance}"
        ),
    }


def parity_guardrail(parity: dict[str, Any]) -> dict[str, Any]:
    """What is served answers as what was trained."""
    return {
        "name": "parity",
        "value": parity["largest"],
        "threshold": TOLERANCE,
        "pass": parity["passed"],
        "sentence": (
            f"The served package answers as the trained model: largest difference "
            f"{parity['largest']:.1e} over {parity['rows']:,} holdout and {parity['hostile']:,} "
            f"hostile rows (allowed {TOLERANCE:.0e})."
        ),
    }
