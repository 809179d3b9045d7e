"""Rows of a labels file: which of them are labels, and why the others are not.

A file has the header `prediction_id,label` (or the target's name instead of `label`), maybe
`label_time`, and whatever else its owner likes; delimiter and encoding are found, and it may be
packed with gzip. One label per prediction: the last row wins and the earlier ones are quarantined
with that reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO

from shared.errors import EmptyFile, HeaderMismatch
from shared.files.headers import label_columns, label_source
from shared.serving.cells import BadCell
from shared.serving.columns import Schema
from shared.spec.model import Spec
from shared.tabular.reading.records import read_records

ID_COLUMN, LABEL_COLUMN, TIME_COLUMN = "prediction_id", "label", "label_time"


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One good row. `record` counts from 1 after the header; `label` is the canonical class, or
    the number as the file spells it; `label_time` is None when the file does not say."""

    record: int
    prediction_id: str
    label: str
    label_time: datetime | None


@dataclass(frozen=True, slots=True)
class Quarantined:
    record: int
    reason: str
    cells: tuple[str, ...]
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class _Header:
    """Where the columns stand."""

    width: int
    prediction_id: int
    label: int
    label_time: int | None


@dataclass(frozen=True, slots=True)
class _Rules:
    spec: Spec
    schema: Schema
    known: tuple[str, ...]


def check_rows(
    stream: BinaryIO, spec: Spec, known: tuple[str, ...]
) -> tuple[list[LabelRow], list[Quarantined]]:
    """Good rows and quarantined ones, each in file order. `known` are the classes of the model, if
    it has any yet. Raises HeaderMismatch, EmptyFile, UnreadableText."""
    schema = Schema.of(spec)
    rules = _Rules(spec, schema, tuple(map(schema.category_of, known)))
    records = read_records(stream, label_source(spec), expected=label_columns(spec))
    header = _header(next(records, []), spec)
    good: dict[str, tuple[LabelRow, tuple[str, ...]]] = {}
    bad: list[Quarantined] = []
    record = 0
    for record, raw in enumerate(records, start=1):
        cells = tuple(cell.strip() for cell in raw)
        try:
            row = _row(record, cells, header, rules)
        except BadCell as error:
            bad.append(Quarantined(record, str(error), tuple(raw)))
            continue
        earlier = good.pop(row.prediction_id, None)
        if earlier is not None:
            reason = f"row {record} labels the same prediction; the last row wins"
            bad.append(Quarantined(earlier[0].record, reason, earlier[1], duplicate=True))
        good[row.prediction_id] = (row, tuple(raw))
    if not record:
        raise EmptyFile("the labels file has a header and no rows")
    bad.sort(key=lambda item: item.record)
    return [row for row, _ in good.values()], bad


def _header(cells: list[str], spec: Spec) -> _Header:
    names = [cell.strip() for cell in cells]
    target = spec.target.column
    label = LABEL_COLUMN if LABEL_COLUMN in names else target
    missing = [] if ID_COLUMN in names else [ID_COLUMN]
    missing += [] if label in names else [f"{LABEL_COLUMN} (or {target})"]
    twice = [name for name in (ID_COLUMN, label, TIME_COLUMN) if names.count(name) > 1]
    if missing or twice:
        problem = f"missing: {', '.join(missing)}" if missing else f"twice: {', '.join(twice)}"
        raise HeaderMismatch(
            f"a labels file needs the header {ID_COLUMN},{LABEL_COLUMN}; "
            f"{problem}; found: {', '.join(names) or 'nothing'}"
        )
    time = names.index(TIME_COLUMN) if TIME_COLUMN in names else None
    return _Header(len(names), names.index(ID_COLUMN), names.index(label), time)


def _row(record: int, cells: tuple[str, ...], header: _Header, rules: _Rules) -> LabelRow:
    """Raises BadCell with the reason."""
    if len(cells) != header.width:
        raise BadCell(f"the row has {len(cells)} fields, the header {header.width}")
    prediction_id, label = cells[header.prediction_id], cells[header.label]
    if not prediction_id:
        raise BadCell("prediction_id is empty")
    if rules.schema.category_of(label) == "":
        raise BadCell("the label is missing")
    if rules.spec.task == "regression":
        rules.schema.number_of(label)
    else:
        label = rules.schema.category_of(label)
        if rules.known and label not in rules.known:
            raise BadCell(f"the label is {label!r}, not one of {', '.join(rules.known)}")
    time = cells[header.label_time] if header.label_time is not None else ""
    return LabelRow(record, prediction_id, label, _time(time))


def _time(text: str) -> datetime | None:
    """A time without a zone is UTC. Raises BadCell."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):  # before year 1 in UTC, after 9999
        raise BadCell(f"label_time {text!r} is no ISO 8601 time") from None
