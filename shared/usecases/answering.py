"""What one loaded version answers to records. Knows no log and no HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, NamedTuple

from shared.ports import Clock
from shared.serving.loaded_model import Predictions
from shared.serving.served import Served
from shared.serving.watching import Odd


class Scored(NamedTuple):  # made per request: cheaper than a frozen class
    """`records` are as the version read them: with the columns of joined sources, whose look-ups
    `notes` tell about; `odd` counts what is unusual in them. `plain`: callers sent all inputs and
    nothing else, as far as is known."""

    records: Sequence[Any]
    result: Predictions
    notes: Sequence[dict[str, Any]]
    odd: Odd
    plain: bool = False


def score(served: Served, records: Sequence[Any], clock: Clock) -> Scored:
    """Raises InvalidInstances, FeaturesTooOld."""
    odd: Odd = {}
    if served.resolver is None:
        result = served.model.predict_records(records, odd)
        return Scored(records, result, (), odd, result.plain)
    resolved = served.resolver.resolve(records, clock.now())
    result = served.model.predict_records(resolved.records, odd)
    return Scored(resolved.records, result, resolved.notes, odd)


def rows_of(served: Served, scored: Scored, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The answers as callers get them, in the records' order."""
    result, version = scored.result, served.model.version
    labels: Iterable[str | None] = repeat(None) if result.label is None else result.label
    rows: list[dict[str, Any]] = [
        {"score": score, "label": label, "prediction_id": prediction_id, "model_version": version}
        for score, label, prediction_id in zip(result.score.tolist(), labels, ids, strict=False)
    ]
    if result.probabilities is not None:
        for row, shares in zip(rows, result.probabilities.tolist(), strict=True):
            row["probabilities"] = dict(zip(served.model.package.labels, shares, strict=True))
    if scored.notes:
        for row, note in zip(rows, scored.notes, strict=True):
            row.update(note)
    return rows
