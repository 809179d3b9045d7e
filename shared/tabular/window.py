"""The rows of one version in one window, gathered one by one in bounded memory.

Cells are kept as codes into the distinct values of their column. Beyond MAX_ROWS every second row
is dropped, again and again (`stride`), so that the profile stays one of the whole window; counts,
refused rows and labelled rows are always of all rows.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.rules.expressions import parse_value
from shared.serving.cells import BadCell
from shared.serving.columns import Columns, Schema
from shared.tabular.performance import Measured, worth_measuring

MAX_ROWS = 500_000


@dataclass(frozen=True, slots=True, eq=False)
class WindowRows:
    """`columns`, `scores` and `labels` are of `profiled` rows; a refused row has cells, a NaN score
    and the label "". `labelled` of the `rows` have a label by now, `measured` are those of them
    that also have a score, `truths` the labels of all of them."""

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


class Gathering:
    """Rows of one version on their way to WindowRows.

    Args:
        schema: The version's features and how their cells are written.
        truths: Known labels by prediction id, as texts.
        positive: Binary: the label whose probability the score is.
    """

    def __init__(
        self,
        version: str,
        schema: Schema,
        task: str,
        *,
        truths: Mapping[str, str],
        positive: str | None,
    ) -> None:
        self._version, self._schema, self._task = version, schema, task
        self._truths, self._positive = truths, positive
        self._values = [_Coded() for _ in schema.names]
        self._scores = array("d")
        self._labels = _Coded()
        self._stride = 1
        self._redacted: set[str] = set()
        self._rows = self._refused = self._labelled = 0
        self._measured: list[tuple[float, str, str]] = []

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
        if self._rows % self._stride == 0:
            for column, value in zip(self._values, values, strict=True):
                column.add(value)
            self._scores.append(math.nan if score is None else score)
            self._labels.add(label or "")
            if len(self._scores) >= MAX_ROWS:
                self._thin()
        self._rows += 1

    def done(self) -> WindowRows:
        schema = self._schema
        columns: Columns = {}
        for feature, column in zip(schema.inputs, self._values, strict=True):
            columns[feature.name] = column.converted(schema, feature.kind)
        return WindowRows(
            version=self._version,
            rows=self._rows,
            refused=self._refused,
            profiled=len(self._scores),
            columns=self._told(schema.with_derived(columns)),
            scores=np.array(self._scores, np.float64),
            labels=None
            if self._task == "regression"
            else self._labels.converted(schema, "category"),
            labelled=self._labelled,
            **self._measure(),
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
        return {"measured": measured, "truths": truths}

    def _thin(self) -> None:
        self._stride *= 2
        self._scores = self._scores[::2]
        for column in (*self._values, self._labels):
            column.thin()


class _Coded:
    """A column as codes into its distinct raw values."""

    def __init__(self) -> None:
        self._codes = array("i")
        self._index: dict[object, int] = {}
        self._distinct: list[object] = []

    def add(self, value: object) -> None:
        # 1, 1.0 and True are one key to a dict, but not one value to a schema.
        key = value if type(value) is str else (type(value), _hashable(value))
        code = self._index.get(key)
        if code is None:
            code = self._index[key] = len(self._distinct)
            self._distinct.append(value)
        self._codes.append(code)

    def thin(self) -> None:
        self._codes = self._codes[::2]

    def converted(self, schema: Schema, kind: str) -> NDArray[Any]:
        """As a schema understands the values; one that breaks its rules is missing."""
        codes = np.array(self._codes, np.int64)
        if kind != "category":
            read = schema.number_of if kind == "number" else schema.moment_of
            numbers = [_or_missing(read, value) for value in self._distinct]
            found: NDArray[Any] = np.array(
                [math.nan if number is None else number for number in numbers], np.float64
            )
        else:
            texts = [_or_missing(schema.category_of, value) for value in self._distinct]
            found = _objects(["" if text is None else text for text in texts])
        return found[codes] if len(codes) else found[:0]


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
