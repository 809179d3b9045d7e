"""Schema drift: what changed in a training file since the last one that made a version.

`profile_of` is plain JSON, written beside the dataset; `compare` holds new columns against it.
Statistics of predictions are monitoring's business (`shared.tabular.drift`); here it is about
files: columns, types, spellings, units. Pure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.serving.columns import Columns
from shared.serving.features import Feature
from shared.tabular.checks.findings import Finding, Level
from shared.tabular.metrics import Floats

FORMAT = 1
MIN_ROWS = 50
MAX_LEVELS = 500
NEW_LEVELS_SHARE = 0.01
NEW_LEVELS_ROWS = 10
NEW_LEVELS_TIMES = 6
GONE_LEVEL_SHARE = 0.05
GONE_LEVEL_ROWS = 10
OUTSIDE_SHARE = 0.01
OUTSIDE_ROWS = 5
MISSING_POINTS = 0.05
MISSING_SIGMAS = 4
FACTORS = (100.0, 1_000.0, 1_000_000.0)
# How far the quartiles' ratios may be from a factor: files differ, units differ exactly.
TOLERANCE = 0.2
# Named in a sentence; the finding's columns are all of them.
SHOWN = 5

Profile = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Pair:
    """A column of one kind in both files: what was recorded, what is there now."""

    name: str
    was: dict[str, Any]
    now: dict[str, Any]
    values: NDArray[Any]

    @property
    def number(self) -> bool:
        return bool(self.was["kind"] == "number")


def profile_of(
    features: Sequence[Feature], columns: Columns, file_columns: Sequence[str] = ()
) -> Profile:
    """What later files are held against."""
    return {
        "format": FORMAT,
        "file_columns": list(file_columns),
        "columns": {
            feature.name: _number(columns[feature.name])
            if feature.kind == "number"
            else _category(columns[feature.name])
            for feature in features
        },
    }


def compare(
    before: Profile, after: Profile, columns: Columns, level: Level, *, last: str
) -> list[Finding]:
    """Findings by kind of change; `after` is the profile of `columns`, `last` names the training
    that `before` is of."""
    if before["format"] != after["format"]:
        return []
    was, now = before["columns"], after["columns"]
    both = [name for name in was if name in now]
    same = [
        _Pair(name, was[name], now[name], columns[name])
        for name in both
        if was[name]["kind"] == now[name]["kind"]
        and min(was[name]["rows"], now[name]["rows"]) >= MIN_ROWS
    ]
    units = dict(_units(same))
    changes = {
        "columns_changed": dict(_columns(before, after)),
        "type_changed": {
            name: f"was a {was[name]['kind']}, is a {now[name]['kind']}"
            for name in both
            if was[name]["kind"] != now[name]["kind"]
        },
        "new_categories": dict(_categories(same)),
        "unit_changed": units,
        "range_changed": dict(_ranges([pair for pair in same if pair.name not in units])),
        "missing_changed": dict(_missing(same)),
    }
    return [_finding(name, found, level, last) for name, found in changes.items() if found]


_ADVICE = {
    "columns_changed": "Did the export change?",
    "type_changed": "Name its type in the spec: `columns: {NAME: {type: number}}`.",
    "new_categories": "Did the spelling change at the source?",
    "unit_changed": "Bring the column back to its unit and drop the file again.",
    "range_changed": "If such values are impossible: `columns: {NAME: {require: {max: ...}}}`.",
    "missing_changed": "Did the source stop filling it?",
}


def _finding(name: str, found: Mapping[str, str], level: Level, last: str) -> Finding:
    shown = [f"`{column}` {what}" for column, what in list(found.items())[:SHOWN]]
    more = f"; and {len(found) - SHOWN} more columns" if len(found) > SHOWN else ""
    sentence = f"compared with the file of {last}: {'; '.join(shown)}{more}"
    advice = f"{_ADVICE[name]} If all is well: `checks: {{schema_drift: off}}`."
    return Finding(name, level, sentence, advice, tuple(found))


def _columns(before: Profile, after: Profile) -> Iterator[tuple[str, str]]:
    """Of the files where both are known, else of the features."""
    known = before["file_columns"] and after["file_columns"]
    was, now = (
        profile["file_columns"] if known else list(profile["columns"])
        for profile in (before, after)
    )
    yield from ((name, "is gone") for name in was if name not in now)
    yield from ((name, "is new") for name in now if name not in was)


def _categories(same: Sequence[_Pair]) -> Iterator[tuple[str, str]]:
    for pair in same:
        if pair.number or not pair.was["complete"] or not pair.now["complete"]:
            continue
        was, now = pair.was["levels"], pair.now["levels"]
        fresh = {level: share for level, share in now.items() if level not in was}
        # Good and Turing: the share seen once is the share of new ones to expect next time.
        expected = max(NEW_LEVELS_TIMES * pair.was["once"], NEW_LEVELS_ROWS / pair.now["rows"])
        many = sum(fresh.values()) >= max(NEW_LEVELS_SHARE, expected)
        gone = [
            level
            for level, share in was.items()
            if share >= max(GONE_LEVEL_SHARE, GONE_LEVEL_ROWS / pair.now["rows"])
            and level not in now
        ]
        parts = []
        if many:
            shown = ", ".join(repr(level) for level in list(fresh)[:SHOWN])
            parts.append(f"has new categories in {sum(fresh.values()):.1%} of the rows ({shown})")
        if gone:
            parts.append(f"no longer has {', '.join(map(repr, gone[:SHOWN]))}")
        if parts:
            yield pair.name, " and ".join(parts)


def _units(same: Sequence[_Pair]) -> Iterator[tuple[str, str]]:
    for pair in same:
        if not pair.number or not pair.was["sizes"] or not pair.now["sizes"]:
            continue
        sizes = zip(pair.was["sizes"], pair.now["sizes"], strict=True)
        ratios = [new / old for old, new in sizes]
        medians = f"median {pair.was['sizes'][1]:,.6g}, now {pair.now['sizes'][1]:,.6g}"
        for factor in FACTORS:
            if all(abs(ratio / factor - 1) <= TOLERANCE for ratio in ratios):
                yield pair.name, f"is about {factor:,.0f} times what it was ({medians})"
            elif all(abs(ratio * factor - 1) <= TOLERANCE for ratio in ratios):
                yield pair.name, f"is about 1/{factor:,.0f} of what it was ({medians})"


def _ranges(same: Sequence[_Pair]) -> Iterator[tuple[str, str]]:
    for pair in same:
        if not pair.number or pair.was["min"] is None:
            continue
        low, high = pair.was["min"], pair.was["max"]
        outside = float(((pair.values < low) | (pair.values > high)).mean())
        if outside >= max(OUTSIDE_SHARE, OUTSIDE_ROWS / pair.was["rows"]):
            former = f"its former range ({low:,.6g} to {high:,.6g})"
            now = f"{pair.now['min']:,.6g} to {pair.now['max']:,.6g}"
            yield pair.name, f"is outside {former} in {outside:.1%} of the rows (now {now})"


def _missing(same: Sequence[_Pair]) -> Iterator[tuple[str, str]]:
    for pair in same:
        was, now = pair.was["missing"], pair.now["missing"]
        error = math.sqrt(
            max(was * (1 - was), now * (1 - now)) * (1 / pair.was["rows"] + 1 / pair.now["rows"])
        )
        if now - was >= max(MISSING_POINTS, MISSING_SIGMAS * error):
            yield pair.name, f"is missing in {now:.1%} of the rows, was in {was:.1%}"


def _number(column: Floats) -> dict[str, Any]:
    """`sizes` are the quartiles of what is not zero, without sign."""
    present = column[~np.isnan(column)]
    sizes = np.abs(present[present != 0])
    return {
        "kind": "number",
        "rows": len(column),
        "missing": _share(len(column) - len(present), len(column)),
        "min": float(present.min()) if len(present) else None,
        "max": float(present.max()) if len(present) else None,
        "sizes": np.quantile(sizes, [0.25, 0.5, 0.75]).tolist() if len(sizes) >= MIN_ROWS else [],
    }


def _category(column: NDArray[Any]) -> dict[str, Any]:
    """`levels` are shares of all rows; `complete` unless there are more than MAX_LEVELS."""
    seen = Counter(column.tolist())
    missing = seen.pop("", 0)
    ranked = sorted(seen, key=lambda level: (-seen[level], level))
    return {
        "kind": "category",
        "rows": len(column),
        "missing": _share(missing, len(column)),
        "levels": {level: _share(seen[level], len(column)) for level in ranked[:MAX_LEVELS]},
        "once": _share(sum(count == 1 for count in seen.values()), len(column)),
        "complete": len(ranked) <= MAX_LEVELS,
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
