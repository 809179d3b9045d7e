"""Leakage: a single column that nearly predicts the target is usually the target again.

Every column answers alone and out of fold, so that one with a value per row (an identifier) cannot
answer at all. Categories answer with the mean target of their level, numbers with a small tree,
their order, or a line and a tree on ranks, and all with nothing but where they are missing.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from shared.serving.features import Feature
from shared.serving.package import Task
from shared.tabular import metrics
from shared.tabular.checks.checks import ranks
from shared.tabular.checks.findings import Finding, Level, spec_line
from shared.tabular.dataset import Examples
from shared.tabular.folds import folds
from shared.tabular.metrics import Floats

# Chosen between columns that are what they say (UCI Mushroom's `odor` 0.9876, Iris' petal length
# 0.984, breast cancer's worst perimeter 0.94, Adult's relationship 0.78) and targets under another
# name (LendingClub's `status` 1.0; a copy of the target with 1 % of its cells wrong 0.99).
LEAK = {"binary": 0.988, "multiclass": 0.988, "regression": 0.98}
STRONG = {"binary": 0.98, "multiclass": 0.98, "regression": 0.95}
MEASURE = {"binary": "AUROC", "multiclass": "mean AUROC of a class against the rest"}
FOLDS = 4
MIN_LEVEL_ROWS = 5
MAX_LEAVES = 64
# With fewer rows of the rarer class, chance alone comes too close.
MIN_RARER = 20
MIN_ROWS = 50
# More than so many cells are not looked at: a fifth of a million take about a second.
CELLS = 2_000_000
LEAST_ROWS = 2_000
# Trees work in float32.
_LARGEST = 1e30


@dataclass(frozen=True, slots=True)
class Alone:
    """How well one column answers alone: AUROC (classification) or R2, out of fold. `by` says
    whether its values do, or merely where it is missing."""

    column: str
    quality: float
    by: Literal["value", "missing"]


def alone(
    task: Task, rows: Examples, features: Sequence[Feature], *, classes: int, seed: int
) -> list[Alone]:
    """Every feature on its own, the best first; nothing where there are too few rows."""
    if not _enough(task, rows.target, classes):
        return []
    rows = _few(task, rows, len(features))
    asked = _Question.of(task, rows.target, classes, seed)
    found = [_best(asked, feature, rows.columns[feature.name]) for feature in features]
    return sorted(found, key=lambda item: (-item.quality, item.column))


def leaks(
    task: Task,
    target: str,
    found: Iterable[Alone],
    level: Level,
    *,
    written: bool,
    made: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[Finding]:
    """`leakage` with this level, and `strong_column`, which only warns. `written` says whether the
    spec names its columns, so that a line can be added to them; `made` are the columns that were
    derived, and of which ones."""
    for item in found:
        if item.quality < STRONG[task]:
            continue
        leak = item.quality >= LEAK[task]
        how = "alone" if item.by == "value" else "merely by where it is missing"
        what = f"nearly settles `{target}`" if leak else f"predicts `{target}` very well"
        yield Finding(
            "leakage" if leak else "strong_column",
            level if leak else "warn",
            f"`{item.column}` {how} {what} ({MEASURE.get(task, 'R2')} {item.quality:.3f})",
            _advice(item.column, target, (made or {}).get(item.column, ()), written=written),
            (item.column,),
        )


def _advice(column: str, target: str, made_of: Sequence[str], *, written: bool) -> str:
    why = 'allow_leak: "why it is known in time"'
    if made_of:
        names = ", ".join(f"`{name}`" for name in made_of)
        return (
            f"It is derived of {names}: if one of them is known "
            f"only afterwards, take `{column}` out of `derive`; if all are known when a prediction "
            f"is asked for, add to the spec `{spec_line(made_of[0], why)}`."
        )
    draft = (
        f"The spec names no columns yet: `./millrace init FILE --target {shlex.quote(target)}` "
        f"drafts it with them. "
    )
    return (
        f"{'' if written else draft}If it is known only afterwards, add to the spec "
        f"`{spec_line(column, 'exclude: true')}`; if it is known when a prediction is asked for, "
        f"`{spec_line(column, why)}`."
    )


def _enough(task: Task, target: Floats, classes: int) -> bool:
    if len(target) < MIN_ROWS:
        return False
    if task == "regression":
        return bool(np.ptp(target) > 0)
    counts = np.bincount(target.astype(np.intp), minlength=classes)
    # The rarer one of two; of several the rarest says nothing about the others.
    return int(np.sort(counts)[0 if classes == 2 else -2]) >= MIN_RARER


def _few(task: Task, rows: Examples, width: int) -> Examples:
    """So many rows that a wide table takes seconds: evenly from the file, of each class as many, so
    that a rare one stays. AUROC does not depend on how frequent a class is."""
    most = max(LEAST_ROWS, CELLS // max(1, width))
    if len(rows) <= most:
        return rows
    found = (
        [np.arange(len(rows))]
        if task == "regression"
        else [np.flatnonzero(rows.target == label) for label in np.unique(rows.target)]
    )
    share = most // len(found)
    taken = [of[np.linspace(0, len(of) - 1, min(share, len(of))).astype(np.intp)] for of in found]
    return rows.take(np.sort(np.concatenate(taken)))


@dataclass(frozen=True, slots=True)
class _Question:
    """What every column is asked. `wanted` [n, k] is the target, or one column per class."""

    task: Task
    target: Floats
    wanted: Floats
    fold: NDArray[np.intp]

    @classmethod
    def of(cls, task: Task, target: Floats, classes: int, seed: int) -> _Question:
        if task == "regression":
            return cls(task, target, target[:, None], folds(len(target), FOLDS, seed))
        wanted = (
            target[:, None]
            if task == "binary"
            else np.eye(classes, dtype=np.float64)[target.astype(np.intp)]
        )
        return cls(task, target, wanted, folds(len(target), FOLDS, seed, target))

    def ranked(self) -> _Question:
        """The same about the target's ranks: a few huge values do not hide what the rest shows."""
        target = ranks(self.target)
        return _Question(self.task, target, target[:, None], self.fold)

    def quality(self, answers: Floats) -> float:
        """Of answers [n, k]."""
        if self.task == "regression":
            return metrics.regression(self.target, answers[:, 0])["r2"]
        if self.task == "binary":
            return metrics.auroc(self.target, answers[:, 0])
        areas = [
            metrics.auroc(column, answer)
            for column, answer in zip(self.wanted.T, answers.T, strict=True)
            if column.any()
        ]
        return float(np.mean(areas))


def _best(asked: _Question, feature: Feature, column: NDArray[Any]) -> Alone:
    """The best way in which a column answers; where it is missing has the first word."""
    number = feature.kind == "number"
    missing = np.isnan(column) if number else np.array([not text for text in column.tolist()])
    ways: list[tuple[float, Literal["value", "missing"]]] = []
    if missing.any() and not missing.all():
        ways.append((asked.quality(_by_level(asked, missing.astype(np.intp))), "missing"))
    if number:
        ways.append((asked.quality(_by_tree(asked, column)), "value"))
        if asked.task == "binary":
            ways.append((_by_order(asked, column), "value"))
        if asked.task == "regression":
            ways.append((asked.quality(_by_line(asked, column)), "value"))
            ranked = asked.ranked()
            ways.append((ranked.quality(_by_tree(ranked, column)), "value"))
    else:
        ways.append((asked.quality(_by_level(asked, _codes(column))), "value"))
    best = max(quality for quality, _ in ways)
    by = next(by for quality, by in ways if quality >= min(best, LEAK[asked.task]))
    return Alone(feature.name, best, by)


def _codes(column: NDArray[Any]) -> NDArray[np.intp]:
    known: dict[str, int] = {}
    return np.array([known.setdefault(text, len(known)) for text in column.tolist()], np.intp)


def _by_level(asked: _Question, codes: NDArray[np.intp]) -> Floats:
    """The mean target of a row's level in the other folds; the overall mean for a level with too
    few rows there."""
    size = int(codes.max()) + 1
    overall = asked.wanted.mean(axis=0)
    counts, sums = _sums(codes, asked.wanted, size)
    answers = np.empty_like(asked.wanted)
    for number in range(FOLDS):
        held = asked.fold == number
        inside, taken = _sums(codes[held], asked.wanted[held], size)
        others = counts - inside
        means = (sums - taken) / np.maximum(others, 1)[:, None]
        answers[held] = np.where((others >= MIN_LEVEL_ROWS)[:, None], means, overall)[codes[held]]
    return answers


def _sums(codes: NDArray[np.intp], wanted: Floats, size: int) -> tuple[NDArray[np.intp], Floats]:
    """Rows per level [size], and the sum of each target column over them [size, k]."""
    sums = [np.bincount(codes, weights=column, minlength=size) for column in wanted.T]
    return np.bincount(codes, minlength=size), np.column_stack(sums)


def _by_tree(asked: _Question, column: Floats) -> Floats:
    """A small tree's answers; it finds the one cut that matters, and treats missing as a value."""
    answers = np.empty_like(asked.wanted)
    values = np.clip(column, -_LARGEST, _LARGEST)[:, None]
    for number in range(FOLDS):
        held = asked.fold == number
        if asked.task == "regression":
            model = DecisionTreeRegressor(
                max_leaf_nodes=MAX_LEAVES, min_samples_leaf=5, random_state=0
            )
            answers[held, 0] = model.fit(values[~held], asked.target[~held]).predict(values[held])
            continue
        tree = DecisionTreeClassifier(max_leaf_nodes=MAX_LEAVES, min_samples_leaf=5, random_state=0)
        found = tree.fit(values[~held], asked.target[~held]).predict_proba(values[held])
        if asked.task == "binary":
            answers[held] = found[:, 1:]
        else:
            answers[held] = 0.0
            answers[np.ix_(held, tree.classes_.astype(np.intp))] = found
    return answers


def _by_order(asked: _Question, column: Floats) -> float:
    """AUROC of the values themselves, whichever end is the positive one; missing is in the middle.
    A tree of few rows is too coarse to see how good a score is."""
    known = column[~np.isnan(column)]
    if not len(known):
        return 0.5
    found = metrics.auroc(asked.target, np.where(np.isnan(column), np.median(known), column))
    return max(found, 1 - found)


def _by_line(asked: _Question, column: Floats) -> Floats:
    """A straight line's answers: an exact multiple of a skewed target needs more than few steps."""
    answers = np.empty_like(asked.wanted)
    values = np.clip(column, -_LARGEST, _LARGEST)
    known = ~np.isnan(values)
    values = np.where(known, values, values[known].mean() if known.any() else 0.0)
    for number in range(FOLDS):
        held = asked.fold == number
        x, y = values[~held], asked.target[~held]
        spread = float(((x - x.mean()) ** 2).sum())
        slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread else 0.0
        answers[held, 0] = y.mean() + slope * (values[held] - x.mean())
    return answers
