"""How long one row takes, of two models side by side. The one thing measured here that no repeat
gives again: nothing that has to be reproducible may depend on it.

Each row is answered by both in turn, many times; the fastest time of a row is its own, and the
median over rows a model's. Other work on the machine makes times longer, never shorter, so that the
minimum is what the model costs. A challenger that looks too slow is measured again: only one that
is too slow every time is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from shared.guardrails import too_slow

ROWS = 20
ROUNDS = 15
ATTEMPTS = 3

Record = dict[str, float | str | None]


class Answers(Protocol):
    def predict_records(self, records: Sequence[object], /) -> object: ...


def spread_rows(count: int, wanted: int = ROWS) -> list[int]:
    """At most `wanted` row numbers out of `count`, evenly spread."""
    picked = np.linspace(0, count - 1, min(count, wanted)).astype(int)
    return sorted({int(row) for row in picked})


def side_by_side(
    challenger: tuple[Answers, Sequence[Record]],
    champion: tuple[Answers, Sequence[Record]] | None,
    *,
    timer: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """The measurement that speaks most for the challenger, of as many as it takes for one to be
    good enough."""
    found = [single_row_ms(challenger, champion, timer=timer)]
    while too_slow(found[-1]) and len(found) < ATTEMPTS:
        found.append(single_row_ms(challenger, champion, timer=timer))
    return min(found, key=lambda one: one["challenger_ms"] / (one["champion_ms"] or 1.0))


def single_row_ms(
    challenger: tuple[Answers, Sequence[Record]],
    champion: tuple[Answers, Sequence[Record]] | None,
    *,
    rounds: int = ROUNDS,
    timer: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """Median milliseconds for a row by each model, with the same number of records each."""
    sides = [challenger, *([champion] if champion else [])]
    fastest = np.full((len(sides), len(challenger[1])), np.inf)
    for _ in range(rounds):
        for row in range(fastest.shape[1]):
            for side, (model, records) in enumerate(sides):
                started = timer()
                model.predict_records([records[row]])
                fastest[side, row] = min(fastest[side, row], timer() - started)
    medians = [round(float(ms), 4) for ms in np.median(fastest, axis=1) * 1000]
    return {
        "challenger_ms": medians[0],
        "champion_ms": medians[1] if champion else None,
        "rows": fastest.shape[1],
        "rounds": rounds,
    }
