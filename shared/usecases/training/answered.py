"""Labels that came back, and the cells of the predictions that they are about.

labels/... -> the last word on each prediction
the scored file of a run, or the inference log -> the cells it was made from
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shared import documents
from shared.events import parse_time
from shared.ports import Bucket
from shared.predicted import find_batch_run, log_days, read_log_day
from shared.serving.columns import Schema
from shared.serving.features import Feature
from shared.usecases.scored_rows import scored_rows
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
    run: Training,
    labels: list[Label],
    schema: Schema,
    more: Sequence[str],
    *,
    if_kept: Sequence[str] = (),
) -> dict[str, dict[str, str]]:
    """The inputs' cells by prediction id, and those of `more` columns. A row that was logged
    without some of these is left out; without one of `if_kept` it has an empty cell there."""
    found: dict[str, dict[str, str]] = {}
    batch: dict[str, set[str]] = {}
    online: dict[str, str] = {}
    for label in labels:
        if label.score_run:
            batch.setdefault(label.score_run, set()).add(label.prediction_id)
        else:
            online[label.prediction_id] = label.prediction_time
    for score_run, ids in sorted(batch.items()):
        found.update(_batch_cells(run, score_run, ids, [*schema.names, *more, *if_kept]))
    found.update(_online_cells(run, online, schema, more, if_kept))
    return found


def _batch_cells(
    run: Training, score_run: str, ids: set[str], names: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a scored file without an error."""
    found = find_batch_run(run.model, score_run, lake=run.lake)
    if found is None:
        return
    for block in scored_rows(run.model, found, names, lake=run.lake):
        answers = block.answers
        wanted = pc.and_(
            pc.is_in(answers["prediction_id"], pa.array(sorted(ids), pa.string())),
            pc.equal(answers["error"], ""),
        )
        told = answers["prediction_id"].filter(wanted).to_pylist()
        columns = [column.filter(wanted).to_pylist() for column in block.cells]
        for number, prediction_id in enumerate(told):
            cells = (column[number] for column in columns)
            yield prediction_id, dict(zip(names, cells, strict=True))


def _online_cells(
    run: Training,
    wanted: dict[str, str],
    schema: Schema,
    more: Sequence[str],
    if_kept: Sequence[str],
) -> Iterator[tuple[str, dict[str, str]]]:
    """Instances of the inference log, as cells."""
    times = [parse_time(time) for time in wanted.values()]
    days = {day for time in times for day in log_days(time, time)}
    needed = {*schema.names, *more}
    beside = [Feature(name, "category") for name in (*more, *if_kept)]
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
                    for feature in (*schema.inputs, *beside)
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
