"""Folds inside the rows that fit: what recipes are searched, judged, weighed and calibrated on.

Every row's answer comes from a model that never saw the row, its double, or another row of its
group. Where rows have a time, folds follow each other in time and a model learns from those before
the one that it answers: what is found there holds for tomorrow. A search over many rows
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
from shared.tabular.folds import folds, group_folds, time_folds
from shared.tabular.splitting import group_keys, row_keys

# Of the search alone: beyond this, time grows and the order of recipes hardly changes.
SAMPLE_ROWS = 15_000
SAMPLE_CLASS_ROWS = 500
_SAMPLE_SEED = 1_000_003


@dataclass(frozen=True, slots=True)
class Folds:
    """`fold` is each row's fold; `numbers` are the folds that can be judged: a class that only one
    fold has cannot be learned from the others, and where folds go `forward` in time nothing comes
    before the first."""

    rows: Examples
    fold: NDArray[np.intp]
    numbers: tuple[int, ...]
    forward: bool = False

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Rows of the folds that can be judged."""
        found: NDArray[np.bool_] = np.isin(self.fold, self.numbers)
        return found

    def split(self, number: int) -> tuple[Examples, Examples]:
        """The rows that fit and the rows that judge."""
        learned = _learned(self.fold, number, forward=self.forward)
        return self.rows.take(learned), self.rows.take(self.fold == number)

    def sample(self, task: Task, seed: int, most: int = SAMPLE_ROWS) -> Folds:
        """About `most` of the rows, every class by its share (of a rare one more, a search over a
        handful finds nothing), or all where they are few."""
        parts = -(-len(self.rows) // most)
        if parts < 2:
            return self
        classes = _classes(task, self.rows)
        kept = folds(len(self.rows), parts, seed + _SAMPLE_SEED, classes) == 0
        kept |= _some_of_each(self.fold, classes, kept, seed + _SAMPLE_SEED, most)
        return Folds(self.rows.take(kept), self.fold[kept], self.numbers, self.forward)


def fold_rows(
    rows: Examples,
    task: Task,
    count: int,
    seed: int,
    features: Sequence[Feature],
    *,
    groups: Sequence[str] | None = None,
    times: NDArray[np.float64] | None = None,
) -> Folds:
    """Rows in folds, equal rows in one, or those of a group. With `times` there is one fold more,
    the oldest, which is only learned from; where too few moments or classes leave nothing to judge
    that way, time does not count. Raises NotTrainable where a side of every fold is left without a
    class."""
    if times is not None:
        fold = time_folds(times, count + 1)
        if numbers := _numbers(task, rows, fold, forward=True):
            return Folds(rows, fold, numbers, forward=True)
    keys = row_keys(rows.columns, features)
    # Groups of one row each need no keeping together, and classes are spread evenly without them.
    together = groups is not None and len(set(groups)) < len(groups)
    if groups is not None and together:
        fold = group_folds(group_keys(groups, keys), count, seed)
    else:
        fold = folds(len(rows), count, seed, _classes(task, rows), keys)
    numbers = _numbers(task, rows, fold, forward=False)
    if numbers:
        return Folds(rows, fold, numbers)
    if together:
        raise NotTrainable(
            "no part of the groups can judge a model that learned from the others: a class stands "
            "in too few of them"
        )
    raise NotTrainable(
        "too many rows are equal in all features: a class has no two different rows to learn from "
        "and to judge by"
    )


def _some_of_each(
    fold: NDArray[np.intp],
    classes: NDArray[np.float64] | None,
    kept: NDArray[np.bool_],
    seed: int,
    most: int,
) -> NDArray[np.bool_]:
    """Rows so that every class has SAMPLE_CLASS_ROWS, spread over all folds that have it, those
    that are kept anyway first: what can be judged on all rows can be on the sample."""
    different, label = (
        np.unique(classes, return_inverse=True)
        if classes is not None
        else (np.zeros(1), np.zeros(len(fold), np.intp))
    )
    wanted = min(SAMPLE_CLASS_ROWS, most // (2 * len(different)))
    cell = fold * len(different) + label
    chance = np.random.default_rng(seed).permutation(len(fold))
    order = np.lexsort((chance, ~kept, cell))
    sizes = np.bincount(cell)
    place = np.empty(len(fold), np.intp)
    place[order] = np.arange(len(fold)) - np.repeat(sizes.cumsum() - sizes, sizes)
    found: NDArray[np.bool_] = place < -(-wanted // len(np.unique(fold)))
    return found


def _classes(task: Task, rows: Examples) -> NDArray[np.float64] | None:
    return None if task == "regression" else rows.target


def _learned(fold: NDArray[np.intp], number: int, *, forward: bool) -> NDArray[np.bool_]:
    """The rows that whoever answers for this fold may learn from."""
    return fold < number if forward else fold != number


def _numbers(
    task: Task, rows: Examples, fold: NDArray[np.intp], *, forward: bool
) -> tuple[int, ...]:
    """Folds of which both sides have what it takes."""
    every = len(np.unique(rows.target))

    def usable(number: int) -> bool:
        train = rows.target[_learned(fold, number, forward=forward)]
        judge = rows.target[fold == number]
        if task == "regression":
            return min(len(train), len(judge)) > 0
        there = len(np.unique(train)), len(np.unique(judge))
        return there[0] == every and there[1] >= (every if task == "binary" else 1)

    return tuple(number for number in np.unique(fold).tolist() if usable(number))
