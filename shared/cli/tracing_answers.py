"""One prediction: the answer as it was given, what it was asked about, and what really happened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from shared.beside.second_version import KINDS
from shared.cli.tracing import address, labels_facts, learned_by
from shared.documents import timestamp
from shared.errors import ObjectNotFound
from shared.events import parse_time
from shared.labelled import labels_of
from shared.ports import Bucket
from shared.predicted import DAY, BatchRun, days_told, find_line, logged_days

RECENT_DAYS = 7


@dataclass(frozen=True, slots=True)
class Searched:
    """The days of the inference log that were looked through, newest first, and what was found."""

    days: tuple[date, ...]
    line: dict[str, Any] | None

    def __str__(self) -> str:
        if not self.days:
            return "there is no inference log of those days"
        days = f"{self.days[-1]} to {self.days[0]}" if len(self.days) > 1 else str(self.days[0])
        return f"looked through the inference log of {days}"


def search_log(prediction_id: str, model: str, day: date | None, lake: Bucket) -> Searched:
    """The line of an online answer: on the day named (its export may be a day off), else the days
    that an id of ours tells, else the newest ones there are."""
    logged = sorted(logged_days(lake=lake), reverse=True)
    told: Iterable[date] = days_told(prediction_id)
    if day is not None:
        told = (day - DAY, day, day + DAY)
    days = [found for found in logged if found in told] if told else logged[:RECENT_DAYS]
    line = find_line(prediction_id, days, lake=lake, model=model)
    return Searched(tuple(days), line)


def online_answer(line: dict[str, Any], lake: Bucket) -> dict[str, Any]:
    """An answer of the predictor, from its line in the log."""
    model, prediction_id = str(line["model"]), str(line["prediction_id"])
    time = parse_time(line["time"])
    return {
        "prediction_id": prediction_id,
        "channel": "online",
        "model": model,
        "version": line["version"],
        "time": line["time"],
        **{key: line.get(key) for key in ("score", "label", "error", *KINDS)},
        "record": None,
        "asked": {
            **(line.get("instance") or {}),
            **dict.fromkeys(line.get("redacted", ()), "(redacted)"),
        },
        "object": None,
        "happened": happened(model, prediction_id, None, time, lake),
    }


def batch_answer(model: str, run: BatchRun, record: int, lake: Bucket) -> dict[str, Any]:
    """A row of a scored file."""
    prediction_id = f"{run.run_id}-{record}"
    row = _row(model, run, prediction_id, lake)
    return {
        "prediction_id": prediction_id,
        "channel": "batch",
        "model": model,
        "version": run.version,
        "time": timestamp(run.finished),
        **{key: row["answer"].get(key) or None for key in ("score", "label", "error")},
        **dict.fromkeys(KINDS),
        "record": record,
        "asked": row["asked"],
        "object": address(run.object, lake),
        "happened": happened(model, prediction_id, run.run_id, run.finished, lake),
    }


def happened(
    model: str, prediction_id: str, score_run: str | None, time: datetime, lake: Bucket
) -> list[dict[str, Any]]:
    """What was said to have really happened, the last word last, and who learned from it."""
    found = labels_of(model, prediction_id, score_run=score_run, time=time, lake=lake)
    return [
        {
            "label": row["label"],
            "label_time": row["label_time"],
            "record": row["record"],
            **labels_facts(model, file.info.name, lake),
            "learned_by": learned_by(model, file.info.name, lake),
        }
        for file, row in found
    ]


def _row(model: str, run: BatchRun, prediction_id: str, lake: Bucket) -> dict[str, dict[str, Any]]:
    """The row of a scored file with this id: the input's cells, and the answers behind them."""
    from shared.usecases.scored_rows import find_row  # pyarrow, which few commands need

    try:
        found = find_row(model, run, prediction_id, lake=lake)
    except ObjectNotFound:
        found = (
            None  # the file was deleted; which version answered, and when, is known all the same
        )
    asked, answer = found or ({}, {})
    return {"asked": asked, "answer": answer}
