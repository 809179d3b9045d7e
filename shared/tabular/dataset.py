"""data.csv.gz: the rows a version was made from, as a file that a person can open.

    record, origin, prediction_id, side, <features as in the file>, <target>

The four leading columns are found by position, so that a feature may have any name. `side`:
`fit` rows train, `holdout` rows compare, `reserved` rows were an earlier holdout and stay out of
both. Equal datasets give equal bytes.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.serving.columns import Columns, Schema
from shared.tabular.reading import Cells, columns_of
from shared.tabular.records import allow_long_fields, record_writer
from shared.tabular.targets import Outcome

Side = Literal["fit", "holdout", "reserved"]
LEADING = ("record", "origin", "prediction_id", "side")


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows in order; `cells` has the features, then the target."""

    cells: Cells
    record: list[int]
    origin: list[str]
    prediction_id: list[str]
    side: list[Side]

    def __len__(self) -> int:
        return len(self.record)

    def count(self, side: Side) -> int:
        return self.side.count(side)


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows as a model takes them: `target` is class positions or scaled values [n_rows]."""

    columns: Columns
    target: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Examples:
        return Examples(
            {name: column[rows] for name, column in self.columns.items()}, self.target[rows]
        )


def examples_of(dataset: Dataset, schema: Schema, target: str, outcome: Outcome) -> Examples:
    """All rows of a dataset, whatever their side."""
    return Examples(columns_of(dataset.cells, schema), outcome.parse(dataset.cells[target]).values)


def side_mask(dataset: Dataset, side: Side) -> NDArray[np.bool_]:
    return np.array([found == side for found in dataset.side], bool)


def pack(dataset: Dataset) -> bytes:
    """Gzipped CSV, always with a header, comma and UTF-8, whatever the source had."""
    text = io.StringIO(newline="")
    writer = record_writer(text)
    writer.writerow([*LEADING, *dataset.cells])
    writer.writerows(
        zip(
            *(dataset.record, dataset.origin, dataset.prediction_id, dataset.side),
            *dataset.cells.values(),
            strict=True,
        )
    )
    return gzip.compress(text.getvalue().encode(), compresslevel=6, mtime=0)


def unpack(data: bytes) -> Dataset:
    """The dataset of `pack`."""
    allow_long_fields()
    text = io.StringIO(gzip.decompress(data).decode(), newline="")
    reader = csv.reader(text)
    names = next(reader)[len(LEADING) :]
    columns: Sequence[Sequence[str]] = list(zip(*reader, strict=True))
    if not columns:
        columns = [()] * (len(LEADING) + len(names))
    record, origin, prediction_id, side = columns[: len(LEADING)]
    cells = {
        name: list(column) for name, column in zip(names, columns[len(LEADING) :], strict=True)
    }
    sides: list[Side] = [_SIDES[found] for found in side]
    return Dataset(cells, list(map(int, record)), list(origin), list(prediction_id), sides)


_SIDES: dict[str, Side] = {"fit": "fit", "holdout": "holdout", "reserved": "reserved"}
