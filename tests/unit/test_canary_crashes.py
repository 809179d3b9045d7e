"""Canaries whose processes die at any step, and of which two things happen at once: one story, one
decision, everybody told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared import documents, paths
from shared.beside import canaries
from shared.errors import AliasMoved
from shared.manifests import read_manifest
from shared.usecases.beside import canary_look
from shared.usecases.beside.canary_log import LogReader
from tests.support.canarying import (
    ASK,
    BACK,
    answer,
    begin,
    in_canary,
    manifest_of,
    present,
    record,
    running,
    said,
    traffic,
    train,
)
from tests.support.crashing import Story, crash_everywhere
from tests.support.promises import check_promises
from tests.support.system import System
from tests.support.working import DAY, everything

both = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


def settled(system: System, version: str, action: str) -> None:
    """One decision, which the record and the trail agree with."""
    body = documents.require(system.lake, paths.version("m", version, "decision.json"))
    assert body["action"] == action, body["sentence"]
    ended = record(system).ended
    assert ended is not None
    manifest = manifest_of(system)
    moves = [move.version for move in manifest.moves]
    assert moves.count(version) == (action == "promoted")
    assert {item["id"] for item in system.published("ModelPromoted")} == {
        f"ModelPromoted:m:{move.version}:{move.revision}" for move in manifest.moves
    }
    revisions = sorted(move.revision for move in manifest.journal)
    assert revisions == list(range(1, len(revisions) + 1))


@both
def test_a_canary_that_passes_survives_any_crash(after: bool) -> None:
    """From the challenger's training to the champion's place, through both steps."""

    def tell(story: Story) -> None:
        system = story.system
        champion = train(system, BACK)
        traffic(system)
        version = train(system, then=story.arm)
        story.drain()
        for _ in range(2):
            answer(system)
            story.tick()
            if running(system) is not None:
                answer(system)  # of the step that it is at, wherever it died
        while running(system) is not None:
            answer(system)
            story.tick()
        story.drain()
        story.check()
        assert (champion, version) == tuple(move.version for move in manifest_of(system).moves)
        settled(system, version, "promoted")
        assert said(system) == ["started", "step-2"]

    assert crash_everywhere(tell, after=after) > 20


@both
def test_a_canary_that_goes_back_survives_any_crash(after: bool) -> None:
    """The champion stays, and the version is never tried a second time."""

    def tell(story: Story) -> None:
        system = story.system
        champion = begin(system)
        version = present(system).version
        answer(system, rows=40, differ=30)
        story.arm()
        story.tick()
        story.drain()
        story.tick()
        story.check()
        assert running(system) is None
        assert system.champion() == champion
        settled(system, version, "not_promoted")
        assert said(system) == ["started"]
        assert len({item["id"] for item in system.published("ModelNotPromoted")}) == 1

    assert crash_everywhere(tell, after=after) > 5


@pytest.mark.parametrize(("action", "after"), [("approve", True), ("decline", False)])
def test_a_question_after_its_time_survives_any_crash(after: bool, action: str) -> None:
    """Asked once, answered once, done once."""

    def tell(story: Story) -> None:
        system = story.system
        begin(system, ASK)
        version = present(system).version
        system.clock.advance(2 * DAY)
        story.arm()
        story.tick()
        story.drain()
        reply, status = story.decide(model="m", version=version, action=action, reason="so")
        assert status == 200, reply
        story.drain()
        story.tick()
        story.check()
        assert running(system) is None
        ends = {"approve": "promoted", "decline": "not_promoted"}
        settled(system, version, ends[action])
        assert len({item["id"] for item in system.published("ApprovalRequested")}) == 1

    assert crash_everywhere(tell, after=after) > 8


def test_a_newer_winner_survives_any_crash() -> None:
    """The former one is superseded once, and the newer one begins once."""

    def tell(story: Story) -> None:
        system = story.system
        begin(system)
        before = present(system).version
        version = train(system, then=story.arm)
        story.drain()
        story.tick()
        story.check()
        assert present(system).version == version
        body = documents.require(system.lake, paths.version("m", before, "decision.json"))
        assert body["action"] == "superseded"
        assert said(system) == ["started", "ended", "started"]

    assert crash_everywhere(tell, after=True) > 15


@pytest.mark.parametrize(("action", "after"), [("rollback", True), ("canary-stop", False)])
def test_a_persons_word_survives_any_crash(action: str, after: bool) -> None:
    """The person asks again, or sweep does the rest."""

    def tell(story: Story) -> None:
        system = story.system
        oldest = train(system, BACK)
        traffic(system)
        system.decide(model="m", action="promote", version=(champion := train(system)))
        traffic(system)
        version = train(system)
        canary = present(system)
        story.arm()
        chosen = canary.id if action == "canary-stop" else champion
        reply, status = story.decide(model="m", action=action, version=chosen, reason="so")
        assert status == 200, reply
        story.drain()
        story.tick()
        story.check()
        assert running(system) is None
        assert system.champion() == (champion if action == "canary-stop" else oldest)
        settled_as = "not_promoted" if action == "canary-stop" else "superseded"
        body = documents.require(system.lake, paths.version("m", version, "decision.json"))
        assert (body["action"], body["by"]) == (settled_as, "ada")

    assert crash_everywhere(tell, after=after) > 5


# --- twice at once -------------------------------------------------------------------------------


def between(name: str, meanwhile: Callable[[], object]) -> pytest.MonkeyPatch:
    """Something happens right before a look's first call of this function."""
    real, done = getattr(canary_look, name), list[bool]()

    def delayed(*args: Any, **kwargs: Any) -> Any:
        if not done:
            done.append(True)
            meanwhile()
        return real(*args, **kwargs)

    patch = pytest.MonkeyPatch()
    patch.setattr(canary_look, name, delayed)
    return patch


def look(system: System) -> int:
    log = LogReader(system.lake, system.clock.now())
    ports = system.doors["promote"].ports()
    manifest = read_manifest("m", lake=system.lake)
    assert manifest is not None
    return canary_look.look_after(manifest, ports, log, canaries.recorded(lake=system.lake))


def test_a_look_with_a_manifest_of_before_counts_nothing() -> None:
    """Another sweep took the step and looked at the next one meanwhile."""
    system = in_canary()
    answer(system)

    def others() -> None:
        system.tick()
        answer(system, rows=7)
        system.tick()

    patch = between("close_open", others)
    try:
        assert look(system) == 0
    finally:
        patch.undo()
    assert (record(system).step, record(system).tally.dealt) == (1, 7)


@pytest.mark.parametrize("at", ["judge", "set_beside"])
def test_two_looks_at_once_take_one_step(at: str) -> None:
    """Whichever saves or swaps first; the other finds that it came too late."""
    system = in_canary()
    answer(system)
    patch = between(at, lambda: look(system))
    try:
        if at == "judge":
            assert look(system) == 0
        else:
            look_twice(system)
    finally:
        patch.undo()
    assert present(system).step == 1
    system.tick()
    assert said(system) == ["started", "step-2"]
    assert record(system).told == 2
    check_promises(system)


def look_twice(system: System) -> None:
    with pytest.raises(AliasMoved):
        look(system)


@pytest.mark.parametrize("verdict", ["passes", "goes back"])
@pytest.mark.parametrize("action", ["rollback", "promote", "canary-stop", "pin"])
def test_a_person_who_is_quicker_than_a_look_comes_first(verdict: str, action: str) -> None:
    """The look had judged already; the manifest that it read is another one now."""
    system = everything()
    oldest = train(system, BACK)
    system.decide(model="m", action="promote", version=(champion := train(system)))
    traffic(system)
    version = train(system)
    answer(system)
    system.tick()
    assert present(system).step == 1
    answer(system, rows=40, differ=30 if verdict == "goes back" else 0)
    chosen = {"promote": version, "canary-stop": present(system).id}.get(action, "")

    def person() -> None:
        reply, status = system.decide(model="m", action=action, version=chosen, reason="so")
        assert status == 200, reply

    patch = between("complete" if verdict == "passes" else "take_out", person)
    try:
        with pytest.raises(AliasMoved):
            look(system)
    finally:
        patch.undo()
    system.tick()
    system.drain(advance=True)
    body = documents.read(system.lake, paths.version("m", version, "decision.json")).body
    if action == "pin" and verdict == "passes":
        assert (body, present(system).step) == ({}, 1)
        return
    assert running(system) is None
    ends = {
        "promote": ("promoted", "ada", version),
        "rollback": ("superseded", "ada", oldest),
        "canary-stop": ("not_promoted", "ada", champion),
        "pin": ("not_promoted", "policy", champion),
    }
    assert (body["action"], body["by"], system.champion()) == ends[action]
    check_promises(system)
