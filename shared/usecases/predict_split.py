"""The second version beside a champion: which rows it scores, and which of them callers get.

    champion answers every record as always -> who is dealt to the challenger -> the challenger
    answers those -> its answers take their places (a shadow's only stand in the log)

So whatever the challenger does, there is an answer to give, and no request fails that would not
fail without it. Only models with a second version come here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from shared.beside.second_version import SecondVersion
from shared.errors import FeaturesTooOld, InvalidInstances, PackageInvalid
from shared.ports import Clock
from shared.serving.answers import Dealt
from shared.serving.assigning import key_text, takes, unit_of, unit_text
from shared.serving.served import Beside, Served
from shared.serving.trust import FAR, Spent, Timer, cap_of, over
from shared.usecases.answering import Scored, rows_of, score

# Why a record does not count; the champion answered it.
NO_KEY = "no_key"  # the record has no value of the key
REFUSED = "challenger_refuses"  # valid for the champion, not for the challenger
FAILED = "challenger_failed"  # it raised, or what it said is no answer
SLOW = "challenger_slow"  # it took longer than its cap
STOPPED = "challenger_stopped"  # it failed here before, and is not asked again
NOT_LOADED = "challenger_not_loaded"

Mark = dict[str, Any]


class _Asked(NamedTuple):
    """Records of a request with the champion's answers, what a challenger may take for them, and
    what the log will say of each record."""

    records: Sequence[Any]
    predictions: Sequence[Mapping[str, Any]]
    cap: Spent
    marks: list[Mark | None]

    def leave_out(self, rows: Iterable[int], why: str) -> None:
        for row in rows:
            mark = self.marks[row]
            if mark is not None:
                mark["left_out"] = mark["left_out"] or why

    def dealt(self) -> list[int]:
        """Rows that the challenger has to score."""
        return [row for row, mark in enumerate(self.marks) if mark and _is_dealt(mark)]

    def compare(self, rows: Sequence[int], answers: Sequence[Mapping[str, Any]]) -> None:
        """Note what both said of the same rows."""
        for row, theirs in zip(rows, answers, strict=True):
            mark = self.marks[row]
            if mark is not None:
                for name, said in (("champion", self.predictions[row]), ("challenger", theirs)):
                    mark[name] = {"score": said["score"], "label": said["label"]}


def deal(
    beside: Beside,
    records: Sequence[Any],
    predictions: Sequence[Mapping[str, Any]],
    *,
    took: Spent,
    clock: Clock,
    timer: Timer,
) -> Dealt | None:
    """Deal records that the champion has answered with these predictions, and what that took. None
    once the planned end has come."""
    second, challenger = beside.second, beside.served
    if second.over(clock.now()):
        return None
    marks = [
        _mark(second, record, said["prediction_id"])
        for record, said in zip(records, predictions, strict=True)
    ]
    asked = _Asked(records, predictions, cap_of(took), marks)
    if challenger is None or beside.trust.lost:
        asked.leave_out(range(len(marks)), NOT_LOADED if challenger is None else STOPPED)
        return Dealt(beside, marks)
    if second.kind != "experiment" and not asked.dealt():
        return Dealt(beside, marks)
    return _ask(beside, challenger, asked, clock=clock, timer=timer)


def _ask(beside: Beside, challenger: Served, asked: _Asked, *, clock: Clock, timer: Timer) -> Dealt:
    """Let the challenger score what is dealt to it, of the rows that it accepts."""
    _, predictions, cap, marks = asked
    started = timer()
    try:
        scored = _score(challenger, asked, clock, both=beside.second.kind == "experiment")
        rows = asked.dealt()
        if scored is None:
            return Dealt(beside, marks)
        ids = [predictions[row]["prediction_id"] for row in rows]
        answers = rows_of(challenger, scored, ids)
    except Exception as error:  # noqa: BLE001 - no request fails because of a second version
        asked.leave_out(asked.dealt() or range(len(marks)), FAILED)
        # People read it, and an error's text may have cells in it.
        says = "" if challenger.manifest.redact else f": {error}"
        problem = f"raised {type(error).__name__}{says}"
        return Dealt(beside, marks, problem=problem, stops=beside.trust.strike())
    took = timer().since(started)
    asked.compare(rows, answers)
    found = Dealt(beside, marks, compared=rows, seconds=took.wall)
    times = over(took, cap)
    if times > 1:
        asked.leave_out(rows, SLOW)
        problem = f"took {_words(took)} for {len(rows)} rows, its cap is {_words(cap)}"
        return replace(found, problem=problem, stops=beside.trust.strike(far=times > FAR))
    beside.trust.keep()
    return found.giving(scored.records, answers) if beside.second.answers else found


def _score(challenger: Served, asked: _Asked, clock: Clock, *, both: bool) -> Scored | None:
    """What the challenger says of the rows that are dealt to it, None when it accepts none. Arms
    that are compared have to leave out the same kind of record: then `both` are looked at."""
    records, rows = asked.records, asked.dealt()
    if both:
        others = [row for row, mark in enumerate(asked.marks) if mark and not _is_dealt(mark)]
        asked.leave_out(_refused(challenger, records, others, clock), REFUSED)
    try:
        scored = score(challenger, [records[row] for row in rows], clock) if rows else None
    except (InvalidInstances, FeaturesTooOld):
        asked.leave_out(_refused(challenger, records, rows, clock), REFUSED)
        rows = asked.dealt()
        scored = score(challenger, [records[row] for row in rows], clock) if rows else None
    if scored is not None:
        _check(challenger, scored, len(rows))
    return scored


def _mark(second: SecondVersion, record: Mapping[str, Any], prediction_id: str) -> Mark | None:
    """What the log will say of a record; None for one that a shadow passes by."""
    key = key_text(record.get(second.key)) if second.sticky else prediction_id
    unit = unit_of(second.id, key) if key else None
    taken = unit is not None and takes(unit, second.share)
    if not second.answers and unit is not None and not taken:
        return None
    return {
        "id": second.id,
        "arm": "shadow" if not second.answers else "challenger" if taken else "champion",
        "share": second.share,
        "key": second.key,
        "unit": None if unit is None else unit_text(unit),
        "left_out": NO_KEY if unit is None else None,
    }


def _words(spent: Spent) -> str:
    return f"{spent.cpu * 1e3:.0f} ms of CPU and {spent.wall * 1e3:.0f} ms in all"


def _is_dealt(mark: Mark) -> bool:
    return mark["arm"] != "champion" and mark["left_out"] is None


def _check(challenger: Served, scored: Scored, rows: int) -> None:
    """Raises PackageInvalid for what is no answer to each row."""
    name, result = challenger.model.version, scored.result
    if len(result.score) != rows or (result.label is not None and len(result.label) != rows):
        raise PackageInvalid(f"{name} has {len(result.score)} answers for {rows} rows")
    if not np.isfinite(result.score).all():
        raise PackageInvalid(f"{name} answers with what is no number")


def _refused(
    challenger: Served, records: Sequence[Any], rows: Sequence[int], clock: Clock
) -> set[int]:
    """Those of the rows that break the challenger's schema. Some problems hide others, so the rest
    is looked at again."""
    refused, left = set[int](), list(rows)
    while left:
        asked = [records[row] for row in left]
        try:
            if challenger.resolver is not None:
                asked = challenger.resolver.resolve(asked, clock.now()).records
            challenger.model.schema.from_records(asked)
        except InvalidInstances as error:
            refused |= {left[int(str(problem["row"]))] for problem in error.problems}
        except FeaturesTooOld:
            refused |= set(left)
        else:
            break
        left = [row for row in left if row not in refused]
    return refused
