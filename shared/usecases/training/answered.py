"""Labels that came back, and the cells of the predictions that they are about.

labels/... -> the last word on each prediction
predictions.csv of a scoring run, or the inference log -> the cells it was made from
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shared import documents, paths
from shared.events import parse_time
from shared.ports import Bucket
from shared.predicted import log_days, read_log_day
from shared.serving.columns import Schema
from shared.serving.features import Feature
from shared.tabular.answers import answer_names, input_position
from shared.tabular.reading.records import allow_long_fields
from shared.usecases.training.stages import Training


@dataclass(frozen=True, slots=True)
class Label:
    """The latest label of one prediction; `score_run` is None for an online one."""

    prediction_id: str
    label: str
    score_run: str | None
    prediction_time: str

    @property
    def record(self) -> int:
        """The record number in the scored file; online predictions have none."""
        return int(self.prediction_id.rpartition("-")[2]) if self.score_run else 0


def read_labels(objects: Iterable[str], *, lake: Bucket) -> list[Label]:
    """The last word on every matched prediction, by label time; ties go to the later object."""
    latest: dict[str, tuple[str, Label]] = {}
    for name in objects:
        with lake.open_reader(name) as stream:
            for line in map(json.loads, stream):
                if not line["matched"]:
                    continue
                time = documents.timestamp(parse_time(line["label_time"]))
                known = latest.get(line["prediction_id"])
                if known is None or time >= known[0]:
                    latest[line["prediction_id"]] = (time, _label(line))
    return [label for _, label in latest.values()]


def _label(line: dict[str, Any]) -> Label:
    when = documents.timestamp(parse_time(line["prediction_time"]))
    return Label(line["prediction_id"], str(line["label"]), line["run_id"], when)


def cells_of(
    run: Training, labels: list[Label], schema: Schema, more: list[str]
) -> dict[str, dict[str, str]]:
    """The inputs' cells by prediction id, and those of `more` columns where they were kept."""
    found: dict[str, dict[str, str]] = {}
    batch: dict[str, set[str]] = {}
    online: dict[str, str] = {}
    for label in labels:
        if label.score_run:
            batch.setdefault(label.score_run, set()).add(label.prediction_id)
        else:
            online[label.prediction_id] = label.prediction_time
    for score_run, ids in sorted(batch.items()):
        found.update(_batch_cells(run, score_run, ids, [*schema.names, *more]))
    found.update(_online_cells(run, online, schema, more))
    return found


def _batch_cells(
    run: Training, score_run: str, ids: set[str], names: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a predictions.csv without an error."""
    name = paths.predictions(run.model, score_run, "predictions.csv")
    task = run.spec.task
    answers = answer_names(task)
    allow_long_fields()
    with run.lake.open_reader(name) as stream:
        reader = csv.reader(io.TextIOWrapper(stream, encoding="utf-8", newline=""))
        header = next(reader)
        at = {feature: input_position(feature, header, task) for feature in names}
        for row in reader:
            answer = dict(zip(answers, row[-len(answers) :], strict=True))
            if answer["prediction_id"] in ids and not answer["error"]:
                yield (
                    answer["prediction_id"],
                    {name: "" if place is None else row[place] for name, place in at.items()},
                )


def _online_cells(
    run: Training, wanted: dict[str, str], schema: Schema, more: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Instances of the inference log, as cells."""
    times = [parse_time(time) for time in wanted.values()]
    days = {day for time in times for day in log_days(time, time)}
    needed = {*schema.names, *more}
    for day in sorted(days):
        for line in read_log_day(day, lake=run.lake):
            if (
                line["model"] == run.model
                and line["prediction_id"] in wanted
                and not line.get("error")
                # A cell that was not kept is no missing value: such a row cannot be learned from.
                and needed.isdisjoint(line.get("redacted", ()))
            ):
                instance = line.get("instance") or {}
                cells = {
                    feature.name: _text(instance.get(feature.name), feature, schema)
                    for feature in (*schema.inputs, *(Feature(name, "category") for name in more))
                }
                yield line["prediction_id"], cells


def _text(value: object, feature: Feature, schema: Schema) -> str:
    """A JSON value as the file would have spelled it."""
    if feature.kind == "category":
        return schema.category_of(value)
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value).replace(".", schema.decimal)
    return str(value)
