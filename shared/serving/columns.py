"""Input values into columns: JSON records and CSV cells become the same arrays.

A number column is float64 with NaN for missing; a category column is an object array of str with
"" for missing. JSON null, NaN, an absent field, an empty cell and every declared missing marker
are one and the same missing value. What decides a cell is written in `shared.serving.cells`.

Knows nothing of files, HTTP, or how a model encodes values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInstances
from shared.serving.cells import BadCell, CellRules
from shared.serving.features import Bounds, Feature

if TYPE_CHECKING:  # the spec needs pydantic, which serving does not carry
    from shared.spec.model import Expect, Spec

Columns = dict[str, NDArray[Any]]
Problem = dict[str, object]

_VALUE_LENGTH = 100
_PLAIN_NUMBERS = ({float}, {int}, {float, int}, {float, type(None)}, {int, type(None)})


@dataclass(frozen=True)
class Schema(CellRules):
    """The features of a model and how their cells are written."""

    features: tuple[Feature, ...]
    _row: tuple[tuple[str, bool, Bounds | None], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "features", tuple(self._canonical(f) for f in self.features))
        row = tuple((f.name, f.kind == "number", f.require or None) for f in self.features)
        object.__setattr__(self, "_row", row)

    @classmethod
    def of(cls, spec: Spec) -> Schema:
        """The schema of a model spec: its features in file order."""
        return cls(
            features=tuple(
                Feature(
                    name=name,
                    kind=spec.columns[name].type,
                    expect=_bounds(spec.columns[name].expect),
                    require=_bounds(spec.columns[name].require),
                )
                for name in spec.feature_names()
            ),
            missing=spec.source.missing,
            strip=spec.source.strip,
            decimal=spec.source.decimal,
        )

    @property
    def names(self) -> list[str]:
        return [feature.name for feature in self.features]

    # --- one record, the predictor's hot path ----------------------------------------------------

    def from_record(self, record: object) -> list[float | str]:
        """The converted values of one JSON object in feature order; unknown fields are ignored.
        Raises InvalidInstances."""
        if type(record) is not dict:
            raise InvalidInstances([_problem(0, None, record, "must be an object")])
        values: list[float | str] = []
        get, memo = record.get, self._memo
        absent = 0
        try:
            for name, is_number, require in self._row:
                value = get(name)
                if value is None:
                    absent += name not in record
                    value = math.nan if is_number else ""
                elif is_number:
                    value = self.number_of(value)
                else:
                    found = memo.get(value) if type(value) is str else None
                    value = self.category_of(value) if found is None else found
                if require is not None and require.broken_by(value):
                    break
                values.append(value)
        except BadCell:
            pass
        if len(values) < len(self._row) or absent == len(values):
            # Rare: go again for every problem of the row, not only the first.
            raise InvalidInstances(self._problems_of(0, record))
        return values

    def _problems_of(self, row: int, record: Mapping[str, object]) -> list[Problem]:
        if not any(name in record for name in self.names):
            few = ", ".join(self.names[:5]) + (", ..." if len(self.names) > 5 else "")
            return [_problem(row, None, sorted(record)[:5], f"has none of the features ({few})")]
        found = []
        for feature in self.features:
            value = record.get(feature.name)
            try:
                converted = self._converter(feature)(value)
                rule = feature.require.broken_by(converted)
            except BadCell as error:
                rule = str(error)
            if rule:
                found.append(_problem(row, feature.name, value, rule))
        return found

    # --- many rows -------------------------------------------------------------------------------

    def from_records(self, records: Sequence[object]) -> Columns:
        """Columns of JSON objects; unknown fields are ignored, absent ones are missing.
        Raises InvalidInstances with every problem of every row."""
        names = self.names
        bad = [
            row
            for row, record in enumerate(records)
            if type(record) is not dict or not any(name in record for name in names)
        ]
        problems: list[Problem] = []
        for row in bad:
            record = records[row]
            if isinstance(record, dict):
                problems += self._problems_of(row, record)
            else:
                problems.append(_problem(row, None, record, "must be an object"))
        columns: Columns = {}
        if not problems:
            for feature in self.features:
                values = [record.get(feature.name) for record in records]  # type: ignore[attr-defined]
                columns[feature.name] = self._column(feature, values, problems)
        if problems:
            raise InvalidInstances(sorted(problems, key=lambda problem: problem["row"]))  # type: ignore[arg-type, return-value]
        return columns

    def from_cells(
        self, cells: Mapping[str, Sequence[str | None]]
    ) -> tuple[Columns, list[Problem]]:
        """Columns of CSV cells, `{feature name: texts}`, and what is wrong with them by row.

        A cell with a problem is missing in the columns: the caller decides what becomes of its
        row. Raises KeyError for a feature without cells.
        """
        columns: Columns = {}
        problems: list[Problem] = []
        for feature in self.features:
            name, texts = feature.name, cells[feature.name]
            different = list(dict.fromkeys(texts))
            values, rules = self._convert(feature, different)
            converted = dict(zip(different, values.tolist(), strict=True))
            columns[name] = _array(feature, [converted[text] for text in texts])
            if rules:
                broken = {different[position]: rule for position, rule in rules.items()}
                problems += [
                    _problem(row, name, text, broken[text])
                    for row, text in enumerate(texts)
                    if text in broken
                ]
        problems.sort(key=lambda problem: problem["row"])  # type: ignore[arg-type, return-value]
        return columns, problems

    def _column(self, feature: Feature, values: list[Any], problems: list[Problem]) -> NDArray[Any]:
        """One column of JSON values; what is wrong with it is added to `problems`."""
        types = set(map(type, values))
        if feature.kind == "number" and types in _PLAIN_NUMBERS and not feature.require:
            try:
                plain = np.array(values, np.float64)
            except OverflowError:
                plain = np.array([math.inf])
            if not np.isinf(plain).any():
                return plain
        if feature.kind == "category" and types <= {str, type(None)} and not feature.require:
            texts = {value: self.category_of(value) for value in set(values)}
            return _array(feature, [texts[value] for value in values])
        converted, rules = self._convert(feature, values)
        problems += [_problem(row, feature.name, values[row], rule) for row, rule in rules.items()]
        return converted

    def _convert(
        self, feature: Feature, values: Sequence[object]
    ) -> tuple[NDArray[Any], dict[int, str]]:
        """Values one by one, and the broken rules by position."""
        convert = self._converter(feature)
        missing: float | str = math.nan if feature.kind == "number" else ""
        dtype = np.float64 if feature.kind == "number" else object
        require = feature.require or None
        found: NDArray[Any] = np.empty(len(values), dtype)
        rules: dict[int, str] = {}
        for position, value in enumerate(values):
            try:
                converted = convert(value)
                rule = require.broken_by(converted) if require is not None else None
            except BadCell as error:
                converted, rule = missing, str(error)
            if rule:
                rules[position] = rule
            found[position] = missing if rule else converted
        return found, rules

    def _converter(self, feature: Feature) -> Callable[[object], float | str]:
        return self.number_of if feature.kind == "number" else self.category_of

    def _canonical(self, feature: Feature) -> Feature:
        """Declared categories in the spelling that values get."""

        def same(bounds: Bounds) -> Bounds:
            values = bounds.values and tuple(self.category_of(value) for value in bounds.values)
            return Bounds(bounds.min, bounds.max, values, bounds.present)

        return Feature(feature.name, feature.kind, same(feature.expect), same(feature.require))

    # --- JSON ------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        return {
            "features": [feature.to_json() for feature in self.features],
            "missing": list(self.missing),
            "strip": self.strip,
            "decimal": self.decimal,
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Schema:
        return cls(
            features=tuple(Feature.from_json(item) for item in body["features"]),
            missing=tuple(body["missing"]),
            strip=body["strip"],
            decimal=body["decimal"],
        )


def _array(feature: Feature, values: list[Any]) -> NDArray[Any]:
    """A column of converted values."""
    if feature.kind == "number":
        return np.array(values, np.float64)
    found: NDArray[Any] = np.empty(len(values), object)
    found[:] = values
    return found


def _bounds(limits: Expect) -> Bounds:
    return Bounds(limits.min, limits.max, limits.values, getattr(limits, "present", False))


def _problem(row: int, column: str | None, value: object, rule: str) -> Problem:
    """The value is shown as it came, cut where it is long."""
    if isinstance(value, (dict, list)) or (isinstance(value, str) and len(value) > _VALUE_LENGTH):
        value = str(value)[:_VALUE_LENGTH]
    elif isinstance(value, float) and not math.isfinite(value):
        value = str(value)  # JSON has no spelling for it
    return {"row": row, "column": column, "value": value, "rule": rule}
