"""The second pass of `prepared`: rows are sifted, get their side, and are written as they come.

    blocks -> sieve -> bad: quarantine (parts)
                    -> good: keys -> sides -> data.csv.gz (parts), a sample of them for the checks

Memory does not grow with the file, but for 8 bytes for each row where the split does not go by the
features and 16 for each value that must be unique.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared import paths
from shared.errors import NotTrainable, Rejected
from shared.parts import Parts, Written
from shared.serving.columns import Schema
from shared.serving.times import text_of
from shared.tabular.checks.repeats import Repeated, Repeats
from shared.tabular.dataset import Dataset, Packer, Side
from shared.tabular.joins.report import joined_rows
from shared.tabular.splitting import Split, distinct_keys
from shared.tabular.targets import Outcome, check_enough, check_holdout
from shared.tabular.validating.sifting import Sieve, Sifted
from shared.tabular.validating.summarising import Summary
from shared.usecases.training.quarantined import Quarantine
from shared.usecases.training.rows import Rows, arrived
from shared.usecases.training.stages import Training

DATA = "data.csv.gz"
SIDES: tuple[Side, ...] = ("fit", "holdout", "reserved")
SAMPLE_ROWS = 50_000
FEW_ROWS = 100  # of as many, some are held out
COUNTED_GROUPS = 1_000  # with more, what is wrong is not that there are few
SAMPLE_CELLS = 4_000_000  # each is a text in memory; of very wide rows fewer


@dataclass(frozen=True, slots=True)
class Totals:
    """What is known of the rows that were written. `doubles` counts holdout rows that a row to fit
    on is equal to in all features: none where sides go by those, draws of other times, or other
    people, else."""

    data: Written
    summary: Summary
    sides: dict[Side, int]
    doubles: int
    sample: Dataset
    repeated: Repeated

    def facts(self, file_names: Sequence[str]) -> dict[str, Any]:
        """What the checks are told beside the rows."""
        labels = self.summary.classes[0].tolist()
        return {
            "rows": self.summary.rows,
            "good": self.summary.good,
            "target_missing": self.summary.codes["target_missing"],
            "class_rows": labels,
            "columns": tuple(file_names),
            "repeated": self.repeated,
        }


def write_rows(run: Training, rows: Rows, schema: Schema, outcome: Outcome, split: Split) -> Totals:
    """Write dataset and quarantine. Raises TooManyBadRows, NotTrainable; quarantine is there
    then."""
    sieve = Sieve(
        run.spec,
        schema,
        outcome,
        names=rows.names,
        shown=rows.file_names,
        arrived=arrived(run),
        group=split.column if split.mark == "group" else None,
    )
    quarantine = Quarantine(run, rows.file_names)
    summary = Summary(outcome, rows.file_names)
    target = _Target(run, schema, outcome, split)
    try:
        for row in rows.bad():
            summary.add_other(row)
            quarantine.add([row])
        for source, block in rows.blocks():
            sifted = sieve.sift(source, block)
            summary.add(sifted)
            quarantine.add(sifted.bad)
            target.add(sifted)
        quarantine.close(summary, joined_rows(rows.report))
        target.check()
    except Rejected:
        target.parts.discard()
        raise
    return target.close(summary)


class _Target:
    """Where good rows go."""

    def __init__(self, run: Training, schema: Schema, outcome: Outcome, split: Split) -> None:
        self._schema, self._outcome, self._split = schema, outcome, split
        names = [*schema.names, run.spec.target.column]
        self.parts = Parts(
            run.lake,
            paths.dataset(run.model, run.version, DATA),
            paths.dataset(run.model, run.version, "parts/"),
            content_type="application/gzip",
        )
        self._packer = Packer([split.mark] if split.mark else [])
        self.parts.write(self._packer.header(names))
        self._sample = _Sample(names, min(SAMPLE_ROWS, SAMPLE_CELLS // len(names)))
        self._repeats = Repeats()
        self._sides = dict.fromkeys(SIDES, 0)
        self._targets = {side: _Values(len(outcome.labels)) for side in SIDES}
        self._keys: dict[Side, list[NDArray[np.uint64]]] = {side: [] for side in SIDES}
        self._groups: dict[Side, set[str]] = {side: set() for side in SIDES}

    def add(self, sifted: Sifted) -> None:
        good = np.flatnonzero(sifted.good)
        if not len(good):
            return
        keys = distinct_keys(sifted.columns, self._schema.telling, good)
        times = None if sifted.times is None else sifted.times[good]
        groups = None if sifted.groups is None else sifted.groups[good].tolist()
        sides = self._split.sides(keys, groups=groups, times=times)
        record = sifted.record[good]
        empty, marks = [""] * len(good), {"group": groups or [], "time": _texts(times)}
        self.parts.write(
            self._packer.rows(
                record, ["file"] * len(good), empty, sides, sifted.cells.values(), marks=marks
            )
        )
        found, target = np.array(sides), sifted.target[good]
        self._repeats.add(keys, target)
        for side in SIDES:
            mine = found == side
            self._sides[side] += int(mine.sum())
            self._targets[side].add(target[mine])
            if self._split.mark is not None:
                short = np.frombuffer(b"".join(key[:8] for key in keys), np.uint64)
                self._keys[side].append(short[mine])
            if groups is not None and len(self._groups[side]) < COUNTED_GROUPS:
                self._groups[side].update(np.array(groups, object)[mine].tolist())
        self._sample.add(record, sides, sifted.cells)

    def check(self) -> None:
        """Raises NotTrainable when there is too little to fit on, or to compare on."""
        try:
            self._check()
        except NotTrainable as error:
            held = len(self._groups["holdout"])
            every = held + len(self._groups["fit"])
            if self._split.by != "group" or every >= COUNTED_GROUPS:
                raise
            raise NotTrainable(
                f"{error}. The split keeps {held} of {every} "
                f"group{'' if every == 1 else 's'} of {self._split.column} for the comparison, by "
                f"a hash; it takes some dozen of them"
            ) from error

    def _check(self) -> None:
        outcome = self._outcome
        rows = sum(self._sides.values())
        if rows >= FEW_ROWS and rows in self._sides.values() and self._split.by == "features":
            raise NotTrainable(
                f"all {rows:,} rows fall on one side of the split, because rows that are equal in "
                f"all features stay together; too few are different to learn and to compare"
            )
        self._targets["fit"].check_enough(outcome, "rows to fit on")
        if self._split.mark is not None and len(np.unique(np.concatenate(self._keys["fit"]))) < 2:
            raise NotTrainable("all rows to fit on are equal in all features")
        check_holdout(self._sides["holdout"], self._targets["holdout"].classes.tolist(), outcome)

    def close(self, summary: Summary) -> Totals:
        self.parts.write(self._packer.end())
        doubles = 0
        if self._split.mark is not None:
            held, fitted = (np.concatenate(self._keys[side]) for side in ("holdout", "fit"))
            doubles = int(np.isin(held, fitted).sum())
        return Totals(
            self.parts.close(),
            summary,
            dict(self._sides),
            doubles,
            self._sample.dataset(),
            self._repeats.result(),
        )


def _texts(times: NDArray[np.float64] | None) -> list[str]:
    """Moments as they stand in a dataset."""
    if times is None:
        return []
    moments, at = np.unique(times, return_inverse=True)
    texts = [text_of(moment) for moment in moments.tolist()]
    return [texts[place] for place in at.tolist()]


@dataclass(slots=True)
class _Values:
    """Target values of one side: how many of each class, or their ends."""

    labels: int
    rows: int = 0
    low: float = np.inf
    high: float = -np.inf
    classes: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.classes = np.zeros(self.labels, np.int64)

    def add(self, values: NDArray[np.float64]) -> None:
        if not len(values):
            return
        self.rows += len(values)
        self.low, self.high = min(self.low, values.min()), max(self.high, values.max())
        if self.labels:
            self.classes += np.bincount(values.astype(np.intp), minlength=self.labels)

    def check_enough(self, outcome: Outcome, what: str) -> None:
        """Raises NotTrainable when these rows cannot carry a model."""
        check_enough(self.rows, self.classes.tolist(), self.low == self.high, outcome, what)


class _Sample:
    """Rows in order: all, or every second, fourth ... one, so that at most `limit` are held."""

    def __init__(self, names: Sequence[str], limit: int) -> None:
        self._limit, self._step, self._seen = limit, 1, 0
        self._schema = pa.schema(
            [
                ("record", pa.int64()),
                ("side", pa.string()),
                *((f"c{at}", pa.string()) for at in range(len(names))),
            ]
        )
        self._names, self._parts = tuple(names), [self._schema.empty_table()]

    def add(
        self, record: NDArray[np.int64], sides: Sequence[Side], cells: dict[str, pa.Array]
    ) -> None:
        columns = [pa.array(record), pa.array(sides, pa.string()), *cells.values()]
        table = pa.Table.from_arrays(columns, schema=self._schema)
        self._parts.append(self._thinned(table, -self._seen % self._step, self._step))
        self._seen += len(table)
        while sum(map(len, self._parts)) > self._limit:
            whole = pa.concat_tables(self._parts).combine_chunks()
            self._parts, self._step = [self._thinned(whole, 0, 2)], self._step * 2

    def dataset(self) -> Dataset:
        """The rows as a dataset of their own."""
        whole = pa.concat_tables(self._parts)
        record, side, *cells = (column.to_pylist() for column in whole.columns)
        rows = len(record)
        named = dict(zip(self._names, cells, strict=True))
        return Dataset(named, record, ["file"] * rows, [""] * rows, side)

    @staticmethod
    def _thinned(table: pa.Table, first: int, step: int) -> pa.Table:
        return table if step == 1 else table.take(pa.array(np.arange(first, len(table), step)))
