"""Draft a model spec from a file: what a person would write down after looking at it.

Only `expect` is drafted (counted and monitored), never `require` (refuses): a sample shows what
was, not what must be. Every guess that a person may want to change is a note. Knows no buckets and
needs only the standard library.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from shared.errors import BadSpec
from shared.spec.model import Column, Expect, Source, Spec, Target
from shared.spec.sample import Decimal, Sample, number_of, read_sample

MAX_LEVELS = 50
MAX_CLASSES = 20
# A column of numbers may have this share of other cells; they will be quarantined.
MAX_ODD = 0.01

STANDARD_MISSING = frozenset(Source().missing)
# Spelled like these in a column of numbers, a cell says "nothing here".
MORE_MISSING = frozenset(
    {"-", "--", ".", "#n/a", "n/a", "n.a.", "na", "nan", "null", "none", "nil", "missing"}
    | {"unknown", "\\n", "#null!", "#value!", "#div/0!"}
)
IDENTIFIER = re.compile(r"(^|_)(id|uuid|guid|key|number|nr|no|code)$")


def draft(path: Path, target: str) -> tuple[Spec, list[str]]:
    """A spec for this CSV and sentences about what was guessed. In a file without a header the
    columns are called column_1, column_2 ..., and so is the target.
    Raises EmptyFile, BinaryFile, BadSpec (no such target, or none that can be learned)."""
    sample, notes = read_sample(path, target)
    missing, more = _missing_markers(sample)
    notes += more
    cells = {
        name: [None if cell in missing else cell for cell in column]
        for name, column in zip(sample.names, sample.columns, strict=True)
    }
    decimal = sample.source.decimal
    task, goal, more = _target(target, cells[target], decimal)
    notes += more
    columns: dict[str, Column] = {}
    for name in sample.names:
        if name == target:
            columns[name] = Column(type="number" if task == "regression" else "category")
        else:
            columns[name], more = _column(name, cells[name], decimal)
            notes += more
    notes += _leaks(target, cells, columns) if task != "regression" else []
    extra = tuple(sorted(missing - STANDARD_MISSING))
    source = sample.source.model_copy(update={"missing": (*Source().missing, *extra)})
    return _spec(task=task, target=goal, source=source, columns=columns), notes


def _spec(**parts: Any) -> Spec:
    try:
        return Spec(**parts)
    except ValueError as error:  # pydantic's: every column was excluded, for example
        text = "; ".join(str(item["msg"]) for item in getattr(error, "errors", list)())
        raise BadSpec(f"no spec can be drafted from this file: {text}") from error


# --- columns -------------------------------------------------------------------------------------


def _missing_markers(sample: Sample) -> tuple[frozenset[str], list[str]]:
    """The usual markers, and others that stand in columns which are numbers otherwise."""
    found: Counter[str] = Counter()
    for column in sample.columns:
        odd = Counter(
            cell for cell in column if cell not in STANDARD_MISSING and sample.number(cell) is None
        )
        if odd and odd.total() < 0.5 * len(column) and all(c.lower() in MORE_MISSING for c in odd):
            found += odd
    notes = [f"{marker!r} is read as a missing value ({n} cells)." for marker, n in found.items()]
    return STANDARD_MISSING | set(found), notes


def _target(
    name: str, cells: list[str | None], decimal: Decimal
) -> tuple[Literal["binary", "multiclass", "regression"], Target, list[str]]:
    known = [cell for cell in cells if cell is not None]
    notes = []
    if len(known) < len(cells):
        notes.append(f"{len(cells) - len(known)} rows have no {name}; they cannot be learned from.")
    classes = Counter(known)
    if len(classes) < 2:
        raise BadSpec(f"{name} has only one value in this file; there is nothing to learn")
    numbers = [number_of(cell, decimal) for cell in classes]
    numeric = None not in numbers
    if len(classes) == 2:
        positive, count = min(classes.items(), key=lambda item: (item[1], item[0]))
        share = count / len(known)
        notes.append(f"binary: {positive!r} ({share:.1%} of rows) is the class that is predicted.")
        return "binary", Target(column=name, positive=positive), notes
    whole = numeric and all(number is not None and number.is_integer() for number in numbers)
    if len(classes) <= MAX_CLASSES and (not numeric or (whole and len(known) >= 50 * len(classes))):
        notes.append(f"multiclass: {name} has {len(classes)} values.")
        return "multiclass", Target(column=name), notes
    if numeric:
        notes.append(f"regression: {name} is a number with {len(classes)} different values.")
        return "regression", Target(column=name), notes
    raise BadSpec(
        f"{name} has {len(classes)} different texts; a class to predict has at most {MAX_CLASSES}"
    )


def _column(name: str, cells: list[str | None], decimal: Decimal) -> tuple[Column, list[str]]:
    known = [cell for cell in cells if cell is not None]
    levels = Counter(known)
    numbers = {cell: value for cell in levels if (value := number_of(cell, decimal)) is not None}
    # By cells as well: one text that is no number may stand in many rows.
    odd = sum(count for cell, count in levels.items() if cell not in numbers)
    numeric = (
        bool(numbers)
        and len(levels) - len(numbers) <= MAX_ODD * len(levels)
        and odd <= MAX_ODD * len(known)
    )
    kind: Literal["number", "category"] = "number" if numeric else "category"
    why = _useless(name, numeric, known, levels)
    if why:
        return Column(type=kind, exclude=True), [f"{name} is left out: {why}."]
    if not numeric:
        values = tuple(sorted(levels)) if len(levels) <= MAX_LEVELS else None
        notes = [] if values else [f"{name} has {len(levels)} values; they are not listed."]
        return Column(expect=Expect(values=values)), notes
    notes = []
    if len(numbers) < len(levels):
        notes.append(f"{name} is read as a number; a few cells are not.")
    finite = [value for value in numbers.values() if math.isfinite(value)]
    if not finite:
        return Column(type="number"), notes
    return Column(type="number", expect=Expect(min=min(finite), max=max(finite))), notes


def _useless(name: str, numeric: bool, known: list[str], levels: Counter[str]) -> str:
    """Why a column cannot help a model, or an empty string."""
    if not levels:
        return "it is empty"
    if len(levels) == 1:
        return f"it is always {known[0]!r}"
    if len(known) < 20:
        return ""
    if numeric:
        return "it numbers the rows" if _numbers_rows(name, known, levels) else ""
    unique = len(levels) / len(known)
    same = unique > 0.9 or (unique > 0.5 and len(levels) > MAX_LEVELS)
    return "nearly every row has a text of its own, as identifiers do" if same else ""


def _numbers_rows(name: str, known: list[str], levels: Counter[str]) -> bool:
    if len(levels) < len(known) or not all(re.fullmatch(r"[-+]?\d+", cell) for cell in levels):
        return False
    rising = all(int(b) == int(a) + 1 for a, b in pairwise(known))
    return rising or IDENTIFIER.search(name.lower()) is not None


def _leaks(
    target: str, cells: dict[str, list[str | None]], columns: dict[str, Column]
) -> list[str]:
    """Categories that settle the target alone are often the target under another name."""
    notes = []
    for name, column in columns.items():
        if name == target or column.exclude or column.type == "number":
            continue
        pairs = {
            (value, goal)
            for value, goal in zip(cells[name], cells[target], strict=True)
            if value is not None and goal is not None
        }
        values = {value for value, _ in pairs}
        if len(values) == len(pairs) and len({goal for _, goal in pairs}) > 1:
            notes.append(
                f"{name} settles {target} alone; if it is only known afterwards, exclude it."
            )
    return notes
