"""From business keys to predictions: a label is of the last prediction of its key before its time.

    batch     scored files of the runs that finished in the time looked at, by the key's column
    online    lines of the inference log, where the key is among what is logged

A prediction of a batch was made when its run finished. Of several rows of a key in one file the
last counts. Reads everything that may matter once; in memory are the keys that are asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from shared.ports import Bucket
from shared.predicted import DAY, BatchRun, batch_runs, logged_days, online_lines
from shared.usecases.scored_rows import scored_rows


@dataclass(frozen=True, slots=True)
class Prediction:
    """One that was found; `run_id` is None for an online one."""

    prediction_id: str
    run_id: str | None
    time: datetime


@dataclass
class _Asked:
    """The labels' times by key, and the best prediction for each so far."""

    look_back: timedelta
    times: dict[str, list[datetime]] = field(default_factory=dict)
    found: dict[tuple[str, datetime], Prediction] = field(default_factory=dict)

    def offer(self, key: str, prediction: Prediction) -> None:
        for when in self.times.get(key, ()):
            if not timedelta(0) < when - prediction.time <= self.look_back:
                continue
            known = self.found.get((key, when))
            if known is None or prediction.time >= known.time:
                self.found[key, when] = prediction


def find_by_key(
    model: str,
    asked: Sequence[tuple[str, datetime]],
    column: str,
    look_back: timedelta,
    *,
    arrived: datetime,
    lake: Bucket,
) -> dict[tuple[str, datetime], Prediction]:
    """The last prediction before each time about each key, at most `look_back` before. Those that
    were refused are none."""
    if not asked:
        return {}
    wanted = _Asked(look_back)
    for key, when in dict.fromkeys(asked):
        wanted.times.setdefault(key, []).append(when)
    start = _before(min(when for _, when in asked), look_back)
    end = min(arrived, max(when for _, when in asked))
    for run in batch_runs(model, start, end, lake=lake):
        _offer_batch(model, run, column, wanted, lake)
    logged = logged_days(lake=lake)
    if logged:  # a time that was mistyped by centuries does not list them all
        start = max(start, datetime.combine(min(logged) - DAY, time.min, UTC))
    for line in online_lines(model, start, end, lake=lake) if logged and start < end else ():
        if line.error is None and column not in line.redacted:
            key = _text(line.instance.get(column))
            wanted.offer(key, Prediction(line.prediction_id, None, line.time))
    return wanted.found


def _offer_batch(model: str, run: BatchRun, column: str, wanted: _Asked, lake: Bucket) -> None:
    known = pa.array(list(wanted.times), pa.string())
    for block in scored_rows(model, run, [column], lake=lake):
        keys = pc.utf8_trim_whitespace(block.cells[0].cast(pa.string()))
        these = pc.and_(pc.is_in(keys, known), pc.equal(block.answers["error"], ""))
        ids = block.answers["prediction_id"].filter(these).to_pylist()
        for key, prediction_id in zip(keys.filter(these).to_pylist(), ids, strict=True):
            wanted.offer(key, Prediction(prediction_id, run.run_id, run.finished))


def _text(value: object) -> str:
    """A JSON value as a labels file would spell it."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def _before(when: datetime, look_back: timedelta) -> datetime:
    try:
        return when - look_back
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
