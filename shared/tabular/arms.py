"""An experiment's two arms, judged on their labels: is the challenger better, worse, or neither?

    look = judge("binary", champion, challenger, share=0.5, final=False, min_coverage=0.8)

Metrics, errors and skewness are the gate's (shared.tabular.estimates); the arms have rows of their
own, so the difference is unpaired, and rows of one key value count as one unit. How often somebody
looks must not matter, so a look is held to

    a running experiment, or one without a planned end   an always-valid bound, 5 % for all looks
    one with a planned end, before it                    the same, 1 % for all looks
    at its planned end                                   one test at 4 %

so that each verdict is wrong in at most 5 of 100 experiments. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from shared.tabular.estimates import Estimate, Labels, estimate
from shared.tabular.gains import interval
from shared.tabular.influence import Metric, influence
from shared.tabular.metrics import Floats
from shared.tabular.performance import metric_name
from shared.tabular.splitting import MIN_RARER, MIN_ROWS, enough_evidence

Verdict = Literal[
    "challenger_better", "champion_better", "no_difference_shown", "insufficient_data"
]
# The log has the probability of the answer's own class only, so no log loss of several classes.
METRICS: dict[str, Metric] = {"binary": "auroc", "multiclass": "accuracy", "regression": "rmse"}
ALPHA = 0.05
EARLY, PLANNED = 0.01, 0.04
TUNED_TO = 1000  # labelled rows at which an always-valid bound is as tight as it can be
SUSPICIOUS = 0.001


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """`rows` were answered, `counted` of them are old enough for their labels to count. The arrays
    are of the labelled ones [labelled]: `target` and `answers` as `metrics.primary` takes them (of
    several classes: ones, and 1 where the answer was right), `unit` the key they were dealt by.
    `units` counts the different keys of all `rows`."""

    version: str
    rows: int
    counted: int
    units: int
    target: Floats
    answers: Floats
    unit: Labels
    positives: int | None
    rarer: int | None

    @property
    def labelled(self) -> int:
        return len(self.target)

    @property
    def groups(self) -> Labels | None:
        """Which rows belong together; none where each stands for itself."""
        alone = len(np.unique(self.unit)) == self.labelled
        return None if alone else self.unit

    @property
    def coverage(self) -> float:
        return self.labelled / self.counted if self.counted else 0.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One arm in numbers; `low` to `high` is its 95 % interval, as wide as the looks demand."""

    version: str
    rows: int
    counted: int
    labelled: int
    coverage: float
    positives: int | None
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Look:
    """What an experiment says so far. `difference` above 0: the challenger is better, whatever the
    metric; `lower` and `upper` are one-sided 95 % bounds. `final`: at the planned end."""

    metric: str
    champion: Measured
    challenger: Measured
    difference: float | None
    lower: float | None
    upper: float | None
    final: bool
    verdict: Verdict
    sentence: str
    warnings: list[str] = field(default_factory=list)


def judge(
    task: str,
    champion: Arm,
    challenger: Arm,
    *,
    share: float,
    final: bool,
    planned: bool,
    min_coverage: float,
) -> Look:
    """What the arms say. `planned`: the experiment has a planned end; `final`: it has come."""
    metric = METRICS[task]
    arms = champion, challenger
    alpha = PLANNED if final else EARLY if planned else ALPHA
    labelled = champion.labelled + challenger.labelled
    alone = effective_alpha(alpha, labelled, final=final)
    both = effective_alpha(ALPHA / 2, labelled, final=final)
    estimates = [_estimate(metric, arm) for arm in arms]
    measured = [
        _measured(metric, arm, found, both) for arm, found in zip(arms, estimates, strict=True)
    ]
    difference = estimates[1].minus(estimates[0])
    known = difference.defined
    lacks = _lacks(arms, min_coverage) or ("" if known else "nothing varies in the labelled rows")
    lower, upper = difference.lower(alone), difference.upper(alone)
    verdict: Verdict = "no_difference_shown"
    if lacks:
        verdict = "insufficient_data"
    elif lower > 0:
        verdict = "challenger_better"
    elif upper < 0:
        verdict = "champion_better"
    return Look(
        metric=metric,
        champion=measured[0],
        challenger=measured[1],
        difference=difference.value if known else None,
        lower=lower if known else None,
        upper=upper if known else None,
        final=final,
        verdict=verdict,
        sentence=_sentence(metric, verdict, measured, (lower, upper), lacks),
        warnings=_warnings(champion, challenger, share),
    )


# --- bounds --------------------------------------------------------------------------------------


def effective_alpha(alpha: float, rows: int, *, final: bool) -> float:
    """The level of a bound that is looked at once and is as wide as is needed here."""
    return alpha if final else 0.5 * math.erfc(always_valid(alpha, rows) / math.sqrt(2))


def always_valid(alpha: float, rows: int) -> float:
    """How many standard errors a one-sided bound must be away to be wrong at any look, ever, with
    probability `alpha`.

    A half-normal mixture of likelihood ratios is a martingale (Robbins 1970; Waudby-Smith, Arbour,
    Sinha, Kennedy and Ramdas 2021, Time-uniform central limit theory): with v = rows * rho^2 and
    x = sum / sqrt(variance) * sqrt(v / (v + 1)) it is 2 exp(x^2 / 2) Phi(x) / sqrt(v + 1), and
    reaches 1 / alpha with probability alpha at most. exp(x^2 / 2) (1 - Phi(x)) <= 1/2 gives x.
    """
    log = -2 * math.log(2 * alpha)
    v = max(rows, 1) * (log + math.log(log + 1)) / TUNED_TO
    x = math.sqrt(2 * math.log(0.5 + math.sqrt(v + 1) / (2 * alpha)))
    return x * math.sqrt((v + 1) / v)


def _estimate(metric: Metric, arm: Arm) -> Estimate:
    found = influence(metric, arm.target, arm.answers)
    if metric == "rmse":
        found = -found
    return estimate(found, groups=arm.groups)


def _measured(metric: Metric, arm: Arm, found: Estimate, alpha: float) -> Measured:
    value = low = high = None
    if found.defined:
        value = abs(found.value)
        low, high = interval(
            metric, arm.target, arm.answers, confidence=1 - 2 * alpha, groups=arm.groups
        )
    return Measured(
        version=arm.version,
        rows=arm.rows,
        counted=arm.counted,
        labelled=arm.labelled,
        coverage=arm.coverage,
        positives=arm.positives,
        value=value,
        low=low,
        high=high,
    )


# --- evidence ------------------------------------------------------------------------------------


def _lacks(arms: Sequence[Arm], min_coverage: float) -> str:
    """What is missing for a verdict, or nothing."""
    for arm, name in zip(arms, ("champion", "challenger"), strict=True):
        if not arm.counted:
            return f"no prediction of the {name} is old enough for its label to count"
        if arm.coverage < min_coverage:
            return (
                f"{arm.coverage:.0%} of the {name}'s predictions have a label "
                f"({min_coverage:.0%} needed)"
            )
        if arm.labelled < MIN_ROWS:
            return f"the {name} has {arm.labelled} labelled rows ({MIN_ROWS} needed)"
        if not enough_evidence(arm.labelled, arm.rarer):
            return (
                f"the {name} has {arm.rarer} labelled rows of the rarer class ({MIN_RARER} needed)"
            )
    return ""


def _warnings(champion: Arm, challenger: Arm, share: float) -> list[str]:
    found = []
    p = split_p(champion.units, challenger.units, share)
    if p < SUSPICIOUS:
        whole = champion.units + challenger.units
        found.append(
            f"the split is not what was asked for: {challenger.units:,} of {whole:,} units "
            f"({challenger.units / whole:.1%}) went to the challenger, {share:.1%} should (chance "
            f"does that in {p:.1g} of cases). Whatever loses or adds rows on one side makes the "
            "comparison worthless: find it first"
        )
    p = _same_share(champion, challenger)
    if p < SUSPICIOUS:
        found.append(
            f"labels come for {champion.coverage:.1%} of the champion's predictions and "
            f"{challenger.coverage:.1%} of the challenger's: whether a label comes seems to depend "
            "on the answer, so the labelled rows are not alike"
        )
    return found


def split_p(champion: int, challenger: int, share: float) -> float:
    """How often chance splits units at least this unevenly (chi-square, one degree of freedom)."""
    whole = champion + challenger
    if not whole:
        return 1.0
    squared = (challenger - share * whole) ** 2 / (whole * share * (1 - share))
    return math.erfc(math.sqrt(squared / 2))


def _same_share(first: Arm, second: Arm) -> float:
    """How often chance makes the labelled shares differ this much."""
    counted, labelled = first.counted + second.counted, first.labelled + second.labelled
    if not first.counted or not second.counted or labelled in (0, counted):
        return 1.0
    rate = labelled / counted
    variance = rate * (1 - rate) * (1 / first.counted + 1 / second.counted)
    return math.erfc(abs(first.coverage - second.coverage) / math.sqrt(2 * variance))


# --- words ---------------------------------------------------------------------------------------


def _sentence(
    metric: str,
    verdict: Verdict,
    measured: Sequence[Measured],
    bounds: tuple[float, float],
    lacks: str,
) -> str:
    if verdict == "insufficient_data":
        return f"Not enough to judge: {lacks}."
    champion, challenger = measured
    name, digits = metric_name(metric), 4
    both = (
        f"{name} {challenger.value or 0:.{digits}g} of the challenger against "
        f"{champion.value or 0:.{digits}g} of the champion"
    )
    lower, upper = bounds
    if verdict != "no_difference_shown":
        better, least = verdict.removesuffix("_better"), max(lower, -upper)
        return (
            f"The {better} is better: {both}, with 95 % confidence a difference of {least:.2g} or "
            "more."
        )
    return (
        f"No difference is shown: {both}; with 95 % confidence the challenger is no more than "
        f"{-lower:.2g} worse and no more than {upper:.2g} better."
    )
