"""Shadows: begun by hand or while a version waits for a person, ended with its decision."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.canarying import BACK, manifest_of, present, running, traffic, train
from tests.support.crashing import Story, crash_everywhere
from tests.support.experimenting import CHALLENGER, start, store_package
from tests.support.promises import check_promises
from tests.support.system import SPEC, System, store_version
from tests.support.working import DAY, everything

SHADOW = SPEC + "serving: {shadow: {share: 0.2}}\n"
BOTH = BACK.replace("serving: {", "serving: {shadow: {share: 0.2}, ")
ASKED: dict[str, Any] = {"evidence": "insufficient_evidence"}


def waiting(spec: str = SHADOW) -> tuple[System, str]:
    """A system with a version that waits for a person."""
    system = everything()
    train(system, spec)
    traffic(system)
    return system, train(system, **ASKED)


def ask(system: System, action: str, version: str, **facts: Any) -> tuple[str, int]:
    reply, status = system.decide(
        model="m", action=action, version=version, reason="so", facts=facts
    )
    return str(reply["sentence"]), status


def test_a_version_that_waits_is_tried_unseen() -> None:
    """The champion answers everything; who decides may look at what it would have said."""
    system, version = waiting()
    shadow = present(system)
    assert (shadow.kind, shadow.version, shadow.share) == ("shadow", version, 0.2)
    assert (shadow.by, shadow.answers) == ("policy", False)
    system.tick()
    assert present(system) == shadow
    check_promises(system)


def test_a_first_version_has_nobody_to_be_shadow_of() -> None:
    """It is asked about as ever."""
    system = everything()
    train(system, SHADOW.replace("approval: auto", "approval: always"))
    assert system.champion() is None


@pytest.mark.parametrize("action", ["approve", "decline", "nobody", "newer"])
def test_a_shadow_ends_with_the_decision(action: str) -> None:
    """Whatever it is; a newer version that waits has its own."""
    system, version = waiting()
    if action == "nobody":
        system.clock.advance(15 * DAY)
        system.tick()
    elif action == "newer":
        newer = train(system, **ASKED)
        assert present(system).version == newer
        return
    else:
        assert ask(system, action, version)[1] == 200
    assert running(system) is None
    assert (system.champion() == version) is (action == "approve")
    system.drain(advance=True)
    check_promises(system)


def test_an_approved_version_goes_from_shadow_to_canary() -> None:
    """One after the other in the same place."""
    system, version = waiting(BOTH)
    ask(system, "approve", version)
    assert (present(system).kind, present(system).version) == ("canary", version)
    moves = [move.action for move in manifest_of(system).policies]
    assert moves == ["shadow-start", "shadow-stop", "canary-start"]


def test_one_second_version_at_a_time() -> None:
    """A start is refused while another runs, and a repeat of it is the same; a version that comes
    to wait meanwhile does so without one."""
    system, _ = waiting(SPEC)
    store_version(system.lake, "m", CHALLENGER, against=system.champion())
    store_package(system, CHALLENGER)
    assert ask(system, "shadow-start", CHALLENGER, share=0.5)[1] == 200
    first = present(system)
    assert ask(system, "shadow-start", CHALLENGER, share=0.5)[1] == 200
    assert present(system) == first
    sentence, status = ask(system, "shadow-start", CHALLENGER, share=0.1)
    assert status == 409
    assert "one at a time" in sentence
    assert start(system)[1] == 409
    train(system, SHADOW, **ASKED)
    assert present(system) == first
    assert ask(system, "shadow-stop", first.id)[1] == 200
    assert ask(system, "shadow-stop", first.id)[1] == 200
    assert running(system) is None
    assert ask(system, "shadow-stop", "nope")[1] == 409


def test_a_canary_is_no_shadow() -> None:
    """Nobody is told that it is over while it answers."""
    system, version = waiting(BOTH)
    ask(system, "approve", version)
    assert ask(system, "shadow-stop", present(system).id)[1] == 409
    assert present(system).kind == "canary"


@pytest.mark.parametrize("share", [0, 1.5, "much", True, None])
def test_a_share_that_is_none_is_refused(share: object) -> None:
    """Before anything is written."""
    system, version = waiting(SPEC)
    sentence, status = ask(system, "shadow-start", version, share=share)
    assert status == 409
    assert "share is" in sentence
    assert running(system) is None


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_waiting_and_its_end_survive_any_crash(after: bool) -> None:
    """One shadow, ended with the one decision."""

    def tell(story: Story) -> None:
        system = story.system
        train(system, SHADOW)
        version = train(system, then=story.arm, **ASKED)
        story.drain()
        assert present(system).version == version
        reply, status = story.decide(model="m", version=version, action="decline", reason="so")
        assert status == 200, reply
        story.drain()
        story.tick()
        story.check()
        assert running(system) is None
        moves = [move.action for move in manifest_of(system).policies]
        assert moves == ["shadow-start", "shadow-stop"]

    assert crash_everywhere(tell, after=after) > 8
