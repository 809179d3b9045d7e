"""Trainings number their versions: each once, whatever fails, crashes or runs beside it."""

from __future__ import annotations

from typing import Any

import pytest

from shared import documents, paths
from shared.ports import Bucket
from shared.spec.registry import register
from tests.support.crashing import Crash
from tests.unit.tabular.world import MODEL, RUN, World, csv_bytes, rows, spec_of

SECOND = "20260106T090000-00000002"
THIRD = "20260107T090000-00000003"


@pytest.fixture
def world() -> World:
    """A model with its first version."""
    world = World()
    world.ask(csv_bytes(rows(400)))
    world.train()
    return world


def again(world: World, run_id: str, seed: int = 1, **changes: Any) -> str:
    """Train on other rows, under a changed spec where one is given; the number it got."""
    if changes:
        spec = spec_of(**changes)
        world.generation = register(
            MODEL, spec, f"test {run_id}", lake=world.lake, clock=world.clock
        ).generation
    world.clock.advance(60)
    world.ask(csv_bytes(rows(400, seed=seed)), run_id)
    world.train(run_id)
    return number_of(world, run_id)


def number_of(world: World, run_id: str) -> str:
    return str(world.document(paths.version(MODEL, run_id, "version.json"))["semantic_version"])


def test_numbers_follow_what_changed(world: World) -> None:
    """1.0.0, then a patch for other rows, a minor for another recipe; the version says since
    which one and why."""
    assert number_of(world, RUN) == "1.0.0"
    assert again(world, SECOND) == "1.0.1"
    training = {"candidates": ["linear"], "trials": 2, "false_positive_ceiling": 0.5}
    assert again(world, THIRD, 2, training=training) == "1.1.0"
    about = world.document(paths.version(MODEL, THIRD, "version.json"))
    assert about["predecessor"] == SECOND
    assert about["change"] == {"level": "minor", "because": ["training.trials: 1 -> 2"]}
    first = world.document(paths.version(MODEL, RUN, "version.json"))
    assert (first["predecessor"], first["change"]) == (None, None)


def test_the_code_that_fitted_is_recorded(world: World) -> None:
    """Where the installation stamps it; a retry with newer code that only stores says the old."""
    first = world.document(paths.version(MODEL, RUN, "version.json"))
    assert first["code_version"] is None
    world.ask(csv_bytes(rows(400, seed=1)), SECOND)
    where = paths.version(MODEL, SECOND, "version.json")
    with pytest.raises(Crash):
        world.train(SECOND, lake=DiesAt(world.lake, where), code_version="abc")
    world.train(SECOND, 2, code_version="def")
    assert world.document(where)["code_version"] == "abc"


def test_a_retraining_on_labels_is_a_patch(world: World) -> None:
    """The champion's recipe on more rows."""
    world.promote(RUN)
    scored = "20260106T080000-0000000a"
    data = rows(600, seed=3)
    world.scored(scored, data)
    labels = [(f"{scored}-{n}", row[3], scored, 0) for n, row in enumerate(data, start=1)]
    world.ask_again(RUN, [world.labelled("20260106T085000-0000000b", labels)], SECOND)
    world.train(SECOND)
    assert number_of(world, SECOND) == "1.0.1"


class DiesAt:
    """A lake whose process dies at the write of one object, before or after it is there."""

    def __init__(self, lake: Bucket, where: str, *, after: bool = False) -> None:
        self.lake, self.where, self.after = lake, where, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lake, name)

    def write(self, name: str, *args: Any, **more: Any) -> Any:
        if name != self.where:
            return self.lake.write(name, *args, **more)
        if self.after:
            self.lake.write(name, *args, **more)
        raise Crash(name)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "where",
    [
        paths.number(MODEL, "1.0.1"),
        paths.run_stage(MODEL, SECOND, "numbered.json"),
        paths.run_stage(MODEL, SECOND, "described.json"),
        paths.version(MODEL, SECOND, "version.json"),
        paths.run_outcome(MODEL, SECOND),
    ],
    ids=lambda name: name.rpartition("/")[2],
)
def test_a_crash_and_a_retry_give_the_same_number(world: World, where: str, after: bool) -> None:
    """Reservation, stage and version agree, and no number is lost."""
    world.ask(csv_bytes(rows(400, seed=1)), SECOND)
    with pytest.raises(Crash):
        world.train(SECOND, lake=DiesAt(world.lake, where, after=after))
    world.clock.advance(60)
    world.train(SECOND, 2)
    assert number_of(world, SECOND) == "1.0.1"
    stage = world.document(paths.run_stage(MODEL, SECOND, "numbered.json"))
    assert stage["semantic_version"] == "1.0.1"
    assert again(world, THIRD, 2) == "1.0.2"
    taken = [world.document(info.name) for info in world.lake.list(paths.numbers(MODEL))]
    assert [body["version"] for body in taken] == [RUN, SECOND, THIRD]


def test_a_training_that_failed_keeps_its_number(world: World) -> None:
    """It had taken 1.0.1 when it died for good: nobody else gets it, and the next version is
    compared with what came before."""
    world.ask(csv_bytes(rows(400, seed=1)), SECOND)
    where = paths.run_stage(MODEL, SECOND, "described.json")
    with pytest.raises(Crash):
        world.train(SECOND, lake=DiesAt(world.lake, where))
    assert again(world, THIRD, 2) == "1.0.2"
    about = world.document(paths.version(MODEL, THIRD, "version.json"))
    assert about["predecessor"] == RUN


def test_a_training_that_slept_over_another_one_keeps_its_number(world: World) -> None:
    """It had taken 1.0.1 when its machine went away; another training took 1.0.2 and was stored
    before it was tried again: still 1.0.1, and no number is given to it twice."""
    where = paths.run_stage(MODEL, SECOND, "numbered.json")
    world.ask(csv_bytes(rows(400, seed=1)), SECOND)
    with pytest.raises(Crash):
        world.train(SECOND, lake=DiesAt(world.lake, where))
    assert again(world, THIRD, 2) == "1.0.2"
    world.train(SECOND, 2)
    assert number_of(world, SECOND) == "1.0.1"
    about = world.document(paths.version(MODEL, SECOND, "version.json"))
    assert about["predecessor"] == RUN
    assert len(world.names(paths.numbers(MODEL))) == 3


def test_comparing_again_numbers_nothing(world: World) -> None:
    """A comparison makes no version."""
    world.ask_comparison(RUN, SECOND)
    world.train(SECOND)
    assert len(list(world.lake.list(paths.numbers(MODEL)))) == 1
    assert again(world, THIRD) == "1.0.1"


def test_two_trainings_at_once_never_share_a_number(world: World) -> None:
    """The lane keeps them apart; if it ever failed to, the one that comes second takes the next."""
    name = paths.number(MODEL, "1.0.1")
    other = {"semantic_version": "1.0.1", "version": "20260106T085959-ffffffff"}
    documents.create(world.lake, name, other)
    assert again(world, SECOND) == "1.0.2"
    assert world.document(name)["version"] == other["version"]


def test_versions_of_old_have_no_number_and_hinder_nobody(world: World) -> None:
    """A version that was stored before there were numbers: counting begins with the next one."""
    name = paths.version(MODEL, RUN, "version.json")
    body = world.document(name)
    for key in ("semantic_version", "predecessor", "change"):
        del body[key]
    world.lake.write(name, documents.dumps(body))
    world.lake.delete(paths.number(MODEL, "1.0.0"))
    assert again(world, SECOND) == "1.0.0"
