"""Stage `prepared`: input files become data.csv.gz with a side for every row.

    rows --first pass--> columns, labels, the time to split at
         --second pass-> quarantine | good rows -> sides -> data.csv.gz -> checks

Both passes are streams: memory is flat in the size of the files. The record says how to read the
dataset again: schema, labels, target. Every later stage starts from the stored file, so a resumed
run sees exactly what the first attempt saw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from shared import documents, paths
from shared.errors import BadSpec, NotTrainable
from shared.rules.expressions import ExpressionError
from shared.serving.columns import Schema
from shared.tabular.comparison import HoldoutKind
from shared.tabular.dataset import Dataset, Side, examples_of, pack, side_mask
from shared.tabular.splitting import By, Split, overlap
from shared.tabular.targets import Outcome, check_enough, check_holdout, outcome_of
from shared.tabular.validating.surveying import Survey
from shared.usecases.training.checked import run_checks
from shared.usecases.training.corrections import replayed
from shared.usecases.training.loaded import Prepared
from shared.usecases.training.rows import Rows, open_rows
from shared.usecases.training.stages import Training
from shared.usecases.training.written import DATA, SIDES, Totals, write_rows

STAGE = "prepared"
RECORD = f"{STAGE}.json"


def prepare_files(run: Training) -> dict[str, Any]:
    """The record of a training from dropped files. Raises Rejected for files that cannot work."""
    with open_rows(run) as rows:
        survey = Survey(run.spec, rows.names)
        for _, block in rows.blocks():
            survey.add(block)
        survey.check_any()
        run = replace(run, spec=survey.spec())
        schema = schema_of(run)
        first = documents.read(run.lake, paths.first_training(run.model)).body
        outcome = outcome_of(run.spec, survey.targets, schema, first.get("labels", ()))
        frozen = first or _first_training(run, outcome)
        split = _split(run, survey.cut(), frozen)
        totals = _written(run, rows, schema, outcome, split)
        added = {"join": rows.report, "sources": rows.sources}
        facts = totals.facts(rows.file_names)
    record = _record(
        (totals.data.name, totals.data.sha256),
        schema,
        outcome,
        run.spec.target.column,
        holdout_kind=split.kind,
        split=split.to_json(),
        marks=[split.mark] if split.mark else [],
        overlap=0,  # as sides are given: by hash, or on either side of the cut
        doubles=totals.doubles,
        sides=totals.sides,
        quarantined=totals.summary.bad,
    )
    sample = Prepared(totals.sample, schema, outcome, run.spec.target.column, record)
    findings = run_checks(run, sample, facts)
    # Only now: a file that cannot be learned from fixes nothing for those after it.
    documents.create(run.lake, paths.first_training(run.model), frozen)
    return {
        **record,
        "cut": split.cut,
        "window": survey.window,
        "checks": [finding.to_json() for finding in findings],
        **added,
    }


def _written(run: Training, rows: Rows, schema: Schema, outcome: Outcome, split: Split) -> Totals:
    """As `write_rows`; what a batch lacked is part of why nothing can be learned from it."""
    try:
        return write_rows(run, rows, schema, outcome, split)
    except NotTrainable as error:
        sources = (rows.report or {}).get("sources", {})
        absent = [name for name, facts in sources.items() if not facts["there"]]
        if not absent:
            raise
        raise NotTrainable(
            f"{error}. The batch went on without {', '.join(absent)}, so the columns that come "
            f"from there are empty and rows that differ only in them look alike"
        ) from error


def schema_of(run: Training) -> Schema:
    """The features as the spec has them. Raises BadSpec for rules that do not fit them."""
    try:
        return Schema.of(run.spec)
    except ExpressionError as error:
        raise BadSpec(f"rules or derive: {error}") from error


def store_dataset(
    run: Training,
    dataset: Dataset,
    schema: Schema,
    outcome: Outcome,
    *,
    holdout_kind: HoldoutKind,
    keys: Sequence[bytes],
    quarantined: int,
    labels_used: Sequence[str] = (),
    split: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a dataset that is in memory, and give its record. Raises NotTrainable."""
    target = run.spec.target.column
    rows = examples_of(dataset, schema, target, outcome)
    fit, held = (rows.target[side_mask(dataset, side)] for side in ("fit", "holdout"))
    constant = bool(len(fit)) and bool(np.ptp(fit) == 0)
    check_enough(len(fit), _classes(fit, outcome), constant, outcome, "rows to fit on")
    check_holdout(len(held), _classes(held, outcome), outcome)
    used = [key for key, side in zip(keys, dataset.side, strict=True) if side == "fit"]
    kept = [key for key, side in zip(keys, dataset.side, strict=True) if side == "holdout"]
    data = pack(dataset)
    name = paths.dataset(run.model, run.version, DATA)
    run.lake.write(name, data, content_type="application/gzip")
    return _record(
        (name, hashlib.sha256(data).hexdigest()),
        schema,
        outcome,
        target,
        holdout_kind=holdout_kind,
        split=split or {"by": "features", "column": None},
        marks=list(dataset.marks),
        overlap=sum(overlap(kept, used)),
        doubles=0,
        sides={side: dataset.count(side) for side in SIDES},
        quarantined=quarantined,
        labels_used=labels_used,
    )


def _record(
    stored: tuple[str, str],
    schema: Schema,
    outcome: Outcome,
    target: str,
    *,
    holdout_kind: HoldoutKind,
    split: Mapping[str, Any],
    marks: Sequence[str],
    overlap: int,
    doubles: int,
    sides: Mapping[Side, int],
    quarantined: int,
    labels_used: Sequence[str] = (),
) -> dict[str, Any]:
    name, sha256 = stored
    rows = sum(sides.values())
    return {
        "dataset": name,
        "sha256": sha256,
        "schema": schema.to_json(),
        "task": outcome.task,
        "target": target,
        "labels": list(outcome.labels),
        "spelled": list(outcome.spelled),
        "scale": outcome.scale,
        "low": outcome.low,
        "high": outcome.high,
        "holdout_kind": holdout_kind,
        "split": dict(split),
        "marks": list(marks),
        "overlap": overlap,
        "doubles": doubles,
        "labels_used": list(labels_used),
        "quarantined": quarantined,
        "facts": {"rows": rows, **sides, "quarantined": quarantined},
    }


def _first_training(run: Training, outcome: Outcome) -> dict[str, Any]:
    """What the model's first training fixes for all later ones."""
    return {
        # From name and seed, so that the same data and spec split alike in every installation.
        "salt": paths.digest(f"holdout|{run.model}|{run.spec.training.seed}", 32),
        "labels": list(outcome.labels),
        "run_id": run.version,
        # Models that began before keys counted go on with their features.
        "key": run.spec.together if run.spec.training.split == "random" else None,
    }


def _split(run: Training, cut: float | None, frozen: dict[str, Any]) -> Split:
    """How rows get their sides. A replay is cut at the moment at which the run that it replays was
    cut: mended rows move nobody to the other side."""
    for request in replayed(run) if cut is not None else ():
        before = documents.read(run.lake, paths.run_stage(run.model, request.run_id, RECORD)).body
        if before.get("cut") is not None:
            cut = float(before["cut"])
            break
    training = run.spec.training
    by: By
    if cut is not None:
        by, column = "time", training.time_column
    elif training.group_column is not None:
        by, column = "group", training.group_column
    elif run.spec.together is not None and run.spec.together == frozen.get("key"):
        by, column = "key", run.spec.together
    else:
        by, column = "features", None
    return Split(by, frozen["salt"], training.holdout, column, cut)


def _classes(values: np.ndarray[Any, np.dtype[np.float64]], outcome: Outcome) -> list[int]:
    return [int((values == position).sum()) for position in range(len(outcome.labels))]
