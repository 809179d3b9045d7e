"""Labels arrive: check each row against predictions we made and store what holds.

    read rows -> quarantine | last row per prediction -> match -> summary -> labels (create-only)

recorded + quarantined = rows of the file, always. A label for a prediction we do not know is
recorded as unmatched: it may have been typed wrongly, but it is somebody's work. Triggers nothing:
monitoring notices by itself. Rows with a business key are matched by `shared.usecases.label_keys`.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from shared import documents, paths, runs
from shared.boundary import Task
from shared.documents import timestamp
from shared.errors import ObjectNotFound, PreconditionFailed, TooManyBadRows
from shared.events import Event, LabelsRecorded, parse_time
from shared.labelled import SUMMARY, LabelSummary, hour_of, read_summary
from shared.manifests import read_manifest
from shared.ports import Bucket, Clock, Publisher
from shared.spec.model import Monitoring
from shared.spec.registry import read_generation
from shared.tabular.labels import Quarantined, check_rows
from shared.tabular.reading.records import record_writer
from shared.usecases.label_counts import COUNTED, count
from shared.usecases.label_places import Placed, one_each, place


def record_labels(task: Task, *, lake: Bucket, publisher: Publisher, clock: Clock) -> Event:
    """Store the labels of a run's input and end the run. Raises HeaderMismatch, EmptyFile,
    UnreadableText, TooManyBadRows."""
    model, run_id = task.model, task.run_id
    request = runs.read_work(model, run_id, lake=lake)
    arrived = parse_time(request.requested_at)
    name = paths.labels(model, arrived.date(), run_id)
    if not _is_there(lake, name):
        spec = read_generation(model, request.spec_generation, lake=lake)
        source = request.inputs[0]
        with lake.open_reader(source.object, generation=source.generation) as stream:
            rows, bad = check_rows(stream, spec, _known_labels(model, lake))
        placed, repeats = one_each(place(model, rows, spec.labels, arrived, lake=lake), arrived)
        bad = sorted([*bad, *repeats], key=lambda item: item.record)
        _keep_bad(model, run_id, bad, lake)
        if not placed:
            raise TooManyBadRows(_hopeless(bad, paths.quarantine(model, run_id, "labels.csv")))
        _store(model, run_id, placed, bad, spec.monitoring, arrived=arrived, lake=lake)
    summary = read_summary(model, run_id, lake=lake)
    event = LabelsRecorded(
        model=model,
        run_id=run_id,
        rows=summary.rows,
        matched=summary.matched,
        unknown=summary.unknown,
        quarantined=summary.quarantined,
        duplicates=summary.duplicates,
        **{name: getattr(summary, name) or 0 for name in COUNTED},
    )
    runs.note(model, run_id, "recorded", lake=lake, clock=clock, **asdict(summary))
    return runs.finish(event, lake=lake, publisher=publisher, clock=clock)


def _store(
    model: str,
    run_id: str,
    placed: list[Placed],
    bad: list[Quarantined],
    settings: Monitoring,
    *,
    arrived: datetime,
    lake: Bucket,
) -> None:
    name = paths.labels(model, arrived.date(), run_id)
    known = [item.match for item in placed if item.match.matched]
    score_runs = tuple(sorted({match.run_id for match in known if match.run_id}))
    hours = {hour_of(match.time) for match in known if match.time and not match.run_id}
    summary = LabelSummary(
        object=name,
        rows=len(placed),
        matched=len(known),
        unknown=len(placed) - len(known),
        quarantined=len(bad),
        duplicates=sum(item.duplicate for item in bad),
        score_runs=score_runs,
        online_hours=tuple(sorted(hours)),
        **count(
            model,
            placed,
            score_runs,
            hours,
            settings=settings,
            own=name,
            arrived=arrived,
            lake=lake,
        ),
    )
    # The summary first: whoever sees the labels finds it. Until they are there, a retry may match
    # a prediction more, so it writes its own.
    lake.write(
        paths.run_stage(model, run_id, SUMMARY),
        documents.dumps(summary.to_json()),
        content_type="application/json",
    )
    body = "".join(json.dumps(_line(item, arrived), ensure_ascii=False) + "\n" for item in placed)
    try:
        lake.write(name, body.encode(), if_generation=0, content_type="application/x-ndjson")
    except PreconditionFailed:
        return  # an earlier attempt of this run stored them


def _line(item: Placed, arrived: datetime) -> dict[str, Any]:
    row, match = item.row, item.match
    return {
        "prediction_id": item.prediction_id,
        "label": row.label,
        "label_time": timestamp(row.label_time or arrived),
        "matched": match.matched,
        "run_id": match.run_id,
        "prediction_time": timestamp(match.time) if match.time else None,
        "record": row.record,
        **({"key": row.key} if row.key else {}),
    }


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
