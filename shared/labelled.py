"""Label files in the lake: what the label job stores, and how monitoring and retraining find it.

    labels/<model>/dt=<arrival day>/<run_id>.jsonl     one row per labelled prediction, create-only
    runs/<model>/<run_id>/stages/labels.json           its summary, written before it

A row: {"prediction_id", "label" (text), "label_time", "matched", "run_id" (of the score run, null
for online), "prediction_time" (null when unknown), "record" (in the labels file)}. One that came by
the spec's `labels.key` has its "key", too, and an empty "prediction_id" when none was found. The
summary says which predictions a file is about, so that nobody opens a label file to find out that
it does not matter.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from shared import documents, paths
from shared.errors import ObjectNotFound
from shared.events import parse_time
from shared.ports import Bucket, ObjectInfo

SUMMARY = "labels.json"
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """`rows` = `matched` + `unknown` are recorded, `quarantined` (of which `duplicates`) are not;
    together they are the rows of the labels file. `score_runs` and `online_hours` (UTC,
    `2026-01-05T09`) say which predictions were labelled.

    Of the matched ones, `late` came when their window could have been judged already, `corrected`
    say another label than was known, `repeated` the same again, and `outdated` have an earlier time
    than what is known, so they change nothing. `missing` predictions of these score runs have no
    label yet. None in summaries of before it was counted."""

    object: str
    rows: int
    matched: int
    unknown: int
    quarantined: int
    duplicates: int
    score_runs: tuple[str, ...]
    online_hours: tuple[str, ...]
    late: int | None = None
    corrected: int | None = None
    repeated: int | None = None
    outdated: int | None = None
    missing: int | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> LabelSummary:
        return cls(
            **{
                **body,
                "score_runs": tuple(body["score_runs"]),
                "online_hours": tuple(body["online_hours"]),
            }
        )

    def is_about(self, score_runs: Iterable[str], hours: Iterable[str]) -> bool:
        """True when it labels a prediction of these score runs or of online traffic in these
        hours."""
        return not set(self.score_runs).isdisjoint(score_runs) or not set(
            self.online_hours
        ).isdisjoint(hours)


@dataclass(frozen=True, slots=True)
class LabelFile:
    info: ObjectInfo
    run_id: str
    summary: LabelSummary


def label_objects(model: str, *, lake: Bucket) -> list[ObjectInfo]:
    """All label files of a model, in order of arrival."""
    found = [info for info in lake.list(paths.labels(model)) if info.name.endswith(".jsonl")]
    return sorted(found, key=lambda info: (info.created, info.name))


def open_summary(model: str, info: ObjectInfo, *, lake: Bucket) -> LabelFile:
    """Raises ObjectNotFound when the file was not written by a label job."""
    run_id = info.name.rpartition("/")[2].removesuffix(".jsonl")
    return LabelFile(info, run_id, read_summary(model, run_id, lake=lake))


def read_summary(model: str, run_id: str, *, lake: Bucket) -> LabelSummary:
    """Raises ObjectNotFound."""
    return LabelSummary.from_json(documents.require(lake, paths.run_stage(model, run_id, SUMMARY)))


def read_rows(file: LabelFile, *, lake: Bucket) -> Iterator[dict[str, Any]]:
    """The rows of a label file, in bounded memory."""
    with lake.open_reader(file.info.name, generation=file.info.generation) as stream:
        for line in stream:
            yield json.loads(line)


def last_words(
    files: Iterable[LabelFile], *, lake: Bucket, one_in: int = 1
) -> dict[str, dict[str, Any]]:
    """The last word on each prediction of these files, which are in order of arrival: by label
    time, of equal times the later one. With `one_in` on a sample of the predictions: by their ids,
    so that a correction is in it with what it corrects."""
    found: dict[str, tuple[datetime, dict[str, Any]]] = {}
    for row in (row for file in files for row in read_rows(file, lake=lake)):
        if row["matched"] and zlib.crc32(row["prediction_id"].encode()) % one_in == 0:
            time, known = parse_time(row["label_time"]), found.get(row["prediction_id"])
            if known is None or time >= known[0]:
                found[row["prediction_id"]] = (time, row)
    return {prediction_id: row for prediction_id, (_, row) in found.items()}


def labels_of(
    model: str, prediction_id: str, *, score_run: str | None, time: datetime, lake: Bucket
) -> list[tuple[LabelFile, dict[str, Any]]]:
    """What was said about one prediction, the last word last: by label time, of equal times the
    later file. `score_run` is None for an online answer, `time` when it was made."""
    runs, hours = ([score_run], ()) if score_run else ((), [hour_of(time)])
    found = []
    for info in label_objects(model, lake=lake):
        try:
            file = open_summary(model, info, lake=lake)
        except ObjectNotFound:
            continue  # put there by hand: nobody checked it
        if file.summary.is_about(runs, hours):
            rows = read_rows(file, lake=lake)
            found += [(file, row) for row in rows if row["prediction_id"] == prediction_id]
    return sorted(found, key=lambda item: parse_time(item[1]["label_time"]))


def fingerprint(files: Iterable[LabelFile]) -> str:
    """Changes whenever the labels that count change; empty when there are none."""
    lines = sorted(f"{file.info.name}#{file.info.generation}" for file in files)
    return paths.digest("\n".join(lines), 32) if lines else ""


def hour_of(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H}"


def hours_between(start: datetime, end: datetime) -> set[str]:
    """The hours that `start` (inclusive) to `end` (exclusive) touches."""
    hour = start.replace(minute=0, second=0, microsecond=0)
    found = set()
    while hour < end:
        found.add(hour_of(hour))
        hour += HOUR
    return found
