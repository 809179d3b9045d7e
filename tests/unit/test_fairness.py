"""Where passes begin, and that nobody starves when their time always runs out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from infra import topology
from shared.events import WindowDue
from shared.fairness import rotated, turn_of
from shared.usecases import mirror, sweep
from shared.usecases.monitoring import due
from tests.support.crashing import Crash, Fuse
from tests.support.system import CSV, SPEC, System
from tests.support.working import post_sweep
from tests.unit.monitoring.test_due_calls import multiply
from tests.unit.monitoring.world import DAY, HOUR, MONDAY, World, spec_of

MODELS = 6


@pytest.mark.parametrize(("names", "reached"), [(7, 1), (100, 10), (1000, 37), (1000, 1000)])
@pytest.mark.parametrize("first", [0, 987654321])
def test_passes_that_reach_one_in_k_have_been_everywhere_after_three_k(
    names: int, reached: int, first: int
) -> None:
    """Whenever one begins to count, and however few names a pass has time for."""
    everything = range(names)
    seen: set[int] = set()
    for turn in range(first, first + 3 * -(-names // reached)):
        order = rotated(everything, turn)
        assert sorted(order) == list(everything)
        seen.update(order[:reached])
    assert seen == set(everything)


def test_a_turn_lasts_from_one_tick_to_the_next() -> None:
    """The stretches of time are the schedules' of the topology."""
    crons = {name: schedule.cron for name, schedule in topology.load().schedules.items()}
    assert crons["sweep"] == "*/5 * * * *"
    assert timedelta(minutes=5) == sweep.EVERY == mirror.EVERY
    assert crons["monitor"].endswith(" * * * *")
    assert timedelta(hours=1) == due.EVERY
    assert turn_of(MONDAY + HOUR, HOUR) == turn_of(MONDAY + 2 * HOUR - DAY / 86400, HOUR)
    assert turn_of(MONDAY + HOUR, HOUR) == turn_of(MONDAY, HOUR) + 1


def test_sweeps_whose_time_runs_out_look_after_every_model_in_turn() -> None:
    """Each sweep dies after a third of its reads: lanes and manifests of all models are read
    within a few hours nevertheless."""
    fuse = Fuse(10**6, after=True, armed=False)
    system = System(lambda name, port: fuse.wrap(name, port) if name == "lake" else port)
    for number in range(MODELS):
        system.drop(f"_specs/m{number}.yaml", SPEC)
        system.drop(f"m{number}/train/a.csv", CSV)
    system.drain()
    system.train()
    system.drain()
    fuse.armed = True
    post_sweep(system, "sweep")
    fuse.at, fuse.trail = fuse.calls // 3, []
    for _ in range(40):
        fuse.calls = 0
        with pytest.raises(Crash):
            post_sweep(system, "sweep")
        system.clock.advance(timedelta(minutes=5))
    for number in range(MODELS):
        for name in (f"lanes/m{number}.json", f"serving/m{number}.json"):
            assert f"lake.read {name}" in fuse.trail


def test_ticks_whose_time_runs_out_find_the_windows_of_every_model_in_turn() -> None:
    """Each tick dies at its second window: what it found is published, and the next begins with
    another model."""
    made = World(spec_of())
    made.score(30)
    multiply(made, MODELS)
    made.clock.advance(DAY + HOUR)
    for hour in range(3 * MODELS):
        fuse = Fuse(1, after=False)
        ports: Any = replace(made.ports, publisher=fuse.wrap("publisher", made.ports.publisher))
        with pytest.raises(Crash):
            due.find_due(made.clock.now() + hour * HOUR, ports)
    assert len({getattr(event, "model", "") for event in made.events(WindowDue)}) == MODELS


def test_one_models_broken_spec_keeps_no_other_model_from_its_windows() -> None:
    """The others' windows are published; the trouble is raised, so that the tick comes again."""
    made = World(spec_of())
    made.score(30)
    multiply(made, MODELS)
    for info in list(made.lake.list("specs/m3/")):
        made.lake.write(info.name, b"{")
    made.clock.advance(DAY + HOUR)
    with pytest.raises(Exception, match="m3"):
        due.find_due(made.clock.now(), made.ports)
    assert len({getattr(event, "model", "") for event in made.events(WindowDue)}) == MODELS - 1
