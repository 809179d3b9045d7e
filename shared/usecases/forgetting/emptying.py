"""What is left of a row, place by place. Each returns a change for `rewriting.rewrite`. Pure.

datasets       the row goes; the record of the stage says how many went
predictions    the row stays with its id: rows out are rows in. error: forgotten
inference-log  the line stays, as one that was refused: error: forgotten
labels         the row stays, as one that matched nothing
quarantine     the row stays with run and record, without cells: good + quarantined = input
inputs         the row stays, with `(forgotten)` for its key and nothing else
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.paths import digest
from shared.spec.model import Source
from shared.tabular.dataset import LEADING as DATASET_LEADING
from shared.tabular.reading.records import column_names
from shared.usecases.forgetting.rewriting import Change, csv_change, lines_change, parquet_change
from shared.usecases.forgetting.subject import GONE, Subject

REASON = "forgotten"
_FEW = 50  # texts that are quicker to look for than a line is to read
_QUARANTINE_LEADING = 4  # run, source, record, reasons
_LABELS_LEADING = 2  # record, reason
_KEPT_OF_ANSWERS = ("prediction_id", "model_version")
OURS = Source.model_validate(
    {"format": "csv", "delimiter": ",", "encoding": "utf-8", "strip": False}
)


def dataset_change(
    subject: Subject, name: str, records: set[int], marks: Sequence[str], group: str
) -> Change:
    """data.csv.gz: `records` of the file it began with, predictions that it learned from, and where
    the key is a column, or what groups are made by (`group`), that."""
    names: list[str] = []
    leading = len(DATASET_LEADING) + len(marks)

    def row(number: int, cells: list[str]) -> list[str] | None:
        if number == 0:
            names[:] = [*DATASET_LEADING, *marks, *cells[leading:]]
            return None
        found = dict(zip(names, cells, strict=False))
        theirs = (
            (found["origin"] != "labels" and int(found["record"]) in records)
            or subject.owns(found)
            or (group == subject.column and subject.is_key(found.get("group")))
        )
        return [] if theirs else None

    return csv_change(OURS, name, row)


def scored_csv_change(subject: Subject, name: str) -> Change:
    names: list[str] = []

    def row(number: int, cells: list[str]) -> list[str] | None:
        if number == 0:
            names[:] = column_names(cells)
            return None
        found = dict(zip(names, cells, strict=False))
        if found.get("error") == REASON or not subject.owns(found):
            return None
        return [_answer(name, found[name]) for name in names]

    return csv_change(OURS, name, row)


def scored_lines_change(subject: Subject) -> Change:
    def row(_: int, found: dict[str, Any]) -> dict[str, Any] | None:
        if found.get("error") == REASON or not subject.owns(found):
            return None
        return {name: _answer(name, value) or None for name, value in found.items()}

    return lines_change(row)


def scored_parquet_change(subject: Subject) -> Change:
    def theirs(_: int, found: dict[str, Any]) -> bool:
        emptied = all(
            value is None for name, value in found.items() if name not in _KEPT_OF_ANSWERS
        )
        return subject.owns(found) and not emptied

    return parquet_change(theirs, _KEPT_OF_ANSWERS)


def _answer(name: str, value: Any) -> Any:
    if name == "error":
        return REASON
    return value if name in _KEPT_OF_ANSWERS else ""


def log_change(subject: Subject, name: str, forget_id: str) -> Change:
    """Lines of all models; the caller's id may say who it was, so it goes, too."""
    place = digest(name, 8)

    def row(number: int, line: dict[str, Any]) -> dict[str, Any] | None:
        asked = line.get("instance") or {}
        theirs = str(line.get("prediction_id") or "") in subject.ids or (
            bool(subject.column) and subject.is_key(asked.get(subject.column))
        )
        if line.get("model") != subject.model or not theirs:
            return None
        return {
            **{name: line.get(name) for name in ("model", "version", "time")},
            "prediction_id": f"forgotten-{forget_id}-{place}-{number}",
            "instance": {},
            "score": None,
            "label": None,
            "error": REASON,
        }

    signs = [subject.sign, *subject.ids] if subject.key else [*subject.ids]
    return lines_change(row, signs=signs if len(signs) <= _FEW else ())


def labels_change(subject: Subject, forget_id: str) -> Change:
    def row(_: int, line: dict[str, Any]) -> dict[str, Any] | None:
        id_ = str(line.get("prediction_id") or "")
        if not (subject.is_key(line.get("key")) or (id_ and id_ in subject.ids)):
            return None
        return {
            "prediction_id": "",
            "label": "",
            "label_time": line.get("label_time"),
            "matched": False,
            "run_id": None,
            "prediction_time": None,
            "record": line.get("record"),
            "forgotten": forget_id,
        }

    return lines_change(row)


def quarantine_change(subject: Subject, name: str, records: set[int]) -> Change:
    """rows.csv and rows-<source>.csv: by record, by column, and without columns by any cell."""
    names: list[str] = []

    def row(number: int, cells: list[str]) -> list[str] | None:
        if number == 0:
            names[:] = column_names(cells)
            return None
        if len(cells) < _QUARANTINE_LEADING or cells[3] == REASON:
            return None
        rest = cells[_QUARANTINE_LEADING:]
        fits = len(cells) == len(names)
        theirs = (
            (cells[2].isdecimal() and int(cells[2]) in records and cells[1] not in subject.ids)
            or cells[1] in subject.ids
            or (subject.owns(dict(zip(names, cells, strict=True))) if fits else subject.is_in(rest))
        )
        if not theirs:
            return None
        source = "" if cells[1] in subject.ids else cells[1]
        return [cells[0], source, cells[2], REASON, *[""] * len(rest)]

    return csv_change(OURS, name, row)


def label_quarantine_change(subject: Subject, name: str) -> Change:
    """labels.csv: the reason, then the row as it came."""

    def row(number: int, cells: list[str]) -> list[str] | None:
        if number == 0 or cells[1:2] == [REASON] or not subject.is_in(cells[_LABELS_LEADING:]):
            return None
        return [cells[0], REASON, *[""] * (len(cells) - _LABELS_LEADING)]

    return csv_change(OURS, name, row)


def summary_step(subject: Subject, records: set[int]) -> Callable[[Any], Any]:
    """summary.json of a quarantine: its examples of bad rows."""

    def step(value: Any) -> Any:
        if isinstance(value, list):
            return [step(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        if {"record", "cells"} <= value.keys():
            cells = value["cells"]
            texts = cells.values() if isinstance(cells, Mapping) else cells
            if value["record"] in records or subject.is_in([*texts, value.get("source")]):
                return {**value, "source": "", "reason": REASON, "cells": {}}
        return {name: step(item) for name, item in value.items()}

    return step


def input_change(
    settings: Source, name: str, records: set[int], *, form: str, column: str
) -> Change:
    """A file as it was dropped, whose rows at `records` are theirs."""
    names: list[str] = []

    def row(number: int, cells: list[str]) -> list[str] | None:
        if number == 0:
            names[:] = column_names(cells)
            return None
        if number not in records:
            return None
        place = names.index(column) if column in names else 0
        emptied = [GONE if at == place else "" for at in range(len(cells))]
        return None if emptied == cells else emptied

    def line(number: int, found: dict[str, Any]) -> dict[str, Any] | None:
        if number not in records:
            return None
        emptied = {key: GONE if key == column else None for key in found}
        return None if emptied == found else emptied

    if form == "parquet":
        return parquet_change(
            lambda number, found: number in records and any(v is not None for v in found.values()),
            (),
        )
    if form == "jsonl":
        return lines_change(line)
    return csv_change(settings, name, row, [column])
