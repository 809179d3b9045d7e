"""The benchmark's requirements in pandera's words. Imported only where pandera is installed."""

from __future__ import annotations

import importlib
from typing import Any

from shared.spec.model import Spec


def frame_of(table: Any, spec: Spec) -> Any:
    """The table with missing markers as nulls, texts otherwise: what pandera would be given."""
    frame = table.to_pandas()
    return frame.replace(dict.fromkeys(spec.source.missing))


def check(frame: Any, spec: Spec) -> int:
    """How many failures pandera lists, having looked at everything (lazy)."""
    pandera = importlib.import_module("pandera.pandas")
    pandas = importlib.import_module("pandas")
    columns = {}
    typed = frame.copy()
    for name, column in spec.columns.items():
        require, checks = column.require, []
        if column.type == "number":
            typed[name] = pandas.to_numeric(frame[name], errors="coerce").astype(float)
            bad = typed[name].isna() & frame[name].notna()
            typed.loc[bad, name] = float("inf")
            checks.append(pandera.Check(lambda values: values.abs() != float("inf")))
        if require.min is not None or require.max is not None:
            checks.append(pandera.Check.in_range(_or(require.min, -1e308), _or(require.max, 1e308)))
        if require.values is not None:
            checks.append(pandera.Check.isin(require.values))
        if require.regex is not None:
            checks.append(pandera.Check.str_matches(f"^(?:{require.regex})$"))
        kind = float if column.type == "number" else object
        columns[name] = pandera.Column(kind, checks, nullable=not require.present)
    rule = pandera.Check(
        lambda rows: (
            (rows["capital_gain"] == 0) | (rows["capital_loss"] == 0) | rows.isna().any(axis=1)
        )
    )
    schema = pandera.DataFrameSchema(columns, checks=rule)
    try:
        schema.validate(typed, lazy=True)
    except pandera.errors.SchemaErrors as error:
        return len(error.failure_cases)
    return 0


def _or(value: float | None, other: float) -> float:
    return other if value is None else value
