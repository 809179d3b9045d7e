"""Stage `prepared`: input files become data.csv.gz with a side for every row.

    read -> quarantine | good rows -> sides (random by salted hash, or newest labels) -> data.csv.gz

The record says how to read the dataset again: schema, labels, target. Every later stage starts from
the stored file, so a resumed run sees exactly what the first attempt saw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared import documents, guards, paths
from shared.documents import dumps
from shared.errors import NotTrainable, PackageInvalid, TooManyBadRows
from shared.ports import Bucket
from shared.serving.columns import Schema
from shared.tabular.comparison import HoldoutKind
from shared.tabular.dataset import Dataset, Examples, examples_of, pack, side_mask, unpack
from shared.tabular.inferring import infer_columns
from shared.tabular.reading import (
    BadRow,
    Table,
    columns_of,
    join,
    quarantine_csv,
    read_table,
    sift,
)
from shared.tabular.splitting import overlap, random_sides, row_keys
from shared.tabular.targets import Outcome, check_enough, outcome_of
from shared.usecases.training.stages import Training

STAGE = "prepared"
DATA = "data.csv.gz"
MIN_HOLDOUT = 10


@dataclass(frozen=True, slots=True)
class Prepared:
    """A dataset with what its cells mean."""

    dataset: Dataset
    schema: Schema
    outcome: Outcome
    target: str
    record: dict[str, Any]

    def examples(self) -> Examples:
        return examples_of(self.dataset, self.schema, self.target, self.outcome)

    @property
    def holdout_kind(self) -> HoldoutKind:
        return "new_labels" if self.record["holdout_kind"] == "new_labels" else "random"

    def sides(self) -> tuple[Examples, Examples]:
        """The rows that fit and the rows that compare."""
        rows = self.examples()
        return (
            rows.take(side_mask(self.dataset, "fit")),
            rows.take(side_mask(self.dataset, "holdout")),
        )


def prepare_files(run: Training) -> dict[str, Any]:
    """The record of a training from dropped files. Raises Rejected for files that cannot work."""
    table = join([_read(run, position) for position in range(len(run.request.inputs))])
    spec = run.spec if run.spec.columns else infer_columns(table.cells, run.spec)
    schema = Schema.of(spec)
    first = documents.read(run.lake, paths.first_training(run.model)).body
    outcome = outcome_of(spec, table.cells[spec.target.column], schema, first.get("labels", ()))
    sifted = sift(table, schema, spec.target.column, outcome)
    keep_bad(run, sifted.bad, table.names, table.total)
    frozen = first or _first_training(run, outcome)
    keys = row_keys(columns_of(sifted.cells, schema), schema.features)
    rows = len(sifted.record)
    dataset = Dataset(
        cells=sifted.cells,
        record=sifted.record,
        origin=["file"] * rows,
        prediction_id=[""] * rows,
        side=random_sides(keys, frozen["salt"], spec.training.holdout),
    )
    record = store_dataset(
        run,
        dataset,
        schema,
        outcome,
        holdout_kind="random",
        keys=keys,
        quarantined=len(sifted.bad),
    )
    # Only now: a file that cannot be learned from fixes nothing for those after it.
    documents.create(run.lake, paths.first_training(run.model), frozen)
    return record


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
) -> dict[str, Any]:
    """Write data.csv.gz and give its record. Raises NotTrainable."""
    target = run.spec.target.column
    rows = examples_of(dataset, schema, target, outcome)
    check_enough(rows.target[side_mask(dataset, "fit")], outcome, "rows to fit on")
    held = rows.target[side_mask(dataset, "holdout")]
    _check_holdout(held.tolist(), outcome)
    used = [key for key, side in zip(keys, dataset.side, strict=True) if side == "fit"]
    kept = [key for key, side in zip(keys, dataset.side, strict=True) if side == "holdout"]
    data = pack(dataset)
    name = paths.dataset(run.model, run.version, DATA)
    run.lake.write(name, data, content_type="application/gzip")
    sides = {side: dataset.count(side) for side in ("fit", "holdout", "reserved")}
    return {
        "dataset": name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "schema": schema.to_json(),
        "task": outcome.task,
        "target": target,
        "labels": list(outcome.labels),
        "spelled": list(outcome.spelled),
        "scale": outcome.scale,
        "holdout_kind": holdout_kind,
        "overlap": sum(overlap(kept, used)),
        "labels_used": list(labels_used),
        "quarantined": quarantined,
        "facts": {"rows": len(dataset), **sides, "quarantined": quarantined},
    }


def load_prepared(model: str, version: str, record: dict[str, Any], *, lake: Bucket) -> Prepared:
    """The dataset behind a record. Raises PackageInvalid when the stored file is another one."""
    data = lake.read(record["dataset"]).data
    if hashlib.sha256(data).hexdigest() != record["sha256"]:
        raise PackageInvalid(f"{record['dataset']} of {model} {version} has changed")
    schema = Schema.from_json(record["schema"])
    outcome = Outcome(
        record["task"],
        tuple(record["labels"]),
        record["scale"],
        schema,
        spelled=tuple(record.get("spelled", record["labels"])),
    )
    return Prepared(unpack(data), schema, outcome, record["target"], record)


def keep_bad(run: Training, bad: Sequence[BadRow], names: Sequence[str], total: int) -> None:
    """Write quarantined rows with a summary. Raises TooManyBadRows above the spec's share."""
    if not bad:
        return
    where = paths.quarantine(run.model, run.version, "rows.csv")
    run.lake.write(where, quarantine_csv(bad, names), content_type="text/csv; charset=utf-8")
    reasons: dict[str, int] = {}
    for row in bad:
        for reason in row.reasons:
            rule = reason.partition(" (it is ")[0]
            reasons[rule] = reasons.get(rule, 0) + 1
    ranked = dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
    summary = {"rows": total, "good": total - len(bad), "quarantined": len(bad), "reasons": ranked}
    run.lake.write(
        paths.quarantine(run.model, run.version, "summary.json"),
        dumps(summary),
        content_type="application/json",
    )
    allowed = run.spec.max_bad_rows
    if len(bad) > allowed * total:
        raise TooManyBadRows(
            f"{len(bad)} of {total} rows break the spec, allowed are {allowed:.1%} "
            f"(max_bad_rows). Most often: {next(iter(ranked))}. All of them are in {where}"
        )


def _read(run: Training, position: int) -> Table:
    """One input, guarded as at the door: a run may have been asked for by other means."""
    item = run.request.inputs[position]
    head = run.lake.read(item.object, generation=item.generation, end=guards.HEAD_BYTES).data
    guards.check_head(head, item.size_bytes, run.spec, "train")
    with run.lake.open_reader(item.object, generation=item.generation) as stream:
        return read_table(stream, run.spec, item.source)


def _first_training(run: Training, outcome: Outcome) -> dict[str, Any]:
    """What the model's first training fixes for all later ones."""
    return {
        # From name and seed, so that the same data and spec split alike in every installation.
        "salt": paths.digest(f"holdout|{run.model}|{run.spec.training.seed}", 32),
        "labels": list(outcome.labels),
        "run_id": run.version,
    }


def _check_holdout(held: list[float], outcome: Outcome) -> None:
    if len(held) < MIN_HOLDOUT:
        raise NotTrainable(
            f"{len(held)} rows are left to compare on, at least {MIN_HOLDOUT} are needed; "
            f"drop a file with more rows"
        )
    for position, label in enumerate(outcome.labels):
        if held.count(float(position)) < 2:
            raise NotTrainable(
                f"the rows kept for the comparison hold {held.count(float(position))} of "
                f"{label!r}; drop a file with more of them"
            )
