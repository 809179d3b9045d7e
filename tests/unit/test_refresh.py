"""Refreshes: a champion of a certain age is trained again, once per slot, under the same guard."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from shared import documents, paths, runs
from shared.errors import InProgress
from shared.manifests import read_manifest, set_pinned
from shared.usecases.judging import judge_version
from shared.usecases.refresh import look_after, slot_at
from shared.usecases.retrain import RetrainPorts, consider
from tests.support.crashing import Crash, Fuse
from tests.support.system import System, store_version
from tests.unit.monitoring.world import DAY, MODEL, MONDAY, VERSION, World, spec_of
from tests.unit.test_retrain import dropped, end, give_labels, notes, ports_of, requested

BORN = MONDAY - DAY  # when the world's champion was asked for
SLOT = f"{MODEL}-refresh-20260114T000000Z"


def world_of(**retrain: Any) -> World:
    return World(spec_of(retrain={"refresh": "10d", "min_new_labels": 100, **retrain}))


def look(world: World) -> int:
    return look_at(world, ports_of(world))


def look_at(world: World, ports: RetrainPorts) -> int:
    manifest = read_manifest(MODEL, lake=world.lake)
    return look_after(manifest, ports) if manifest else 0


@pytest.mark.parametrize(("days", "slot"), [(0, None), (9.99, None), (10, 10), (29, 20)])
def test_slots_are_whole_stretches_of_a_champions_age(days: float, slot: int | None) -> None:
    """None before the first."""
    found = slot_at(BORN + timedelta(days=days), BORN, timedelta(days=10))
    assert found == (None if slot is None else BORN + timedelta(days=slot))


def test_a_champion_that_is_old_enough_is_trained_again_once() -> None:
    """Not a day before; the request says that it is a refresh and which labels are new."""
    world = world_of()
    labels = give_labels(world)
    world.clock.advance_to(BORN + 10 * DAY - timedelta(minutes=5))
    assert look(world) == 0
    world.clock.advance(600)
    assert [look(world), look(world)] == [1, 0]
    (event,) = requested(world)
    request = runs.read_request(MODEL, event.run_id, lake=world.lake)
    assert request.retrain == runs.RetrainCause(SLOT, VERSION, (labels,), refresh=True)
    assert SLOT in request.content_key
    (note,) = notes(world)
    assert note.sentence.startswith("200 new labelled rows (100 needed); refresh may train by it")
    assert (note.kind, note.incident) == ("", "")


def test_nothing_new_is_said_once_per_slot() -> None:
    """Labels that come after that are for the next slot (or an alert)."""
    world = world_of()
    world.clock.advance_to(BORN + 11 * DAY)
    assert [look(world), look(world)] == [1, 0]
    assert notes(world)[0].sentence.startswith("0 new labelled rows (100 needed); refresh may tr")
    assert notes(world)[0].asks == "know"
    give_labels(world)
    assert look(world) == 0
    world.clock.advance_to(BORN + 20 * DAY)
    assert look(world) == 1
    assert (len(notes(world)), len(requested(world))) == (2, 1)


def test_labels_that_came_twice_are_counted_once() -> None:
    """The same predictions in two files are no more to refresh with."""
    world = world_of(min_new_labels=300)
    run_id, truths = world.score(200)
    for _ in range(2):
        world.clock.advance(60)
        world.label(run_id, truths)
    world.clock.advance_to(BORN + 10 * DAY)
    assert look(world) == 1
    assert notes(world)[0].sentence.startswith("200 new labelled rows (300 needed)")
    assert requested(world) == []


def test_a_refresh_waits_out_the_cooldown() -> None:
    """Only time is in its way: nothing is decided and nothing said until it is over."""
    world = world_of(cooldown="2d")
    give_labels(world)
    world.clock.advance_to(BORN + 9 * DAY)
    assert consider(dropped(), ports_of(world)) == "training"
    end(world, requested(world)[0].run_id, "not-promoted")
    world.clock.advance_to(BORN + 10 * DAY)
    assert look(world) == 0
    assert len(notes(world)) == 1
    world.clock.advance_to(BORN + 11 * DAY)
    assert look(world) == 1
    assert len(requested(world)) == 2


def test_a_refresh_counts_as_a_try() -> None:
    """Of the cooldown, the week's budget and of those that bring nothing."""
    world = world_of(cooldown="0s", give_up_after=1, max_per_week=9)
    give_labels(world)
    world.clock.advance_to(BORN + 10 * DAY)
    assert look(world) == 1
    end(world, requested(world)[0].run_id, "not-promoted")
    world.clock.advance(60)
    assert consider(dropped(), ports_of(world)) == "note"
    assert "the loop gave up" in notes(world)[-1].sentence


def test_a_pinned_model_is_not_refreshed() -> None:
    """After a rollback automation waits for a person."""
    world = world_of()
    give_labels(world)
    manifest = read_manifest(MODEL, lake=world.lake)
    assert manifest is not None
    set_pinned(manifest, True, by="ada", reason="so", lake=world.lake, clock=world.clock)
    world.clock.advance_to(BORN + 10 * DAY)
    assert look(world) == 1
    assert "is pinned" in notes(world)[0].sentence
    assert requested(world) == []


def test_a_new_champion_starts_to_count_anew() -> None:
    """Its own age decides."""
    world = world_of()
    give_labels(world)
    world.clock.advance_to(BORN + 9 * DAY)
    young = "20260113T000000-cccccccc"
    world.store_version(young)
    world.promote(young)
    world.clock.advance_to(BORN + 12 * DAY)
    assert look(world) == 0
    assert notes(world) == []


def test_without_a_stretch_nothing_is_refreshed() -> None:
    """As before there was such a key."""
    world = World(spec_of())
    give_labels(world, 600)
    world.clock.advance(4000 * DAY)
    assert look(world) == 0


def test_sweeps_at_once_refresh_once() -> None:
    """Two schedulers, or redeliveries: one run, one note."""
    world = world_of()
    give_labels(world)
    world.clock.advance_to(BORN + 10 * DAY)

    def sweep(_: int) -> int:
        try:
            return look(world)
        except InProgress:
            return 0

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(sweep, range(100)))
    assert len({event.run_id for event in requested(world)}) == 1
    assert len(notes(world)) == 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_any_port_call_is_made_good_by_the_next_sweep(after: bool) -> None:
    """One run and one note in the end, whatever was written before."""
    at = 0
    while True:
        fuse = Fuse(at, after=after)
        world = world_of(cooldown="1d", max_per_week=1)
        give_labels(world)
        world.clock.advance_to(BORN + 10 * DAY)
        ports: RetrainPorts = ports_of(world, fuse.wrap)
        try:
            look_at(world, ports)
        except Crash:
            world.clock.advance(300)
            look(world)
        if not fuse.blown:
            break
        where = f"crash {'after' if after else 'before'} call {at}: {fuse.trail[at]}"
        (event,) = requested(world)
        assert runs.read_request(MODEL, event.run_id, lake=world.lake).retrain is not None, where
        assert len(notes(world)) == 1, where
        at += 1
    assert at > 15


def test_a_refreshed_version_has_to_be_as_good_and_not_better() -> None:
    """Rule `not_worse`, whatever the spec's rule is; an alert's version has to be better."""
    world = world_of()
    for refresh, wanted in ((True, "promote"), (False, "decline")):
        version = f"20260115T00000{int(refresh)}-dddddddd"
        request = runs.RunRequest(
            model=MODEL,
            run_id=version,
            kind="train",
            requested_at="2026-01-15T00:00:00Z",
            requested_by="retrain",
            spec_generation=1,
            retrain=runs.RetrainCause(SLOT, VERSION, (), refresh=refresh),
        )
        runs.save_request(request, lake=world.lake)
        store_version(world.lake, MODEL, version, against=VERSION, gain=0.0, gain_lower=-0.004)
        verdict = judge_version(MODEL, version, champion=VERSION, pinned=False, lake=world.lake)
        assert verdict.action == wanted, verdict.sentence


def test_sweep_looks_after_refreshes() -> None:
    """Through the door, with the rights that the sweep function has."""
    system = System()
    spec = {
        "task": "binary",
        "target": "y",
        "promotion": {"approval": "auto"},
        "columns": {"a": {"type": "number"}, "b": {}, "y": {}},
        "retrain": {"refresh": "10d"},
    }
    system.drop("_specs/m.yaml", documents.dumps(spec))
    system.drop("m/train/a.csv", b"a,b,y\n1,x,yes\n2,y,no\n")
    system.drain()
    system.train()
    system.drain()
    assert system.champion() is not None
    system.tick()
    assert list(system.lake.list("incidents/")) == []
    system.clock.advance(11 * DAY)
    system.tick()
    system.tick()
    (incident,) = system.lake.list("incidents/m/")
    body = documents.require(system.lake, incident.name)
    assert body["decision"]["guard"] == "0 new labelled rows (500 needed)"
    assert paths.incident("m", body["incident_id"]) == incident.name
