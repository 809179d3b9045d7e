"""How long one row takes, of two models side by side. The one thing measured here that no repeat
gives again: nothing that has to be reproducible may depend on it.

Each row is answered by both in turn, many times; the fastest time of a row is its own, and the
median over rows a model's. Other work on the machine makes times longer, never shorter, so that the
minimum is what the model costs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

ROWS = 20
ROUNDS = 15

Record = dict[str, float | str | None]


class Answers(Protocol):
    def predict_records(self, records: Sequence[object], /) -> object: ...


def spread_rows(count: int, wanted: int = ROWS) -> list[int]:
    """At most `wanted` row numbers out of `count`, evenly spread."""
    picked = np.linspace(0, count - 1, min(count, wanted)).astype(int)
    return sorted({int(row) for row in picked})


def single_row_ms(
    challenger: tuple[Answers, Sequence[Record]],
    champion: tuple[Answers, Sequence[Record]] | None,
    *,
    rounds: int = ROUNDS,
) -> dict[str, Any]:
    """Median milliseconds for a row by each model, with the same number of records each."""
    sides = [challenger, *([champion] if champion else [])]
    fastest = np.full((len(sides), len(challenger[1])), np.inf)
    for _ in range(rounds):
        for row in range(fastest.shape[1]):
            for side, (model, records) in enumerate(sides):
                started = time.perf_counter()
                model.predict_records([records[row]])
                fastest[side, row] = min(fastest[side, row], time.perf_counter() - started)
    medians = [round(float(ms), 4) for ms in np.median(fastest, axis=1) * 1000]
    return {
        "challenger_ms": medians[0],
        "champion_ms": medians[1] if champion else None,
        "rows": fastest.shape[1],
        "rounds": rounds,
    }
