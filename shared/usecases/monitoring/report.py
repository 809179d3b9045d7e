"""What a judged window looks like: JSON for programs, CSV for people, events for others. Pure.

`shared.usecases.monitoring.page` is the page of the same.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from shared import paths
from shared.documents import timestamp
from shared.events import (
    DataQualityBroken,
    DataQualityRestored,
    DriftDetected,
    DriftResolved,
    MonitorAlert,
    PerformanceDropped,
    PerformanceRestored,
    encode,
    parse_time,
)
from shared.spec.model import RegisteredSpec
from shared.tabular.alarms import KINDS, Alarm, Kind, news
from shared.usecases.monitoring.leading import Lead
from shared.usecases.monitoring.rows import Labels, Window
from shared.usecases.monitoring.verdict import VersionJudged, spokesman, worst

FORMAT = 1
OPENED: dict[Kind, tuple[type[MonitorAlert], str, str]] = {
    "data_quality": (DataQualityBroken, "act now", "The data of {model} is broken: {why}."),
    "drift": (DriftDetected, "decide", "What {model} sees is not what it was trained on: {why}."),
    "performance": (PerformanceDropped, "act now", "{model} is worse than on its holdout: {why}."),
}
RESOLVED: dict[Kind, tuple[type[MonitorAlert], str, str]] = {
    "data_quality": (DataQualityRestored, "know", "The data of {model} is in order again: {why}."),
    "drift": (DriftResolved, "know", "{model} no longer drifts: {why}."),
    "performance": (
        PerformanceRestored,
        "know",
        "{model} is as good as on its holdout again: {why}.",
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One revision of one window. `lead` where one alert decides for another."""

    window: Window
    revision: int
    judged_at: str
    registered: RegisteredSpec
    labels: Labels
    versions: tuple[VersionJudged, ...]
    alarms: Mapping[Kind, Alarm]
    lead: Lead | None = None

    @property
    def led(self) -> str:
        """The kind of alert that another one decides for, empty for none."""
        return self.lead.follower if self.lead else ""

    @property
    def verdict(self) -> str:
        said = {item.drift.verdict for item in self.versions}
        for verdict in ("drifted", "stable"):
            if verdict in said:
                return verdict
        return "insufficient_data"


def alert_events(
    judged: Judged, before: Mapping[Kind, Alarm], led_before: str = ""
) -> list[MonitorAlert]:
    """What this revision has to say. `before` are the alarms of the window's last revision, in
    which another alert decided for the one of kind `led_before`."""
    found = []
    for kind in KINDS:
        alarm = judged.alarms[kind]
        what = news(alarm, before.get(kind))
        freed = alarm.firing and kind == led_before != judged.led
        if what == "opened" or freed:
            opened = _alert(judged, kind, OPENED[kind], alarm, alarm.incident_id)
            found.append(_beside(opened, kind, judged.lead))
        elif what == "resolved":
            # Corrected labels may have taken this window's own alarm back.
            ended = alarm if alarm.resolves else before[kind]
            resolved = alarm.resolves or ended.incident_id
            found.append(_alert(judged, kind, RESOLVED[kind], ended, resolved))
    return found


def _beside(alert: MonitorAlert, kind: Kind, lead: Lead | None) -> MonitorAlert:
    """The alert where another of the model is open: it says who decides, and drift that does not
    decide asks nothing."""
    if lead is not None and kind == lead.follower:
        sentence = f"{alert.sentence} {lead.sentence}"
        asks = "know" if kind == "drift" else alert.asks
        return replace(alert, sentence=sentence, asks=asks, decided_by=lead.alarm.incident_id)
    if lead is not None and kind == lead.kind:
        return replace(alert, facts=[*alert.facts, *lead.facts])
    return alert


def _alert(
    judged: Judged,
    kind: Kind,
    what: tuple[type[MonitorAlert], str, str],
    alarm: Alarm,
    incident_id: str,
) -> MonitorAlert:
    cls, asks, sentence = what
    window, about = judged.window, spokesman(judged.versions, kind)
    why = about.sentence(kind) if about else "no predictions"
    findings = about.findings(kind) if about else []
    return cls(
        model=window.model,
        version=about.version if about else "",
        incident_id=incident_id,
        revision=judged.revision,
        channel=window.channel,
        window_start=window.start,
        window_end=window.end,
        sentence=sentence.format(model=window.model, why=why),
        facts=about.lines(kind) if about else [],
        report=paths.reports(window.model, window.channel, window.folder, "report.html"),
        asks=asks,
        opened_by=alarm.row,
        since=alarm.since,
        effect=worst(findings),
        findings=findings,
    )


def report_body(judged: Judged, alerts: list[MonitorAlert]) -> dict[str, Any]:
    """report-r<revision>.json: verdicts, statistics, thresholds, and the events it stands for."""
    window, settings = judged.window, judged.registered.spec.monitoring
    return {
        "format": FORMAT,
        "model": window.model,
        "channel": window.channel,
        "window": {"start": timestamp(window.start), "end": timestamp(window.end)},
        "revision": judged.revision,
        "judged_at": judged.judged_at,
        "spec_generation": judged.registered.generation,
        "thresholds": settings.model_dump(mode="json"),
        "verdict": judged.verdict,
        "rows": sum(item.rows.rows for item in judged.versions),
        "labels": {
            "fingerprint": judged.labels.fingerprint,
            "objects": [file.info.name for file in judged.labels.files],
            "mature": judged.labels.mature,
            "count_from": timestamp(judged.labels.count_from),
            "read_at": timestamp(judged.labels.read_at) if judged.labels.read_at else None,
        },
        "versions": [_version_body(item) for item in judged.versions],
        "alarms": {kind: alarm.to_json() for kind, alarm in judged.alarms.items()},
        "led": judged.led,
        "events": [json.loads(encode(alert, parse_time(judged.judged_at))) for alert in alerts],
    }


def _version_body(item: VersionJudged) -> dict[str, Any]:
    return {
        "version": item.version,
        "rows": item.rows.rows,
        "refused": item.rows.refused,
        "profiled": item.rows.profiled,
        "rows_one_in": item.rows.one_in,
        "labels_one_in": item.rows.labels_one_in,
        "drift": asdict(item.drift),
        "quality": asdict(item.quality),
        "performance": asdict(item.realised.performance),
        "slices": [asdict(found) for found in item.realised.slices],
        "estimate": item.estimate,
    }


def summary_csv(judged: Judged) -> str:
    """drift_summary.csv: one line per version and column, for people with spreadsheets."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            *("version", "column", "kind", "rows", "statistic", "value", "threshold", "p_value"),
            *("drifted", "change", "lasting"),
        ]
    )
    for item in judged.versions:
        for found in item.drift.judged:
            writer.writerow(
                [
                    item.version,
                    _cell(found.column),
                    found.kind,
                    found.rows,
                    found.statistic,
                    "" if found.value is None else f"{found.value:.6g}",
                    f"{found.threshold:.6g}",
                    "" if found.p_value is None else f"{found.p_value:.6g}",
                    found.drifted,
                    _cell(found.change),
                    "" if found.lasting is None else f"{found.lasting:.6g}",
                ]
            )
    return text.getvalue()


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
