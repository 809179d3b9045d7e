"""What a person should look at before a draft is used: columns that give the target away, values
that may mean "missing", times by which rows could be split."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import isclose, isfinite

from shared.spec.drafting.columns import called_identifier
from shared.spec.drafting.looking import Look
from shared.spec.model import Column

# Of what is known when a row's story is over. Whole words of a column's name.
AFTERWARDS = frozenset(
    {"outcome", "status", "closed", "result", "results", "resolved", "resolution", "settled"}
    | {"cancelled", "canceled", "returned", "refund", "refunded", "chargeback", "recovered"}
    | {"recoveries", "paid", "final", "finished", "ended", "completed", "duration", "reason"}
)
ROWS = 4000  # of a sample that are compared number by number
MAX_SUMMANDS = 40
MIN_ROWS_PER_LEVEL = 5
MIN_MOMENTS = 20
SENTINEL = re.compile(r"-?(?:9{2,}|[1-9]0{2,})(?:\.0+)?|-(?:1|9)(?:\.0+)?")


def giveaways(
    target: Look, features: Sequence[Look], *, regression: bool
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Columns that settle the target without learning, each with a sentence about it."""
    found: set[str] = set()
    for look in features:
        if not regression and _settles(look, target):
            found.add(look.name)
            yield (look.name,), f"{look.name} settles {target.name} alone"
    if not regression:
        return
    goal = _numbers(target)
    numeric = {look.name: _numbers(look) for look in features if look.numeric}
    for name, values in numeric.items():
        if _proportional(values, goal):
            found.add(name)
            yield (name,), f"{name} is {target.name} in another unit"
    rest = [name for name in numeric if name not in found][:MAX_SUMMANDS]
    for one, other in combinations(rest, 2):
        if _adds_up(numeric[one], numeric[other], goal):
            yield (one, other), f"{one} and {other} add up to {target.name}"


def smells_of_afterwards(names: Sequence[str]) -> list[str]:
    """Columns whose names say that a row's story is over."""
    found = []
    for name in names:
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
        if AFTERWARDS & set(re.split(r"[\W_]+", words.lower())):
            found.append(name)
    return found


def sentinels(looks: Sequence[Look]) -> dict[str, list[str]]:
    """Numbers that stand in many cells far from all others, with the columns where they do."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for look in looks:
        numbers = {cell: value for cell, value in look.numbers.items() if isfinite(value)}
        if not look.numeric or len(numbers) < 4:
            continue
        ends = sorted(numbers, key=lambda cell: numbers[cell])
        for cell, rest in ((ends[0], ends[1:]), (ends[-1], ends[:-1])):
            if _stands_apart(cell, numbers, rest, look):
                found[cell].append(look.name)
    return dict(found)


def repeated_identifiers(looks: Sequence[Look]) -> list[str]:
    """Columns called like an identifier whose values come back in other rows."""
    return [
        look.name
        for look in looks
        if re.search(r"id$", look.name.lower())
        and called_identifier(look.name)
        and len(look.levels) > 20
    ]


def splitting_times(columns: Mapping[str, Column], looks: Mapping[str, Look]) -> list[str]:
    """Time columns by which rows can be split: filled everywhere, with enough moments."""
    return [
        name
        for name, column in columns.items()
        if column.type == "time"
        and not column.exclude
        and len(looks[name].levels) >= MIN_MOMENTS
        and looks[name].filled == len(looks[name].cells)
    ]


def _settles(look: Look, target: Look) -> bool:
    """Whether each of few levels goes with one class only, several classes being there."""
    if not 2 <= len(look.levels) <= look.filled / MIN_ROWS_PER_LEVEL or len(look.levels) > 50:
        return False
    pairs = Counter(
        (cell, goal) for cell, goal in zip(look.cells, target.cells, strict=True) if cell and goal
    )
    classes: defaultdict[str, set[str]] = defaultdict(set)
    for cell, goal in pairs:
        classes[cell].add(goal)
    settled = all(len(goals) == 1 for goals in classes.values())
    return settled and len({goal for _, goal in pairs}) == len(target.levels)


def _numbers(look: Look) -> list[float | None]:
    return [look.numbers.get(cell) for cell in look.cells[:ROWS]]


def _proportional(values: Sequence[float | None], goal: Sequence[float | None]) -> bool:
    """Whether target = factor x value, as far as decimals go, in all rows that have both."""
    pairs = [(v, g) for v, g in zip(values, goal, strict=True) if v is not None and g is not None]
    factors = [g / v for v, g in pairs if v and g]
    if len(factors) < 20 or any(bool(v) != bool(g) for v, g in pairs):
        return False
    middle = sorted(factors)[len(factors) // 2]
    return len({g for _, g in pairs}) > 2 and all(
        isclose(v * middle, g, rel_tol=0.002) for v, g in pairs
    )


def _adds_up(
    one: Sequence[float | None], other: Sequence[float | None], goal: Sequence[float | None]
) -> bool:
    rows = 0
    for a, b, g in zip(one, other, goal, strict=True):
        if a is None or b is None or g is None:
            continue
        if not isclose(a + b, g, rel_tol=1e-9, abs_tol=1e-9):
            return False
        rows += bool(a and b)
    return rows >= 20


def _stands_apart(cell: str, numbers: dict[str, float], rest: list[str], look: Look) -> bool:
    if look.levels[cell] < max(3, 0.002 * look.filled) or not SENTINEL.fullmatch(cell):
        return False
    value, low, high = numbers[cell], numbers[rest[0]], numbers[rest[-1]]
    gap = low - value if value < low else value - high
    # -1 beside 0, 1, 2 is no more than the next number down.
    return gap > max(2.0, high - low) or (value <= -99 and low >= 0)
