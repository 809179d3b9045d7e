"""data.csv.gz: the rows a version was made from, as a file that a person can open.

    record, origin, prediction_id, side, [group], [time], <inputs as in the file>, <target>

The leading columns are found by position, so that a feature may have any name. `side`: `fit` rows
train, `holdout` rows compare, `reserved` rows were an earlier holdout and stay out of both. `group`
(or a key) and `time` are there where the split goes by them; the record of the stage says so. Equal
datasets give equal bytes.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shared.serving.columns import Columns, Schema
from shared.tabular.reading.csv_blocks import csv_bytes
from shared.tabular.reading.records import allow_long_fields
from shared.tabular.targets import Outcome

Side = Literal["fit", "holdout", "reserved"]
Cells = dict[str, list[str]]
LEADING = ("record", "origin", "prediction_id", "side")
MARKS = ("group", "time")
LEVEL = 4
_STEP_ROWS = 10_000
_KNOWN = 100_000


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows in order; `cells` has the inputs, then the target. `marks` are what the split goes by,
    of MARKS, where that is not the cells: a text for every row, "" where it is not known."""

    cells: Cells
    record: list[int]
    origin: list[str]
    prediction_id: list[str]
    side: list[Side]
    marks: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.record)

    def count(self, side: Side) -> int:
        return self.side.count(side)

    def take(self, rows: Sequence[int]) -> Dataset:
        """These rows, in this order."""

        def of(column: list[Any]) -> list[Any]:
            return [column[row] for row in rows]

        return Dataset(
            {name: of(column) for name, column in self.cells.items()},
            of(self.record),
            of(self.origin),
            of(self.prediction_id),
            of(self.side),
            {name: of(column) for name, column in self.marks.items()},
        )


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


def columns_of(cells: Cells, schema: Schema) -> Columns:
    """Columns of cells that were sifted before."""
    return schema.from_cells({name: cells[name] for name in schema.names})[0]


def examples_of(dataset: Dataset, schema: Schema, target: str, outcome: Outcome) -> Examples:
    """All rows of a dataset, whatever their side."""
    return Examples(columns_of(dataset.cells, schema), outcome.parse(dataset.cells[target]).values)


def side_mask(dataset: Dataset, side: Side) -> NDArray[np.bool_]:
    return np.array([found == side for found in dataset.side], bool)


class Packer:
    """data.csv.gz piece by piece: gzipped CSV, always with a header, comma and UTF-8, whatever the
    source had. The same rows in the same pieces are the same bytes. `marks` are those there are."""

    def __init__(self, marks: Sequence[str] = ()) -> None:
        self._marks = tuple(marks)
        # As a gzip file without name and time.
        self._gzip = zlib.compressobj(LEVEL, wbits=31)

    def header(self, names: Iterable[str]) -> bytes:
        """`names` are the inputs, then the target."""
        every = (*LEADING, *self._marks, *names)
        return self._packed([pa.array([name], pa.string()) for name in every])

    def rows(
        self,
        record: NDArray[np.int64],
        origin: Sequence[str],
        prediction_id: Sequence[str],
        side: Sequence[Side],
        cells: Iterable[pa.Array],
        *,
        marks: Mapping[str, Sequence[str]] | None = None,
    ) -> bytes:
        given = marks or {}
        columns = (origin, prediction_id, side, *(given[name] for name in self._marks))
        texts = (pa.array(list(column), pa.string()) for column in columns)
        numbers = pc.cast(pa.array(record, pa.int64()), pa.string())
        return self._packed([numbers, *texts, *cells])

    def end(self) -> bytes:
        return self._gzip.flush()

    def _packed(self, columns: Sequence[pa.Array]) -> bytes:
        return self._gzip.compress(csv_bytes(columns))


def pack(dataset: Dataset) -> bytes:
    """A whole dataset as `Packer` writes it."""
    packer = Packer(tuple(dataset.marks))
    header = packer.header(dataset.cells)
    cells = [pa.array(column, pa.string()) for column in dataset.cells.values()]
    rows = packer.rows(
        np.array(dataset.record, np.int64),
        dataset.origin,
        dataset.prediction_id,
        dataset.side,
        cells,
        marks=dataset.marks,
    )
    return header + rows + packer.end()


def unpack(data: bytes, marks: Sequence[str] = ()) -> Dataset:
    """The dataset of `pack`, with the marks that it was written with. Equal cells of a column are
    one object in memory."""
    allow_long_fields()
    with gzip.open(io.BytesIO(data), "rt", encoding="utf-8", newline="") as text:
        reader = csv.reader(text)
        names = next(reader)
        columns: list[list[str]] = [[] for _ in names]
        known: list[dict[str, str]] = [{} for _ in names]
        while rows := list(islice(reader, _STEP_ROWS)):
            for column, shared, texts in zip(columns, known, zip(*rows, strict=True), strict=True):
                column += [shared.setdefault(text, text) for text in texts]
                if len(shared) > _KNOWN:
                    shared.clear()
    leading = len(LEADING) + len(marks)
    record, origin, prediction_id, side, *marked = columns[:leading]
    cells = dict(zip(names[leading:], columns[leading:], strict=True))
    sides: list[Side] = [_SIDES[found] for found in side]
    given = dict(zip(marks, marked, strict=True))
    return Dataset(cells, list(map(int, record)), origin, prediction_id, sides, given)


_SIDES: dict[str, Side] = {"fit": "fit", "holdout": "holdout", "reserved": "reserved"}
