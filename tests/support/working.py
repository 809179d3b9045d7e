"""Short words for trainings, comparisons and runs that end, in tests of what follows them."""

from __future__ import annotations

import json
from typing import Any

from shared import runs
from shared.boundary import Task
from shared.events import (
    ComparisonCompleted,
    LabelsRecorded,
    RunEvent,
    ScoringCompleted,
    TrainingCompleted,
    publish,
)
from tests.support.system import CSV, EVERY_FUNCTION, SPEC, System, store_version

ASKING = SPEC.replace("approval: auto", "approval: first")
ALWAYS = SPEC.replace("approval: auto", "approval: always")
DAY = 86_400


def post_sweep(system: System, function: str) -> int:
    """Only this function is told that a sweep is due; the status it answers."""
    body = {"message": {"data": "eyJ0eXBlIjoiU3dlZXBEdWUifQ==", "publishTime": "2026-01-05T09:00Z"}}
    return system.post(function, json.dumps(body).encode())[1]


def drop_training(system: System, spec: str = "", **comparison: Any) -> str:
    """Drop another training file (and a spec) and train it; its version."""
    system.clock.advance(60)
    if spec:
        system.drop("_specs/m.yaml", spec)
    source = system.drop("m/train/a.csv", CSV + b"%d,z,no\n" % len(system.run_ids()))
    system.drain()
    system.train(**comparison)
    return str(system.claim(source)["run_id"])


def trained(system: System, spec: str = "", **comparison: Any) -> str:
    version = drop_training(system, spec, **comparison)
    system.drain()
    return version


def state_of(system: System, version: str) -> str:
    return runs.state("m", version, lake=system.lake).state


def repeat(system: System, version: str) -> None:
    """The version's outcome is delivered once more."""
    event = TrainingCompleted(model="m", run_id=version, version=version)
    publish(event, publisher=system.publisher, clock=system.clock)
    system.drain(advance=True)


def everything() -> System:
    return System(functions=EVERY_FUNCTION)


def compare(system: System, version: str, against: str | None = None) -> None:
    """Finish the running comparison."""
    against = against or system.champion()
    store_version(system.lake, "m", version, against=against)

    def end_one(task: Task) -> None:
        event = ComparisonCompleted(model="m", run_id=task.run_id, version=version)
        end(system, event)

    system.work(end_one)


def end(system: System, event: RunEvent) -> None:
    runs.finish(event, lake=system.lake, publisher=system.publisher, clock=system.clock)


def score_all(system: System) -> None:
    def score(task: Task) -> None:
        facts: dict[str, Any] = {"version": "v", "rows": 1, "errors": 0, "output": "o"}
        end(system, ScoringCompleted(model=task.model, run_id=task.run_id, **facts))

    system.work(score, "score-s")


def label_all(system: System) -> None:
    def label(task: Task) -> None:
        facts = {"rows": 1, "matched": 1, "unknown": 0}
        end(system, LabelsRecorded(model=task.model, run_id=task.run_id, **facts))

    system.work(label, "label-s")
