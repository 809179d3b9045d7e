"""`serving.coerce: strict`: JSON values have to be of their column's type, as they stand.

Lenient, a text that spells a number is one, and a number names a category. Missing (null, NaN and
the declared markers) is missing in both. Cells of a CSV body have no type: its numbers are read as
numbers before this looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.serving.columns import Schema
from shared.serving.problems import Problem, problem_of

_NAMES = {bool: "a boolean", int: "a number", float: "a number", str: "a text"}


def strict_problems(records: Sequence[Any], schema: Schema) -> list[Problem]:
    """Values of another type than their column's, save those that the schema refuses anyway."""
    # A time may be a text or a number.
    columns = [(item.name, item.kind == "number") for item in schema.inputs if item.kind != "time"]
    missing = frozenset(schema.missing) | {""}
    problems = []
    for row, record in enumerate(records):
        if type(record) is not dict:
            continue
        for name, is_number in columns:
            value = record.get(name)
            kind = type(value)
            if is_number:
                if kind is str and str(value).strip() not in missing:
                    problems.append(problem_of(row, name, value, "must be a number, got a text"))
            elif kind in (int, float, bool) and value == value:  # noqa: PLR0124 - NaN is missing
                rule = f"must be a text, got {_NAMES[kind]}"
                problems.append(problem_of(row, name, value, rule))
    return problems
