"""The lines of the prediction log: what was asked, in the words of the caller, and what was
answered, or why nothing was. Which of them are kept, and which cells. Pure.

    {"model", "version", "time", "prediction_id", "instance", "score", "label", "error"}

Further keys only where they say something: `redacted` (columns whose cells are not told, null
here), `sample` (the share of rows that is kept), and what a second version did, under its kind:

    "canary": {"id", "arm", "share", "key", "unit", "left_out", "champion", "challenger"}

`arm` is whose the row was by the dealing of its `key`, at this `share` (`champion`, `challenger`;
`shadow` for a shadow, whose line is the champion's; other rows have no mark then), `unit` its place
in that, `left_out` why it does not count all the same. `champion` and `challenger` are
`{"score", "label"}` of the same row, there when both scored it. The line itself is the caller's
answer. The units of a redacted key are those of one process, hashed with a secret of its own.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from hashlib import blake2b
from typing import Any

import orjson

from shared.beside.second_version import mark_in
from shared.errors import FeaturesTooOld, InvalidInstances
from shared.serving.answers import Dealt
from shared.serving.served import Served

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
# What a caller may send all the same, as cells are read: missing, and texts of a category.
_CONSTANTS = {"NaN": None, "Infinity": "inf", "-Infinity": "-inf"}
_INFINITE = frozenset({math.inf, -math.inf})
_SHARES = 1 << 64
# Of a refused row, which may hold anything.
_CELL_LENGTH = 200
_PROBLEMS = 5
_ERROR_LENGTH = 500

Line = dict[str, Any]


def answered_lines(
    served: Served, records: Sequence[Any], predictions: Sequence[Mapping[str, Any]], time: str
) -> Iterator[Line]:
    """Lines of answered rows. Columns that joined sources added are there with their values, and
    so are the keys."""
    names = _names(served)
    known = frozenset(names)
    for record, answer in zip(records, predictions, strict=True):
        whole = len(record) == len(names) and known.issuperset(record)
        yield {
            "model": served.model.model,
            "version": served.model.version,
            "time": time,
            "prediction_id": answer["prediction_id"],
            "instance": record if whole else {name: record.get(name) for name in names},
            "score": answer["score"],
            "label": answer["label"],
            "error": None,
        }


def dealt_lines(
    served: Served,
    records: Sequence[Any],
    predictions: Sequence[Mapping[str, Any]],
    dealt: Dealt,
    time: str,
) -> Iterator[Line]:
    """As `answered_lines`, of a request that a second version had to do with: each line by the
    version that answered, marked under the kind of the trial."""
    lines = list(answered_lines(served, records, predictions, time))
    if dealt.beside.served is not None and dealt.taken:
        theirs = answered_lines(dealt.beside.served, dealt.records, dealt.answers, time)
        for row, line in zip(dealt.taken, theirs, strict=True):
            lines[row] = line
    for line, mark in zip(lines, dealt.marks, strict=True):
        if mark is not None:
            line[dealt.beside.second.kind] = mark
        yield line


def refused_lines(
    served: Served, records: Sequence[Any], error: Exception, ids: Iterable[str], time: str
) -> Iterator[Line]:
    """Lines of the rows that an error is about: those that broke the schema, else all of them.
    Their ids are not the caller's, who may send the row again under the same name. Values are in
    `instance` alone, where they can be redacted."""
    names = _names(served)
    for (row, why), prediction_id in zip(_reasons(records, error).items(), ids, strict=False):
        record = records[row]
        asked = record if isinstance(record, Mapping) else {}
        yield {
            "model": served.model.model,
            "version": served.model.version,
            "time": time,
            "prediction_id": prediction_id,
            "instance": {name: _short(asked.get(name)) for name in names},
            "score": None,
            "label": None,
            "error": why,
        }


def kept(lines: Iterable[Line], redact: Sequence[str], share: float) -> Iterator[Line]:
    """The lines that a sample has, without the cells that nobody may keep."""
    for line in lines:
        if share < 1:
            if not is_sampled(line["prediction_id"], share):
                continue
            line["sample"] = share
        hidden = [name for name in redact if name in line["instance"]]
        if hidden:
            line["instance"] = {**line["instance"], **dict.fromkeys(hidden)}
            line["redacted"] = hidden
        _, mark = mark_in(line) or (None, None)
        if mark is not None and mark["key"] in redact and mark["unit"]:
            mark["unit"] = _hidden(mark["unit"])
        yield line


def is_sampled(prediction_id: str, share: float) -> bool:
    """True for this share of all ids, always the same ones; a larger share has them too."""
    digest = blake2b(prediction_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) < share * _SHARES


def _hidden(unit: str) -> str:
    """The same for the same unit in this process, and nothing that tells of it: among few values a
    plain hash gives the value away."""
    return blake2b(unit.encode(), digest_size=8, key=_secret()).hexdigest()


@cache
def _secret() -> bytes:
    return os.urandom(32)


def text_of(line: Line) -> bytes:
    try:
        # orjson writes null for what is infinite.
        if line["score"] not in _INFINITE and _INFINITE.isdisjoint(line["instance"].values()):
            # A copy: orjson's own bytes keep four kilobytes of memory, whatever their length.
            return bytes(memoryview(orjson.dumps(line)))
    except TypeError:
        pass  # lone surrogates, lists, whole numbers beyond 64 bits
    try:
        text = _encode(line)
    except ValueError:  # NaN or infinity, which JSON has no word for
        text = _encode(json.loads(json.dumps(line), parse_constant=_CONSTANTS.get))
    return text.encode()


def _names(served: Served) -> Sequence[str]:
    return served.resolver.logged if served.resolver is not None else served.model.schema.logged


def _reasons(records: Sequence[Any], error: Exception) -> dict[int, str]:
    """Why a row has no answer, by its number."""
    if not isinstance(error, InvalidInstances):
        why = f"failed: {type(error).__name__}"
        if isinstance(error, FeaturesTooOld):
            why = f"the features of {error.source} are too old"
        return dict.fromkeys(range(len(records)), why)
    found: dict[int, list[str]] = {}
    for problem in error.problems:
        column = f"{problem['column']}: " if problem["column"] is not None else ""
        found.setdefault(int(str(problem["row"])), []).append(f"{column}{problem['rule']}")
    return {
        row: "; ".join(texts[:_PROBLEMS])[:_ERROR_LENGTH] for row, texts in sorted(found.items())
    }


def _short(value: object) -> object:
    if isinstance(value, dict | list):
        value = str(value)
    return value[:_CELL_LENGTH] if isinstance(value, str) else value
