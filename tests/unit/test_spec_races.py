"""Drops of one spec that meet each other, or a person's answer, in the middle of anything: the
newest one counts, and no upload says of itself what never was."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from shared import runs
from shared.spec.registry import read_registered, read_spec
from tests.support.batching import Meeting, bodies_of
from tests.support.crashing import Crash, Fuse
from tests.support.promises import check_promises
from tests.support.system import EVERY_FUNCTION, SPEC, System
from tests.unit.test_spec_changes import (
    BIGGER,
    CLOUD,
    NAME,
    WEAKER,
    WEAKEST,
    in_force,
    notes,
    pending,
    production,
    waiting,
)


def _state(system: System, source: str) -> tuple[str, int]:
    """Where the run of an upload stands, and the generation that it names."""
    found = runs.state("m", system.claim(source)["run_id"], lake=system.lake)
    return found.state, int(found.facts.get("generation", 0))


def _within(
    system: System, at: int, outer: Callable[[], object], inner: Callable[[], object]
) -> bool:
    """Do `inner` before call `at` that `outer` makes to the lake; whether there were so many."""
    meeting = Meeting(at, inner)
    system.doors["intake"].wiring.__dict__["lake"] = meeting.wrap(system.lake)
    outer()
    system.fresh_doors()
    return meeting.happened


def _calm(system: System, *bodies: bytes) -> None:
    """Everything is delivered again, until nothing is left to do."""
    for body in bodies * 2:
        system.clock.advance(100)  # claims of those who were told to come again
        assert system.post("intake", body)[1] == 204
    system.drain(advance=True)
    system.tick()
    system.drain(advance=True)


@pytest.mark.parametrize("newer", [WEAKEST, BIGGER, SPEC], ids=["asks", "free", "same"])
@pytest.mark.parametrize("older", [WEAKER, SPEC + "size: m\n"], ids=["asks", "free"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["old meets new", "new meets old"])
def test_two_drops_at_once_leave_the_newest(older: str, newer: str, order: tuple[int, int]) -> None:
    """While one drop is taken in the other one comes and goes, at every call of the first: the
    newest is in force or asked about, it alone, and the older one says what became of it."""
    at = 0
    while _meet(at, older, newer, order):
        at += 1
    assert at > 10


def _meet(at: int, older: str, newer: str, order: tuple[int, int]) -> bool:
    system = production()
    system.drop(NAME, SPEC)
    system.drain()
    system.clock.advance(60)
    old, new = system.drop(NAME, older), system.drop(NAME, newer)
    bodies = bodies_of(system, [old, new])
    first, second = (bodies[place] for place in order)
    met = _within(
        system,
        at,
        lambda: system.post("intake", first),
        lambda: system.post("intake", second),
    )
    _calm(system, first, second)
    check_promises(system, old, new)
    spec = read_spec("m", lake=system.lake)
    if newer == WEAKEST:
        assert _state(system, new)[0] == "awaiting_approval"
        assert len(pending(system)) == 1
    else:
        assert spec.spec.size == ("l" if newer == BIGGER else "s")
        assert (_state(system, new), pending(system)) == (("spec_registered", in_force(system)), [])
    state, generation = _state(system, old)
    if state != "superseded":
        assert (state, older == WEAKER) == ("spec_registered", False)
        assert read_registered("m", generation, lake=system.lake).source == old
    return met


def test_a_change_that_was_overtaken_by_a_crash_is_announced() -> None:
    """A generation came into force, its process died, a newer one followed: people hear of both
    changes, and the first upload says that it was in force."""
    fuse = Fuse(10_000, after=True, armed=False)
    system = System(fuse.wrap, EVERY_FUNCTION, CLOUD)
    system.drop(NAME, SPEC)
    system.drain()
    system.clock.advance(60)
    old = system.drop(NAME, SPEC + "size: m\n")
    fuse.calls, fuse.armed = 0, True
    with pytest.MonkeyPatch.context() as patch:
        # The process is gone right before the first thing it says.
        patch.setattr(system.cloud.publisher, "publish", _dies)
        with pytest.raises(Crash):
            system.drain(only=("intake",))
    assert in_force(system) == 2
    new = system.drop(NAME, BIGGER)
    system.drain(advance=True)
    check_promises(system, old, new)
    assert _state(system, old) == ("spec_registered", 2)
    assert any("size: s -> m" in note for note in notes(system))
    assert any("size: m -> l" in note for note in notes(system))


def _dies(*_: object) -> str:
    raise Crash("gone")


@pytest.mark.parametrize("dies", [False, True], ids=["lives", "dies"])
def test_an_answer_that_meets_a_newer_drop_is_told_as_it_was(dies: bool) -> None:
    """A person approves one change while the next is taken in, at every call of that, and maybe
    its process dies then: nobody is asked twice about the same generation, and no sentence says of
    the one in force that it is not."""
    at = 0
    while _answer(at, dies=dies):
        at += 1
    assert at > 10


def _answer(at: int, *, dies: bool) -> bool:
    system = production()
    old = waiting(system)
    system.clock.advance(60)
    new = system.drop(NAME, WEAKEST)
    (body,) = bodies_of(system, [new])

    def answer() -> None:
        system.decide(model="m", version="spec-2", action="approve")
        if dies:
            raise Crash("gone")

    def take_in() -> None:
        with contextlib.suppress(Crash):
            system.post("intake", body)

    met = _within(system, at, take_in, answer)
    _calm(system, body)
    check_promises(system, old, new)
    for version in pending(system):
        assert system.decide(model="m", version=version, action="approve")[1] == 200
    _calm(system, body)
    check_promises(system, old, new)
    assert pending(system) == []
    present = in_force(system)
    told = [note for note in notes(system) if f"generation {present}, which it was" in note]
    assert told == []
    questions = [item["id"] for item in system.published("ApprovalRequested")]
    versions = {item["version"] for item in system.published("ApprovalRequested")}
    assert len(set(questions)) == len(versions)
    return met


def test_an_older_drop_under_the_other_ending_stays_older() -> None:
    """`m.yml`, then `m.yaml`, whose events come the other way round: the newer one stays in
    force."""
    system = System(functions=EVERY_FUNCTION)
    older = system.drop("_specs/m.yml", SPEC + "size: m\n")
    newer = system.drop(NAME, SPEC)
    for body in bodies_of(system, [newer, older]):
        assert system.post("intake", body)[1] == 204
    system.drain(advance=True)
    assert read_spec("m", lake=system.lake).source == newer
    assert read_spec("m", lake=system.lake).spec.size == "s"
    assert _state(system, older)[0] == "superseded"
    check_promises(system, older, newer)
