"""Batches that change while they are closed: newer files, changed specs, late events."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared import runs
from shared.spec.load import load_spec
from shared.spec.registry import register
from tests.support.batching import (
    BATCHES,
    FILES,
    HOUR,
    SOURCES,
    bodies_of,
    calm,
    check_one_run,
    drop,
    name_of,
    new_system,
    requested,
    roles_of,
    within,
)
from tests.support.promises import check_promises
from tests.support.system import System

NAME = "_specs/m.yaml"
NEWER = b"k,price\n2,5\n"
FEWER = BATCHES.replace("  visits: {key: k, aggregates: {visits_n: count}, wait_hours: 12, ", "#")
MORE = BATCHES.replace("promotion:", "  calls: {key: k, aggregates: {calls_n: count}}\npromotion:")
RENAMED = BATCHES.replace("visits", "sights")
ALONE = "task: binary\ntarget: y\n"


def _check(system: System, *sources: str) -> None:
    """Every file is part of the one run and says so, or it is not and says that; people hear of
    each refusal once; no batch is left open."""
    check_promises(system, *sources)
    assert list(system.lake.list("batches-open/")) == []
    runs_asked = requested(system)
    assert len(runs_asked) <= 1
    taken = [item for run_id in runs_asked for item in roles_of(system, run_id).values()]
    told = [item["source"] for item in system.published("DataRejected")]
    for source in sources:
        state = system.state(source)
        assert state in ("joined", "superseded", "rejected"), (source, state)
        assert (state == "joined") == (source in taken), (source, state)
        assert (state == "rejected") == (source in told), (source, state)


@pytest.mark.parametrize(
    "order", [(0, 1), (1, 0)], ids=["closer meets newer", "newer meets closer"]
)
def test_a_newer_file_that_meets_the_closing(order: tuple[int, int]) -> None:
    """The last source completes the batch while a newer file of another one comes, at every call:
    one run with either of the two; an older file of the same source is superseded, not refused."""
    at, ends = 0, set()
    while (end := _newer(at, order)) is not None:
        ends.add(end)
        at += 1
    assert at > 12
    assert ends == {("superseded", "joined"), ("joined", "rejected")}


def _newer(at: int, order: tuple[int, int]) -> tuple[str, str] | None:
    system = new_system()
    sources = drop(system, "customers", "orders")
    system.drain()
    (last,) = drop(system, "visits")
    newer = system.drop(name_of("orders"), NEWER)
    bodies = bodies_of(system, [last, newer])
    first, second = (bodies[place] for place in order)
    met = within(
        system,
        "intake",
        at,
        lambda: system.post("intake", first),
        lambda: system.post("intake", second),
    )
    calm(system, first, second)
    _check(system, *sources, last, newer)
    return (system.state(sources[1]), system.state(newer)) if met else None


def test_an_event_that_comes_after_the_closing_with_a_newer_file_is_superseded() -> None:
    """The run has the newer file; the older one was replaced in time, and nobody is told to drop
    everything again."""
    system = new_system()
    old = system.drop(name_of("orders"), b"k,price\n1,0\n")
    (late,) = bodies_of(system, [old])
    sources = drop(system, *SOURCES)
    system.drain()
    assert system.post("intake", late)[1] == 204
    system.drain()
    _check(system, *sources, old)
    assert system.state(old) == "superseded"
    assert system.published("DataRejected") == []


@pytest.mark.parametrize("door", ["intake", "sweep"])
@pytest.mark.parametrize("text", [FEWER, MORE, RENAMED, ALONE], ids=["fewer", "more", "other", "0"])
def test_a_spec_that_changes_while_a_batch_is_closed(text: str, door: str) -> None:
    """The last file arrives, or its wait is over, while the sources change: one run of what one of
    the two specs asks for, or none, and every file knows which."""
    at = 0
    while _changed(at, text, door):
        at += 1
    assert at > 8


def _changed(at: int, text: str, door: str) -> bool:
    system = new_system()
    sources = drop(system, "customers", "orders")
    system.drain()
    works: dict[str, Callable[[], object]] = {}
    bodies = []
    if door == "intake":
        sources += drop(system, "visits")
        bodies = bodies_of(system, sources[2:])
        works["intake"] = lambda: system.post("intake", bodies[0])
    else:
        system.clock.advance(13 * HOUR)
        works["sweep"] = system.tick
    (change,) = bodies_of(system, [system.drop(NAME, text)])
    met = within(system, door, at, works[door], lambda: system.post("intake", change))
    calm(system, *bodies, change)
    system.clock.advance(40 * HOUR)
    calm(system)
    _check(system, *sources)
    for run_id in requested(system):
        state = runs.state("m", run_id, lake=system.lake)
        assert state.state == "running"
        generation = system.request(run_id).spec_generation
        wanted = {1: set(SOURCES), 2: {"customers", "orders"}}[generation]
        assert set(roles_of(system, run_id)) <= wanted | {"calls"}
    return met


@pytest.mark.parametrize("outer", ["intake", "sweep"])
def test_a_batch_that_its_spec_and_sweep_release_at_once(outer: str) -> None:
    """The files wait for their spec; it comes, and sweep finds them released at the same moment,
    at every call of either: one run of all of them, and nobody hears of a refusal."""
    at = 0
    while _released(at, outer):
        at += 1
    assert at > 20


def _released(at: int, outer: str) -> bool:
    system = new_system("")
    sources = drop(system, *SOURCES)
    system.drain()
    (spec,) = bodies_of(system, [system.drop(NAME, BATCHES)])
    if outer == "sweep":
        # Somebody was to release them and died.
        register("m", load_spec(BATCHES, "m.yaml"), "by hand", lake=system.lake, clock=system.clock)
    works: dict[str, Callable[[], object]] = {
        "intake": lambda: system.post("intake", spec),
        "sweep": system.tick,
    }
    (inner,) = works.keys() - {outer}
    met = within(system, outer, at, works[outer], works[inner])
    calm(system, spec)
    check_one_run(system, sources)
    assert system.published("DataRejected") == []
    return met


def test_nobody_is_reminded_of_a_batch_that_was_just_completed() -> None:
    """Sweep finds a batch waiting for half of its time, and its last file comes before sweep says
    so, at every call: nothing is left open, and no reminder begins after the closing."""
    at = 0
    while _remind(at):
        at += 1
    assert at > 5


def _remind(at: int) -> bool:
    system = new_system()
    sources = drop(system, "customers", "orders")
    system.drain()
    system.clock.advance(7 * HOUR)
    (last,) = drop(system, "visits")
    (body,) = bodies_of(system, [last])
    met = within(system, "sweep", at, system.tick, lambda: system.post("intake", body))
    open_batches = list(system.lake.list("batches-open/"))
    calm(system, body)
    _check(system, *sources, last)
    assert not (met and open_batches)
    assert FILES.keys() == roles_of(system, requested(system)[0]).keys()
    return met
