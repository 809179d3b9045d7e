"""The target of a sample: which task it makes, which class is the positive one, what is wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from shared.errors import BadSpec
from shared.serving.cells import CellRules
from shared.spec.drafting.columns import are_dates
from shared.spec.drafting.looking import MAX_ODD, Look, look, rows_have
from shared.spec.model import Target

Task = Literal["binary", "multiclass", "regression"]
MAX_CLASSES = 20
MAX_TEXT_CLASSES = 100
ROWS_PER_CLASS = 50  # whole numbers with fewer are a quantity
# Training needs 10 of each class among the rows it fits on, four fifths by default.
MIN_CLASS_ROWS = 20
LEAST_CLASS_ROWS = 10
MIN_ROWS = 70
YES = frozenset({"1", "yes", "y", "true", "t", "ja", "positive", "pos", "+", "x"})
NO = frozenset({"0", "no", "n", "false", "f", "nein", "negative", "neg", "-", "-1", "2"})


@dataclass(frozen=True, slots=True)
class Goal:
    """The target as drafted. `unusable`: rows that nothing can be learned from."""

    task: Task
    target: Target
    notes: list[str]
    unusable: int


def goal_of(name: str, cells: Counter[str], rules: CellRules) -> Goal:
    """What a target with these cells is. Raises BadSpec when it cannot be learned."""
    seen = look(name, list(cells), rules)
    counts = Counter({cell: cells[cell] for cell in seen.levels})
    missing = cells.total() - counts.total()
    notes = _missing_note(name, cells, counts)
    classes = _classes(counts, rules)
    if len(classes) < 2:
        found = f"only one value, {next(iter(classes))!r}," if classes else "no value"
        raise BadSpec(f"{name} has {found} in this file; there is nothing to learn")
    if counts.total() < MIN_ROWS:
        notes.append(f"{counts.total()} rows are too few to train on; bring {MIN_ROWS} or more.")
    if len(classes) == 2:
        return _binary(name, classes, notes, missing)
    odd = sum(counts[cell] for cell in seen.odd)
    if odd <= MAX_ODD * counts.total() and not _few_whole(seen, classes):
        notes.append(f"regression: {name} is a number with {len(classes)} different values.")
        if odd:
            notes.append(f"{rows_have(odd)} no number in {name}, such as {seen.odd[0]!r}.")
        return Goal("regression", Target(column=name), notes, missing + odd)
    _check_classes(name, seen, classes)
    notes.append(f"multiclass: {name} has {len(classes)} values.")
    return Goal("multiclass", Target(column=name), notes, missing)


def _missing_note(name: str, cells: Counter[str], counts: Counter[str]) -> list[str]:
    missing = cells - counts
    if not missing:
        return []
    spelled = sorted(cell for cell in missing if cell)
    how = f" ({', '.join(map(repr, spelled))} is read as missing)" if spelled else ""
    return [f"{rows_have(missing.total())} no {name}{how}: nothing to learn from."]


def _classes(counts: Counter[str], rules: CellRules) -> Counter[str]:
    """Rows by class. Spellings of one class (`1`, `1.0`) are one, under the most frequent one."""
    spelled: dict[str, str] = {}
    classes: Counter[str] = Counter()
    for cell, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        classes[spelled.setdefault(rules.category_of(cell), cell)] += count
    return classes


def _binary(name: str, classes: Counter[str], notes: list[str], missing: int) -> Goal:
    rarer, other = sorted(classes, key=lambda label: (classes[label], label))
    # `yes` stays the answer where most rows say yes.
    positive = other if other.lower() in YES and rarer.lower() in NO else rarer
    share = classes[positive] / classes.total()
    notes.append(f"binary: {positive!r} ({share:.1%} of rows) is the class that is predicted.")
    _check_rare(name, classes)
    return Goal("binary", Target(column=name, positive=positive), notes, missing)


def _few_whole(seen: Look, classes: Counter[str]) -> bool:
    """Whole numbers that are classes rather than a quantity: few, each in many rows."""
    return (
        not seen.odd
        and len(classes) <= MAX_CLASSES
        and all(value.is_integer() for value in seen.numbers.values())
        and classes.total() >= ROWS_PER_CLASS * len(classes)
        and min(classes.values()) >= MIN_CLASS_ROWS
    )


def _check_classes(name: str, seen: Look, classes: Counter[str]) -> None:
    """Raises BadSpec for texts that are no classes."""
    count = len(classes)
    if count > MAX_CLASSES and (count > MAX_TEXT_CLASSES or classes.total() < 20 * count):
        hint = ""
        if seen.dressed:
            hint = f". They look like numbers written like {seen.dressed!r}; write them plainly"
        elif are_dates(classes):
            hint = ". They are dates; write the days until then as a number"
        raise BadSpec(
            f"{name} has {count} different texts; a class to predict has at most "
            f"{MAX_CLASSES}, or {MAX_TEXT_CLASSES} with 20 rows of each{hint}"
        )
    _check_rare(name, classes)


def _check_rare(name: str, classes: Counter[str]) -> None:
    rare = [f"{label!r} ({count})" for label, count in classes.items() if count < LEAST_CLASS_ROWS]
    if rare and classes.total() >= MIN_ROWS:
        raise BadSpec(
            f"{name}: at least {MIN_CLASS_ROWS} rows of each class are needed, and these have "
            f"fewer: {', '.join(rare[:5])}. Add rows, call the classes by one name, or take those "
            f"rows out"
        )
