"""The lane: one training at a time, dead executions started again, nothing lost, nothing twice."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from shared import boundary, documents, paths, runs
from shared.boundary import Task
from shared.errors import Rejected
from shared.events import ScoringCompleted, TrainingCompleted, TrainingRequested, encode
from shared.lanes import advance
from shared.ports import Bucket
from shared.usecases import launch
from tests.support.system import CSV, SPEC, System, store_version


def _served() -> System:
    """A system with a champion."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    system.drop("m/train/a.csv", CSV)
    system.drain()
    system.train()
    system.drain()
    return system


def test_one_training_at_a_time_and_the_latest_waiting_one_wins() -> None:
    """A second training waits; a third replaces it, and the replaced run says superseded."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    first = system.drop("m/train/1.csv", CSV)
    second = system.drop("m/train/2.csv", CSV + b"3,z,no\n")
    third = system.drop("m/train/3.csv", CSV + b"4,z,no\n")
    system.drain()
    states = [system.state(source) for source in (first, second, third)]
    assert states == ["running", "superseded", "queued"]
    assert len(system.running()) == 1
    system.train()
    system.drain()
    assert system.state(first) == "promoted"
    assert len(system.running()) == 1
    system.train()
    system.drain()
    assert system.state(third) == "promoted"


def test_a_dead_execution_is_started_again_and_given_up_after_three() -> None:
    """Executions that end without an outcome are repeated at most twice; then RunFailed, and the
    lane is free for the next training."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    source = system.drop("m/train/1.csv", CSV)
    system.drain()
    for attempt in (1, 2, 3):
        (execution,) = system.running()
        assert execution.env["ATTEMPT"] == str(attempt)
        system.cloud.jobs.end(execution.name, "failed")
        system.tick()
    assert system.running() == []
    assert system.state(source) == "failed"
    assert len(system.published("RunFailed")) == 1
    system.drop("m/train/2.csv", CSV + b"3,z,no\n")
    system.drain()
    assert len(system.running()) == 1


def test_a_dead_label_run_is_started_again() -> None:
    """Runs that are beside the trainings are looked after as they are."""
    system = _served()
    source = system.drop("m/labels/l.csv", b"prediction_id,label\n1,yes\n")
    system.drain()
    (execution,) = system.running("label-s")
    system.cloud.jobs.end(execution.name, "failed")
    system.tick()
    (again,) = system.running("label-s")
    assert (again.env["RUN_ID"], again.env["ATTEMPT"]) == (execution.env["RUN_ID"], "2")
    assert system.state(source) == "running"


def _died_before_it_was_published() -> tuple[System, str]:
    """A job wrote its outcome and said nothing; the upload it worked on."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    source = system.drop("m/train/1.csv", CSV)
    system.drain()

    class Silent:
        def publish(self, topic: str, data: bytes, attributes: object) -> str:
            raise SystemExit

    publisher, system.publisher = system.publisher, Silent()
    with pytest.raises(SystemExit):
        system.train()
    system.publisher = publisher
    for execution in system.running():
        system.cloud.jobs.end(execution.name, "failed")
    return system, source


def test_an_outcome_that_was_not_published_is_published_by_sweep() -> None:
    """A job that wrote its outcome and died before publishing it still leads to a decision."""
    system, source = _died_before_it_was_published()
    system.tick()
    assert system.state(source) == "promoted"


def test_the_next_request_publishes_an_outcome_that_was_not() -> None:
    """Whoever comes by first says it: launch on the next file, before any sweep."""
    system, source = _died_before_it_was_published()
    system.drop("m/train/2.csv", CSV + b"3,z,no\n")
    system.drain()
    assert system.state(source) == "promoted"


def test_a_second_execution_of_the_same_attempt_does_nothing() -> None:
    """The lease lets one execution work on an attempt, whoever else was started for it."""
    system = _served()
    system.drop("m/train/2.csv", CSV + b"3,z,no\n")
    system.drain()
    (execution,) = system.running()
    env = execution.env

    def task(name: str) -> Task:
        return Task("m", env["RUN_ID"], int(env["ATTEMPT"]), name, 0, 1)

    done: list[str] = []
    for name in ("first", "second", "first"):
        boundary.run_task(
            task(name),
            lambda task: done.append(task.execution),
            lake=system.lake,
            publisher=system.publisher,
            clock=system.clock,
        )
    assert done == ["first", "first"]


def test_a_rejected_input_ends_the_run_and_frees_the_lane() -> None:
    """A job that finds its input useless is no failed execution: the run is rejected, once."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    source = system.drop("m/train/1.csv", CSV)
    system.drain()

    def refuse(task: Task) -> None:
        raise Rejected("only one class")

    system.work(refuse)
    system.drain()
    assert system.state(source) == "rejected"
    assert len(system.published("RunRejected")) == 1
    assert len(list(system.jobs.executions("train-s"))) == 1


def test_scoring_waits_for_a_champion_and_uses_the_one_at_launch() -> None:
    """A score file without a champion waits visibly, starts on promotion with that version, and
    expires after a day without one."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    source = system.drop("m/score/s.csv", b"a,b\n1,x\n")
    system.drain()
    assert system.state(source) == "waiting_for_champion"
    system.drop("m/train/a.csv", CSV)
    system.drain()
    system.train()
    system.drain()
    run_id = system.claim(source)["run_id"]
    assert len(system.running("score-s")) == 1
    assert runs.read_launch("m", run_id, lake=system.lake)["champion"] == system.champion()

    lonely = System()
    lonely.drop("_specs/m.yaml", SPEC)
    source = lonely.drop("m/score/s.csv", b"a,b\n1,x\n")
    lonely.drain()
    lonely.clock.advance(90_000)
    lonely.tick()
    assert lonely.state(source) == "expired"


def test_a_large_file_is_shared_by_tasks() -> None:
    """One task per so many bytes, the same number in every attempt."""
    system = _served()
    jobs = cast(Any, system.cloud.jobs)
    jobs.task_bytes = 1000
    system.drop("m/score/new.csv", CSV + b"5,z,no\n" * 370)
    system.drain()
    (first,) = system.running("score-s")
    system.cloud.jobs.end(first.name, "failed")
    system.tick()
    (second,) = system.running("score-s")
    assert (first.task_count, second.task_count) == (3, 3)


def test_at_most_two_score_runs_stand_beside() -> None:
    """The third score file of a model waits for a place and gets it."""
    system = _served()
    for number in range(3):
        system.drop(f"m/score/{number}.csv", b"a,b\n%d,x\n" % number)
    system.drain()
    assert len(system.running("score-s")) == 2

    def score(task: Task) -> None:
        event = ScoringCompleted(
            model=task.model, run_id=task.run_id, version="v", rows=1, errors=0, output="o"
        )
        runs.finish(event, lake=system.lake, publisher=system.publisher, clock=system.clock)

    system.work(score, "score-s")
    system.drain()
    assert len(system.running("score-s")) == 1


def test_the_latest_training_waits_whatever_order_the_requests_come_in() -> None:
    """Requests are delivered in reverse: the training that was asked for last still wins."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    system.drop("m/train/1.csv", CSV)
    system.drain()
    sources = []
    for number in (2, 3):
        system.clock.advance(1)
        sources.append(system.drop(f"m/train/{number}.csv", CSV + b"%d,z,no\n" % number))
        system.drain(only=("intake",))
    waiting = [system.claim(source)["run_id"] for source in sources]
    system.drain(only=tuple(name for name in system.functions if name != "launch"))
    for run_id in (waiting[1], waiting[0], waiting[1]):
        request = TrainingRequested(model="m", run_id=run_id)
        launch.take_request(
            request,
            lake=system.lake,
            jobs=system.jobs,
            publisher=system.publisher,
            clock=system.clock,
        )
    system.drain()
    assert [system.state(source) for source in sources] == ["superseded", "queued"]


def test_a_score_that_waits_for_a_place_does_not_expire() -> None:
    """With a champion a score run waits its turn for as long as it takes."""
    system = _served()
    sources = [system.drop(f"m/score/{n}.csv", b"a,b\n%d,x\n" % n) for n in range(3)]
    system.drain()
    assert system.state(sources[2]) == "queued"
    system.clock.advance(90_000)
    system.tick()
    assert system.state(sources[2]) == "queued"


def test_a_place_is_free_only_when_its_outcome_is_known_to_be_published() -> None:
    """The outcome is written while a request moves the lane, and its job dies before publishing
    it: the slot stays until somebody has published."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    source = system.drop("m/train/1.csv", CSV)
    system.drain()
    (execution,) = system.running()
    run_id = execution.env["RUN_ID"]
    store_version(system.lake, "m", run_id, against=None)
    event = TrainingCompleted(model="m", run_id=run_id, version=run_id)
    body = json.loads(encode(event, system.clock.now()))
    lake = system.cloud.lake

    class Ending:
        """A lake in which the job ends right after its slot was looked at."""

        def __getattr__(self, name: str) -> Any:
            return getattr(lake, name)

        def read(self, name: str, **how: Any) -> Any:
            if name == paths.manifest("m"):
                documents.create(lake, paths.run_outcome("m", run_id), body)
            return lake.read(name, **how)

    advance(
        "m",
        lake=cast("Bucket", Ending()),
        jobs=system.jobs,
        publisher=system.publisher,
        clock=system.clock,
    )
    system.cloud.jobs.end(execution.name, "failed")
    assert system.published("TrainingCompleted") == []
    system.tick()
    assert system.state(source) == "promoted"


def test_an_execution_that_was_adopted_is_in_the_history() -> None:
    """launch died right after the job was started: the run says running, and by which execution."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    source = system.drop("m/train/1.csv", CSV)
    system.drain()
    run_id = system.claim(source)["run_id"]
    system.lake.delete(paths.run_event("m", run_id, "started-1"))
    assert system.state(source) == "requested"
    system.tick()
    assert system.state(source) == "running"
    facts = runs.history("m", run_id, lake=system.lake)[-1]["facts"]
    assert facts["execution"] == system.running()[0].name
