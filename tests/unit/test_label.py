"""The label job: what is recorded, what is quarantined, what is matched, whatever crashes."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from shared import boundary, documents, paths, runs
from shared.boundary import Task
from shared.errors import EmptyFile, HeaderMismatch, TooManyBadRows
from shared.events import LabelsRecorded, RunRejected
from shared.tabular.labels import check_rows
from shared.usecases.label import record_labels
from tests.support.crashing import Crash, Fuse
from tests.unit.monitoring.world import DAY, MODEL, World, spec_of


def stored(world: World, task: Task) -> list[dict[str, Any]]:
    name = paths.labels(MODEL, world.clock.now().date(), task.run_id)
    return [json.loads(line) for line in world.lake.read(name).data.splitlines()]


def quarantined(world: World, task: Task) -> list[str]:
    name = paths.quarantine(MODEL, task.run_id, "labels.csv")
    return world.lake.read(name).data.decode().splitlines()[1:]


def test_labels_of_predictions_we_made_are_recorded() -> None:
    """Known ids are matched with their run and the time of the prediction; the outcome counts."""
    world = World()
    run_id, _ = world.score(30)
    made_at = documents.timestamp(world.clock.now())
    world.clock.advance(DAY)
    text = f"prediction_id,label,note\n{run_id}-1,yes,fine\n{run_id}-31,no,\nnobody-7,no,\n"
    task = world.request_labels(text)
    assert world.run_labels(task) == "done"
    first, second, third = stored(world, task)
    assert first == {
        "prediction_id": f"{run_id}-1",
        "label": "yes",
        "label_time": documents.timestamp(world.clock.now()),
        "matched": True,
        "run_id": run_id,
        "prediction_time": made_at,
        "record": 1,
    }
    assert (second["matched"], third["matched"]) == (False, False)
    (event,) = world.events(LabelsRecorded)
    assert isinstance(event, LabelsRecorded)
    assert (event.rows, event.matched, event.unknown) == (3, 1, 2)
    assert runs.state(MODEL, task.run_id, lake=world.lake).state == "labelled"


def test_the_targets_own_name_stands_for_label_and_times_may_be_given() -> None:
    """`y` instead of `label`; a time without zone is UTC."""
    world = World()
    run_id, _ = world.score(30)
    text = f"y,prediction_id,label_time\nno,{run_id}-2,2026-01-04 10:00\n"
    task = world.request_labels(text)
    world.run_labels(task)
    (row,) = stored(world, task)
    assert (row["label"], row["label_time"]) == ("no", "2026-01-04T10:00:00Z")


def test_recorded_and_quarantined_are_all_rows() -> None:
    """Every bad row is kept with its reason and number; the last of two labels wins."""
    world = World()
    run_id, _ = world.score(30)
    lines = [
        "prediction_id,label,label_time",
        f"{run_id}-1,yes,",
        f"{run_id}-2,?,",
        ",yes,",
        f"{run_id}-3,maybe,",
        f"{run_id}-4,no,yesterday",
        f"{run_id}-5,no",
        f"{run_id}-1,no,",
    ]
    task = world.request_labels("\n".join(lines) + "\n")
    world.run_labels(task)
    assert [(row["prediction_id"], row["label"]) for row in stored(world, task)] == [
        (f"{run_id}-1", "no")
    ]
    bad = quarantined(world, task)
    assert [line.split(",")[0] for line in bad] == ["1", "2", "3", "4", "5", "6"]
    reasons = ["last row wins", "label is missing", "prediction_id is empty", "not one of no, yes"]
    reasons += ["no ISO 8601 time", "2 fields, the header 3"]
    assert all(reason in line for reason, line in zip(reasons, bad, strict=True))
    summary = documents.require(world.lake, paths.run_stage(MODEL, task.run_id, "labels.json"))
    assert summary["rows"] + summary["quarantined"] == 7
    assert summary["duplicates"] == 1


def test_online_answers_are_found_in_the_log() -> None:
    """Ids that callers chose are looked up in the inference log, other models' lines aside."""
    world = World()
    world.ask_online(20)
    world.ask_online(40, model="other")
    world.clock.advance(3 * DAY)
    task = world.request_labels("prediction_id,label\ncall-3,yes\ncall-30,yes\n")
    world.run_labels(task)
    assert [row["matched"] for row in stored(world, task)] == [True, False]
    summary = documents.require(world.lake, paths.run_stage(MODEL, task.run_id, "labels.json"))
    assert summary["online_hours"] == ["2026-01-05T00"]


@pytest.mark.parametrize(
    "made_up",
    [
        "ffffffff-ffff-7fff-8fff-ffffffffffff",
        "e677d21f-0000-7000-8000-000000000000",
        "20260105T090000-aaaaaaaa-" + "9" * 5000,
    ],
    ids=["year 10889", "last day of 9999", "a number of 5,000 digits"],
)
def test_an_id_that_somebody_made_up_is_unknown(made_up: str) -> None:
    """However much it looks like one of ours; the other rows of its file are recorded."""
    world = World()
    run_id, _ = world.score(30)
    task = world.request_labels(f"prediction_id,label\n{run_id}-1,yes\n{made_up},no\n")
    assert world.run_labels(task) == "done"
    assert [row["matched"] for row in stored(world, task)] == [True, False]


def test_numbers_are_labels_of_a_regression() -> None:
    """A regression's label has to be a number."""
    world = World(spec_of("regression"))
    run_id, _ = world.score(30)
    task = world.request_labels(f"prediction_id,y\n{run_id}-1,2.5\n{run_id}-2,lots\n")
    world.run_labels(task)
    assert [row["label"] for row in stored(world, task)] == ["2.5"]
    assert "must be a number" in quarantined(world, task)[0]


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("id,label\nx,yes\n", HeaderMismatch, "missing: prediction_id"),
        ("prediction_id,truth\nx,yes\n", HeaderMismatch, "missing: label (or y)"),
        ("prediction_id,label,label\nx,yes,no\n", HeaderMismatch, "twice: label"),
        ("", HeaderMismatch, "found: nothing"),
        ("prediction_id,label\n", EmptyFile, "no rows"),
        ("prediction_id,label\nx,maybe\n", TooManyBadRows, "none of the 1 rows is a label"),
    ],
)
def test_a_file_that_can_never_work_is_rejected(
    text: str, error: type[Exception], says: str
) -> None:
    """Missing columns are named; a file without a single label is refused with the first reason."""
    world = World()
    task = world.request_labels(text)
    with pytest.raises(error) as caught:
        record_labels(task, lake=world.lake, publisher=world.cloud.publisher, clock=world.clock)
    assert says in str(caught.value)
    world.run_labels(task)
    (event,) = world.events(RunRejected)
    assert isinstance(event, RunRejected)
    assert event.reason == error.__name__


def test_a_repeated_task_changes_nothing() -> None:
    """Another attempt of a finished run publishes the same outcome and writes nothing new."""
    world = World()
    run_id, truths = world.score(30)
    task = world.label(run_id, truths)
    before = stored(world, task)
    again = Task(MODEL, task.run_id, 2, "label-again", 0, 1)
    assert world.run_labels(again) == "already ended: LabelsRecorded"
    assert stored(world, task) == before
    assert len(world.events(LabelsRecorded)) == 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_any_port_call_changes_nothing_in_the_end(after: bool) -> None:
    """Kill the job at every port call; the next attempt ends with the same labels, once."""
    at = 0
    while True:
        fuse = Fuse(at, after=after)
        world = World()
        run_id, truths = world.score(30)
        world.ask_online(5)
        rows = [f"{run_id}-{number},{truth}" for number, truth in enumerate(truths, start=1)]
        rows += ["call-1,yes", "call-9,no", "bad,maybe"]
        task = world.request_labels("\n".join(["prediction_id,label", *rows]) + "\n")
        lake = fuse.wrap("lake", world.lake)
        publisher = fuse.wrap("publisher", world.cloud.publisher)
        try:
            _attempt(task, lake, publisher, world)
        except Crash:
            again = Task(MODEL, task.run_id, 2, "label-again", 0, 1)
            _attempt(again, lake, publisher, world)
        if not fuse.blown:
            break
        where = f"crash {'after' if after else 'before'} call {at}: {fuse.trail[at]}"
        assert len(stored(world, task)) == 32, where
        (event,) = world.events(LabelsRecorded)
        assert isinstance(event, LabelsRecorded)
        assert (event.rows, event.matched, event.unknown) == (32, 31, 1), where
        at += 1
    assert at > 15


def _attempt(task: Task, lake: Any, publisher: Any, world: World) -> None:
    boundary.run_task(
        task,
        lambda task: record_labels(task, lake=lake, publisher=publisher, clock=world.clock),
        lake=lake,
        publisher=publisher,
        clock=world.clock,
    )


def test_a_label_may_be_spelled_otherwise_than_it_is_served() -> None:
    """`TRUE` is the model's `True`; both are recorded as one label."""
    spec = spec_of(target={"column": "y", "positive": "True"})
    text = b"prediction_id,label\na,TRUE\nb,false\nc,maybe\n"
    rows, bad = check_rows(io.BytesIO(text), spec, ("False", "True"))
    assert [row.label for row in rows] == ["true", "false"]
    assert [item.record for item in bad] == [3]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-05:00"])
def test_a_time_that_no_calendar_has_in_utc_is_a_bad_row(time: str) -> None:
    """One typing error does not end the job."""
    text = f"prediction_id,label,label_time\na-1,no,{time}\na-2,no,2026-01-04\n"
    good, bad = check_rows(io.BytesIO(text.encode()), spec_of(), ())
    assert [row.record for row in good] == [2]
    assert [row.reason for row in bad] == [f"label_time {time!r} is no ISO 8601 time"]
