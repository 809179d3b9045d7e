"""What makes two rows the same row, so that nobody fits one and is compared on the other. Pure.

By the split's own rule: rows of a group (or a key), else rows with the same features. Where two
models go by different rules the features decide: both can see those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.serving.columns import Schema
from shared.serving.times import moment_of
from shared.tabular.dataset import Dataset, Side, columns_of, side_mask
from shared.tabular.splitting import By, group_keys, overlap, row_keys

SplitBy = tuple[By, str | None]


@dataclass(frozen=True, slots=True)
class Proof:
    """How many rows of a holdout were fitted as well (`overlap`), and how many are equal to a
    fitted row in all features (`doubles`): people of other groups, draws of other times."""

    by: By
    column: str | None
    overlap: int
    doubles: int

    def to_json(self) -> dict[str, object]:
        return {"by": self.by, "column": self.column, "doubles": self.doubles}


def identities(dataset: Dataset, schema: Schema, side: Side, by: SplitBy) -> list[bytes]:
    """A key for each row of a side, in order."""
    rows = dataset.take(side_mask(dataset, side).nonzero()[0].tolist())
    keys = row_keys(columns_of(rows.cells, schema), schema.telling)
    if by[0] in ("key", "group"):
        return group_keys(rows.marks["group"], keys)
    if by[0] == "time":
        pairs = zip(keys, rows.marks["time"], strict=True)
        return [key + time.encode() for key, time in pairs]
    return keys


def common(mine: SplitBy, theirs: SplitBy) -> SplitBy:
    """What both say of a row."""
    return mine if mine == theirs else ("features", None)


def known_by(record: Mapping[str, object]) -> SplitBy:
    """What the record of a prepared dataset says that its rows are told apart by. Of a dataset that
    was written before such marks were kept, their features."""
    found = record.get("split")
    if not isinstance(found, Mapping) or not record.get("marks"):
        return "features", None
    return found["by"], found["column"]


def fitted_before(held: Dataset, fitted: Dataset, schema: Schema, by: SplitBy) -> list[bool]:
    """Which rows of a holdout are among the rows that fit in another dataset."""
    known = set(identities(fitted, schema, "fit", by))
    found = overlap(identities(held, schema, "holdout", by), known)
    if by[0] not in ("key", "group"):
        return found
    # Of a fitted row without a group, only its features are known.
    alike = overlap(identities(held, schema, "holdout", ("features", None)), known)
    return [one or other for one, other in zip(found, alike, strict=True)]


def prove(dataset: Dataset, schema: Schema, by: SplitBy) -> Proof:
    """Count what fit and holdout of a dataset have in common."""

    def both(how: SplitBy) -> int:
        fitted = identities(dataset, schema, "fit", how)
        return sum(overlap(identities(dataset, schema, "holdout", how), fitted))

    doubles = both(("features", None))
    if by[0] == "time":
        return Proof(*by, _not_later(dataset), doubles)
    return Proof(*by, doubles if by[0] == "features" else both(by), doubles)


def _not_later(dataset: Dataset) -> int:
    """Rows of the holdout that are not newer than every fitted one."""
    times: dict[Side, Sequence[str]] = {
        side: [t for t, s in zip(dataset.marks["time"], dataset.side, strict=True) if s == side]
        for side in ("fit", "holdout")
    }
    newest = max(map(moment_of, times["fit"]))
    return sum(moment_of(text) <= newest for text in times["holdout"])
