"""The aggregate functions: what can be said of the rows of one key, and how it is computed.

    parse("sum(tran_amount) over 90d", "spent")     # Aggregate: one new column
    compute(aggregate, rows, as_of)                 # its value for the rows of one key

Any order of the rows gives the same bits: sums are `math.fsum` (correctly rounded), the last value
has a rule for ties, days are taken from exact seconds. Of no rows, count and distinct are 0, sum
is 0.0 and all others are missing. A missing cell is skipped, except by count, which counts rows.
distinct counts spellings as categories do (`3`, `3.0` and `"3"` are one; `shared.serving.cells`).
With a window only rows at or after `as_of` less its length are there.

Knows nothing of sources; `aggregates` reads their rows. Standard library only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from shared.serving.cells import BadCell
from shared.serving.times import before, format_duration, moment_of, parse_duration

Kind = Literal["number", "category"]
Value = float | str  # missing: NaN, or "" for a category
Input = tuple[str, Kind]  # a column of the source, and how its cells are read

_WITH_COLUMN = ("sum", "mean", "min", "max", "last", "distinct")
FUNCTIONS = ("count", *_WITH_COLUMN, "recency")
_ALLOWED = (
    f"count, recency, or {', '.join(f'{name}(column)' for name in _WITH_COLUMN)}; "
    "all but recency also with a window, such as count over 365d"
)
_FORM = re.compile(r"\s*([A-Za-z_]+)\s*(?:\((.*)\))?\s*(?:\bover\b\s*(.*?)\s*)?", re.DOTALL)
_DAY_SECONDS = 86400.0


# --- what a spec writes --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One new column `name`. `column` is "" for count and recency; `kind` is that of the new
    column, which only `last` can make a category; `window_seconds` says how far back it looks."""

    name: str
    function: str
    column: str = ""
    kind: Kind = "number"
    window_seconds: int | None = None

    @property
    def reads(self) -> Input | None:
        """The column it needs beside the time, and how its cells are read."""
        if not self.column:
            return None
        if self.function == "distinct":
            return self.column, "category"
        return self.column, self.kind if self.function == "last" else "number"

    def __str__(self) -> str:
        text = f"{self.function}({self.column})" if self.column else self.function
        if self.window_seconds is None:
            return text
        return f"{text} over {format_duration(timedelta(seconds=self.window_seconds))}"


def parse(text: str, name: str = "", kind: Kind = "number") -> Aggregate:
    """`count`, `recency` or `function(column)`, all but recency with `over 365d` or without.
    Raises ValueError with what is allowed."""
    found = _FORM.fullmatch(text)
    function = found[1] if found else ""
    column = ((found[2] or "") if found else "").strip()
    if function not in FUNCTIONS:
        raise ValueError(f"{text!r} is no aggregate; write {_ALLOWED}")
    if function in _WITH_COLUMN and not column:
        raise ValueError(f"{text!r} names no column; write {function}(column)")
    if function not in _WITH_COLUMN and column:
        raise ValueError(
            f"{function} takes no column; write {function}"
            + (", or distinct(column) for different values" if function == "count" else "")
        )
    window = found[3] if found else None
    return Aggregate(name, function, column, kind, _seconds(window, function, column))


def _seconds(window: str | None, function: str, column: str) -> int | None:
    if window is None:
        return None
    if function == "recency":
        raise ValueError("recency takes no window, it looks for the latest row; write recency")
    if not window:
        text = f"{function}({column})" if column else function
        raise ValueError(f"the window has no length; write {text} over 365d")
    length = parse_duration(window)
    if not length:
        raise ValueError(f"a window of {window} holds no row; write a length such as 365d")
    return int(length.total_seconds())


def parse_all(
    aggregates: Mapping[str, str],
    *,
    time: str | None,
    as_of: str | None,
    types: Mapping[str, Kind] | None = None,
) -> tuple[Aggregate, ...]:
    """The aggregates of one source. Raises ValueError, naming the column that cannot be made."""
    found = []
    for name, text in aggregates.items():
        try:
            one = parse(text, name, (types or {}).get(name, "number"))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        if one.function == "last" and time is None:
            raise ValueError(f"{name}: last needs `time: COLUMN`, which says what is last")
        if one.function == "recency" and (time is None or as_of is None):
            raise ValueError(
                f"{name}: recency counts the days up to a moment; declare `time: COLUMN` and "
                "`as_of`, a date such as 2026-01-31 or a time column of the primary"
            )
        if one.window_seconds is not None and (time is None or as_of is None):
            raise ValueError(
                f"{name}: a window ends at a moment; declare `time: COLUMN` and `as_of`, a date "
                "such as 2026-01-31 or a time column of the primary, or leave `over` out"
            )
        found.append(one)
    return tuple(found)


def literal_as_of(text: str | None) -> float | None:
    """The moment that an `as_of` spells, or None when it is the name of a column (or absent)."""
    try:
        moment = math.nan if text is None else moment_of(text)
    except BadCell:
        return None
    return None if math.isnan(moment) else moment


# --- what rows give ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rows:
    """Converted rows of one key, column by column: `times` are seconds (NaN where unused or
    missing), `columns` has one sequence for each `Aggregate.reads`. Any order."""

    times: Sequence[float]
    columns: Mapping[Input, Sequence[Value]]


def missing_of(kind: Kind) -> Value:
    return math.nan if kind == "number" else ""


def compute(one: Aggregate, rows: Rows, as_of: float | None) -> Value:
    """One aggregate of rows that are all before `as_of`. Without it a window has no rows."""
    times = rows.times
    cells = rows.columns[one.reads] if one.reads is not None else ()
    if one.window_seconds is not None:
        start = math.inf if as_of is None else before(as_of, one.window_seconds)
        places = [place for place, time in enumerate(times) if time >= start]
        times = [times[place] for place in places]
        cells = [cells[place] for place in places] if cells else ()
    if one.function == "count":
        return float(len(times))
    if one.function == "recency":
        return days_between(max(times), as_of) if times and as_of is not None else math.nan
    if one.function == "last":
        # Of values at the same moment the greatest: any rule will do that order cannot change.
        known = [(time, cell) for time, cell in zip(times, cells, strict=True) if _there(cell)]
        return max(known)[1] if known else missing_of(one.kind)
    if one.function == "distinct":
        return float(len(set(cells) - {""}))
    return _NUMERIC[one.function]([float(cell) for cell in cells if _there(cell)])


def days_between(moment: float, as_of: float) -> float:
    return (as_of - moment) / _DAY_SECONDS


def _there(cell: Value) -> bool:
    return cell != "" and cell == cell  # noqa: PLR0124 - NaN is not itself, and costs no call


def _sum(numbers: Sequence[float], divisor: int = 1) -> float:
    """The sum over `divisor`; NaN when no float can hold it."""
    try:
        return (math.fsum(numbers) + 0.0) / divisor
    except OverflowError:  # on the way to the sum, depending on the order
        from fractions import Fraction  # never needed by most processes

        exact = sum(map(Fraction, numbers), Fraction(0))
    try:
        return float(exact) / divisor
    except OverflowError:
        pass
    try:
        return float(exact / divisor)
    except OverflowError:
        return math.nan


_NUMERIC: dict[str, Callable[[Sequence[float]], float]] = {
    "sum": _sum,
    "mean": lambda numbers: _sum(numbers, len(numbers)) if numbers else math.nan,
    "min": lambda numbers: min(numbers, default=math.nan),
    "max": lambda numbers: max(numbers, default=math.nan),
}
