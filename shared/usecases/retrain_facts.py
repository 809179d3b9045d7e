"""What a retraining would rest on: who serves and what it learned from, the labels that are new to
it, how earlier retrainings ended, and whether the window that an alert is about can be trusted.

Reads small documents and, where several label files speak of the same predictions, those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared import documents, paths, runs
from shared.documents import timestamp
from shared.errors import ObjectNotFound
from shared.events import DriftDetected, PerformanceDropped, parse_time
from shared.labelled import LabelFile, label_objects, open_summary, read_rows
from shared.manifests import Manifest
from shared.ports import Bucket
from shared.retraining import Cause, Past


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why to think about training: an incident, once. `row` is the incident that the unbroken row
    of windows goes by, `facts` what else is kept of it."""

    model: str
    cause: Cause
    incident_id: str
    about_version: str
    row: str = ""
    broken: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"retrain:{self.model}:{self.incident_id}"


@dataclass(frozen=True, slots=True)
class Champion:
    """`since` is when its training was requested, `labels` are files that it learned from, `rows`
    how many rows that were, None where nobody knows."""

    since: datetime
    labels: frozenset[str]
    rows: int | None


def champion_of(manifest: Manifest, *, lake: Bucket) -> Champion:
    """Who serves."""
    model = manifest.model
    version = documents.require(lake, paths.version(model, manifest.version, "version.json"))
    run_id = version.get("run_id", manifest.version)
    try:
        asked = runs.read_request(model, run_id, lake=lake).requested_at
    except ObjectNotFound:
        asked = version["created"]  # a version that was not made by a run of ours
    prepared = paths.run_stage(model, run_id, "prepared.json")
    rows = documents.read(lake, prepared).body.get("facts", {}).get("fit")
    return Champion(parse_time(asked), frozenset(version.get("labels_used", ())), rows)


def new_labels(model: str, champion: Champion, *, lake: Bucket) -> list[LabelFile]:
    """Label files that arrived after the champion's training was requested and are none of its."""
    found = []
    for info in label_objects(model, lake=lake):
        if info.created <= champion.since or info.name in champion.labels:
            continue
        try:
            file = open_summary(model, info, lake=lake)
        except ObjectNotFound:
            continue  # put there by hand: nobody checked it
        if file.summary.matched:
            found.append(file)
    return found


def count_labelled(files: Sequence[LabelFile], enough: int, *, lake: Bucket) -> int:
    """How many predictions these files label: one that two of them speak of is counted once. Where
    there are `enough` of them anyway, the sum of the files will do."""
    total = sum(file.summary.matched for file in files)
    if len(files) < 2 or total < enough:
        return total
    seen: set[str] = set()
    for row in (row for file in files for row in read_rows(file, lake=lake)):
        if row["matched"]:
            seen.add(row["prediction_id"])
            if len(seen) >= enough:
                return total
    return len(seen)


def past_of(
    model: str, trainings: Iterable[Mapping[str, Any]], since: datetime | None, *, lake: Bucket
) -> list[Past]:
    """What became of the trainings in the ledger. How one ended matters only if it was to beat
    today's champion."""
    found = []
    for entry in trainings:
        at = parse_time(entry["at"])
        state = "" if since and at <= since else runs.state(model, entry["run_id"], lake=lake).state
        found.append(Past(entry["incident_id"], entry["run_id"], at, state))
    return found


def alerted(event: DriftDetected | PerformanceDropped, *, lake: Bucket) -> Occasion:
    """The occasion that an alert is."""
    return Occasion(
        model=event.model,
        cause="drift" if isinstance(event, DriftDetected) else "performance",
        incident_id=event.incident_id,
        about_version=event.version,
        row=event.incident,
        broken=_is_broken(event, lake=lake),
        facts={
            "event": event.id,
            "kind": event.type,
            "channel": event.channel,
            "window_start": timestamp(event.window_start),
            "window_end": timestamp(event.window_end),
            "report": event.report,
        },
    )


def _is_broken(event: DriftDetected | PerformanceDropped, *, lake: Bucket) -> bool:
    """Whether the data of the window that an alert is about is out of bounds, too."""
    folder = event.report.rpartition("/")[0]
    report = documents.read(lake, f"{folder}/report-r{event.revision}.json")
    quality = report.body.get("alarms", {}).get("data_quality", {})
    return bool(quality.get("breach"))
