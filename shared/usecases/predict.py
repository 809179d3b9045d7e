"""Answer prediction requests: records in, scores out, one log line per answered row.

The log is written before the answer where the manifest says `sync`; a log that fails is counted
and never fails a prediction. Knows no HTTP.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from shared.documents import timestamp
from shared.errors import InvalidInstances, MillraceError
from shared.ports import Clock, Publisher
from shared.serving.answers import Answer, Dealt
from shared.serving.manifest import ID_FIELD, Served
from shared.serving.problems import Problem
from shared.serving.strictness import strict_problems
from shared.serving.unknown import UnknownFields, unknown_fields, unknown_problems
from shared.usecases.answering import rows_of, score

LOG_TOPIC = "predictions"
_ID_LENGTH = 128
# A message may have 10 MB; half of it leaves room for base64 and attributes.
_MESSAGE_BYTES = 5_000_000
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
# What a caller may send all the same, as cells are read: missing, and texts of a category.
_CONSTANTS = {"NaN": None, "Infinity": "inf", "-Infinity": "-inf"}
_ATTRIBUTES = {"type": "PredictionsLogged"}


def predict(
    served: Served,
    records: Sequence[object],
    *,
    publisher: Callable[[], Publisher],
    clock: Clock,
    given_id: str | None = None,
) -> Answer:
    """Score records with a served version and log them.

    Args:
        records: JSON objects; `prediction_id` in one is the caller's name for that row.
        given_id: The caller's name for the request, used where a record has none of its own.

    Raises InvalidInstances, FeaturesTooOld.
    """
    model = served.model
    if served.manifest.coerce == "strict":
        _refuse(strict_problems(records, model.schema))
    scored = score(served, records, clock)
    unknown = _unknown(served, records)
    if given_id is None and len(records) > 1:
        given_id = uuid7()
    ids = prediction_ids(records, model.names, given_id)
    predictions = rows_of(served, scored, ids)
    dealt = None
    if served.beside is not None:
        from shared.usecases.predict_split import deal  # cold start: few models have experiments

        dealt = deal(served.beside, records, ids, clock)
    answer = Answer(model.version, predictions, 0, None, dealt, given_id, scored.odd, unknown)
    if dealt is None and served.manifest.log != "sync":
        return answer
    lines = _lines(served, scored.records, predictions, timestamp(clock.now()))
    version = model.version
    if dealt is not None:
        version, lines = _merge(served, predictions, list(lines), dealt)
    if served.manifest.log != "sync":
        return answer._replace(version=version)
    unlogged, problem = _log(list(map(_text, lines)), publisher)
    return answer._replace(version=version, unlogged=unlogged, log_problem=problem)


def _unknown(served: Served, records: Sequence[Any]) -> UnknownFields | None:
    """Fields that no version knows, by the declared policy. Raises InvalidInstances."""
    policy = served.manifest.unknown_fields
    if policy == "ignore":
        return None
    features = served.model.names
    if policy == "refuse":
        _refuse(unknown_problems(records, served.fields, features))
        return None
    return unknown_fields(records, served.fields, features)


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise InvalidInstances(problems)


def _merge(
    served: Served, predictions: list[dict[str, Any]], lines: list[dict[str, Any]], dealt: Dealt
) -> tuple[str, Iterator[dict[str, Any]]]:
    """Put the challenger's answers and their lines in their places; the version to name for the
    whole request and the marked lines come back."""
    if dealt.beside.served is not None and dealt.taken:
        time = lines[0]["time"]
        theirs = _lines(dealt.beside.served, dealt.records, dealt.answers, time)
        for row, prediction, line in zip(dealt.taken, dealt.answers, theirs, strict=True):
            predictions[row], lines[row] = prediction, line
    versions = {prediction["model_version"] for prediction in predictions}
    version = versions.pop() if len(versions) == 1 else served.model.version
    return version, (
        {**line, "experiment": mark} for line, mark in zip(lines, dealt.marks, strict=True)
    )


def prediction_ids(records: Sequence[Any], features: Sequence[str], given: str | None) -> list[str]:
    """The caller's ids, else UUIDv7 of ours. Raises InvalidInstances."""
    ids = []
    own = ID_FIELD not in features
    for row, record in enumerate(records):
        value = record.get(ID_FIELD) if own else None
        if value is None and given is not None:
            value = given if len(records) == 1 else f"{given}-{row}"
        if value is None:
            value = uuid7()
        elif type(value) is int:
            value = str(value)
        if type(value) is not str or not 0 < len(value) <= _ID_LENGTH:
            rule = f"must be a text of 1 to {_ID_LENGTH} characters"
            problem = {"row": row, "column": ID_FIELD, "value": str(value)[:100], "rule": rule}
            raise InvalidInstances([problem])
        ids.append(value)
    return ids


def uuid7() -> str:
    """A time-ordered UUID, version 7 (RFC 9562)."""
    milliseconds = time.time_ns() // 1_000_000
    noise = int.from_bytes(os.urandom(10))
    value = milliseconds << 80 | 7 << 76 | (noise >> 68) << 64 | 2 << 62 | noise & (1 << 62) - 1
    return str(uuid.UUID(int=value))


def _lines(
    served: Served, records: Sequence[Any], predictions: Sequence[dict[str, Any]], time: str
) -> Iterator[dict[str, Any]]:
    """The lines of the inference log: what was asked, in the words of the caller, and answered.
    Columns that joined sources added are there with their values, and so are the keys."""
    names: Sequence[str] = served.model.schema.logged
    if served.resolver is not None:
        names = served.resolver.logged
    for record, answer in zip(records, predictions, strict=True):
        yield {
            "model": served.model.model,
            "version": served.model.version,
            "time": time,
            "prediction_id": answer["prediction_id"],
            "instance": {name: record.get(name) for name in names},
            "score": answer["score"],
            "label": answer["label"],
            "error": None,
        }


def _text(line: dict[str, Any]) -> bytes:
    try:
        text = _encode(line)
    except ValueError:  # NaN or infinity, which JSON has no word for
        text = _encode(json.loads(json.dumps(line), parse_constant=_CONSTANTS.get))
    return text.encode()


def _log(
    lines: list[bytes], publisher: Callable[[], Publisher]
) -> tuple[int, MillraceError | None]:
    """Publish the lines of one request in as few messages as fit. How many lines were not
    accepted, and why, comes back; after a refusal the rest is not tried.

    The lake's subscription writes a message and a line end, so lines joined by line ends are
    lines there too, and a request of a thousand rows costs one publish.
    """
    done = 0
    while done < len(lines):
        end, size = done, 0
        while end < len(lines) and (end == done or size + len(lines[end]) < _MESSAGE_BYTES):
            size += len(lines[end]) + 1
            end += 1
        try:
            publisher().publish(LOG_TOPIC, b"\n".join(lines[done:end]), _ATTRIBUTES)
        except MillraceError as error:
            return len(lines) - done, error
        done = end
    return 0, None
