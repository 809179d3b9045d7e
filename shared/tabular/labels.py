"""Rows of a labels file: which of them are labels, and why the others are not.

A file has the header `prediction_id,label` (or the target's name instead of `label`), maybe
`label_time`, and whatever else its owner likes; delimiter and encoding are found, and it may be
packed with gzip. Where the spec names a key (`labels.key`), a row may say that and a time instead
of `prediction_id`. One label per prediction: the last row wins and the earlier ones are quarantined
with that reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import BinaryIO

from shared.errors import EmptyFile, HeaderMismatch
from shared.files.headers import label_columns, label_source, missing_label_columns
from shared.serving.cells import BadCell
from shared.serving.columns import Schema
from shared.spec.model import Spec
from shared.tabular.reading.records import read_records

ID_COLUMN, LABEL_COLUMN, TIME_COLUMN = "prediction_id", "label", "label_time"


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One good row. `record` counts from 1 after the header; `label` is the canonical class, or
    the number as the file spells it; `label_time` is None when the file does not say. A row with a
    `key` and a time has no `prediction_id` yet; its cells are kept for those who look."""

    record: int
    prediction_id: str
    label: str
    label_time: datetime | None
    key: str = ""
    cells: tuple[str, ...] = ()

    @property
    def about(self) -> tuple[str, str, datetime | None]:
        """What it is a label of."""
        return self.prediction_id, self.key, self.label_time if self.key else None


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
    label: int
    prediction_id: int | None
    label_time: int | None
    key: int | None
    time_name: str


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
    good: dict[tuple[object, ...], tuple[LabelRow, tuple[str, ...]]] = {}
    bad: list[Quarantined] = []
    record = 0
    for record, raw in enumerate(records, start=1):
        cells = tuple(cell.strip() for cell in raw)
        try:
            row = _row(record, cells, header, rules)
        except BadCell as error:
            bad.append(Quarantined(record, str(error), tuple(raw)))
            continue
        row = replace(row, cells=tuple(raw)) if row.key else row
        earlier = good.pop(row.about, None)
        if earlier is not None:
            bad.append(repeated(earlier[0].record, record, earlier[1]))
        good[row.about] = (row, tuple(raw))
    if not record:
        raise EmptyFile("the labels file has a header and no rows")
    bad.sort(key=lambda item: item.record)
    return [row for row, _ in good.values()], bad


def repeated(record: int, by: int, cells: tuple[str, ...]) -> Quarantined:
    """A row whose prediction a later one labels, too."""
    reason = f"row {by} labels the same prediction; the last row wins"
    return Quarantined(record, reason, cells, duplicate=True)


def _header(cells: list[str], spec: Spec) -> _Header:
    names = [cell.strip() for cell in cells]
    labels, target = spec.labels, spec.target.column
    label = LABEL_COLUMN if LABEL_COLUMN in names else target
    time = labels.time if labels.time in names else TIME_COLUMN
    missing = missing_label_columns(names, spec)
    read = (ID_COLUMN, label, time, *([labels.key] if labels.key else []))
    twice = [name for name in read if names.count(name) > 1]
    if missing or twice:
        problem = f"missing: {', '.join(missing)}" if missing else f"twice: {', '.join(twice)}"
        raise HeaderMismatch(
            f"a labels file needs the header {ID_COLUMN},{LABEL_COLUMN}; "
            f"{problem}; found: {', '.join(names) or 'nothing'}"
        )

    def at(name: str | None) -> int | None:
        return names.index(name) if name in names else None

    return _Header(
        len(names), names.index(label), at(ID_COLUMN), at(time), at(labels.key), labels.time
    )


def _row(record: int, cells: tuple[str, ...], header: _Header, rules: _Rules) -> LabelRow:
    """Raises BadCell with the reason."""
    if len(cells) != header.width:
        raise BadCell(f"the row has {len(cells)} fields, the header {header.width}")
    label, time = cells[header.label], _time(_cell(cells, header.label_time), header.time_name)
    prediction_id, key = _cell(cells, header.prediction_id), ""
    if not prediction_id:
        key = _cell(cells, header.key)
        if not key and header.key is not None:
            raise BadCell(f"neither {ID_COLUMN} nor {rules.spec.labels.key} is there")
        if not key:
            raise BadCell("prediction_id is empty")
        if time is None:
            raise BadCell(f"{header.time_name} is empty; it says of which prediction the label is")
    if rules.schema.category_of(label) == "":
        raise BadCell("the label is missing")
    if rules.spec.task == "regression":
        rules.schema.number_of(label)
    else:
        label = rules.schema.category_of(label)
        if rules.known and label not in rules.known:
            raise BadCell(f"the label is {label!r}, not one of {', '.join(rules.known)}")
    return LabelRow(record, prediction_id, label, time, key)


def _cell(cells: tuple[str, ...], place: int | None) -> str:
    return cells[place] if place is not None else ""


def _time(text: str, name: str) -> datetime | None:
    """A time without a zone is UTC, a date its first moment. Raises BadCell."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):  # before year 1 in UTC, after 9999
        raise BadCell(f"{name} {text!r} is no ISO 8601 time") from None
