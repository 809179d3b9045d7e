"""Disaster recovery: a lake put back from a copy, in a project where nothing else is left."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from shared import documents, paths, runs
from shared.boundary import Task
from shared.errors import ObjectNotFound
from shared.ports import Bucket
from shared.usecases.label import record_labels
from shared.usecases.score import score_file
from shared.usecases.train import train_model
from tests.support.system import EVERY_FUNCTION, System
from tests.unit.tabular.world import csv_bytes, rows
from tests.unit.test_train_to_promotion import SPEC


def copied(source: Bucket, target: Bucket) -> None:
    """As `gcloud storage rsync` does it: the same bytes and metadata, other generations."""
    for info in source.list(""):
        blob = source.read(info.name)
        target.write(
            info.name,
            blob.data,
            content_type=info.content_type,
            metadata=dict(info.metadata),
        )


def rebuilt(old: System) -> System:
    """Functions, topics, jobs and registry made anew over a copy of the lake, an hour later."""
    new = System(functions=EVERY_FUNCTION)
    new.clock.advance(3600)
    new.lake.write("something-older", b"")  # no generation is what it was
    copied(old.lake, new.lake)
    return new


def go_on(system: System) -> None:
    """Sweeps, and what the jobs do that they start."""
    ports: Any = {"lake": system.lake, "publisher": system.publisher, "clock": system.clock}
    train = partial(train_model, tracker=None, registries=[], workers=1, **ports)

    def score(task: Task) -> None:
        score_file(runs.read_work(task.model, task.run_id, lake=system.lake), **ports)

    for _ in range(4):
        system.clock.advance(300)
        system.tick()
        system.work(train)
        system.work(score, "score-s")
        system.work(partial(record_labels, **ports), "label-s")
        system.drain()


def alone(data: list[list[str]]) -> list[list[str]]:
    """A champion of these cannot know what the next version will."""
    return [["50", gain, "a", label] for _, gain, _, label in data]


@pytest.fixture
def served() -> System:
    """A system with a champion."""
    system = System(functions=EVERY_FUNCTION)
    system.drop("_specs/m.yaml", SPEC)
    system.drop("m/train/first.csv", csv_bytes(alone(rows(300))))
    system.drain()
    go_on(system)
    assert system.champion() is not None
    return system


def test_what_served_serves_and_is_registered_again(served: System) -> None:
    """The manifest is there, and a registry that lost everything is told again."""
    new = rebuilt(served)
    champion = served.champion()
    assert champion is not None
    assert new.champion() == champion
    assert new.cloud.registry.find("m", champion) is None
    go_on(new)
    assert new.champion() == champion
    assert new.cloud.registry.alias("m", "champion") == champion


def test_runs_that_were_at_work_come_to_their_end(served: System) -> None:
    """A training, a scoring and a labelling whose executions are gone with the old project are
    started again, on the copies of their inputs."""
    train = served.drop("m/train/b.csv", csv_bytes(rows(1500, seed=1)))
    score = served.drop("m/score/c.csv", b"age,gain,city\n30,5,a\n40,2,b\n")
    label = served.drop("m/labels/d.csv", b"prediction_id,label\nnobody-1,yes\n")
    served.drain()
    new = rebuilt(served)
    go_on(new)
    assert [new.state(item) for item in (train, score, label)] == ["promoted", "scored", "labelled"]
    assert new.champion() == new.claim(train)["run_id"] != served.champion()
    summary = documents.require(
        new.lake, paths.predictions("m", new.claim(score)["run_id"], "summary.json")
    )
    assert summary["rows"] == 2


def test_new_files_are_taken(served: System) -> None:
    """In the new project's inbox, as if nothing had happened."""
    new = rebuilt(served)
    dropped = new.drop("m/train/b.csv", csv_bytes(rows(1500, seed=1)))
    new.drain()
    go_on(new)
    assert new.state(dropped) == "promoted"


def test_an_input_that_is_not_what_it_was_is_not_taken_for_it(served: System) -> None:
    """A run never works on other bytes than those it was asked to."""
    dropped = served.drop("m/train/b.csv", csv_bytes(rows(1500, seed=1)))
    served.drain()
    new = rebuilt(served)
    run_id = new.claim(dropped)["run_id"]
    (item,) = new.request(run_id).inputs
    new.lake.write(item.object, csv_bytes(rows(1500, seed=2)))
    with pytest.raises(ObjectNotFound):
        runs.read_work("m", run_id, lake=new.lake)
