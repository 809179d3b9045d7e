"""Columns of a file as codes into their distinct texts: each text is converted once.

Gives what `Schema.from_cells` gives, to the last bit, for blocks of many rows. Knows no files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.serving.cells import Rule
from shared.serving.columns import Schema
from shared.serving.declared import Columns
from shared.serving.features import Feature
from shared.serving.problems import problem_of, rule_of
from shared.serving.texts import Texts

Reasons = dict[int, list[str]]
# What `Schema.convert` gives for the distinct texts of a column.
Converted = tuple[NDArray[Any], Mapping[int, Rule]]


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """One column: row n has `texts[codes[n]]`. `converted` are the texts as a feature's values,
    where somebody converted them already."""

    texts: Sequence[str]
    codes: NDArray[np.integer[Any]]
    converted: Converted | None = None

    def text(self, row: int) -> str:
        return self.texts[int(self.codes[row])]


def columns_of(schema: Schema, cells: Mapping[str, Coded]) -> tuple[Columns, Reasons]:
    """Columns of a model's inputs and why rows cannot be answered, by position, in the words of a
    scored file. A cell with a problem is missing in the columns."""
    columns: Columns = {}
    reasons: Reasons = {}
    for feature in schema.inputs:
        column = cells[feature.name]
        values, rules = column.converted or schema.convert(feature, column.texts)
        columns[feature.name] = _column(feature, values, column.codes)
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


def _column(feature: Feature, values: NDArray[Any], codes: NDArray[Any]) -> NDArray[Any]:
    column: NDArray[Any] = values[codes]
    if feature.kind != "category":
        return column
    found = column.view(Texts)
    found.flags.writeable = False
    found.different, found.codes = values.tolist(), codes
    return found


def _add(reasons: Reasons, row: int, column: str | None, value: str, rule: str) -> None:
    shown = problem_of(row, column, value, rule)["value"]
    reasons.setdefault(row, []).append(f"{column or 'row'} {rule} (it is {shown!r})")
