"""The target column: texts into what a model learns, and back into the file's spelling.

Binary and multiclass targets become class positions in `labels` order (binary: negative, positive),
a regression target becomes its value divided by the scale. Knows nothing of features.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shared.errors import NotTrainable
from shared.serving.cells import BadCell, Rule
from shared.serving.columns import Schema, bounds_of
from shared.serving.features import NO_BOUNDS, Bounds
from shared.serving.package import TargetScale, Task
from shared.spec.model import Spec
from shared.spec.parts import LARGEST_TARGET

MAX_CLASSES = 100
MIN_ROWS = 50
MIN_CLASS_ROWS = 10
MIN_HOLDOUT = 10
MIN_HELD_CLASS = 2


@dataclass(frozen=True, slots=True)
class Parsed:
    """`values` is NaN where `problems` (by row) says why."""

    values: NDArray[np.float64]
    problems: dict[int, Rule]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How target cells are understood. `labels` are canonical texts, none for regression;
    `spelled` are the same as the data spell them, which is how they are answered; `require` is what
    the spec demands of the target column; `low` and `high` (in the file's own unit) are the ends
    that answers are kept within."""

    task: Task
    labels: tuple[str, ...]
    scale: float
    cells: Schema
    require: Bounds = NO_BOUNDS
    spelled: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    @property
    def served(self) -> TargetScale:
        """How an engine's raw values become answers (regression)."""
        return TargetScale(self.scale, self.low, self.high)

    def within(self, answers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Answers in units of the scale as they are served: kept between the ends."""
        if self.low is None and self.high is None:
            return answers
        return self.served.apply(answers) / self.scale

    def parse(self, texts: Sequence[str]) -> Parsed:
        """Class positions, or values divided by the scale."""
        known: dict[str, float] = {}
        rules: dict[str, Rule] = {}
        for text in set(texts):
            try:
                known[text] = self._value(text)
            except BadCell as error:
                known[text], rules[text] = math.nan, error.rule
        values = np.array([known[text] for text in texts], np.float64)
        problems = {row: rules[text] for row, text in enumerate(texts) if text in rules}
        return Parsed(values, problems)

    def _value(self, text: str) -> float:
        if self.task == "regression":
            number = self.cells.number_of(text)
            if math.isnan(number):
                raise BadCell("the target is missing", "target_missing")
            if rule := self.require.broken_by(number):
                raise BadCell(rule, rule.code)
            if not abs(number / self.scale) <= LARGEST_TARGET:
                phrase = f"must be within {LARGEST_TARGET:g} times target.scale"
                raise BadCell(phrase, "target_size")
            return number / self.scale
        label = self.cells.category_of(text)
        if not label:
            raise BadCell("the target is missing", "target_missing")
        if label not in self.labels:
            phrase = f"is {label[:100]!r}, not one of {', '.join(self.labels)}"
            raise BadCell(phrase, "target_label")
        return float(self.labels.index(label))


def outcome_of(
    spec: Spec,
    texts: Iterable[str] | Mapping[str, int],
    cells: Schema,
    known: Sequence[str] = (),
    spelled: Sequence[str] = (),
) -> Outcome:
    """How to read this target, from its texts or from how often each stands there. `known` are the
    labels of the model's first training: a positive class that nobody declared stays what it was
    then. `spelled` are spellings to keep, where there are any; else the most frequent ones are
    taken. Raises NotTrainable."""
    require = _require(spec, cells)
    if spec.task == "regression":
        target = spec.target
        return Outcome(
            "regression", (), target.scale, cells, require, low=target.low, high=target.high
        )
    ranked = Counter(texts)
    spellings = _Spellings(ranked, cells, spelled)
    counts: Counter[str] = Counter()
    for text, count in ranked.items():
        counts[cells.category_of(text)] += count
    for label in [found for found in counts if not found or require.broken_by(found)]:
        del counts[label]
    if len(counts) < 2:
        found = ", ".join(counts) or "nothing"
        raise NotTrainable(f"{spec.target.column} holds only {found}; two classes are needed")
    if spec.task == "multiclass":
        if len(counts) > MAX_CLASSES:
            raise NotTrainable(
                f"{spec.target.column} has {len(counts)} different values, at most {MAX_CLASSES} "
                f"classes make sense; is the task regression?"
            )
        labels = tuple(sorted(counts))
        return Outcome("multiclass", labels, 1.0, cells, require, spellings.of(labels))
    two = _two(spec, counts, cells, known)
    return Outcome("binary", two, 1.0, cells, require, spellings.of(two))


class _Spellings:
    """How the data spell each label: `True` and `TRUE` are one, and people get theirs back."""

    def __init__(self, counts: Counter[str], cells: Schema, kept: Sequence[str] = ()) -> None:
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        self._known: dict[str, str] = {}
        for text in (*kept, *(text for text, _ in ranked)):
            found = text.strip() if cells.strip else text
            self._known.setdefault(cells.category_of(text), found)

    def of(self, labels: Sequence[str]) -> tuple[str, ...]:
        return tuple(self._known[label] for label in labels)


def check_enough(
    rows: int, classes: Sequence[int], constant: bool, outcome: Outcome, what: str
) -> None:
    """Raises NotTrainable when these rows cannot carry a model."""
    if rows < MIN_ROWS:
        raise NotTrainable(f"{rows} {what}, at least {MIN_ROWS} are needed")
    for label, count in zip(outcome.labels, classes, strict=True):
        if count < MIN_CLASS_ROWS:
            raise NotTrainable(
                f"{count} {what} are {label!r}, at least {MIN_CLASS_ROWS} of each class are needed"
            )
    if not outcome.labels and constant:
        raise NotTrainable(f"all {what} have the same target value")


def check_holdout(rows: int, classes: Sequence[int], outcome: Outcome) -> None:
    """Raises NotTrainable when these rows cannot be compared on."""
    if rows < MIN_HOLDOUT:
        raise NotTrainable(
            f"{rows} rows are left to compare on, at least {MIN_HOLDOUT} are needed; "
            f"drop a file with more rows"
        )
    for label, count in zip(outcome.labels, classes, strict=True):
        if count < MIN_HELD_CLASS:
            raise NotTrainable(
                f"the rows kept for the comparison hold {count} of {label!r}; drop a file with "
                f"more of them"
            )


def _require(spec: Spec, cells: Schema) -> Bounds:
    column = spec.columns.get(spec.target.column)
    if column is None:
        return NO_BOUNDS
    bounds = bounds_of(column.require)
    values = bounds.values and tuple(cells.category_of(value) for value in bounds.values)
    return replace(bounds, values=values)


def _two(spec: Spec, counts: Counter[str], cells: Schema, known: Sequence[str]) -> tuple[str, str]:
    """(negative, positive): as declared, as before, or the rarer of the two frequent classes."""
    if len(known) == 2 and not spec.target.positive and set(known) <= set(counts):
        return known[0], known[1]
    # Equal counts fall back on the spelling, so that the same data always give the same answer.
    ranked = sorted(counts, key=lambda label: (-counts[label], label))
    positive = cells.category_of(spec.target.positive) if spec.target.positive else ranked[1]
    if positive not in counts:
        raise NotTrainable(
            f"target.positive is {positive!r}, but {spec.target.column} holds "
            f"{', '.join(ranked[:5])}"
        )
    return next(label for label in ranked if label != positive), positive
