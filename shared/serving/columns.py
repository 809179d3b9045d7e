"""Input values into columns: JSON records and CSV cells become the same arrays.

A number column is float64 with NaN for missing; a category column is an object array of str with
"" for missing. JSON null, NaN, an absent field, an empty cell and every declared missing marker
are one and the same missing value. What decides a cell is written in `shared.serving.cells`.

Knows nothing of files, HTTP, or how a model encodes values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInstances
from shared.rules import binding as row_rules
from shared.rules.expressions import parse
from shared.serving.cells import BadCell, CellRules, Rule
from shared.serving.features import Bounds, Feature
from shared.serving.problems import Problem, problem_of, rule_of

if TYPE_CHECKING:  # the spec needs pydantic, which serving does not carry
    from shared.spec.model import Expect, Spec

__all__ = ["Columns", "Problem", "Schema"]

Columns = dict[str, NDArray[Any]]

_PLAIN_NUMBERS = ({float}, {int}, {float, int}, {float, type(None)}, {int, type(None)})


@dataclass(frozen=True)
class Schema(CellRules):
    """The features of a model, how their cells are written, and the `rules` (name and expression)
    that a whole row has to keep. Raises ExpressionError for a rule about anything but features."""

    features: tuple[Feature, ...]
    rules: tuple[tuple[str, str], ...] = ()
    _rules: tuple[tuple[str, row_rules.Bound], ...] = field(init=False, repr=False, compare=False)
    _row: tuple[tuple[str, bool, Bounds | None], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "features", tuple(self.canonical(f) for f in self.features))
        row = tuple((f.name, f.kind == "number", f.require or None) for f in self.features)
        object.__setattr__(self, "_row", row)
        kinds: dict[str, row_rules.Kind] = {f.name: f.kind for f in self.features}
        bound = tuple(
            (name, row_rules.bind(parse(text), kinds, self.category_of))
            for name, text in self.rules
        )
        object.__setattr__(self, "_rules", bound)

    @classmethod
    def of(cls, spec: Spec) -> Schema:
        """The schema of a model spec: its features in file order, and the rules that are about
        nothing else. Raises ExpressionError."""
        columns, source = spec.all_columns, spec.main_source
        known = set(spec.feature_names())
        return cls(
            features=tuple(
                Feature(
                    name=name,
                    kind="number" if columns[name].type == "number" else "category",
                    expect=bounds_of(columns[name].expect),
                    require=bounds_of(columns[name].require),
                )
                for name in spec.feature_names()
            ),
            rules=tuple(
                (name, text)
                for name, text in spec.rules.items()
                if known.issuperset(parse(text).columns)
            ),
            missing=source.missing,
            strip=source.strip,
            decimal=source.decimal,
        )

    @property
    def names(self) -> list[str]:
        return [feature.name for feature in self.features]

    @property
    def bound_rules(self) -> tuple[tuple[str, row_rules.Bound], ...]:
        """The rules by name, ready to be asked."""
        return self._rules

    # --- one record, the predictor's hot path ----------------------------------------------------

    def from_record(self, record: object) -> list[float | str]:
        """The converted values of one JSON object in feature order; unknown fields are ignored.
        Raises InvalidInstances."""
        if type(record) is not dict:
            raise InvalidInstances([problem_of(0, None, record, "must be an object")])
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
        broken = len(values) < len(self._row) or absent == len(values)
        if broken or (self._rules and self._breaks_a_rule(values)):
            # Rare: go again for every problem of the row, not only the first.
            raise InvalidInstances(self._problems_of(0, record))
        return values

    def _problems_of(self, row: int, record: Mapping[str, object]) -> list[Problem]:
        if not any(name in record for name in self.names):
            few = ", ".join(self.names[:5]) + (", ..." if len(self.names) > 5 else "")
            return [problem_of(row, None, sorted(record)[:5], f"has none of the features ({few})")]
        found = []
        values = []
        for feature in self.features:
            value = record.get(feature.name)
            converted, rule = self._value(feature, value)
            values.append(converted)
            if rule:
                found.append(problem_of(row, feature.name, value, rule))
        if not found:
            columns = self._one_row(values)
            problems = self._rule_problems(columns, lambda name, _: record.get(name))
            found += [{**problem, "row": row} for problem in problems]
        return found

    def _one_row(self, values: Sequence[float | str]) -> Columns:
        pairs = zip(self.features, values, strict=True)
        return {feature.name: _array(feature, [value]) for feature, value in pairs}

    def _breaks_a_rule(self, values: Sequence[float | str]) -> bool:
        columns = self._one_row(values)
        with np.errstate(all="ignore"):
            return any(rule.broken(columns)[0] for _, rule in self._rules)

    def _rule_problems(
        self, columns: Columns, cell: Callable[[str, int], object]
    ) -> Iterator[Problem]:
        """Rows that break a rule; `cell(column, row)` is shown as it came."""
        for name, rule in self._rules:
            with np.errstate(all="ignore"):
                rows = np.flatnonzero(rule.broken(columns)).tolist()
            for row in rows:
                yield problem_of(
                    row,
                    None,
                    ", ".join(f"{column}: {cell(column, row)}" for column in rule.columns),
                    rule_of(name, rule.text),
                )

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
                problems.append(problem_of(row, None, record, "must be an object"))
        columns: Columns = {}
        if not problems:
            for feature in self.features:
                values = [record.get(feature.name) for record in records]  # type: ignore[attr-defined]
                columns[feature.name] = self._column(feature, values, problems)
        if not problems and self._rules:
            problems += self._rule_problems(
                columns,
                lambda name, row: records[row].get(name),  # type: ignore[attr-defined]  # a dict
            )
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
            values, rules = self.convert(feature, different)
            converted = dict(zip(different, values.tolist(), strict=True))
            columns[name] = _array(feature, [converted[text] for text in texts])
            if rules:
                broken = {different[position]: rule for position, rule in rules.items()}
                problems += [
                    problem_of(row, name, text, broken[text])
                    for row, text in enumerate(texts)
                    if text in broken
                ]
        if self._rules:
            problems += self._rule_problems(columns, lambda name, row: cells[name][row])
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
        converted, rules = self.convert(feature, values)
        problems += [
            problem_of(row, feature.name, values[row], rule) for row, rule in rules.items()
        ]
        return converted

    def convert(
        self, feature: Feature, values: Sequence[object]
    ) -> tuple[NDArray[Any], dict[int, Rule]]:
        """Values one by one, and the broken rules by position: what decides a cell, in training
        and serving alike. A value that breaks a rule is missing."""
        dtype = np.float64 if feature.kind == "number" else object
        found: NDArray[Any] = np.empty(len(values), dtype)
        rules: dict[int, Rule] = {}
        for position, value in enumerate(values):
            converted, rule = self._value(feature, value)
            if rule is not None:
                rules[position] = rule
                converted = math.nan if feature.kind == "number" else ""
            found[position] = converted
        return found, rules

    def _value(self, feature: Feature, value: object) -> tuple[float | str, Rule | None]:
        """A converted value and the rule that it breaks."""
        try:
            converted = self._converter(feature)(value)
        except BadCell as error:
            return math.nan if feature.kind == "number" else "", error.rule
        return converted, feature.require.broken_by(converted)

    def _converter(self, feature: Feature) -> Callable[[object], float | str]:
        return self.number_of if feature.kind == "number" else self.category_of

    def canonical(self, feature: Feature) -> Feature:
        """Declared categories in the spelling that values get."""

        def same(bounds: Bounds) -> Bounds:
            values = bounds.values and tuple(self.category_of(value) for value in bounds.values)
            return replace(bounds, values=values)

        return Feature(feature.name, feature.kind, same(feature.expect), same(feature.require))

    # --- JSON ------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        # A model without rules keeps the bytes that it always had.
        rules = [{"name": name, "rule": text} for name, text in self.rules]
        return {
            **({"rules": rules} if rules else {}),
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
            rules=tuple((item["name"], item["rule"]) for item in body.get("rules", ())),
        )


def _array(feature: Feature, values: list[Any]) -> NDArray[Any]:
    """A column of converted values."""
    if feature.kind == "number":
        return np.array(values, np.float64)
    found: NDArray[Any] = np.empty(len(values), object)
    found[:] = values
    return found


def bounds_of(limits: Expect) -> Bounds:
    """What a spec says about the cells of a column."""
    return Bounds(
        min=limits.min,
        max=limits.max,
        values=limits.values,
        present=getattr(limits, "present", False),
        regex=getattr(limits, "regex", None),
    )
