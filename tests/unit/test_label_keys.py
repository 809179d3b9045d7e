"""Labels by business key: the last prediction before the outcome, in batch and online."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared import documents, paths
from shared.boundary import Task
from shared.documents import timestamp
from shared.errors import HeaderMismatch
from shared.events import LabelsRecorded
from shared.files import guards
from shared.serving.columns import Schema
from shared.spec.model import Spec
from shared.usecases.label import record_labels
from tests.unit.monitoring.world import DAY, HOUR, MODEL, MONDAY, VERSION, World, spec_of
from tests.unit.test_label import quarantined, stored


def world_of(**labels: Any) -> World:
    """Predictions are about a customer, which no model sees."""
    body = spec_of().model_dump(mode="json")
    body["columns"]["customer"] = {"exclude": True}
    body["labels"] = {"key": "customer", **labels}
    return World(Spec.model_validate(body))


def scored(world: World, run_id: str, customers: list[str], refused: int = 0) -> None:
    """A scoring run that finishes now."""
    lines = ["customer,age,score,label,model_version,prediction_id,error"]
    for number, customer in enumerate(customers, start=1):
        answer = ["0.5", "no", VERSION, f"{run_id}-{number}", ""]
        if number <= refused:
            answer = ["", "", VERSION, f"{run_id}-{number}", "age must be a number"]
        lines.append(",".join([customer, "1", *answer]))
    name = paths.predictions(MODEL, run_id, "predictions.csv")
    world.lake.write(name, ("\n".join(lines) + "\n").encode())
    now = timestamp(world.clock.now())
    summary = {
        "run_id": run_id,
        "version": VERSION,
        "rows": len(customers),
        "errors": refused,
        "started": now,
        "finished": now,
        "channel": "batch",
        "object": name,
    }
    documents.create(world.lake, paths.predictions(MODEL, run_id, "summary.json"), summary)


def asked(world: World, ids: dict[str, object]) -> None:
    """Online answers made now, by prediction id, each about a customer."""
    now = world.clock.now()
    lines = [
        {
            "model": MODEL,
            "version": VERSION,
            "time": timestamp(now),
            "prediction_id": prediction_id,
            "instance": {"age": 1, "customer": customer},
            "score": 0.5,
            "label": "no",
            "error": None,
        }
        for prediction_id, customer in ids.items()
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    world.lake.write(f"{paths.inference_log(now.date())}{now:%H-%M-%S}", text.encode())


FIRST, SECOND = "20260105T000000-00000001", "20260106T000000-00000002"


def label(world: World, *rows: str, head: str = "customer,label_time,label") -> Task:
    task = world.request_labels("\n".join([head, *rows]) + "\n")
    assert world.run_labels(task) == "done"
    return task


def at(time: datetime) -> str:
    return timestamp(time)


def test_a_label_is_of_the_last_prediction_before_it() -> None:
    """Of two batches the one before the outcome; a later prediction could have known it."""
    world = world_of()
    scored(world, FIRST, ["anna", "bert"])
    world.clock.advance(DAY)
    scored(world, SECOND, ["bert", "anna"])
    world.clock.advance(DAY)
    task = label(
        world,
        f"anna,{at(MONDAY + HOUR)},yes",
        f"bert,{at(MONDAY + DAY + HOUR)},no",
        f"carl,{at(MONDAY + DAY + HOUR)},no",
        f"anna,{at(MONDAY)},no",
    )
    found = [(row["key"], row["prediction_id"], row["matched"]) for row in stored(world, task)]
    assert found == [
        ("anna", f"{FIRST}-1", True),
        ("bert", f"{SECOND}-1", True),
        ("carl", "", False),
        ("anna", "", False),
    ]
    assert stored(world, task)[1]["prediction_time"] == at(MONDAY + DAY)
    assert stored(world, task)[1]["run_id"] == SECOND
    (event,) = world.events(LabelsRecorded)
    assert isinstance(event, LabelsRecorded)
    assert (event.rows, event.matched, event.unknown, event.missing) == (4, 2, 2, 2)


def test_online_answers_are_found_by_key_too() -> None:
    """Whatever JSON type the key came as; of batch and online the later one counts."""
    world = world_of()
    scored(world, FIRST, ["7", "8"])
    world.clock.advance(HOUR)
    asked(world, {"call-1": 7, "call-2": 9.0, "call-3": "ten "})
    world.clock.advance(DAY)
    times = at(MONDAY + 2 * HOUR)
    task = label(world, f"7,{times},yes", f"8,{times},no", f"9,{times},no", f"ten,{times},no")
    assert [row["prediction_id"] for row in stored(world, task)] == [
        "call-1",
        f"{FIRST}-2",
        "call-2",
        "call-3",
    ]
    summary = documents.require(world.lake, paths.run_stage(MODEL, task.run_id, "labels.json"))
    assert summary["online_hours"] == ["2026-01-05T01"]
    assert summary["score_runs"] == [FIRST]


def test_predictions_longer_ago_than_the_look_back_are_not_meant() -> None:
    """Nor are refused rows."""
    world = world_of(look_back="2d")
    scored(world, FIRST, ["anna", "bert", "bert"], refused=1)
    world.clock.advance(5 * DAY)
    task = label(
        world,
        f"bert,{at(MONDAY + 2 * DAY)},yes",
        f"bert,{at(MONDAY + 2 * DAY + timedelta(seconds=1))},yes",
        f"anna,{at(MONDAY + HOUR)},yes",
    )
    assert [row["prediction_id"] for row in stored(world, task)] == [f"{FIRST}-3", "", ""]


def test_two_outcomes_of_one_prediction_are_one_label() -> None:
    """The last outcome wins, in whatever order they stand; the other is in quarantine."""
    world = world_of()
    scored(world, FIRST, ["anna"])
    world.clock.advance(3 * DAY)
    task = label(
        world, f"anna,{at(MONDAY + 2 * HOUR)},yes", f"anna,{at(MONDAY + HOUR)},no", "anna,,no"
    )
    (row,) = stored(world, task)
    assert (row["label"], row["record"]) == ("yes", 1)
    bad = quarantined(world, task)
    assert "row 1 labels the same prediction; the last row wins" in bad[0]
    assert bad[0].endswith(f"anna,{at(MONDAY + HOUR)},no")
    assert "label_time is empty" in bad[1]
    summary = documents.require(world.lake, paths.run_stage(MODEL, task.run_id, "labels.json"))
    assert (summary["rows"], summary["quarantined"], summary["duplicates"]) == (1, 2, 1)


def test_a_row_may_have_either() -> None:
    """`prediction_id` where it is there, else key and time, by the name that the spec gives it."""
    world = world_of(time="paid")
    scored(world, FIRST, ["anna", "bert", "carl"])
    world.clock.advance(DAY)
    task = label(
        world,
        f"{FIRST}-2,anna,,yes",
        f",carl,{at(MONDAY + HOUR)},no",
        ",,,no",
        head="prediction_id,customer,paid,label",
    )
    assert [row["prediction_id"] for row in stored(world, task)] == [f"{FIRST}-2", f"{FIRST}-3"]
    assert "neither prediction_id nor customer is there" in quarantined(world, task)[0]


@pytest.mark.parametrize("time", ["0001-01-01", "9999-12-31T23:59:59Z"])
def test_a_time_that_is_centuries_off_costs_nothing(time: str) -> None:
    """It finds what there is, or nothing; no calendar is walked through."""
    world = world_of()
    asked(world, {"call-1": "anna"})
    world.clock.advance(DAY)
    task = label(world, f"anna,{time},yes", f"anna,{at(MONDAY + HOUR)},no")
    assert [row["prediction_id"] for row in stored(world, task)] == ["", "call-1"]


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ("customer,label", "missing: label_time (which says of which prediction of a customer)"),
        ("client,label_time,label", "missing: prediction_id (or customer and label_time)"),
        ("customer,label_time,truth", "missing: label (or y)"),
    ],
)
def test_a_header_that_lacks_something_is_refused_at_the_door_and_by_the_job(
    head: str, says: str
) -> None:
    """In the same words."""
    world = world_of()
    text = f"{head}\n1,2,3\n"
    task = world.request_labels(text)
    with pytest.raises(HeaderMismatch) as by_job:
        record_labels(task, lake=world.lake, publisher=world.cloud.publisher, clock=world.clock)
    with pytest.raises(HeaderMismatch) as at_door:
        guards.check_head(text.encode(), len(text), world.spec, "label")
    assert says in str(by_job.value)
    assert says in str(at_door.value)


def test_a_file_by_key_passes_the_door() -> None:
    """Without a prediction_id."""
    text = "customer,label_time,label\nanna,2026-01-05,yes\n"
    guards.check_head(text.encode(), len(text), world_of().spec, "label")


def test_the_log_keeps_the_key() -> None:
    """Though no model sees it; also as a package tells it again."""
    schema = Schema.of(world_of().spec)
    assert schema.names == ["age", "income", "job", "town"]
    assert schema.logged == [*schema.names, "customer"]
    assert Schema.from_json(schema.to_json()).logged == schema.logged
    assert "about" not in Schema.of(spec_of()).to_json()


def test_a_key_has_to_be_a_column() -> None:
    """Else no scored file could have it."""
    with pytest.raises(ValueError, match="not among columns, so no prediction could be found"):
        spec_of(labels={"key": "customer"})
    with pytest.raises(ValueError, match="is the target"):
        spec_of(labels={"key": "y"})
