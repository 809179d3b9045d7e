"""Stage `prepared` of a retraining: the champion's rows and the predictions that got labels since.

    champion's fit rows ------------------------------> fit
    champion's holdout (and older ones) --------------> reserved: no fit, no comparison
    labelled predictions, by prediction time: 70 % ---> fit,  newest 30 % --> holdout

Feature cells come from where the prediction was kept: predictions.csv (batch) or the inference log
(online). A row equal to one that was used before keeps that row's side; a corrected label replaces
the row's old target. `retrain.data` may let the oldest rows to fit go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from shared import documents, paths
from shared.errors import NotRelearnable, NotTrainable, ObjectNotFound, PackageInvalid
from shared.rules.binding import Kind
from shared.rules.expressions import parse_value
from shared.runs import RetrainCause
from shared.serving.cells import BadCell
from shared.serving.columns import Schema
from shared.serving.times import moment_of, text_of
from shared.spec.model import Spec
from shared.spec.parts import Column
from shared.tabular.dataset import Cells, Dataset, Side, columns_of
from shared.tabular.reading.blocks import block_of
from shared.tabular.remembering import let_go
from shared.tabular.splitting import Labelled, group_keys, labelled_sides, row_keys
from shared.tabular.targets import outcome_of
from shared.tabular.validating.sifting import Sieve
from shared.tabular.validating.summarising import Summary
from shared.usecases.training.answered import Label, cells_of, read_labels
from shared.usecases.training.loaded import Prepared, load_prepared
from shared.usecases.training.prepared import STAGE, schema_of, store_dataset
from shared.usecases.training.quarantined import Quarantine
from shared.usecases.training.stages import Training

_MICROSECOND = 1e-6


@dataclass(frozen=True, slots=True)
class _New:
    """Labelled predictions with their cells, row by row, and with their groups, or with the
    `owners` by whom sides do not go (keys of joined sources), if the champion's rows have any; ""
    where nobody knows it."""

    labels: list[Label]
    cells: Cells
    bad: int
    groups: list[str] | None = None
    owners: list[str] | None = None


def prepare_labelled(run: Training, cause: RetrainCause) -> dict[str, Any]:
    """The record of a retraining. Raises NotRelearnable when there is nothing new in the labels."""
    champion = _champion(run, cause.champion)
    schema = _schema(run, champion)
    new = _collect(run, cause, schema, champion)
    corrected = {label.prediction_id for label in new.labels}
    keys = _keys(champion, new, schema)
    rows = [
        Labelled(label.prediction_time, label.record, label.prediction_id, *both)
        for label, *both in zip(new.labels, keys.new, keys.new_rows, strict=True)
    ]
    old = _without(champion.dataset, corrected)
    names = [*schema.names, champion.target]
    dataset = Dataset(
        cells={name: [*old.cells[name], *new.cells[name]] for name in names},
        record=[*old.record, *(label.record for label in new.labels)],
        origin=[*old.origin, *["labels"] * len(rows)],
        prediction_id=[*old.prediction_id, *(label.prediction_id for label in new.labels)],
        side=[*map(_aged, old.side), *labelled_sides(rows, keys.used, held=keys.held)],
        marks=_marks(run, old, new),
    )
    texts = dataset.cells[champion.target]
    outcome = outcome_of(run.spec, texts, schema, champion.outcome.labels, champion.outcome.spelled)
    kept = [
        key
        for key, found in zip(keys.old, champion.dataset.prediction_id, strict=True)
        if found not in corrected or not found
    ]
    times = [moment_of(text) for text in dataset.marks["time"]] if "time" in dataset.marks else None
    gone = let_go(dataset.side, len(old), run.spec.retrain, times)
    stay = [row for row in range(len(dataset)) if row not in gone]
    all_keys = [*kept, *keys.new]
    try:
        record = store_dataset(
            run,
            dataset.take(stay) if gone else dataset,
            schema,
            outcome,
            holdout_kind="new_labels",
            keys=[all_keys[row] for row in stay],
            quarantined=new.bad,
            labels_used=cause.label_objects,
            split=champion.record["split"] if new.groups is not None else None,
        )
    except NotTrainable as error:
        raise NotRelearnable(_too_little(dataset.side[len(old) :], error)) from error
    # Nothing new is known of joined sources: keys are looked up where the champion does it.
    return {**record, "sources": champion.record.get("sources", []), "let_go": len(gone)}


def _too_little(sides: Sequence[Side], error: NotTrainable) -> str:
    count = Counter(sides)
    return (
        f"of {len(sides):,} labelled predictions {count['holdout']:,} are left to compare on: "
        f"{count['fit']:,} are learned from or equal to rows that were, {count['reserved']:,} are "
        "equal to rows that were held out before, and a comparison needs rows that are new to "
        f"both versions ({error}). Drop a training file to train all the same"
    )


def _marks(run: Training, old: Dataset, new: _New) -> dict[str, list[str]]:
    """Groups or keys, or when rows were where the split goes by time: new ones at their prediction,
    and not before the newest that the champion had. Sides do not go by keys and times, but folds
    do; a batch may be cut as the holdout is, by record."""
    together = new.owners if new.groups is None else new.groups
    if together is not None:
        return {"group": [*old.marks["group"], *together]}
    if run.spec.training.time_column is None or "time" not in old.marks:
        return {}
    newest = max(map(moment_of, old.marks["time"]))
    came = [
        max(newest, moment_of(label.prediction_time)) + place * _MICROSECOND
        for place, label in enumerate(new.labels, start=1)
    ]
    return {"time": [*old.marks["time"], *map(text_of, came)]}


@dataclass(frozen=True, slots=True)
class _Keys:
    """Who old and new rows are about: their group, else what a model sees of them. `new_rows` are
    keys of both; `used` has the sides of old rows, `held` the groups that nobody was fitted on."""

    old: list[bytes]
    new: list[bytes]
    new_rows: list[bytes]
    used: dict[bytes, Side]
    held: frozenset[bytes] | None = None


def _champion(run: Training, version: str) -> Prepared:
    name = paths.run_stage(run.model, version, f"{STAGE}.json")
    try:
        return load_prepared(run.model, version, documents.require(run.lake, name), lake=run.lake)
    except (ObjectNotFound, PackageInvalid) as error:
        raise NotRelearnable(
            f"the rows that the champion {version} was made from, which labels that came back are "
            f"added to, cannot be read ({error}); drop a training file instead"
        ) from error


def _keys(champion: Prepared, new: _New, schema: Schema) -> _Keys:
    seen = row_keys(columns_of(champion.dataset.cells, schema), schema.telling)
    fresh = row_keys(columns_of(new.cells, schema), schema.telling)
    sides = champion.dataset.side
    used = _used(seen, sides)
    if new.groups is None:
        return _Keys(seen, fresh, fresh, used)
    old = group_keys(champion.dataset.marks["group"], seen)
    of_groups = _used(old, sides)
    used |= {key: side for key, side in of_groups.items() if side == "fit"}
    used |= _used([a + b for a, b in zip(old, seen, strict=True)], sides)
    together = group_keys(new.groups, fresh)
    return _Keys(
        old,
        together,
        [a + b for a, b in zip(together, fresh, strict=True)],
        used,
        frozenset(of_groups.keys() - used.keys()),
    )


def _collect(run: Training, cause: RetrainCause, schema: Schema, champion: Prepared) -> _New:
    """Labels with the cells they are about; rows that cannot be read go to quarantine."""
    labels = read_labels(cause.label_objects, lake=run.lake)
    by, column = champion.split_by
    group = column if by == "group" else None
    key = None
    if by != "group" and "group" in champion.dataset.marks:
        key = column if by == "key" else run.spec.together
    cells = cells_of(run, labels, schema, [group] if group else [], if_kept=[key] if key else [])
    joined = [label for label in labels if label.prediction_id in cells]
    if not joined:
        raise NotRelearnable(
            f"none of {len(labels)} labels could be joined to a prediction of {run.model} whose "
            "cells were all kept (see serving.redact)"
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
    known = group or key
    if known is None:
        return _New(good, kept, len(bad))
    found = [_group(cells[label.prediction_id].get(known, ""), schema) for label in good]
    return _New(good, kept, len(bad), **{"groups" if group else "owners": found})


def _group(cell: str, schema: Schema) -> str:
    try:
        return schema.category_of(cell)
    except BadCell:
        return ""


def _schema(run: Training, champion: Prepared) -> Schema:
    """What the spec of now makes of the champion's columns; where it names none, the champion's
    own are taken. Raises NotRelearnable, BadSpec."""
    spec = run.spec if run.spec.columns else _with_columns(run.spec, champion.schema)
    derived_of = (parse_value(text).columns for text in spec.derive.values())
    wanted = [*spec.feature_names(), *chain.from_iterable(derived_of), spec.target.column]
    missing = [name for name in dict.fromkeys(wanted) if name not in champion.dataset.cells]
    group = spec.training.group_column
    if group is not None and champion.split_by != ("group", group):
        missing.append(group)
    if missing:
        raise NotRelearnable(
            f"the champion's rows lack {', '.join(missing)}, which the spec has now; "
            f"drop a training file instead"
        )
    return schema_of(replace(run, spec=spec))


def _with_columns(spec: Spec, schema: Schema) -> Spec:
    """The spec with the columns that were found in the file of another training."""
    carried = {feature.name for feature in schema.carried}
    columns = {
        feature.name: Column(type=feature.kind, exclude=feature.name in carried)
        for feature in schema.inputs
        if feature.name not in spec.derived
    }
    kind: Kind = "number" if spec.task == "regression" else "category"
    return spec.model_copy(update={"columns": {**columns, spec.target.column: Column(type=kind)}})


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
    prediction_id = dataset.prediction_id
    return dataset.take([row for row, one in enumerate(prediction_id) if not one or one not in ids])
