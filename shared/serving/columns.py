"""Input values into columns: JSON records and CSV cells become the same arrays.

A number column is float64 with NaN for missing, as is a time (seconds since 1970); a category
column is an object array of str with "" for missing. JSON null, NaN, an absent field, an empty cell
and every declared missing marker are one and the same missing value. What decides a cell is written
in `shared.serving.cells`.

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
from shared.rules.expressions import parse, parse_value
from shared.serving.cells import BadCell, CellRules, Rule
from shared.serving.features import Bounds, Feature
from shared.serving.problems import Problem, problem_of, rule_of
from shared.serving.times import moment_of

if TYPE_CHECKING:  # the spec needs pydantic, which serving does not carry
    from shared.spec.model import Expect, Spec

__all__ = ["Columns", "Problem", "Schema"]

Columns = dict[str, NDArray[Any]]

_PLAIN_NUMBERS = ({float}, {int}, {float, int}, {float, type(None)}, {int, type(None)})


@dataclass(frozen=True)
class Schema(CellRules):
    """The columns that a model needs, how their cells are written, and the `rules` (name and
    expression) that a whole row has to keep.

    A model sees its `features` and what `derive` (name and expression) makes of its inputs, in that
    order: `seen`. Its inputs are the features and the `carried` columns, which it does not see
    itself. Raises ExpressionError for a rule or an expression about anything but inputs."""

    features: tuple[Feature, ...]
    rules: tuple[tuple[str, str], ...] = ()
    carried: tuple[Feature, ...] = ()
    derive: tuple[tuple[str, str], ...] = ()
    _rules: tuple[tuple[str, row_rules.Bound], ...] = field(init=False, repr=False, compare=False)
    _row: tuple[tuple[str, bool, Bounds | None], ...] = field(init=False, repr=False, compare=False)
    _made: tuple[tuple[str, row_rules.BoundValue], ...] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "features", tuple(self.canonical(f) for f in self.features))
        object.__setattr__(self, "carried", tuple(self.canonical(f) for f in self.carried))
        row = tuple((f.name, f.kind == "number", f.require or None) for f in self.features)
        object.__setattr__(self, "_row", row)
        kinds: dict[str, row_rules.Kind] = {f.name: f.kind for f in self.inputs}
        bound = tuple(
            (name, row_rules.bind(parse(text), kinds, self.category_of))
            for name, text in self.rules
        )
        object.__setattr__(self, "_rules", bound)
        made = tuple(
            (name, row_rules.bind_value(parse_value(text), kinds)) for name, text in self.derive
        )
        object.__setattr__(self, "_made", made)

    @classmethod
    def of(cls, spec: Spec) -> Schema:
        """The schema of a model spec: its features in file order, what is derived, and the rules
        that are about nothing but inputs. Raises ExpressionError."""
        columns, source = spec.all_columns, spec.main_source

        def feature(name: str) -> Feature:
            column = columns[name]
            expect, require = bounds_of(column.expect), bounds_of(column.require)
            return Feature(name, column.type, expect, require)

        features, carried = spec.feature_names(), spec.carried_names()
        known = {*features, *carried}
        return cls(
            features=tuple(map(feature, features)),
            carried=tuple(map(feature, carried)),
            derive=tuple(spec.derive.items()),
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
    def inputs(self) -> tuple[Feature, ...]:
        """What a record or a row of a file has to bring."""
        return (*self.features, *self.carried)

    @property
    def names(self) -> list[str]:
        """Of the inputs."""
        return [feature.name for feature in self.inputs]

    @property
    def seen(self) -> tuple[Feature, ...]:
        """What a model sees: features, then derived numbers."""
        return (*self.features, *(Feature(name, "number") for name, _ in self.derive))

    @property
    def telling(self) -> tuple[Feature, ...]:
        """What tells rows apart: the features, so that a new expression moves no row to another
        side of a split. Where all that a model sees is derived, its inputs."""
        return self.features or self.carried

    @property
    def bound_rules(self) -> tuple[tuple[str, row_rules.Bound], ...]:
        """The rules by name, ready to be asked."""
        return self._rules

    @property
    def bound_derive(self) -> tuple[tuple[str, row_rules.BoundValue], ...]:
        """The expressions by name, ready to be asked."""
        return self._made

    def with_derived(self, columns: Columns) -> Columns:
        """Columns of all inputs, and those that are derived of them."""
        if not self._made:
            return columns
        with np.errstate(all="ignore"):
            return {**columns, **{name: made.of(columns) for name, made in self._made}}

    # --- one record, the predictor's hot path ----------------------------------------------------

    def from_record(self, record: object) -> list[float | str]:
        """What a model sees of one JSON object, in the order of `seen`; unknown fields are ignored.
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
        if self._made or self.carried:
            return self._finished(values, record)
        broken = len(values) < len(self._row) or absent == len(values)
        if broken or (self._rules and self._breaks_a_rule(values)):
            # Rare: go again for every problem of the row, not only the first.
            raise InvalidInstances(self._problems_of(0, record))
        return values

    def _finished(self, values: list[float | str], record: dict[str, object]) -> list[float | str]:
        """The row with its derived values. Raises InvalidInstances."""
        found: list[float | str] = []
        for feature in self.carried:
            value, rule = self._value(feature, record.get(feature.name))
            if rule is not None:
                break
            found.append(value)
        broken = len(values) < len(self._row) or len(found) < len(self.carried)
        if broken or not any(name in record for name in self.names):
            raise InvalidInstances(self._problems_of(0, record))
        if self._rules and self._breaks_a_rule([*values, *found]):
            raise InvalidInstances(self._problems_of(0, record))
        given: dict[str, Any] = dict(zip(self.names, [*values, *found], strict=True))
        return [*values, *(made.of_row(given) for _, made in self._made)]

    def _problems_of(self, row: int, record: Mapping[str, object]) -> list[Problem]:
        if not any(name in record for name in self.names):
            few = ", ".join(self.names[:5]) + (", ..." if len(self.names) > 5 else "")
            what = "inputs" if self.carried else "features"
            return [problem_of(row, None, sorted(record)[:5], f"has none of the {what} ({few})")]
        found = []
        values = []
        for feature in self.inputs:
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
        pairs = zip(self.inputs, values, strict=True)
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
            for feature in self.inputs:
                values = [record.get(feature.name) for record in records]  # type: ignore[attr-defined]
                columns[feature.name] = self._column(feature, values, problems)
        if not problems and self._rules:
            problems += self._rule_problems(
                columns,
                lambda name, row: records[row].get(name),  # type: ignore[attr-defined]  # a dict
            )
        if problems:
            raise InvalidInstances(sorted(problems, key=lambda problem: problem["row"]))  # type: ignore[arg-type, return-value]
        return self.with_derived(columns)

    def from_cells(
        self, cells: Mapping[str, Sequence[str | None]]
    ) -> tuple[Columns, list[Problem]]:
        """Columns of CSV cells, `{input's name: texts}`, and what is wrong with them by row.

        A cell with a problem is missing in the columns: the caller decides what becomes of its
        row. Raises KeyError for an input without cells.
        """
        columns: Columns = {}
        problems: list[Problem] = []
        for feature in self.inputs:
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
        return self.with_derived(columns), problems

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
        nothing: float | str = "" if feature.kind == "category" else math.nan
        found: NDArray[Any] = np.empty(len(values), object if nothing == "" else np.float64)
        rules: dict[int, Rule] = {}
        for position, value in enumerate(values):
            converted, rule = self._value(feature, value)
            if rule is not None:
                rules[position] = rule
                converted = nothing
            found[position] = converted
        return found, rules

    def _value(self, feature: Feature, value: object) -> tuple[float | str, Rule | None]:
        """A converted value and the rule that it breaks."""
        try:
            converted = self._converter(feature)(value)
        except BadCell as error:
            return "" if feature.kind == "category" else math.nan, error.rule
        return converted, feature.require.broken_by(converted)

    def moment_of(self, value: object) -> float:
        """Seconds since 1970 that a JSON value or a text stands for, NaN for missing. Raises
        BadCell."""
        return moment_of(value, self._markers)

    def _converter(self, feature: Feature) -> Callable[[object], float | str]:
        if feature.kind == "time":
            return self.moment_of
        return self.number_of if feature.kind == "number" else self.category_of

    def canonical(self, feature: Feature) -> Feature:
        """Declared categories in the spelling that values get."""

        def same(bounds: Bounds) -> Bounds:
            values = bounds.values and tuple(self.category_of(value) for value in bounds.values)
            return replace(bounds, values=values)

        return Feature(feature.name, feature.kind, same(feature.expect), same(feature.require))

    # --- JSON ------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        # A model without rules, or derived columns, keeps the bytes that it always had.
        rules = [{"name": name, "rule": text} for name, text in self.rules]
        carried = [feature.to_json() for feature in self.carried]
        derive = [{"name": name, "expression": text} for name, text in self.derive]
        return {
            **({"rules": rules} if rules else {}),
            **({"carried": carried} if carried else {}),
            **({"derive": derive} if derive else {}),
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
            carried=tuple(Feature.from_json(item) for item in body.get("carried", ())),
            derive=tuple((item["name"], item["expression"]) for item in body.get("derive", ())),
        )


def _array(feature: Feature, values: list[Any]) -> NDArray[Any]:
    """A column of converted values."""
    if feature.kind != "category":
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
