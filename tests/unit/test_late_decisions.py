"""Decisions that arrive after the world went on: nothing is undone, asked twice or lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared import approvals, documents
from shared.errors import AliasMoved
from shared.events import PromotionRequested, publish
from shared.manifests import read_manifest
from shared.usecases import moving, promote
from tests.support.experimenting import FACTS, store_package
from tests.support.promises import check_promises
from tests.support.system import CSV, EVERY_FUNCTION, SPEC, System, store_version
from tests.support.working import (
    ALWAYS,
    ASKING,
    DAY,
    compare,
    drop_training,
    everything,
    state_of,
    trained,
)

OLDER = "20250101T000000-00000000"


def between(system: System, module: Any, name: str, meanwhile: Callable[[], object]) -> Any:
    """Something happens right before a function's first call: a race that needs its moment."""
    real, done = getattr(module, name), list[bool]()

    def delayed(*args: Any, **kwargs: Any) -> Any:
        if not done:
            done.append(True)
            mine = system.doors["promote"]
            system.doors["promote"] = system._door("promote")
            meanwhile()
            system.doors["promote"] = mine
        return real(*args, **kwargs)

    patch = pytest.MonkeyPatch()
    patch.setattr(module, name, delayed)
    return patch


def pending(system: System) -> list[str]:
    return [item.version for item in approvals.every("m", lake=system.lake) if item.pending]


def test_a_rollback_is_not_undone_by_an_approval_of_before() -> None:
    """A version was approved while another champion served, so it is compared again. Then the
    champion is rolled back to the one that the question was about: automation is held, and sweep
    does not carry the old approval out over the rollback."""
    system = everything()
    first = trained(system, ASKING)
    system.decide(model="m", version=first, action="approve")
    asked = trained(system, evidence="insufficient_evidence")
    store_version(system.lake, "m", OLDER, against=None)
    system.decide(model="m", version=OLDER, action="promote")
    reply, _ = system.decide(model="m", version=asked, action="approve", reason="fine")
    assert "compared again" in reply["sentence"]
    reply, status = system.decide(model="m", action="rollback", version=OLDER)
    assert (status, system.champion()) == (200, first), reply
    system.tick()
    system.drain(advance=True)
    assert system.champion() == first
    compare(system, asked)
    system.drain(advance=True)
    while system.running():
        compare(system, asked)
        system.drain(advance=True)
    assert system.champion() == first
    assert pending(system) == [asked], "the person is asked with the facts of now"
    assert len({item["id"] for item in system.published("ApprovalRequested")}) == 3
    reply, status = system.decide(model="m", version=asked, action="approve", reason="still")
    assert (status, system.champion()) == (200, asked), reply
    system.drain(advance=True)
    check_promises(system)


def test_an_approval_after_a_rollback_counts() -> None:
    """The question was open all the time, and its champion serves again: who answers now is
    carried out at once."""
    system = everything()
    first = trained(system, ASKING)
    system.decide(model="m", version=first, action="approve")
    asked = trained(system, evidence="insufficient_evidence")
    store_version(system.lake, "m", OLDER, against=None)
    system.decide(model="m", version=OLDER, action="promote")
    system.decide(model="m", action="rollback", version=OLDER)
    assert pending(system) == [asked]
    reply, status = system.decide(model="m", version=asked, action="approve")
    assert (status, system.champion()) == (200, asked), reply
    system.drain(advance=True)
    check_promises(system)


def test_a_version_promoted_while_policy_thinks_is_not_asked_about() -> None:
    """Policy wants to ask; right before it does, a person promotes the version by hand. No
    question stays open, and sweep has nothing to expire."""
    system = everything()
    first = trained(system, ASKING)
    system.decide(model="m", version=first, action="approve")
    seen: list[str] = []

    def by_hand() -> None:
        version = max(system.run_ids())
        seen.append(version)
        reply, status = system.decide(model="m", version=version, action="promote", reason="I know")
        assert status == 200, reply

    patch = between(system, approvals, "ask", by_hand)
    try:
        second = trained(system, evidence="insufficient_evidence")
    finally:
        patch.undo()
    assert seen == [second]
    assert system.champion() == second
    assert pending(system) == []
    system.clock.advance(20 * DAY)
    system.tick()
    system.drain(advance=True)
    assert state_of(system, second) == "promoted"
    check_promises(system)


def test_a_zombie_that_judged_a_former_champion_takes_no_answer_back() -> None:
    """It read the manifest, slept, and asks about the former champion when a person has approved
    against the new one: that answer stays and is carried out."""
    system = everything()
    first = trained(system, ALWAYS)
    system.decide(model="m", version=first, action="approve")
    asked = trained(system)
    former = read_manifest("m", lake=system.lake)
    store_version(system.lake, "m", OLDER, against=None)
    system.decide(model="m", version=OLDER, action="promote")
    system.decide(model="m", version=asked, action="approve")  # compared again
    system.drain()
    compare(system, asked)
    system.drain()
    found = approvals.find("m", asked, lake=system.lake)
    assert found is not None
    assert (found.against, found.pending) == (OLDER, True)
    approvals.decide(
        found, "approve", by="ada", reason="so", lake=system.lake, clock=system.clock
    )  # and the request died
    ports = system.doors["promote"].ports()
    promote._ask("m", asked, former, "late", ports)
    system.tick()
    system.drain(advance=True)
    assert system.champion() == asked
    check_promises(system, posted_twice=1)  # made-up comparisons: both questions read alike


def test_a_request_of_an_alias_that_was_answered_says_nothing_anew() -> None:
    """The alias was moved, a person declined, and the request is delivered once more: nobody
    hears of a move that was decided."""
    system = everything()
    first = trained(system, ALWAYS)
    system.decide(model="m", action="approve", version=first)
    second = trained(system)
    event = PromotionRequested(
        model="m",
        version=second,
        instead_of=first,
        by="an alias moved in MLflow",
        where="MLflow",
        seen_at=documents.timestamp(system.clock.now()),
    )
    system.clock.advance(60)
    system.decide(model="m", action="decline", version=second, reason="no")
    system.drain(advance=True)
    before = len(system.cloud.messenger.posted)
    publish(event, publisher=system.publisher, clock=system.clock)
    system.drain(advance=True)
    assert len(system.cloud.messenger.posted) == before
    assert state_of(system, second) == "not_promoted"
    check_promises(system)


# --- somebody acts right before policy swaps the manifest ----------------------------------------


def _settle_all(system: System) -> None:
    """Comparisons that were asked for run, and everything is delivered."""
    system.drain(advance=True)
    while system.running():
        for execution in system.running():
            version = system.request(execution.env["RUN_ID"]).version
            assert version is not None
            compare(system, version)
        system.drain(advance=True)
    system.tick()
    system.drain(advance=True)


@pytest.mark.parametrize("action", ["rollback", "pin", "experiment-start", "promote"])
def test_policy_does_not_win_against_a_person_who_is_quicker(action: str) -> None:
    """A better version is about to be promoted when somebody rolls back, pins, starts an
    experiment or promotes another one: the swap is lost and judged anew. Where automation is held
    a person is asked; in no case is what the person did undone."""
    system = everything()
    first, second = trained(system, SPEC), trained(system)
    store_version(system.lake, "m", OLDER, against=None)
    for version in (second, OLDER):
        store_package(system, version)
    more: dict[str, dict[str, Any]] = {
        "rollback": {"version": second},
        "pin": {},
        "experiment-start": {"version": OLDER, "facts": FACTS},
        "promote": {"version": OLDER},
    }

    def person() -> None:
        reply, status = system.decide(model="m", action=action, reason="quicker", **more[action])
        assert status == 200, reply

    patch = between(system, moving, "move_champion", person)
    try:
        third = drop_training(system)
        system.drain(advance=True)
    finally:
        patch.undo()
    _settle_all(system)
    wanted = {"rollback": first, "promote": third}.get(action, second)
    assert system.champion() == wanted
    held = action != "promote"
    assert state_of(system, third) == ("awaiting_approval" if held else "promoted")
    reply, status = system.decide(model="m", action="approve", version=third)
    assert (status if held else 200, system.champion()) == (200, third), reply
    _settle_all(system)
    manifest = read_manifest("m", lake=system.lake)
    assert manifest is not None
    moves = [move.version for move in manifest.moves]
    assert moves.count(third) == 1
    check_promises(system, posted_twice=1)  # made-up comparisons: two questions may read alike


def test_of_two_challengers_at_once_the_second_is_compared_with_the_first() -> None:
    """Both are better than the champion of now, and both are decided at the same time: each ends
    once, and whoever comes second is held against the one that won."""
    system = everything()
    trained(system, SPEC)
    others = tuple(name for name in EVERY_FUNCTION if name != "promote")
    quicker, slower = (_trained_only(system, others) for _ in range(2))
    ports = system.doors["promote"].ports()

    def other() -> None:
        assert promote.decide_version("m", quicker, ports) == "promoted"

    patch = between(system, moving, "move_champion", other)
    try:
        with pytest.raises(AliasMoved):
            promote.decide_version("m", slower, ports)
    finally:
        patch.undo()
    assert system.champion() == quicker
    system.drain(advance=True)
    assert len({item["id"] for item in system.published("ComparisonRequested")}) == 1
    _settle_all(system)
    assert system.champion() == slower
    assert [state_of(system, version) for version in (quicker, slower)] == ["promoted"] * 2
    check_promises(system)


def _trained_only(system: System, functions: tuple[str, ...]) -> str:
    """A version that promote has not heard of."""
    system.clock.advance(60)
    source = system.drop("m/train/a.csv", CSV + b"%d,z,no\n" % len(system.run_ids()))
    system.drain(only=functions)
    system.train()
    system.drain(only=functions)
    return str(system.claim(source)["run_id"])
