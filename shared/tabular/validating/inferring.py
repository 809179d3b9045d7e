"""Column types from the data, for a spec that names none: block by block, in bounded memory. Pure.

A column is a number when nearly all its known cells are, by the rule that drafts use (the others
are typing errors, and their rows go to quarantine). One whose texts are nearly all different tells
a model nothing (names, ids, free text) and is left out, as is one that numbers the rows.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from shared.errors import NotTrainable
from shared.serving.columns import Schema
from shared.serving.features import Feature
from shared.spec.drafting.looking import are_numbers
from shared.spec.model import Column, Spec
from shared.tabular.reading.blocks import Block
from shared.tabular.validating.distinct import judge
from shared.tabular.validating.seen import Hashes, hashes_of

# From this share of distinct texts on, a text column is taken for an identifier.
DISTINCT_SHARE = 0.5
MIN_DISTINCT = 100
# So many different values are counted one by one; beyond, their number is estimated.
COUNTED = 50_000


class Inference:
    """Looks at every block of a reading, then gives the spec with its columns."""

    def __init__(self, spec: Spec, names: Iterable[str]) -> None:
        source = spec.main_source
        self._spec, self._names = spec, list(names)
        reader = Schema((), missing=source.missing, strip=source.strip, decimal=source.decimal)
        looked_at = [name for name in self._names if name not in self._settled()]
        self._columns = {name: _Looked(name, reader) for name in looked_at}

    def add(self, block: Block) -> None:
        if len(block):
            for name, column in self._columns.items():
                column.add(block.cells[name])

    def spec(self) -> Spec:
        """The spec with its columns in file order. Raises NotTrainable when none can be used."""
        settled = self._settled()
        columns = {
            name: settled[name] if name in settled else self._columns[name].column()
            for name in self._names
        }
        found = self._spec.model_copy(update={"columns": columns})
        if not found.feature_names():
            raise NotTrainable(
                "no usable column: apart from the target all are empty, constant or identifiers"
            )
        return found

    def _settled(self) -> dict[str, Column]:
        """Columns that the spec says enough about."""
        spec = self._spec
        found = dict(spec.derived)
        if spec.training.time_column is not None:
            found[spec.training.time_column] = Column(type="time")
        if spec.training.group_column is not None:
            # Who somebody is holds for nobody else, and the others are asked about.
            found[spec.training.group_column] = Column(exclude=True)
        kind = "number" if spec.task == "regression" else "category"
        return {**found, spec.target.column: Column.model_validate({"type": kind})}


class _Looked:
    """What was seen of one column."""

    def __init__(self, name: str, reader: Schema) -> None:
        self._feature, self._reader = Feature(name, "number"), reader
        self._filled = self._odd_cells = 0
        self._different, self._odd = _Different(), _Different()
        self._next: int | None = None
        self._counts_rows = True

    def add(self, cells: pa.Array) -> None:
        found = judge(cells, self._feature, self._reader)
        texts = found.texts.to_pylist()
        values = np.empty(len(texts), object)
        values[:] = [self._reader.category_of(text) for text in texts]
        present = values != ""
        odd = np.zeros(len(texts), bool)
        odd[list(found.rules)] = True
        # A missing number is a missing text, but a text may be called what is no number: inf.
        odd |= present & np.isnan(found.values)
        rows = np.bincount(found.codes, minlength=len(texts))
        self._filled += int(rows[present].sum())
        self._odd_cells += int(rows[odd & present].sum())
        hashes = hashes_of(values)
        self._different.add(hashes[present])
        self._odd.add(hashes[odd & present])
        self._count_on(texts, found.codes)

    def column(self) -> Column:
        different = self._different.count()
        if different < 2:
            return Column(exclude=True)
        if are_numbers(self._filled, self._odd_cells, different, self._odd.count()):
            return Column(type="number", exclude=self._counts_rows)
        return Column(exclude=different > max(MIN_DISTINCT, DISTINCT_SHARE * self._filled))

    def _count_on(self, texts: list[str], codes: np.ndarray) -> None:
        """Whole numbers, each one more than the one before: where a row stands in the file."""
        if not self._counts_rows:
            return
        try:
            numbers = np.array([int(text) for text in texts], np.int64)[codes]
        except (ValueError, OverflowError):
            self._counts_rows = False
            return
        first = int(numbers[0])
        goes_on = self._next is None or self._next == first
        self._counts_rows = goes_on and bool((np.diff(numbers) == 1).all())
        self._next = int(numbers[-1]) + 1


class _Different:
    """How many different hashes there were: exact up to COUNTED, then estimated from how dense the
    smallest ones lie (Bar-Yossef et al., "Counting distinct elements in a data stream", 2002)."""

    def __init__(self) -> None:
        self._smallest: Hashes = np.empty(0, np.uint64)
        self._all = True

    def add(self, hashes: Hashes) -> None:
        found = np.union1d(self._smallest, hashes)
        self._all = self._all and len(found) <= COUNTED
        self._smallest = found[:COUNTED]

    def count(self) -> float:
        if self._all:
            return len(self._smallest)
        return (COUNTED - 1) * 2.0**64 / float(self._smallest[-1])
