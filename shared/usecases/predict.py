"""Answer prediction requests: records in, scores out, one log line per row, answered or refused.

The log is written as the manifest says; one that fails never fails a prediction. Knows no HTTP.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from typing import Any

from shared.documents import timestamp
from shared.errors import InvalidInstances
from shared.ports import Clock
from shared.serving.answers import Answer, Dealt
from shared.serving.log_lines import answered_lines, dealt_lines, kept, refused_lines, text_of
from shared.serving.prediction_log import LaterLog, PredictionLog
from shared.serving.problems import Problem
from shared.serving.served import ID_FIELD, Served
from shared.serving.strictness import strict_problems
from shared.serving.trust import Timer
from shared.serving.unknown import UnknownFields, unknown_fields, unknown_problems
from shared.usecases.answering import rows_of, score

_ID_LENGTH = 128
# Random digits for ids to come; a forked process starts with none of its parent's.
_NOISES = 128
_noises: list[str] = []
os.register_at_fork(after_in_child=_noises.clear)


def predict(
    served: Served,
    records: Sequence[object],
    *,
    log: PredictionLog | LaterLog,
    clock: Clock,
    timer: Timer,
    given_id: str | None = None,
) -> Answer:
    """Score records with a served version and log them.

    Args:
        records: JSON objects; `prediction_id` in one is the caller's name for that row.
        timer: To hold a second version's time against the champion's.
        given_id: The caller's name for the request, used where a record has none of its own.

    Raises InvalidInstances, FeaturesTooOld.
    """
    try:
        answer, lines = _answer(served, records, clock, given_id, timer)
    except Exception as error:
        if served.manifest.log != "off":
            ids = iter(uuid7, "")
            _log(served, refused_lines(served, records, error, ids, timestamp(clock.now())), log)
        raise
    if lines is not None:
        _log(served, lines, log)
    return answer


def _answer(
    served: Served,
    records: Sequence[Any],
    clock: Clock,
    given_id: str | None,
    timer: Timer,
) -> tuple[Answer, Iterable[dict[str, Any]] | None]:
    """The answer and its lines for the log, None where nothing is kept."""
    model = served.model
    started = timer() if served.beside is not None else None
    if given_id is None and len(records) > 1:
        given_id = uuid7()
    try:
        scored = score(served, records, clock)
        took = timer().since(started) if started is not None else None
        _refuse(_declared_problems(served, records, plain=scored.plain))
        ids = prediction_ids(records, model.names, given_id, plain=scored.plain)
    except InvalidInstances as error:
        raise InvalidInstances(_all_problems(served, records, error.problems)) from error
    unknown = None if scored.plain else _unknown(served, records)
    predictions = rows_of(served, scored, ids)
    dealt = None
    if served.beside is not None and took is not None:
        from shared.usecases.predict_split import deal  # cold start: few models have two versions

        dealt = deal(served.beside, records, predictions, took=took, clock=clock, timer=timer)
    version = model.version if dealt is None else _give(predictions, dealt, model.version)
    answer = Answer(version, predictions, dealt, given_id, scored.odd, unknown)
    if served.manifest.log == "off":
        return answer, None
    time = timestamp(clock.now())
    if dealt is not None:
        return answer, dealt_lines(served, scored.records, predictions, dealt, time)
    return answer, answered_lines(served, scored.records, predictions, time)


def _log(served: Served, lines: Iterable[dict[str, Any]], log: PredictionLog | LaterLog) -> None:
    manifest = served.manifest
    if manifest.redact or manifest.log_sample < 1:
        lines = kept(lines, manifest.redact, manifest.log_sample)
    texts = list(map(text_of, lines))
    log.write(served.model.model, texts, buffered=manifest.log == "buffered")


def _unknown(served: Served, records: Sequence[Any]) -> UnknownFields | None:
    """Fields that no version knows, where they are counted."""
    if served.manifest.unknown_fields != "count":
        return None
    return unknown_fields(records, served.fields, served.model.names)


def _declared_problems(
    served: Served, records: Sequence[Any], *, plain: bool = False
) -> list[Problem]:
    """What the model's declared policies refuse; `plain` records have no unknown field."""
    manifest, model, found = served.manifest, served.model, list[Problem]()
    if manifest.coerce == "strict":
        found += strict_problems(records, model.schema)
    if manifest.unknown_fields == "refuse" and not plain:
        found += unknown_problems(records, served.fields, model.names)
    return found


def _all_problems(
    served: Served, records: Sequence[Any], problems: Sequence[Problem]
) -> list[Problem]:
    """These, and what else would refuse the request once they are mended."""
    more = _declared_problems(served, records)
    if all(type(record) is dict for record in records):
        try:
            prediction_ids(records, served.model.names, None)
        except InvalidInstances as error:
            more += error.problems
    if not more:
        return list(problems)
    known = {(problem["row"], problem["column"]) for problem in problems}
    found = [*problems, *(one for one in more if (one["row"], one["column"]) not in known)]
    return sorted(found, key=lambda problem: int(str(problem["row"])))


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise InvalidInstances(problems)


def _give(predictions: list[dict[str, Any]], dealt: Dealt, champion: str) -> str:
    """Put the challenger's answers in their places; the version to name for the whole request
    comes back."""
    for row, answer in zip(dealt.taken, dealt.answers, strict=True):
        predictions[row] = answer
    everything = dealt.taken and len(dealt.taken) == len(predictions)
    return dealt.beside.second.version if everything else champion


def prediction_ids(
    records: Sequence[Any], features: Sequence[str], given: str | None, *, plain: bool = False
) -> list[str]:
    """The caller's ids, else UUIDv7 of ours; `plain` records have features and nothing else.
    Raises InvalidInstances."""
    own = ID_FIELD not in features and not plain
    count = len(records)
    fits = given and count > 1 and len(f"{given}-{count}") <= _ID_LENGTH
    if fits and not (own and any(ID_FIELD in record for record in records)):
        return [f"{given}-{row}" for row in range(count)]
    ids, problems = list[str](), list[Problem]()
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
            shown = str(value)[:100]
            problems.append({"row": row, "column": ID_FIELD, "value": shown, "rule": rule})
        ids.append(value)
    _refuse(problems)
    return ids


def uuid7() -> str:
    """A time-ordered UUID, version 7 (RFC 9562)."""
    when = f"{time.time_ns() // 1_000_000:012x}"
    while True:
        try:
            noise = _noises.pop()
            break
        except IndexError:  # a system call for each would let go of Python's lock each time
            many = os.urandom(20 * _NOISES).hex()
            _noises.extend(many[at : at + 20] for at in range(0, len(many), 20))
    variant = "89ab"[int(noise[3], 16) & 3]
    return f"{when[:8]}-{when[8:]}-7{noise[:3]}-{variant}{noise[4:7]}-{noise[7:19]}"
