"""Draft a model spec from a file: what a person would write down after looking at it.

Only `expect` is drafted (counted and monitored), never `require` (refuses): a sample shows what
was, not what must be. Every guess that a person may want to change is a note. Knows no buckets and
needs only the standard library.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from shared.errors import BadSpec, BinaryFile, EmptyFile
from shared.spec.model import Column, Expect, Source, Spec, Target

SAMPLE_BYTES = 8 * 1024 * 1024
SAMPLE_ROWS = 50_000
MAX_LEVELS = 50
MAX_CLASSES = 20

Delimiter = Literal[",", ";", "\t", "|"]
Encoding = Literal["utf-8", "latin-1", "cp1252"]
DELIMITERS: tuple[Delimiter, ...] = (",", ";", "\t", "|")
STANDARD_MISSING = frozenset(Source().missing)
# Spelled like these in a column of numbers, a cell says "nothing here".
MORE_MISSING = frozenset({"-", "--", ".", "#n/a", "n/a", "na", "none", "missing", "unknown", "\\n"})
NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
IDENTIFIER = re.compile(r"(^|_)(id|uuid|guid|key|number|nr|no|code)$")


@dataclass(frozen=True, slots=True)
class _Sample:
    """Cells stripped; `names` in file order; `columns[i]` are the cells of `names[i]`."""

    names: list[str]
    columns: list[list[str]]
    source: Source
    whole: bool

    @property
    def rows(self) -> int:
        return len(self.columns[0]) if self.columns else 0


def draft(path: Path, target: str) -> tuple[Spec, list[str]]:
    """A spec for this CSV and sentences about what was guessed. In a file without a header the
    columns are called column_1, column_2 ..., and so is the target.
    Raises EmptyFile, BinaryFile, BadSpec (no such target, or none that can be learned)."""
    sample, notes = _read(path, target)
    missing, more = _missing_markers(sample)
    notes += more
    cells = {
        name: [None if cell in missing else cell for cell in column]
        for name, column in zip(sample.names, sample.columns, strict=True)
    }
    task, goal, more = _target(target, cells[target])
    notes += more
    columns: dict[str, Column] = {}
    for name in sample.names:
        if name == target:
            columns[name] = Column(type="number" if task == "regression" else "category")
        else:
            columns[name], more = _column(name, cells[name])
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


# --- the file ------------------------------------------------------------------------------------


def _read(path: Path, target: str) -> tuple[_Sample, list[str]]:
    with path.open("rb") as stream:
        raw = stream.read(SAMPLE_BYTES)
        whole = not stream.read(1)
    if not raw.strip():
        raise EmptyFile(f"{path} is empty; a training file needs rows")
    if b"\0" in raw or raw[:4] in (b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"PAR1", b"%PDF"):
        raise BinaryFile(f"{path} is not text; a CSV file was expected (unpack archives first)")
    text, encoding = _decode(raw if whole else raw[: raw.rfind(b"\n") + 1])
    delimiter = _delimiter(text)
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    rows = [[cell.strip() for cell in row] for row in rows[:SAMPLE_ROWS]]
    header, names = _names(rows, target, path)
    body = [row for row in rows[header:] if len(row) == len(names)]
    if not body:
        raise EmptyFile(f"{path} has a header but no rows")
    notes = _file_notes(rows, header, names, body, whole)
    source = Source(delimiter=delimiter, encoding=encoding, header=bool(header))
    columns = [[row[i] for row in body] for i in range(len(names))]
    return _Sample(names, columns, source, whole), notes


def _file_notes(
    rows: list[list[str]], header: int, names: list[str], body: list[list[str]], whole: bool
) -> list[str]:
    notes = []
    if not header:
        notes.append(
            f"The file has no header: its {len(names)} columns are named column_1 to "
            f"column_{len(names)}; rename them in the spec as you like."
        )
    torn = len(rows) - header - len(body)
    if torn:
        notes.append(f"{torn} rows do not have {len(names)} cells; they will be quarantined.")
    if not whole or len(rows) == SAMPLE_ROWS:
        notes.append(f"Only the first {len(body)} rows were looked at.")
    return notes


def _decode(raw: bytes) -> tuple[str, Encoding]:
    for encoding, codec in (("utf-8", "utf-8-sig"), ("cp1252", "cp1252")):
        try:
            return raw.decode(codec), encoding  # type: ignore[return-value]
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1"), "latin-1"


def _delimiter(text: str) -> Delimiter:
    """The one that splits most lines into the same number of cells, more than one."""
    lines = io.StringIO("".join(text.splitlines(keepends=True)[:200]))
    best: Delimiter = ","
    score = (0.0, 0)
    for delimiter in DELIMITERS:
        lines.seek(0)
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if row)
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        found = (count / max(1, widths.total()), width)
        if width > 1 and found > score:
            best, score = delimiter, found
    return best


def _names(rows: list[list[str]], target: str, path: Path) -> tuple[int, list[str]]:
    """1 and the header's names, or 0 and made-up ones. Raises BadSpec."""
    first = rows[0]
    made_up = [f"column_{i}" for i in range(1, len(first) + 1)]
    if target in first:
        doubled = [name for name, count in Counter(first).items() if count > 1]
        if doubled:
            raise BadSpec(f"{path}: these columns are there twice: {', '.join(doubled)}")
        return 1, [name or made_up[i] for i, name in enumerate(first)]
    if target in made_up:
        return 0, made_up
    close = difflib.get_close_matches(target, first, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise BadSpec(
        f"{path} has no column {target!r}: {hint}its first line is {', '.join(first)}. If that is "
        f"no header, call the target column_1 ... column_{len(first)}."
    )


# --- columns -------------------------------------------------------------------------------------


def _number(cell: str) -> float | None:
    return float(cell) if NUMBER.fullmatch(cell) else None


def _missing_markers(sample: _Sample) -> tuple[frozenset[str], list[str]]:
    """The usual markers, and others that stand in columns which are numbers otherwise."""
    found: Counter[str] = Counter()
    for column in sample.columns:
        odd = Counter(
            cell for cell in column if cell not in STANDARD_MISSING and _number(cell) is None
        )
        if odd and odd.total() < 0.5 * len(column) and all(c.lower() in MORE_MISSING for c in odd):
            found += odd
    notes = [f"{marker!r} is read as a missing value ({n} cells)." for marker, n in found.items()]
    return STANDARD_MISSING | set(found), notes


def _target(
    name: str, cells: list[str | None]
) -> tuple[Literal["binary", "multiclass", "regression"], Target, list[str]]:
    known = [cell for cell in cells if cell is not None]
    notes = []
    if len(known) < len(cells):
        notes.append(f"{len(cells) - len(known)} rows have no {name}; they cannot be learned from.")
    classes = Counter(known)
    if len(classes) < 2:
        raise BadSpec(f"{name} has only one value in this file; there is nothing to learn")
    numeric = all(_number(cell) is not None for cell in classes)
    if len(classes) == 2:
        positive, count = min(classes.items(), key=lambda item: (item[1], item[0]))
        share = count / len(known)
        notes.append(f"binary: {positive!r} ({share:.1%} of rows) is the class that is predicted.")
        return "binary", Target(column=name, positive=positive), notes
    whole = numeric and all(float(cell).is_integer() for cell in classes)
    if len(classes) <= MAX_CLASSES and (not numeric or (whole and len(known) >= 50 * len(classes))):
        notes.append(f"multiclass: {name} has {len(classes)} values.")
        return "multiclass", Target(column=name), notes
    if numeric:
        notes.append(f"regression: {name} is a number with {len(classes)} different values.")
        return "regression", Target(column=name), notes
    raise BadSpec(
        f"{name} has {len(classes)} different texts; a class to predict has at most {MAX_CLASSES}"
    )


def _column(name: str, cells: list[str | None]) -> tuple[Column, list[str]]:
    known = [cell for cell in cells if cell is not None]
    levels = Counter(known)
    numbers = [value for cell in levels if (value := _number(cell)) is not None]
    numeric = bool(levels) and len(numbers) >= 0.99 * len(levels)
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
    finite = [value for value in numbers if math.isfinite(value)]
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
