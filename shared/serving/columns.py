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
from contextlib import suppress
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInstances
from shared.serving.cells import BadCell
from shared.serving.declared import Columns, Declared, bounds_of
from shared.serving.features import Feature
from shared.serving.problems import Problem, problem_of, rule_of
from shared.serving.texts import texts_of
from shared.serving.times import text_of

__all__ = ["Columns", "Problem", "Schema", "bounds_of"]

_PLAIN_NUMBERS = ({float}, {int}, {float, int}, {float, type(None)}, {int, type(None)})


class Schema(Declared):
    """What a model asks of a row, applied to values."""

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
        return self.read_records(records)[0]

    def read_records(self, records: Sequence[object]) -> tuple[Columns, bool]:
        """`from_records`, and whether each record is known to have all inputs."""
        names = self.names
        values = _complete(records, names)
        complete = bool(values)
        problems: list[Problem] = [] if values else self._no_rows(records)
        columns: Columns = {}
        if problems:
            problems += self._problems_beside(records, {problem["row"] for problem in problems})
        else:
            values = values or [[record.get(name) for record in records] for name in names]  # type: ignore[attr-defined]  # a dict
            for feature, found in zip(self.inputs, values, strict=True):
                columns[feature.name] = self._column(feature, found, problems)
            if self._rules:
                known = {problem["row"] for problem in problems}
                broken = self._rule_problems(
                    columns,
                    lambda name, row: records[row].get(name),  # type: ignore[attr-defined]  # a dict
                )
                problems += [problem for problem in broken if problem["row"] not in known]
        if problems:
            raise InvalidInstances(sorted(problems, key=lambda problem: problem["row"]))  # type: ignore[arg-type, return-value]
        return self.with_derived(columns), complete

    def _no_rows(self, records: Sequence[object]) -> list[Problem]:
        """What is wrong with records that are none, or have nothing that the model knows."""
        known = frozenset(self.names)
        problems: list[Problem] = []
        for row, record in enumerate(records):
            if type(record) is not dict:
                problems.append(problem_of(row, None, record, "must be an object"))
            elif known.isdisjoint(record):
                problems += self._problems_of(row, record)
        return problems

    def _problems_beside(self, records: Sequence[object], known: set[object]) -> list[Problem]:
        """What is wrong with the records that are not in these rows."""
        rows = [row for row in range(len(records)) if row not in known]
        try:
            self.read_records([records[row] for row in rows])
        except InvalidInstances as error:
            return [
                {**problem, "row": rows[int(str(problem["row"]))]} for problem in error.problems
            ]
        return []

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

    def _column(
        self, feature: Feature, values: Sequence[Any], problems: list[Problem]
    ) -> NDArray[Any]:
        """One column of JSON values; what is wrong with it is added to `problems`."""
        if feature.kind == "number" and not feature.require:
            plain = _plain_numbers(values)
            if plain is not None:
                return plain
        if feature.kind == "category" and not feature.require:
            texts = texts_of(values, self.category_of)
            if texts is not None:
                return texts
        converted, rules = self.convert(feature, values)
        problems += [
            problem_of(row, feature.name, values[row], rule) for row, rule in rules.items()
        ]
        return converted

    # --- and back --------------------------------------------------------------------------------

    def record_of(self, columns: Columns, row: int) -> dict[str, float | str | None]:
        """A row as a caller would send it."""
        return {f.name: _json_value(f, columns[f.name][row]) for f in self.inputs}


def _json_value(feature: Feature, value: Any) -> float | str | None:
    if isinstance(value, str):
        return value or None
    number = float(value)
    if math.isnan(number):
        return None
    if feature.kind == "time":
        return text_of(number)
    return int(number) if number.is_integer() else number


def _plain_numbers(values: Sequence[Any]) -> NDArray[Any] | None:
    """Finite numbers and nulls as they stand; None where anything else is among them."""
    if set(map(type, values)) not in _PLAIN_NUMBERS:
        return None
    try:
        found = np.array(values, np.float64)
    except OverflowError:
        return None
    return None if np.isinf(found).any() else found


def _complete(records: Sequence[Any], names: Sequence[str]) -> list[Sequence[Any]]:
    """What records have under each name, nothing where one lacks a name or is no record: they are
    complete as a rule, and this is much faster than asking each."""
    if len(names) > 1 and set(map(type, records)) == {dict}:
        # orjson gives equal keys as one object, which is found without comparing texts.
        own = {name: name for name in records[0]}
        get = itemgetter(*(own.get(name, name) for name in names))
        with suppress(KeyError):
            return list(zip(*map(get, records), strict=True))
    return []


def _array(feature: Feature, values: list[Any]) -> NDArray[Any]:
    """A column of converted values."""
    if feature.kind != "category":
        return np.array(values, np.float64)
    found: NDArray[Any] = np.empty(len(values), object)
    found[:] = values
    return found
