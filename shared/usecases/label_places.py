"""Which prediction each row of a labels file is about: by its id, or by its key and time.

prediction_id  ->  `<score run>-<record>`, or an id of the online log
key and time   ->  the last prediction of the key before that time (`shared.usecases.label_keys`)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from shared.ports import Bucket
from shared.predicted import (
    BATCH_ID,
    DAY,
    BatchRun,
    days_told,
    find_batch_run,
    find_online,
    logged_days,
)
from shared.spec.model import Labels
from shared.tabular.labels import LabelRow, Quarantined, repeated
from shared.usecases.label_keys import find_by_key

# Ids that callers made up do not tell their day; older answers than this are not looked for.
ONLINE_LOOKBACK_DAYS = 90


@dataclass(frozen=True, slots=True)
class Match:
    """Where a prediction was found; both None for one that we do not know."""

    run_id: str | None = None
    time: datetime | None = None

    @property
    def matched(self) -> bool:
        return self.time is not None


@dataclass
class _Batches:
    """Scoring runs by id, each looked up once."""

    model: str
    lake: Bucket
    found: dict[str, BatchRun | None] = field(default_factory=dict)

    def match(self, run_id: str, record: int) -> Match:
        if run_id not in self.found:
            self.found[run_id] = find_batch_run(self.model, run_id, lake=self.lake)
        run = self.found[run_id]
        if run is None or record > run.rows:
            return Match()
        return Match(run_id, run.finished)


@dataclass(frozen=True, slots=True)
class Placed:
    """A row and the prediction it is about; `prediction_id` is "" for a key of which none is
    known."""

    row: LabelRow
    prediction_id: str
    match: Match


def place(
    model: str, rows: Sequence[LabelRow], labels: Labels, arrived: datetime, *, lake: Bucket
) -> list[Placed]:
    """Every row with its prediction."""
    asked = [(row.key, row.label_time) for row in rows if row.key and row.label_time]
    found = {}
    if asked and labels.key is not None:
        found = find_by_key(model, asked, labels.key, labels.look_back, arrived=arrived, lake=lake)
    named = [row.prediction_id for row in rows if not row.key]
    matches = match_predictions(model, named, arrived, lake=lake)
    placed = []
    for row in rows:
        if not row.key:
            placed.append(Placed(row, row.prediction_id, matches[row.prediction_id]))
            continue
        one = found.get((row.key, row.label_time)) if row.label_time else None
        match = Match(one.run_id, one.time) if one else Match()
        placed.append(Placed(row, one.prediction_id if one else "", match))
    return placed


def one_each(placed: Sequence[Placed], arrived: datetime) -> tuple[list[Placed], list[Quarantined]]:
    """One row per prediction, in file order: keys of different times may mean the same one, and
    then the last outcome counts. The others go to quarantine."""
    last: dict[str, Placed] = {}
    bad = []
    for item in sorted(placed, key=lambda item: (item.row.label_time or arrived, item.row.record)):
        before = last.get(item.prediction_id) if item.prediction_id else None
        if before is not None:
            bad.append(repeated(before.row.record, item.row.record, before.row.cells))
        if item.prediction_id:
            last[item.prediction_id] = item
    gone = {item.record for item in bad}
    return [item for item in placed if item.row.record not in gone], bad


def match_predictions(
    model: str, ids: Iterable[str], arrived: datetime, *, lake: Bucket
) -> dict[str, Match]:
    """Each id with the prediction it names: `<score run>-<record>`, or an id of the online log."""
    batches = _Batches(model, lake)
    matches: dict[str, Match] = {}
    online: list[str] = []
    for prediction_id in ids:
        parts = BATCH_ID.fullmatch(prediction_id)
        match = batches.match(parts[1], int(parts[2])) if parts else Match()
        matches[prediction_id] = match
        if not match.matched:
            online.append(prediction_id)
    days = _days_to_search(online, arrived, lake)
    for prediction_id, time in find_online(model, online, days, lake=lake).items():
        matches[prediction_id] = Match(None, time)
    return matches


def _days_to_search(ids: list[str], arrived: datetime, lake: Bucket) -> list[date]:
    """Days of the log, newest first. Our own ids carry their time; others may be of any day."""
    if not ids:
        return []
    days = {day for prediction_id in ids for day in days_told(prediction_id)}
    if not all(map(days_told, ids)):
        first = arrived.date() - DAY * ONLINE_LOOKBACK_DAYS
        days |= {first + DAY * number for number in range(ONLINE_LOOKBACK_DAYS + 2)}
    return sorted(days & logged_days(lake=lake), reverse=True)
