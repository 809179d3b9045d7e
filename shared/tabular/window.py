"""The rows of one version in one window, gathered row by row or in blocks, in bounded memory.

Beyond MAX_ROWS every second row is dropped, again and again (`stride`), so that the profile stays
one of the whole window; counts, refused rows and labelled rows are of all rows that were given. Of
a very long window only one row in `one_in` is given, and one label in `labels_one_in` known: counts
are then what these stand for.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shared.rules.expressions import parse_value
from shared.serving.cells import BadCell
from shared.serving.columns import Columns, Schema
from shared.tabular.performance import Measured, measurable, worth_measuring

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ROWS = 500_000
# Values of a column that are converted together.
PENDING = 8192


@dataclass(frozen=True, slots=True, eq=False)
class WindowRows:
    """`columns`, `scores` and `labels` are of `profiled` rows; a refused row has cells, a NaN score
    and the label "". `labelled` of the `rows` have a label by now, `measured` are those of them
    that also have a score, `slices` the levels of these by column, `truths` the labels of all that
    have one."""

    version: str
    rows: int
    refused: int
    profiled: int
    columns: Columns
    scores: NDArray[np.float64]
    labels: NDArray[Any] | None
    labelled: int
    measured: Measured | None
    truths: NDArray[Any] | None = None
    one_in: int = 1
    labels_one_in: int = 1
    slices: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class Gathering:
    """Rows of one version on their way to WindowRows.

    Args:
        schema: The version's features and how their cells are written.
        truths: Known labels by prediction id, as texts.
        positive: Binary: the label whose probability the score is.
        expected: How many rows will be given, where that is known.
        sliced: Category columns whose values are kept of every labelled row.
    """

    def __init__(
        self,
        version: str,
        schema: Schema,
        task: str,
        *,
        truths: Mapping[str, str],
        positive: str | None,
        one_in: int = 1,
        labels_one_in: int = 1,
        expected: int = 0,
        sliced: Sequence[str] = (),
    ) -> None:
        self._version, self._schema, self._task = version, schema, task
        self._truths, self._positive = truths, positive
        self._values = [_Cells(schema, feature.kind) for feature in schema.inputs]
        self._scores = array("d")
        self._labels = _Cells(schema, "category")
        self._one_in, self._labels_one_in = one_in, labels_one_in
        self._stride = 1
        while expected / self._stride > MAX_ROWS:
            self._stride *= 2
        self._redacted: set[str] = set()
        self._rows = self._refused = self._labelled = 0
        self._measured: list[tuple[float, str, str]] = []
        self._sliced = {
            place: (feature.name, _Cells(schema, "category"))
            for place, feature in enumerate(schema.inputs)
            if feature.name in sliced and feature.kind == "category"
        }

    def add(
        self,
        prediction_id: str,
        values: Sequence[object],
        score: float | None,
        label: str | None,
        *,
        redacted: Iterable[str] = (),
    ) -> None:
        """One row; `values` in the schema's order, no score for a refused row. Columns that are
        redacted in any row are left out of the window."""
        self._redacted.update(redacted)
        if score is None:
            self._refused += 1
        truth = self._truths.get(prediction_id)
        if truth is not None:
            self._labelled += 1
            self._measured.append((math.nan if score is None else score, label or "", truth))
            for place, (_, column) in self._sliced.items():
                column.add(values[place])
        if self._rows % self._stride == 0:
            for column, value in zip(self._values, values, strict=True):
                column.add(value)
            self._scores.append(math.nan if score is None else score)
            self._labels.add(label or "")
            if len(self._scores) >= MAX_ROWS:
                self._thin()
        self._rows += 1

    def add_block(
        self,
        prediction_ids: Sequence[str],
        cells: Sequence[pa.Array],
        scores: NDArray[np.float64],
        labels: Sequence[str] | None,
    ) -> None:
        """Rows of a scored file at once: texts in the schema's order, NaN for refused rows."""
        count = len(scores)
        self._refused += int(np.isnan(scores).sum())
        known, labelled = self._truths.get, array("q")
        for place, truth in enumerate(map(known, prediction_ids) if self._truths else ()):
            if truth is not None:
                labelled.append(place)
                label = labels[place] if labels else ""
                self._measured.append((float(scores[place]), label, truth))
        self._labelled += len(labelled)
        if labelled:
            for place, (_, column) in self._sliced.items():
                column.extend(cells[place].take(np.array(labelled)))
        kept = np.arange(-self._rows % self._stride, count, self._stride)
        for column, values in zip(self._values, cells, strict=True):
            column.extend(values.take(kept))
        self._scores.extend(scores[kept].tolist())
        for place in kept.tolist():
            self._labels.add(labels[place] if labels else "")
        self._rows += count
        while len(self._scores) >= MAX_ROWS:
            self._thin()

    def done(self) -> WindowRows:
        schema = self._schema
        columns: Columns = {}
        for feature, column in zip(schema.inputs, self._values, strict=True):
            columns[feature.name] = column.converted()
        return WindowRows(
            version=self._version,
            rows=self._rows * self._one_in,
            refused=self._refused * self._one_in,
            profiled=len(self._scores),
            columns=self._told(schema.with_derived(columns)),
            scores=np.array(self._scores, np.float64),
            labels=None if self._task == "regression" else self._labels.converted(),
            labelled=min(self._labelled * self._labels_one_in, self._rows) * self._one_in,
            **self._measure(),
            one_in=self._one_in,
            labels_one_in=self._labels_one_in,
        )

    def _told(self, columns: Columns) -> Columns:
        """Without what is redacted, or made of it."""
        hidden = self._redacted
        made = {
            name
            for name, text in self._schema.derive
            if not hidden.isdisjoint(parse_value(text).columns)
        }
        return {name: c for name, c in columns.items() if name not in hidden | made}

    def _measure(self) -> dict[str, Any]:
        schema, regression = self._schema, self._task == "regression"
        convert = schema.number_of if regression else schema.category_of
        scores = np.array([score for score, _, _ in self._measured], np.float64)
        predicted = _objects([schema.category_of(label) for _, label, _ in self._measured])
        truths: NDArray[Any] = _objects([_or_missing(convert, t) for _, _, t in self._measured])
        if regression:
            truths = np.array([math.nan if t is None else t for t in truths], np.float64)
        positive = None if self._positive is None else schema.category_of(self._positive)
        if not regression:
            truths = _objects(["" if truth is None else truth for truth in truths])
        measured = worth_measuring(self._task, scores, predicted, truths, positive)
        kept = measurable(self._task, scores, truths)
        slices = {
            name: column.converted()[kept]
            for name, column in self._sliced.values()
            if name not in self._redacted
        }
        return {"measured": measured, "truths": truths, "slices": slices}

    def _thin(self) -> None:
        self._stride *= 2
        self._scores = self._scores[::2]
        for column in (*self._values, self._labels):
            column.thin()


class _Cells:
    """A column as a schema understands its values; one that breaks its rules is missing. Numbers
    are kept as such, categories as codes into the distinct ones."""

    def __init__(self, schema: Schema, kind: str) -> None:
        self._convert = {
            "number": schema.number_of,
            "category": schema.category_of,
        }.get(kind, schema.moment_of)
        self._category = kind == "category"
        self._pending: list[object] = []
        self._parts: list[NDArray[Any]] = []
        self._codes: dict[str, int] = {}

    def add(self, value: object) -> None:
        self._pending.append(value)
        if len(self._pending) >= PENDING:
            self._flush()

    def extend(self, values: pa.Array) -> None:
        """Texts, in few distinct ones or many."""
        self._flush()
        coded = values.dictionary_encode()
        distinct = self._converted(coded.dictionary.to_pylist())
        self._parts.append(distinct[coded.indices.to_numpy(zero_copy_only=False)])

    def thin(self) -> None:
        self._flush()
        self._parts = [np.concatenate(self._parts)[::2].copy()] if self._parts else []

    def converted(self) -> NDArray[Any]:
        self._flush()
        if not self._category:
            return np.concatenate(self._parts) if self._parts else np.empty(0)
        texts = _objects(list(self._codes))
        return texts[np.concatenate(self._parts)] if self._parts else texts[:0]

    def _flush(self) -> None:
        # 1, 1.0 and True are one key to a dict, but not one value to a schema.
        distinct: dict[object, tuple[int, object]] = {}
        codes = [
            distinct.setdefault(
                value if type(value) is str else (type(value), _hashable(value)),
                (len(distinct), value),
            )[0]
            for value in self._pending
        ]
        if codes:
            self._parts.append(self._converted([value for _, value in distinct.values()])[codes])
        self._pending = []

    def _converted(self, values: Sequence[object]) -> NDArray[Any]:
        found = [_or_missing(self._convert, value) for value in values]
        if not self._category:
            return np.array([math.nan if one is None else one for one in found], np.float64)
        texts = ["" if text is None else text for text in found]
        codes = [self._codes.setdefault(text, len(self._codes)) for text in texts]
        return np.array(codes, np.int64)


def _or_missing(convert: Any, value: object) -> Any:
    try:
        return convert(value)
    except BadCell:
        return None


def _hashable(value: object) -> object:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value


def _objects(values: list[Any]) -> NDArray[Any]:
    found: NDArray[Any] = np.empty(len(values), object)
    found[:] = values
    return found
