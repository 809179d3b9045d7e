"""Columns of a file as codes into their distinct texts: each text is converted once.

Gives what `Schema.from_cells` gives, to the last bit, for blocks of many rows. Knows no files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.serving.columns import Schema
from shared.serving.declared import Columns
from shared.serving.problems import problem_of, rule_of

Reasons = dict[int, list[str]]


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """One column: row n has `texts[codes[n]]`."""

    texts: Sequence[str]
    codes: NDArray[np.int32]

    def text(self, row: int) -> str:
        return self.texts[int(self.codes[row])]


def columns_of(schema: Schema, cells: Mapping[str, Coded]) -> tuple[Columns, Reasons]:
    """Columns of a model's inputs and why rows cannot be answered, by position, in the words of a
    scored file. A cell with a problem is missing in the columns."""
    columns: Columns = {}
    reasons: Reasons = {}
    for feature in schema.inputs:
        column = cells[feature.name]
        values, rules = schema.convert(feature, column.texts)
        columns[feature.name] = values[column.codes]
        if rules:
            broken = np.zeros(len(column.texts), np.bool_)
            broken[list(rules)] = True
            for row in np.flatnonzero(broken[column.codes]).tolist():
                rule = rules[int(column.codes[row])]
                _add(reasons, row, feature.name, column.text(row), rule)
    for name, bound in schema.bound_rules:
        with np.errstate(all="ignore"):
            rows = np.flatnonzero(bound.broken(columns)).tolist()
        for row in rows:
            shown = ", ".join(f"{column}: {cells[column].text(row)}" for column in bound.columns)
            _add(reasons, row, None, shown, rule_of(name, bound.text))
    return schema.with_derived(columns), reasons


def _add(reasons: Reasons, row: int, column: str | None, value: str, rule: str) -> None:
    shown = problem_of(row, column, value, rule)["value"]
    reasons.setdefault(row, []).append(f"{column or 'row'} {rule} (it is {shown!r})")
