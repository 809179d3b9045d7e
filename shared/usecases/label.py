"""Labels arrive: check each row against predictions we made and store what holds.

    read rows -> quarantine | last row per prediction -> match -> summary -> labels (create-only)

recorded + quarantined = rows of the file, always. A label for a prediction we do not know is
recorded as unmatched: it may have been typed wrongly, but it is somebody's work. Triggers nothing:
monitoring notices by itself.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date, datetime

from shared import documents, paths, runs
from shared.boundary import Task
from shared.documents import timestamp
from shared.errors import ObjectNotFound, PreconditionFailed, TooManyBadRows
from shared.events import Event, LabelsRecorded, parse_time
from shared.labelled import SUMMARY, LabelSummary, hour_of, read_summary
from shared.manifests import read_manifest
from shared.ports import Bucket, Clock, Publisher
from shared.predicted import (
    BATCH_ID,
    DAY,
    BatchRun,
    days_told,
    find_batch_run,
    find_online,
    logged_days,
)
from shared.spec.registry import read_generation
from shared.tabular.labels import LabelRow, Quarantined, check_rows
from shared.tabular.reading.records import record_writer

# Ids that callers made up do not tell their day; older answers than this are not looked for.
ONLINE_LOOKBACK_DAYS = 90


@dataclass(frozen=True, slots=True)
class Match:
    """Where a prediction was found; both None for one that we do not know."""

    run_id: str | None = None
    time: datetime | None = None

    @property
    def matched(self) -> bool:
        return self.time is not None


@dataclass
class _Batches:
    """Scoring runs by id, each looked up once."""

    model: str
    lake: Bucket
    found: dict[str, BatchRun | None] = field(default_factory=dict)

    def match(self, run_id: str, record: int) -> Match:
        if run_id not in self.found:
            self.found[run_id] = find_batch_run(self.model, run_id, lake=self.lake)
        run = self.found[run_id]
        if run is None or record > run.rows:
            return Match()
        return Match(run_id, run.finished)


def record_labels(task: Task, *, lake: Bucket, publisher: Publisher, clock: Clock) -> Event:
    """Store the labels of a run's input and end the run. Raises HeaderMismatch, EmptyFile,
    UnreadableText, TooManyBadRows."""
    model, run_id = task.model, task.run_id
    request = runs.read_request(model, run_id, lake=lake)
    arrived = parse_time(request.requested_at)
    name = paths.labels(model, arrived.date(), run_id)
    if not _is_there(lake, name):
        spec = read_generation(model, request.spec_generation, lake=lake)
        source = request.inputs[0]
        with lake.open_reader(source.object, generation=source.generation) as stream:
            rows, bad = check_rows(stream, spec, _known_labels(model, lake))
        _keep_bad(model, run_id, bad, lake)
        if not rows:
            raise TooManyBadRows(_hopeless(bad, paths.quarantine(model, run_id, "labels.csv")))
        _store(model, run_id, name, rows, bad, arrived=arrived, lake=lake)
    summary = read_summary(model, run_id, lake=lake)
    event = LabelsRecorded(
        model=model,
        run_id=run_id,
        rows=summary.rows,
        matched=summary.matched,
        unknown=summary.unknown,
    )
    runs.note(model, run_id, "recorded", lake=lake, clock=clock, **asdict(summary))
    return runs.finish(event, lake=lake, publisher=publisher, clock=clock)


def _store(
    model: str,
    run_id: str,
    name: str,
    rows: list[LabelRow],
    bad: list[Quarantined],
    *,
    arrived: datetime,
    lake: Bucket,
) -> None:
    matches = match_predictions(model, [row.prediction_id for row in rows], arrived, lake=lake)
    lines = []
    for row in rows:
        match = matches[row.prediction_id]
        lines.append(
            {
                "prediction_id": row.prediction_id,
                "label": row.label,
                "label_time": timestamp(row.label_time or arrived),
                "matched": match.matched,
                "run_id": match.run_id,
                "prediction_time": timestamp(match.time) if match.time else None,
                "record": row.record,
            }
        )
    known = [match for match in matches.values() if match.matched]
    summary = LabelSummary(
        object=name,
        rows=len(rows),
        matched=len(known),
        unknown=len(rows) - len(known),
        quarantined=len(bad),
        duplicates=sum(item.duplicate for item in bad),
        score_runs=tuple(sorted({match.run_id for match in known if match.run_id})),
        online_hours=tuple(
            sorted({hour_of(match.time) for match in known if match.time and not match.run_id})
        ),
    )
    # The summary first: whoever sees the labels finds it. Until they are there, a retry may match
    # a prediction more, so it writes its own.
    lake.write(
        paths.run_stage(model, run_id, SUMMARY),
        documents.dumps(summary.to_json()),
        content_type="application/json",
    )
    body = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    try:
        lake.write(name, body.encode(), if_generation=0, content_type="application/x-ndjson")
    except PreconditionFailed:
        return  # an earlier attempt of this run stored them


def match_predictions(
    model: str, ids: Iterable[str], arrived: datetime, *, lake: Bucket
) -> dict[str, Match]:
    """Each id with the prediction it names: `<score run>-<record>`, or an id of the online log."""
    batches = _Batches(model, lake)
    matches: dict[str, Match] = {}
    online: list[str] = []
    for prediction_id in ids:
        parts = BATCH_ID.fullmatch(prediction_id)
        match = batches.match(parts[1], int(parts[2])) if parts else Match()
        matches[prediction_id] = match
        if not match.matched:
            online.append(prediction_id)
    days = _days_to_search(online, arrived, lake)
    for prediction_id, time in find_online(model, online, days, lake=lake).items():
        matches[prediction_id] = Match(None, time)
    return matches


def _days_to_search(ids: list[str], arrived: datetime, lake: Bucket) -> list[date]:
    """Days of the log, newest first. Our own ids carry their time; others may be of any day."""
    if not ids:
        return []
    days = {day for prediction_id in ids for day in days_told(prediction_id)}
    if not all(map(days_told, ids)):
        first = arrived.date() - DAY * ONLINE_LOOKBACK_DAYS
        days |= {first + DAY * number for number in range(ONLINE_LOOKBACK_DAYS + 2)}
    return sorted(days & logged_days(lake=lake), reverse=True)


def _keep_bad(model: str, run_id: str, bad: list[Quarantined], lake: Bucket) -> None:
    """Quarantined rows as a CSV that a person can mend: reason first, then the row as it came."""
    if not bad:
        return
    text = io.StringIO(newline="")
    writer = record_writer(text)
    writer.writerow(["record", "reason", "row"])
    for item in bad:
        writer.writerow([item.record, item.reason, *item.cells])
    name = paths.quarantine(model, run_id, "labels.csv")
    lake.write(name, text.getvalue().encode(), content_type="text/csv")


def _hopeless(bad: list[Quarantined], where: str) -> str:
    first = bad[0]
    return (
        f"none of the {len(bad)} rows is a label; row {first.record}: {first.reason}. All rows "
        f"with their reasons are in {where}"
    )


def _known_labels(model: str, lake: Bucket) -> tuple[str, ...]:
    """The classes of the champion; none without a champion, and for regression."""
    manifest = read_manifest(model, lake=lake)
    if manifest is None:
        return ()
    body = documents.require(lake, paths.package(model, manifest.version, "package.json"))
    return tuple(body["labels"])


def _is_there(lake: Bucket, name: str) -> bool:
    try:
        lake.stat(name)
    except ObjectNotFound:
        return False
    return True
