"""Stage `prepared` of a retraining: the champion's rows and the predictions that got labels since.

    champion's fit rows ------------------------------> fit
    champion's holdout (and older ones) --------------> reserved: no fit, no comparison
    labelled predictions, by prediction time: 70 % ---> fit,  newest 30 % --> holdout

Feature cells come from where the prediction was kept: predictions.csv (batch) or the inference log
(online). A row equal to one that was used before keeps that row's side; a corrected label replaces
the row's old target.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shared import documents, paths
from shared.errors import NotTrainable
from shared.events import parse_time
from shared.ports import Bucket
from shared.predicted import log_days, read_log_day
from shared.runs import RetrainCause
from shared.serving.columns import Schema
from shared.serving.features import Feature
from shared.tabular.answers import answer_names, input_position
from shared.tabular.dataset import Cells, Dataset, Side, columns_of
from shared.tabular.reading.blocks import block_of
from shared.tabular.reading.records import allow_long_fields
from shared.tabular.splitting import Labelled, labelled_sides, row_keys
from shared.tabular.targets import outcome_of
from shared.tabular.validating.sifting import Sieve
from shared.tabular.validating.summarising import Summary
from shared.usecases.training.prepared import (
    STAGE,
    Prepared,
    load_prepared,
    schema_of,
    store_dataset,
)
from shared.usecases.training.quarantined import Quarantine
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


@dataclass(frozen=True, slots=True)
class _New:
    """Labelled predictions with their cells, row by row."""

    labels: list[Label]
    cells: Cells
    bad: int


def prepare_labelled(run: Training, cause: RetrainCause) -> dict[str, Any]:
    """The record of a retraining. Raises NotTrainable when nothing new can be joined."""
    champion = load_prepared(
        run.model,
        cause.champion,
        documents.require(run.lake, paths.run_stage(run.model, cause.champion, f"{STAGE}.json")),
        lake=run.lake,
    )
    schema = _schema(run, champion)
    new = _collect(run, cause, schema, champion)
    corrected = {label.prediction_id for label in new.labels}
    old_keys = row_keys(columns_of(champion.dataset.cells, schema), schema.telling)
    used = _used(old_keys, champion.dataset.side)
    new_keys = row_keys(columns_of(new.cells, schema), schema.telling)
    rows = [
        Labelled(label.prediction_time, label.record, label.prediction_id, key)
        for label, key in zip(new.labels, new_keys, strict=True)
    ]
    old = _without(champion.dataset, corrected)
    names = [*schema.names, champion.target]
    dataset = Dataset(
        cells={name: [*old.cells[name], *new.cells[name]] for name in names},
        record=[*old.record, *(label.record for label in new.labels)],
        origin=[*old.origin, *["labels"] * len(rows)],
        prediction_id=[*old.prediction_id, *(label.prediction_id for label in new.labels)],
        side=[*map(_aged, old.side), *labelled_sides(rows, used)],
    )
    texts = dataset.cells[champion.target]
    outcome = outcome_of(run.spec, texts, schema, champion.outcome.labels, champion.outcome.spelled)
    kept = [
        key
        for key, found in zip(old_keys, champion.dataset.prediction_id, strict=True)
        if found not in corrected or not found
    ]
    record = store_dataset(
        run,
        dataset,
        schema,
        outcome,
        holdout_kind="new_labels",
        keys=[*kept, *new_keys],
        quarantined=new.bad,
        labels_used=cause.label_objects,
    )
    # Nothing new is known of joined sources: keys are looked up where the champion does it.
    return {**record, "sources": champion.record.get("sources", [])}


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


def _collect(run: Training, cause: RetrainCause, schema: Schema, champion: Prepared) -> _New:
    """Labels with the cells they are about; rows that cannot be read go to quarantine."""
    labels = read_labels(cause.label_objects, lake=run.lake)
    cells = _cells_of(run, labels, schema)
    joined = [label for label in labels if label.prediction_id in cells]
    if not joined:
        raise NotTrainable(
            f"none of {len(labels)} labels could be joined to a prediction of {run.model}"
        )
    joined.sort(key=lambda label: (label.prediction_time, label.record, label.prediction_id))
    columns = [
        *([cells[label.prediction_id].get(name, "") for label in joined] for name in schema.names),
        [label.label for label in joined],
    ]
    names = (*schema.names, champion.target)
    outcome = champion.outcome
    sieve = Sieve(run.spec, schema, outcome, names=names, shown=names, files=False)
    block = block_of(names, columns, range(1, len(joined) + 1), [])
    sifted = sieve.sift("labels", block)
    bad = [
        replace(
            row, source=joined[row.record - 1].prediction_id, record=joined[row.record - 1].record
        )
        for row in sifted.bad
    ]
    summary = Summary(outcome, names)
    summary.add(replace(sifted, bad=bad))
    quarantine = Quarantine(run, names)
    quarantine.add(bad)
    quarantine.close(summary)
    good = [joined[row] for row in np.flatnonzero(sifted.good).tolist()]
    kept = {name: column.to_pylist() for name, column in sifted.cells.items()}
    return _New(good, kept, len(bad))


def _schema(run: Training, champion: Prepared) -> Schema:
    """The spec's features where it names any, else those of the champion. Raises NotTrainable."""
    if not run.spec.columns:
        return champion.schema
    schema = schema_of(run)
    missing = [
        name
        for name in (*schema.names, run.spec.target.column)
        if name not in champion.dataset.cells
    ]
    if missing:
        raise NotTrainable(
            f"the champion's rows lack {', '.join(missing)}, which the spec has now; "
            f"drop a training file instead"
        )
    return schema


def _cells_of(run: Training, labels: list[Label], schema: Schema) -> dict[str, dict[str, str]]:
    """Feature cells by prediction id."""
    found: dict[str, dict[str, str]] = {}
    batch: dict[str, set[str]] = {}
    online: dict[str, str] = {}
    for label in labels:
        if label.score_run:
            batch.setdefault(label.score_run, set()).add(label.prediction_id)
        else:
            online[label.prediction_id] = label.prediction_time
    for score_run, ids in sorted(batch.items()):
        found.update(_batch_cells(run, score_run, ids, schema))
    found.update(_online_cells(run, online, schema))
    return found


def _batch_cells(
    run: Training, score_run: str, ids: set[str], schema: Schema
) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a predictions.csv without an error."""
    name = paths.predictions(run.model, score_run, "predictions.csv")
    task = run.spec.task
    answers = answer_names(task)
    allow_long_fields()
    with run.lake.open_reader(name) as stream:
        reader = csv.reader(io.TextIOWrapper(stream, encoding="utf-8", newline=""))
        header = next(reader)
        at = {feature: input_position(feature, header, task) for feature in schema.names}
        for row in reader:
            answer = dict(zip(answers, row[-len(answers) :], strict=True))
            if answer["prediction_id"] in ids and not answer["error"]:
                yield (
                    answer["prediction_id"],
                    {name: "" if place is None else row[place] for name, place in at.items()},
                )


def _online_cells(
    run: Training, wanted: dict[str, str], schema: Schema
) -> Iterator[tuple[str, dict[str, str]]]:
    """Instances of the inference log, as cells."""
    times = [parse_time(time) for time in wanted.values()]
    days = {day for time in times for day in log_days(time, time)}
    for day in sorted(days):
        for line in read_log_day(day, lake=run.lake):
            if (
                line["model"] == run.model
                and line["prediction_id"] in wanted
                and not line.get("error")
            ):
                instance = line.get("instance") or {}
                cells = {
                    feature.name: _text(instance.get(feature.name), feature, schema)
                    for feature in schema.inputs
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


def _used(keys: list[bytes], sides: list[Side]) -> dict[bytes, Side]:
    """Every row that the champion had, with its side; fitted rows have the last word."""
    used: dict[bytes, Side] = {}
    for key, side in zip(keys, sides, strict=True):
        if used.get(key) != "fit":
            used[key] = side
    return used


def _aged(side: Side) -> Side:
    return "fit" if side == "fit" else "reserved"


def _without(dataset: Dataset, ids: set[str]) -> Dataset:
    """The dataset without the rows of these predictions."""
    rows = [row for row, found in enumerate(dataset.prediction_id) if not found or found not in ids]
    return Dataset(
        {name: [column[row] for row in rows] for name, column in dataset.cells.items()},
        [dataset.record[row] for row in rows],
        [dataset.origin[row] for row in rows],
        [dataset.prediction_id[row] for row in rows],
        [dataset.side[row] for row in rows],
    )
