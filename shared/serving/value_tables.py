"""Scores of trees straight from values: what the encoder would write is looked up as well.

    a value --which of its column's states it is in--> a line of a table --AND over tables--> leaves

A column's states are the intervals between the thresholds that trees compare it with, one for each
level of a category, and one for a missing value: there is no encoded matrix. Columns of few states
share a table with a line for each combination. The words and their sum are `TreeLines`', so the
bits are those of onnxruntime.

Only for plain encoders in the layout of trees. Before they serve, 256 rows at the trees' thresholds
have to get what onnxruntime says of the encoded rows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.serving.columns import Columns
from shared.serving.encoder import CategoryCode, Encoder, NumberCode
from shared.serving.onnx_trees import Floats32, Ints
from shared.serving.texts import numbers_of
from shared.serving.tree_lines import ALL, CLOSE, MOST_BYTES, PROBED, TreeLines, Words
from shared.serving.tree_tables import Comparisons, comparisons_of

# Lines of a table that columns share: it has to stay within a processor's cache.
_TOGETHER = 256
_UNSEEN = "\x00 a level that nobody has seen"

Limits = NDArray[np.float64]


class _Number(NamedTuple):
    """States of a number: how many limits are below it, `missing` where it is not there."""

    name: str
    table: Words
    limits: Limits
    missing: int

    def state(self, step: int) -> Callable[[Any], int]:
        """Of one value, times `step`."""
        find, missing = partial(bisect_left, self.limits.tolist()), self.missing
        return lambda value: step * (find(value) if value == value else missing)  # noqa: PLR0124

    def states(self, column: NDArray[Any]) -> Ints:
        found = self.limits.searchsorted(column)
        absent = np.isnan(column)
        if absent.any():
            found[absent] = self.missing
        return found

    def samples(self, random: np.random.Generator) -> NDArray[Any]:
        """Values at the limits, beside them, and none."""
        odd = np.array([np.nan, 0.0])
        around = np.concatenate([self.limits, np.nextafter(self.limits, np.inf), odd])
        return random.choice(around, PROBED)


class _Category(NamedTuple):
    """States of a category: its column among those of its code; `other` for all that has none."""

    name: str
    table: Words
    places: dict[str, int]
    other: int

    def state(self, step: int) -> Callable[[Any], int]:
        steps = {value: step * place for value, place in self.places.items()}
        get, other = steps.get, step * self.other
        return lambda value: get(value, other)

    def states(self, column: NDArray[Any]) -> Ints:
        get, other = self.places.get, self.other
        return numbers_of(column, lambda value: get(value, other))

    def samples(self, random: np.random.Generator) -> NDArray[Any]:
        return random.choice(np.array([*self.places, "", _UNSEEN], object), PROBED)


_Column = _Number | _Category


class ValueTables:
    """The answers of a package's trees to the values of its columns. Safe to share between
    threads."""

    def __init__(self, columns: Sequence[_Column], comparisons: Comparisons) -> None:
        groups = _groups([len(column.table) for column in columns])
        tables = []
        self._groups: list[list[tuple[_Column, int]]] = []
        self._values: list[tuple[int, int, Callable[[Any], int]]] = []
        for number, members in enumerate(groups):
            table, step = np.full((1, comparisons.trees), ALL), 1
            group = []
            for member in members:
                column = columns[member]
                table = (column.table[:, None] & table[None]).reshape(-1, comparisons.trees)
                group.append((column, step))
                self._values.append((member, number, column.state(step)))
                step *= len(column.table)
            tables.append(table)
            self._groups.append(group)
        self._lines = TreeLines(tables, comparisons.forest, comparisons.leaves)

    def score(self, columns: Columns) -> Floats32:
        """Probabilities or values [n_rows] of columns as the encoder gets them."""
        codes = []
        for (first, _), *others in self._groups:
            code = first.states(columns[first.name])
            for column, step in others:
                code = code + column.states(columns[column.name]) * step
            codes.append(code)
        return self._lines.many(codes)

    def score_one(self, values: Sequence[float | str]) -> float:
        """`score` for one row, in the encoder's order."""
        at = self._lines.starts.copy()
        for member, number, state in self._values:
            at[number] += state(values[member])
        return self._lines.one(at)


def value_tables_of(
    onnx: bytes, output: str, encoder: Encoder, run: Callable[[Floats32], Floats32]
) -> ValueTables | None:
    """Tables for the trees of an ONNX file behind this encoder; None where there can be none, and
    where they do not answer as onnxruntime (`run`) does."""
    if any(isinstance(code, NumberCode) and code.mean is not None for code in encoder.codes):
        return None
    comparisons = comparisons_of(onnx, output, len(encoder.names))
    if comparisons is None:
        return None
    columns, start = [], 0
    for code in encoder.codes:
        make = _number if isinstance(code, NumberCode) else _category
        columns.append(make(code, start, comparisons))  # type: ignore[arg-type]  # by its kind
        start += len(code.names)
    sizes = [len(column.table) for column in columns]
    lines = sum(int(np.prod([sizes[member] for member in group])) for group in _groups(sizes))
    if not lines or lines * comparisons.trees * ALL.itemsize > MOST_BYTES:
        return None
    tables = ValueTables(columns, comparisons)
    return tables if _agree(tables, columns, encoder, run) else None


def _agree(
    tables: ValueTables,
    columns: Sequence[_Column],
    encoder: Encoder,
    run: Callable[[Floats32], Floats32],
) -> bool:
    random = np.random.default_rng(0)
    values = {column.name: column.samples(random) for column in columns}
    expected = run(encoder.transform(values, np.float32))[:, -1]  # type: ignore[arg-type]
    limit = CLOSE * max(1.0, float(np.abs(expected).max()))
    rows = zip(*(values[code.name].tolist() for code in encoder.codes), strict=True)
    ones = np.array([tables.score_one(row) for row in list(rows)[:16]])
    found = tables.score(values)
    return bool(
        np.abs(found - expected).max() <= limit and np.abs(ones - expected[:16]).max() <= limit
    )


def _groups(sizes: Sequence[int]) -> list[list[int]]:
    """Columns that share a table: the largest first, each into the first one with room. Columns of
    one state say nothing."""
    groups: list[list[int]] = []
    lines: list[int] = []
    for member in sorted(range(len(sizes)), key=lambda member: -sizes[member]):
        size = sizes[member]
        if size == 1 and groups:
            continue
        for number, have in enumerate(lines):
            if have * size <= _TOGETHER:
                groups[number].append(member)
                lines[number] *= size
                break
        else:
            groups.append([member])
            lines.append(size)
    return groups


def _number(code: NumberCode, start: int, comparisons: Comparisons) -> _Number:
    thresholds, table = comparisons.table(start)
    limits = _limits(thresholds, inclusive=comparisons.forest.inclusive)
    median = int(limits.searchsorted(code.median))
    if not code.indicator:
        return _Number(code.name, table, limits, median)
    there, absent = (comparisons.words_of(start + 1, value) for value in (0.0, 1.0))
    table = np.concatenate([table & there, (table[median] & absent)[None]])
    return _Number(code.name, table, limits, len(table) - 1)


def _limits(thresholds: Floats32, *, inclusive: bool) -> Limits:
    """For each threshold the largest float64 that passes it once it is a float32."""
    largest = thresholds if inclusive else np.nextafter(thresholds, np.float32(-np.inf))
    with np.errstate(over="ignore"):
        above = np.nextafter(largest, np.float32(np.inf)).astype(np.float64)
        middle = (largest.astype(np.float64) + above) / 2
        passes = middle.astype(np.float32) <= largest
    return np.where(passes, middle, np.nextafter(middle, -np.inf))


def _category(code: CategoryCode, start: int, comparisons: Comparisons) -> _Category:
    width = len(code.names)
    off = [comparisons.words_of(start + place, 0.0) for place in range(width)]
    on = [comparisons.words_of(start + place, 1.0) for place in range(width)]
    table = np.full((width + 1, comparisons.trees), ALL)
    for place in range(width):
        for line in range(width + 1):
            table[line] &= on[place] if line == place else off[place]
    places = {level: place for place, level in enumerate(code.levels)}
    if code.missing:
        places[""] = len(places)
    return _Category(code.name, table, places, len(places) if code.other else width)
