"""A prepared dataset as later stages take it: read from its file, with what its cells mean."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import PackageInvalid
from shared.ports import Bucket
from shared.serving.columns import Schema
from shared.serving.encoder import encoded_levels
from shared.serving.times import moment_of
from shared.tabular.comparison import HoldoutKind
from shared.tabular.dataset import Dataset, Examples, Side, examples_of, side_mask, unpack
from shared.tabular.identity import SplitBy, known_by
from shared.tabular.targets import Outcome
from shared.usecases.training import room

_KINDS: dict[str, HoldoutKind] = {
    "new_labels": "new_labels",
    "time": "time",
    "grouped": "grouped",
}


@dataclass(frozen=True, slots=True)
class Marks:
    """The groups of rows ("" where one is not known) and when they were; None where the split does
    not go by that."""

    groups: list[str] | None
    times: NDArray[np.float64] | None


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
        return _KINDS.get(self.record["holdout_kind"], "random")

    @property
    def split_by(self) -> SplitBy:
        """What rows are told apart by, and the column that says so, if one does."""
        return known_by(self.record)

    def marks(self, side: Side) -> Marks:
        """What the split goes by, of the rows of a side in the order of `sides`."""
        rows = np.flatnonzero(side_mask(self.dataset, side)).tolist()
        found = self.dataset.marks
        groups = [found["group"][row] for row in rows] if "group" in found else None
        texts = [found["time"][row] for row in rows] if "time" in found else None
        times = None if texts is None else np.array([moment_of(text) for text in texts])
        return Marks(groups, times)

    def holdout_order(self) -> NDArray[np.float64] | None:
        """When each row of the holdout was (seconds since 1970), where the split goes by time; the
        place of each among new labelled rows, which stand in the order of their predictions. None
        for datasets that were written before times were kept."""
        if self.holdout_kind == "new_labels":
            return np.arange(self.dataset.count("holdout"), dtype=np.float64)
        return self.marks("holdout").times

    def holdout_groups(self) -> NDArray[Any] | None:
        """Which group each row of the holdout is of, where the split goes by groups or a key."""
        return self.groups("holdout")

    def groups(self, side: Side) -> NDArray[Any] | None:
        """Which group each row of a side is of; a row of none known is one of its own. None where
        all rows stand alone: a key of which each has one row."""
        groups = self.marks(side).groups
        if groups is None or len(set(groups)) == len(groups):
            return None
        found: NDArray[Any] = np.empty(len(groups), object)
        found[:] = [group or f"row {row}" for row, group in enumerate(groups)]
        return found

    def sides(self) -> tuple[Examples, Examples]:
        """The rows that fit and the rows that compare."""
        rows = self.examples()
        return (
            rows.take(side_mask(self.dataset, "fit")),
            rows.take(side_mask(self.dataset, "holdout")),
        )


def load_prepared(
    model: str, version: str, record: dict[str, Any], *, lake: Bucket, size: str | None = None
) -> Prepared:
    """The dataset behind a record. Raises PackageInvalid when the stored file is another one, and
    NotTrainable when its rows need more memory than there is (asked where `size` is given)."""
    schema = Schema.from_json(record["schema"])
    rows, columns = int(record["facts"]["rows"]), len(schema.names) + len(schema.derive) + 1
    if size is not None:
        room.check_room(rows, columns, size, room.memory_limit())
    data = lake.read(record["dataset"]).data
    if hashlib.sha256(data).hexdigest() != record["sha256"]:
        raise PackageInvalid(f"{record['dataset']} of {model} {version} has changed")
    outcome = Outcome(
        record["task"],
        tuple(record["labels"]),
        record["scale"],
        schema,
        spelled=tuple(record.get("spelled", record["labels"])),
        low=record.get("low"),
        high=record.get("high"),
    )
    dataset = unpack(data, record.get("marks", ()))
    limit = None if size is None else room.memory_limit()
    if size is not None and limit is not None:  # now that their levels can be counted
        room.check_room(
            rows,
            columns,
            size,
            limit,
            levels=_levels(dataset, schema),
            classes=len(outcome.labels),
        )
    return Prepared(dataset, schema, outcome, record["target"], record)


def _levels(dataset: Dataset, schema: Schema) -> int:
    """How many columns the encoder will make of all categories, about."""
    return sum(
        encoded_levels(Counter(dataset.cells[feature.name]).values())
        for feature in schema.features
        if feature.kind == "category"
    )
