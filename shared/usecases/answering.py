"""What one loaded version answers to records. Knows no log and no HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from shared.ports import Clock
from shared.serving.package import Predictions
from shared.serving.served import Served
from shared.serving.watching import Odd


class Scored(NamedTuple):  # made per request: cheaper than a frozen class
    """`records` are as the version read them: with the columns of joined sources, whose look-ups
    `notes` tell about; `odd` counts what is unusual in them."""

    records: Sequence[Any]
    result: Predictions
    notes: Sequence[dict[str, Any]]
    odd: Odd


def score(served: Served, records: Sequence[Any], clock: Clock) -> Scored:
    """Raises InvalidInstances, FeaturesTooOld."""
    odd: Odd = {}
    if served.resolver is None:
        return Scored(records, served.model.predict_records(records, odd), (), odd)
    resolved = served.resolver.resolve(records, clock.now())
    result = served.model.predict_records(resolved.records, odd)
    return Scored(resolved.records, result, resolved.notes, odd)


def rows_of(served: Served, scored: Scored, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The answers as callers get them, in the records' order."""
    result, labels = scored.result, served.model.package.labels
    rows: list[dict[str, Any]] = [
        {
            "score": score,
            "label": result.label[row] if result.label is not None else None,
            "prediction_id": ids[row],
            "model_version": served.model.version,
        }
        for row, score in enumerate(result.score.tolist())
    ]
    if result.probabilities is not None:
        for row, shares in zip(rows, result.probabilities.tolist(), strict=True):
            row["probabilities"] = dict(zip(labels, shares, strict=True))
    if scored.notes:
        for row, note in zip(rows, scored.notes, strict=True):
            row.update(note)
    return rows
