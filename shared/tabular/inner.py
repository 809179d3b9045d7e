"""Folds inside the rows that fit: what recipes are searched, judged, weighed and calibrated on.

Every row's answer comes from a model that never saw the row or its double. A search over many rows
looks at a sample of them; what it finds is judged on all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.errors import NotTrainable
from shared.serving.features import Feature
from shared.serving.package import Task
from shared.tabular.dataset import Examples
from shared.tabular.splitting import folds, row_keys

# Of the search alone: beyond this, time grows and the order of recipes hardly changes.
SAMPLE_ROWS = 15_000
_SAMPLE_SEED = 1_000_003


@dataclass(frozen=True, slots=True)
class Folds:
    """`fold` is each row's fold; `numbers` are the folds that can be judged: a class that only one
    fold has cannot be learned from the others."""

    rows: Examples
    fold: NDArray[np.intp]
    numbers: tuple[int, ...]

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Rows of the folds that can be judged."""
        found: NDArray[np.bool_] = np.isin(self.fold, self.numbers)
        return found

    def split(self, number: int) -> tuple[Examples, Examples]:
        """The rows that fit and the rows that judge."""
        return self.rows.take(self.fold != number), self.rows.take(self.fold == number)

    def sample(self, task: Task, seed: int, most: int = SAMPLE_ROWS) -> Folds:
        """About `most` of the rows, every class by its share, or all where they are few."""
        parts = -(-len(self.rows) // most)
        if parts < 2:
            return self
        classes = _classes(task, self.rows)
        kept = folds(len(self.rows), parts, seed + _SAMPLE_SEED, classes) == 0
        rows, fold = self.rows.take(kept), self.fold[kept]
        same = _numbers(task, rows, fold) == self.numbers
        return Folds(rows, fold, self.numbers) if same else self


def fold_rows(
    rows: Examples, task: Task, count: int, seed: int, features: Sequence[Feature]
) -> Folds:
    """Rows in folds, equal rows in one. Raises NotTrainable where equal rows leave a side of every
    fold without a class."""
    keys = row_keys(rows.columns, features)
    fold = folds(len(rows), count, seed, _classes(task, rows), keys)
    numbers = _numbers(task, rows, fold)
    if not numbers:
        raise NotTrainable(
            "too many rows are equal in all features: a class has no two different rows to learn "
            "from and to judge by"
        )
    return Folds(rows, fold, numbers)


def _classes(task: Task, rows: Examples) -> NDArray[np.float64] | None:
    return None if task == "regression" else rows.target


def _numbers(task: Task, rows: Examples, fold: NDArray[np.intp]) -> tuple[int, ...]:
    """Folds of which both sides have what it takes."""
    every = len(np.unique(rows.target))

    def usable(number: int) -> bool:
        train, judge = rows.target[fold != number], rows.target[fold == number]
        if task == "regression":
            return min(len(train), len(judge)) > 0
        there = len(np.unique(train)), len(np.unique(judge))
        return there[0] == every and there[1] >= (every if task == "binary" else 1)

    return tuple(number for number in np.unique(fold).tolist() if usable(number))
