"""What a model's answers depend on: permutation importance on holdout rows (Breiman 2001).

A column is shuffled, the compiled model answers again, and what the primary metric loses is the
column's importance. Columns that say the same share it: shuffling one leaves the other. Pure,
seeded, bounded in rows; a ceiling in time, which is recorded when it bites.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.serving.columns import Columns
from shared.tabular.dataset import Examples
from shared.tabular.metrics import Floats, gain, primary

REPEATS = 3
MAX_ANSWERS = 120_000  # rows answered in all: a second or two
MAX_ROWS, MIN_ROWS = 3_000, 300
MAX_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Importance:
    """`drop` is what the primary metric loses (above 0: it got worse), mean over repeats;
    `spread` is the standard deviation over them."""

    feature: str
    drop: float
    spread: float


@dataclass(frozen=True, slots=True)
class Importances:
    """The most important first; `complete` is False when time ran out before every column."""

    metric: float
    rows: int
    items: tuple[Importance, ...]
    complete: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "rows": self.rows,
            "complete": self.complete,
            "repeats": REPEATS,
            "items": [
                {"feature": one.feature, "drop": one.drop, "spread": one.spread}
                for one in self.items
            ],
        }


def of_record(body: dict[str, Any] | None) -> list[Importance]:
    """The items of `to_json`; none for a version of a time that did not measure them."""
    items = (body or {}).get("items", ())
    return [Importance(one["feature"], one["drop"], one["spread"]) for one in items]


def permutation_importances(
    answer: Callable[[Columns], Floats],
    holdout: Examples,
    task: str,
    names: Sequence[str],
    *,
    seed: int,
    now: Callable[[], float] = time.monotonic,
) -> Importances | None:
    """How much each column matters; None where the metric cannot be measured (one class).

    Args:
        answer: The compiled model, from columns to answers as `metrics.primary` takes them.
    """
    random = np.random.default_rng(seed)
    rows = holdout.take(_sample(len(holdout), len(names), random))
    if len(rows) < 2 or (task == "binary" and not 0 < rows.target.sum() < len(rows)):
        return None
    before = primary(task, rows.target, answer(rows.columns))
    until, items = now() + MAX_SECONDS, []
    for name in names:
        if now() > until:
            break
        losses = []
        for _ in range(REPEATS):
            shuffled = {**rows.columns, name: rows.columns[name][random.permutation(len(rows))]}
            losses.append(-gain(task, primary(task, rows.target, answer(shuffled)), before))
        items.append(Importance(name, float(np.mean(losses)), float(np.std(losses))))
    ordered = tuple(sorted(items, key=lambda one: -one.drop))
    return Importances(before, len(rows), ordered, len(items) == len(names))


def _sample(rows: int, columns: int, random: np.random.Generator) -> NDArray[np.intp]:
    """Which rows are asked, in order."""
    wanted = MAX_ANSWERS // (REPEATS * max(columns, 1))
    limit = min(rows, max(MIN_ROWS, min(MAX_ROWS, wanted)))
    return np.sort(random.permutation(rows)[:limit]).astype(np.intp)
