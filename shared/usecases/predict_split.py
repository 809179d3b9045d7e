"""The second version of an experiment: it answers its share of the records, the champion the rest.

    champion answers every record as always -> who is dealt to the challenger -> the challenger
    answers those -> its answers take their places

So whatever the challenger does, there is an answer to give, and no request fails that would not
fail without the experiment. Only models with an experiment come here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.errors import FeaturesTooOld, InvalidInstances
from shared.experiments import PREDICTION_ID, Experiment
from shared.ports import Clock
from shared.serving.answers import Dealt
from shared.serving.assigning import key_text, takes, unit_of, unit_text
from shared.serving.manifest import Beside, Served
from shared.usecases.answering import rows_of, score

# Why a record is left out of an experiment; the champion answered it.
NO_KEY = "no_key"  # the record has no value of the key
REFUSED = "challenger_refuses"  # valid for the champion, not for the challenger
FAILED = "challenger_failed"  # it raised
NOT_LOADED = "challenger_not_loaded"


def deal(beside: Beside, records: Sequence[Any], ids: Sequence[str], clock: Clock) -> Dealt | None:
    """Deal records that the champion has answered; None once the planned end has come."""
    experiment, challenger = beside.experiment, beside.served
    if experiment.over(clock.now()):
        return None
    marks = [_mark(experiment, record, name) for record, name in zip(records, ids, strict=True)]
    everybody = range(len(marks))
    if challenger is None:
        _leave_out(marks, everybody, NOT_LOADED)
        return Dealt(beside, marks)
    taken: list[int] = []
    try:
        # Both arms leave out the same kind of record, or they could not be compared.
        _leave_out(marks, _refused(challenger, records, clock), REFUSED)
        taken = [row for row in everybody if _is_taken(marks[row])]
        if not taken:
            return Dealt(beside, marks)
        scored = score(challenger, [records[row] for row in taken], clock)
        answers = rows_of(challenger, scored, [ids[row] for row in taken])
    except Exception as error:  # noqa: BLE001 - no request fails because of an experiment
        _leave_out(marks, taken or everybody, FAILED)
        return Dealt(beside, marks, problem=error)
    return Dealt(beside, marks, taken, scored.records, answers)


def _mark(experiment: Experiment, record: Mapping[str, Any], prediction_id: str) -> dict[str, Any]:
    own = experiment.key == PREDICTION_ID
    key = prediction_id if own else key_text(record.get(experiment.key))
    mark = {"id": experiment.id, "arm": "champion", "unit": None, "left_out": None}
    if not key:
        return {**mark, "left_out": NO_KEY}
    unit = unit_of(experiment.id, key)
    arm = "challenger" if takes(unit, experiment.share) else "champion"
    return {**mark, "arm": arm, "unit": unit_text(unit)}


def _is_taken(mark: Mapping[str, Any]) -> bool:
    return mark["arm"] == "challenger" and mark["left_out"] is None


def _leave_out(marks: list[dict[str, Any]], rows: Iterable[int], why: str) -> None:
    for row in rows:
        marks[row]["left_out"] = marks[row]["left_out"] or why


def _refused(challenger: Served, records: Sequence[Any], clock: Clock) -> set[int]:
    """Rows that break the challenger's schema. Some problems hide others, so the rest is looked
    at again."""
    refused, left = set[int](), list(range(len(records)))
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
