"""Files of several sources become one run: in any order, again and again, whoever dies."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared import documents, runs
from shared.adapters.memory import FaultPlan, Faults
from shared.batch import Batch
from tests.support.batching import (
    BATCHES,
    FILES,
    HOUR,
    SOURCES,
    Meeting,
    bodies_of,
    check_one_run,
    drop,
    name_of,
    new_system,
    requested,
    roles_of,
)
from tests.support.crashing import Story, crash_everywhere
from tests.support.promises import check_promises
from tests.support.system import EVERY_FUNCTION, System

both = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


# --- any order -----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_any_order_with_duplicates_makes_one_run(order: tuple[int, ...]) -> None:
    """Three sources in every order, each event delivered again at every later step."""
    system = new_system()
    sources = drop(system, *SOURCES)
    bodies = bodies_of(system, sources)
    for step in range(1, 4):
        for position in order[:step]:
            assert system.post("intake", bodies[position])[1] == 204
        if step < 3:
            assert requested(system) == []
            states = {system.state(sources[position]) for position in order[:step]}
            assert states == {"waiting_for_sources"}
    system.drain()
    check_one_run(system, sources)
    assert len(system.published("TrainingRequested")) == 1
    system.train()
    system.drain()
    assert system.champion() == requested(system)[0]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_that_complete_a_batch_at_once_make_one_run(order: tuple[int, int]) -> None:
    """While one delivery is at work the other one comes and goes, at every call of the first."""
    at = 0
    while _meet(at, *order):
        at += 1
    assert at > 15


def _meet(at: int, first: int, second: int) -> bool:
    """Whether the second delivery came before call `at` of the first (there were so many)."""
    system = new_system()
    sources = drop(system, *SOURCES)
    before, *rest = bodies_of(system, sources)
    assert system.post("intake", before)[1] == 204
    meeting = Meeting(at, lambda: system.post("intake", rest[second]))
    system.doors["intake"].wiring.__dict__["lake"] = meeting.wrap(system.lake)
    statuses = [system.post("intake", rest[first])[1]]
    statuses += [system.post("intake", body)[1] for body in rest]
    assert set(statuses) == {204}
    system.drain()
    check_one_run(system, sources)
    return meeting.happened


def test_many_threads_make_one_run() -> None:
    """Every event twenty times at the same moment; who is told to come again, comes again."""
    system = new_system()
    sources = drop(system, *SOURCES)
    bodies = bodies_of(system, sources)
    with ThreadPoolExecutor(30) as pool:
        statuses = list(pool.map(lambda body: system.post("intake", body)[1], bodies * 20))
    assert set(statuses) <= {204, 503}
    for body in bodies:
        assert system.post("intake", body)[1] == 204
    system.drain()
    check_one_run(system, sources)


def test_a_spec_that_comes_last_releases_the_batch() -> None:
    """The files wait for the spec, then for each other, in the same way."""
    system = new_system("")
    sources = drop(system, *SOURCES)
    system.drain()
    assert {system.state(source) for source in sources} == {"waiting_for_spec"}
    system.drop("_specs/m.yaml", BATCHES)
    system.drain()
    check_one_run(system, sources)


def test_batches_do_not_meet() -> None:
    """Other names and intents are other batches; a scoring batch waits for a champion."""
    system = new_system()
    sources = drop(system, "customers", "orders") + drop(system, "visits", batch="2026-1")
    scored = [system.drop(name_of(source, intent="score"), FILES[source]) for source in SOURCES]
    system.drain()
    assert {system.state(source) for source in sources} == {"waiting_for_sources"}
    assert {system.state(source) for source in scored} == {"joined"}
    (request,) = system.published("ScoringRequested")
    assert runs.state("m", request["run_id"], lake=system.lake).state == "waiting_for_champion"


def test_a_file_to_be_scored_may_come_alone() -> None:
    """What the other sources would add is in the file, or looked up by the job."""
    system = new_system()
    source = system.drop("m/score/some.csv", b"k\n1\n")
    system.drain()
    assert system.state(source) == "waiting_for_champion"
    (item,) = system.request(system.claim(source)["run_id"]).inputs
    assert item.role == ""


# --- crashes -------------------------------------------------------------------------------------


@both
def test_a_batch_survives_any_crash(after: bool) -> None:
    """Whatever call of arriving, closing and requesting the processes die in, one run comes."""

    def tell(story: Story) -> None:
        system = story.system
        system.drop("_specs/m.yaml", BATCHES)
        system.drain()
        story.arm()
        sources = drop(system, *SOURCES)
        story.drain()
        story.drain()
        story.check(*sources)
        run_id = check_one_run(system, sources)
        system.train()
        story.drain()
        assert system.champion() == run_id

    assert crash_everywhere(tell, after=after) > 40


@both
def test_giving_up_on_a_source_survives_any_crash_and_a_late_file(after: bool) -> None:
    """Sweep dies at any call of giving a batch up, then the missing file comes: either all are
    refused and that is said, or the batch is complete; never both."""

    def tell(story: Story) -> None:
        system = story.system
        system.drop("_specs/m.yaml", BATCHES)
        sources = drop(system, "customers", "visits")
        system.drain()
        system.clock.advance(25 * HOUR)
        story.arm()
        story.tick()
        late = drop(system, "orders")
        story.drain()
        story.tick()
        story.check(*sources, *late)
        states = [system.state(source) for source in (*sources, *late)]
        closed = documents.require(system.lake, Batch("m", "train", "2026-11").closed_name)
        assert closed["decision"] == "refused"
        assert states == ["rejected"] * 3
        reasons = {item["reason"] for item in system.published("DataRejected")}
        assert reasons == {"SourceMissing", "BatchClosed"}
        assert list(system.lake.list("batches-open/")) == []

    assert crash_everywhere(tell, after=after) > 8


@both
def test_going_on_without_a_source_survives_any_crash(after: bool) -> None:
    """One run without the source that may be missing, said once."""

    def tell(story: Story) -> None:
        system = story.system
        system.drop("_specs/m.yaml", BATCHES)
        sources = drop(system, "customers", "orders")
        system.drain()
        system.clock.advance(13 * HOUR)
        story.arm()
        story.tick()
        story.drain()
        story.check(*sources)
        (run_id,) = requested(system)
        assert list(roles_of(system, run_id)) == ["customers", "orders"]
        assert {system.state(source) for source in sources} == {"joined"}
        (said,) = {item["sentence"] for item in system.published("AutomationNoted")[1:]}
        assert "went on without visits after 13 h" in said

    assert crash_everywhere(tell, after=after) > 10


@pytest.mark.parametrize("within", ["sweep", "intake"])
def test_a_file_that_comes_while_sweep_goes_on_without_it(within: str) -> None:
    """The last source and sweep meet at every call of either: one run, with the file or without
    it, and the file says which."""
    at, ends = 0, set()
    while (end := _meet_sweep(at, within)) is not None:
        ends.add(end)
        at += 1
    assert at > 15
    assert ends == {"joined", "rejected"}


def _meet_sweep(at: int, within: str) -> str | None:
    """How the last file ended; None when there were fewer than `at` calls."""
    system = new_system()
    sources = drop(system, "customers", "orders")
    system.drain()
    system.clock.advance(13 * HOUR)
    (last,) = drop(system, "visits")
    (body,) = bodies_of(system, [last])
    system.publisher.publish("ticks", b'{"type":"SweepDue"}', {"type": "SweepDue"})

    def sweep() -> None:
        system.drain(only=("sweep",))

    def intake() -> None:
        assert system.post("intake", body)[1] == 204

    outer, inner = (sweep, intake) if within == "sweep" else (intake, sweep)
    meeting = Meeting(at, inner)
    system.doors[within].wiring.__dict__["lake"] = meeting.wrap(system.lake)
    outer()
    intake()
    system.drain(advance=True)
    (run_id,) = requested(system)
    end = system.state(last)
    assert ("visits" in roles_of(system, run_id)) == (end == "joined")
    assert {system.state(source) for source in sources} == {"joined"}
    assert list(system.lake.list("batches-open/")) == []
    check_promises(system, *sources, last)
    return end if meeting.happened else None


@pytest.mark.parametrize("seed", range(6))
def test_batches_in_disorder(seed: int) -> None:
    """Every message late, twice and in any order, with newer files, missing ones and sweeps in
    between: every file ends, every batch is one run at most."""
    system = System(functions=EVERY_FUNCTION)
    plan = FaultPlan(duplicate=0.5, delay=0.5, delay_seconds=300.0, reorder=True, seed=seed)
    faults = Faults(plan)
    sources = []
    for batch, given in (("a", SOURCES), ("b", SOURCES[:2]), ("c", SOURCES[1:]), ("d", SOURCES)):
        for source in given:
            data = FILES[source] + batch.encode() * 2 + b",1\n"
            sources.append(system.drop(name_of(source, batch), data))
    sources.append(system.drop(name_of("orders", "d"), b"k,price\n9,9\n"))
    sources.append(system.drop("_specs/m.yaml", BATCHES))
    for _ in range(30):
        system.publisher.publish("ticks", b'{"type":"SweepDue"}', {"type": "SweepDue"})
        system.drain(advance=True, faults=faults)
        system.train()
        system.clock.advance(HOUR)
    system.drain(advance=True)
    system.tick()
    check_promises(system, *sources)
    states = [system.state(source) for source in sources]
    assert states[:5] == ["joined"] * 5
    assert states[5:7] == ["rejected"] * 2
    assert set(states[7:11]) <= {"joined", "superseded", "rejected"}
    assert len(requested(system)) == 3
    assert list(system.lake.list("batches-open/")) == []
