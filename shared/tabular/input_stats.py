"""What the inputs of a window looked like, in numbers for people and tools: plain JSON, no NaN.

Of `profiled` rows (see `shared.tabular.window`); `rows` are all. Pure, numpy only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.tabular.window import WindowRows

FORMAT = 1
LEVELS = 20
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def input_stats(versions: Iterable[WindowRows]) -> dict[str, Any]:
    """Per version and column: numbers with mean, deviation and quantiles, categories with their
    most frequent levels."""
    return {"format": FORMAT, "versions": [_version(rows) for rows in versions]}


def _version(rows: WindowRows) -> dict[str, Any]:
    return {
        "version": rows.version,
        "rows": rows.rows,
        "refused": rows.refused,
        "profiled": rows.profiled,
        "columns": {name: _column(values) for name, values in rows.columns.items()},
        "score": _numbers(rows.scores),
    }


def _column(values: NDArray[Any]) -> dict[str, Any]:
    return _levels(values) if values.dtype == object else _numbers(values)


def _numbers(values: NDArray[np.float64]) -> dict[str, Any]:
    present = values[~np.isnan(values)]
    found = {"kind": "number", "present": len(present), "missing": _share(values, present)}
    if not len(present):
        return found
    with np.errstate(over="ignore", invalid="ignore"):
        moments = {"mean": float(present.mean()), "std": float(present.std())}
    ends = {"min": float(present.min()), "max": float(present.max())}
    middle = np.quantile(present, QUANTILES, method="inverted_cdf").tolist()
    named = {
        f"p{round(share * 100)}": value for share, value in zip(QUANTILES, middle, strict=True)
    }
    every = {**moments, **ends, **named}
    return found | {name: value if math.isfinite(value) else None for name, value in every.items()}


def _levels(values: NDArray[Any]) -> dict[str, Any]:
    seen = Counter(values.tolist())
    del seen[""]
    present = seen.total()
    often = sorted(seen, key=lambda level: (-seen[level], level))[:LEVELS]
    return {
        "kind": "category",
        "present": present,
        "missing": 1 - present / len(values) if len(values) else 0.0,
        "distinct": len(seen),
        "levels": {level: seen[level] / present for level in often},
    }


def _share(values: NDArray[Any], present: NDArray[Any]) -> float:
    return 1 - len(present) / len(values) if len(values) else 0.0
