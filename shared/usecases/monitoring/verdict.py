"""From a window's rows to verdicts per version and alarms per kind. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from shared.documents import timestamp
from shared.spec.model import Spec
from shared.tabular.alarms import KINDS, Alarm, Kind, settle
from shared.tabular.column_drift import ColumnDrift
from shared.tabular.drift import Drift, judge_drift
from shared.tabular.measures import Measures
from shared.tabular.quality import Finding, Quality, describe, judge_quality, summed_up
from shared.tabular.season import Season
from shared.tabular.unlabelled import estimate_sentence
from shared.tabular.window import WindowRows
from shared.usecases.monitoring.realised import Realised, judge_realised
from shared.usecases.monitoring.rows import Labels, VersionFacts, Window

FACTS = 5
FINDINGS = 50
# Until a version has seen a week, nobody knows its weekends: as many days in a row as make one, and
# one more, must drift.
WEEKEND = timedelta(days=1)
LONGER_THAN_A_WEEKEND = 3


@dataclass(frozen=True, slots=True, eq=False)
class VersionJudged:
    """All judgements on one version in one window."""

    facts: VersionFacts
    rows: WindowRows
    drift: Drift
    quality: Quality
    realised: Realised
    season_known: bool = False
    estimate: str = ""

    @property
    def version(self) -> str:
        return self.rows.version

    def breach(self, kind: Kind) -> bool | None:
        """None where there is no judgement."""
        if kind == "data_quality":
            return self.quality.broken
        if kind == "performance":
            return self.realised.breach
        if self.drift.in_season:
            return None
        return (
            None if self.drift.verdict == "insufficient_data" else self.drift.verdict == "drifted"
        )

    def sentence(self, kind: Kind) -> str:
        return {
            "data_quality": self.quality.sentence,
            "drift": self.drift.sentence,
            "performance": self.realised.sentence,
        }[kind]

    def causes(self, kind: Kind) -> list[str]:
        """What a breach rests on."""
        if kind == "data_quality":
            broken = [item for item in self.quality.findings if item.broken]
            return [f"{item.column} {item.check}".strip() for item in broken]
        return list(self.drift.causes) if kind == "drift" else self.realised.causes

    def lasting(self, kind: Kind) -> bool:
        """True where the breach rests on what earlier windows show, too."""
        return kind == "drift" and bool(self.drift.lasting)

    def lines(self, kind: Kind) -> list[str]:
        """Short lines with value and threshold, what matters most first."""
        if kind == "data_quality":
            broken = [item for item in self.quality.findings if item.broken]
            return [describe(item) for item in broken[:FACTS]]
        if kind == "performance":
            return [*self.realised.lines, *filter(None, [self.estimate])]
        return [describe_drift(item) for item in self._moved()][: FACTS + 1]

    def findings(self, kind: Kind) -> list[dict[str, Any]]:
        """The same for programs: what is out of bounds, with value, reference and threshold."""
        if kind == "data_quality":
            broken = [item for item in self.quality.findings if item.broken]
            found = [_quality_finding(item) for item in broken]
        elif kind == "performance":
            found = [_finding(*item) for item in self.realised.findings]
        else:
            found = [_drift_finding(item) for item in self._moved()]
        return found[:FINDINGS]

    def _moved(self) -> list[ColumnDrift]:
        return [item for item in self.drift.judged if item.drifted]


def judge_version(
    facts: VersionFacts,
    rows: WindowRows,
    spec: Spec,
    labels: Labels,
    *,
    channel: str = "batch",
    season: Season | None = None,
    traffic: Sequence[Finding] = (),
) -> VersionJudged:
    """Hold one version's rows against its reference. `traffic` is what was found about rows and
    labels that come or not."""
    settings, reference = spec.monitoring, facts.reference
    enough = rows.labelled >= settings.min_coverage * rows.rows
    if reference is None:
        lacks = f"version {rows.version} has no reference to compare with"
        drift = Drift("insufficient_data", rows.rows, 0.0, (), (), lacks)
        quality = Quality(None, (), lacks)
    else:
        drift = judge_drift(
            reference,
            rows.columns,
            rows.scores,
            rows.labels,
            measures=measures_of(spec),
            drift_share=settings.drift_share,
            min_rows=settings.min_rows,
            season=season,
            truths=rows.truths if labels.mature and enough else None,
            windows=settings.persistence[1],
        )
        quality = judge_quality(
            reference,
            rows.columns,
            rows=rows.rows,
            refused=rows.refused,
            max_bad_rows=spec.max_bad_rows,
            min_rows=settings.min_rows,
        )
    if traffic:
        quality = _with_traffic(quality, traffic)
    realised = judge_realised(facts, rows, spec, labels, in_time=channel == "online")
    known = season is not None and season.known
    estimate = estimate_sentence(reference, rows.scores) if reference else ""
    return VersionJudged(facts, rows, drift, quality, realised, known, estimate)


def measures_of(spec: Spec) -> Measures:
    """The statistics that a spec chooses."""
    settings, chosen = spec.monitoring, spec.monitoring.statistics
    return Measures(
        settings.drift_threshold,
        chosen.number,
        chosen.category,
        chosen.columns,
        chosen.thresholds,
    )


def settle_kinds(
    versions: Sequence[VersionJudged],
    past: Mapping[str, Sequence[Alarm]],
    window: Window,
    persistence: tuple[int, int],
) -> dict[Kind, Alarm]:
    """The alarms of a window. One version in breach is enough; without a judgement on any there is
    none on the window."""
    return {
        kind: settle(
            window_breach(versions, kind),
            past[kind],
            incident_id=f"{window.model}-{window.channel}-{kind}-{window.folder}",
            window_start=timestamp(window.start),
            persistence=_patience(versions, window, persistence)
            if kind == "drift"
            else persistence,
            causes=sorted({cause for item in versions for cause in item.causes(kind)}),
            lasting=any(item.lasting(kind) for item in versions),
        )
        for kind in KINDS
    }


def _patience(
    versions: Sequence[VersionJudged], window: Window, persistence: tuple[int, int]
) -> tuple[int, int]:
    """(m, n) of drift: longer while none of the versions that drift has seen a weekend."""
    needed, among = persistence
    unknown = not any(item.season_known for item in versions if item.breach("drift"))
    if needed > 1 and unknown and window.end - window.start == WEEKEND:
        return max(needed, LONGER_THAN_A_WEEKEND), max(among, LONGER_THAN_A_WEEKEND)
    return persistence


def window_breach(versions: Sequence[VersionJudged], kind: Kind) -> bool | None:
    judged = [found for item in versions if (found := item.breach(kind)) is not None]
    return any(judged) if judged else None


def spokesman(versions: Sequence[VersionJudged], kind: Kind) -> VersionJudged | None:
    """The version that an alert of this kind is about: in breach if any is, else judged, else the
    one with most rows."""
    for wanted in (True, False, None):
        for item in versions:
            if item.breach(kind) is wanted:
                return item
    return None


def describe_drift(item: ColumnDrift) -> str:
    """A column as a short line with value and threshold."""
    value = "too few values" if item.value is None else item.measured
    return f"{item.column}: {value} (threshold {item.threshold:.3g}), {item.change}"


def worst(findings: Sequence[Mapping[str, Any]]) -> float:
    """The largest distance from a reference, 1 where the threshold is; 0 without findings."""
    found = 0.0
    for item in findings:
        allowed = abs(item["threshold"] - item["reference"])
        found = max(found, abs(item["value"] - item["reference"]) / allowed if allowed else 0.0)
    return round(found, 3)


def _drift_finding(item: ColumnDrift) -> dict[str, Any]:
    found = _finding(item.column, item.effect, 0.0, item.threshold, item.change)
    return found if item.statistic == "psi" else {**found, "statistic": item.statistic}


def _quality_finding(item: Finding) -> dict[str, Any]:
    what = f"{item.column} {item.check}".strip()
    return _finding(what, item.current, item.reference, item.limit, item.detail.strip())


def _finding(
    what: str, value: float, reference: float, threshold: float, change: str
) -> dict[str, Any]:
    numbers = {"value": value, "reference": reference, "threshold": threshold}
    return {
        "what": what,
        **{name: float(f"{number:.6g}") for name, number in numbers.items()},
        "change": change,
    }


def _with_traffic(quality: Quality, traffic: Sequence[Finding]) -> Quality:
    """Too few rows to tell anything else are no reason to be silent about there being so few."""
    found = summed_up((*traffic, *quality.findings))
    if quality.broken is None and not found.broken:
        return replace(found, sentence=quality.sentence)
    return found
