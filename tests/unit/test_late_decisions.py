"""Decisions that arrive after the world went on: nothing is undone, asked twice or lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared import approvals, documents
from shared.events import PromotionRequested, publish
from shared.manifests import read_manifest
from shared.usecases import promote
from tests.support.promises import check_promises
from tests.support.system import System, store_version
from tests.support.working import ALWAYS, ASKING, DAY, compare, everything, state_of, trained

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
