"""People and policy decide about versions, with crashes and races between: one ending each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared import approvals, documents, paths, runs
from shared.events import RunRejected
from tests.support.crashing import Crash, Story, crash_everywhere
from tests.support.promises import check_promises
from tests.support.system import CSV, SPEC, System, store_version
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

both = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


# --- crashes -------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("action", ["approve", "decline"])
def test_asking_and_answering_survive_any_crash(action: str, after: bool) -> None:
    """From the outcome of a training to a person's answer: one question, one answer carried out."""

    def tell(story: Story) -> None:
        system = story.system
        version = drop_training(system, ASKING)
        story.arm()
        story.drain()
        assert state_of(system, version) == "awaiting_approval"
        reply, status = story.decide(model="m", version=version, action=action, reason="so")
        assert status == 200, reply
        story.drain()
        story.check()
        good = action == "approve"
        assert state_of(system, version) == ("promoted" if good else "not_promoted")
        assert system.champion() == (version if good else None)
        kind = "ModelPromoted" if good else "ModelNotPromoted"
        assert len({item["id"] for item in system.published(kind)}) == 1
        assert len({item["id"] for item in system.published("ApprovalRequested")}) == 1

    assert crash_everywhere(tell, after=after) > 3


@both
def test_an_answer_is_carried_out_though_nobody_asks_again(after: bool) -> None:
    """The person's request died after the answer was recorded: sweep does the rest, all of it."""

    def tell(story: Story) -> None:
        system = story.system
        version = trained(system, ASKING)
        approval = approvals.find("m", version, lake=system.lake)
        assert approval is not None
        approvals.decide(
            approval, "approve", by="ada", reason="so", lake=system.lake, clock=system.clock
        )
        story.arm()
        story.tick()
        story.drain()
        story.check()
        assert system.champion() == version
        assert state_of(system, version) == "promoted"
        assert len({item["id"] for item in system.published("ModelPromoted")}) == 1

    assert crash_everywhere(tell, after=after) > 3


@both
def test_a_promotion_by_hand_is_told_though_nobody_asks_again(after: bool) -> None:
    """The person's request died somewhere: the champion is as it was, or the version serves, is
    decided, and nobody is asked about it any more."""

    def tell(story: Story) -> None:
        system = story.system
        version = drop_training(system, ASKING)
        story.drain()
        story.arm()
        try:
            system.decide(model="m", version=version, action="promote", reason="I know")
        except Crash:
            story.fuse.armed = False
            system.fresh_doors()
        story.tick()
        story.drain()
        story.check()
        serves = system.champion() == version
        assert state_of(system, version) == ("promoted" if serves else "awaiting_approval")
        (question,) = approvals.every("m", lake=system.lake)
        assert question.pending == (not serves)
        assert len({item["id"] for item in system.published("ModelPromoted")}) == int(serves)

    assert crash_everywhere(tell, after=after) > 3


@both
def test_a_newer_version_ends_an_older_question_whatever_crashes(after: bool) -> None:
    """The older version is superseded once; only the newer one waits."""

    def tell(story: Story) -> None:
        system = story.system
        old = trained(system, ASKING)
        new = drop_training(system)
        story.arm()
        story.drain()
        story.check()
        assert [state_of(system, item) for item in (old, new)] == [
            "superseded",
            "awaiting_approval",
        ]
        pending = [item.version for item in approvals.every("m", lake=system.lake) if item.pending]
        assert pending == [new]

    assert crash_everywhere(tell, after=after) > 3


@both
def test_an_expiry_survives_any_crash(after: bool) -> None:
    """Nobody answered: one expiry, said once."""

    def tell(story: Story) -> None:
        system = story.system
        version = trained(system, ASKING)
        system.clock.advance(15 * DAY)
        story.arm()
        story.tick()
        story.drain()
        story.check()
        assert state_of(system, version) == "expired"
        notes = {item["id"] for item in system.published("AutomationNoted")}
        assert len([note for note in notes if "approval" in note]) == 1

    assert crash_everywhere(tell, after=after) > 3


@both
@pytest.mark.parametrize("named", [True, False])
def test_a_rollback_survives_any_crash(named: bool, after: bool) -> None:
    """A rollback whose request died is asked again: the version that was left stays left, and
    everybody hears of it."""

    def tell(story: Story) -> None:
        system = story.system
        first = trained(system, SPEC)
        second = trained(system)
        assert system.champion() == second
        story.arm()
        words = {"version": second} if named else {}
        story.decide(model="m", action="rollback", reason="complaints", **words)
        story.drain()
        story.check()
        assert system.champion() == first
        manifest = documents.require(system.lake, paths.manifest("m"))
        assert (manifest["revision"], manifest["pinned"]) == (3, True)
        if named:
            assert f"ModelPromoted:m:{first}:3" in {
                item["id"] for item in system.published("ModelPromoted")
            }

    assert crash_everywhere(tell, after=after) > 3


@both
def test_comparing_again_survives_any_crash(after: bool) -> None:
    """The champion moved while a version trained: it is compared once more with the new one, and
    promoted on that comparison only."""

    def tell(story: Story) -> None:
        system = story.system
        first = trained(system, SPEC)
        version = drop_training(system, against="somebody else")
        story.arm()
        story.drain()
        assert system.champion() == first
        compare(system, version)
        story.drain()
        story.check()
        assert system.champion() == version
        assert state_of(system, version) == "promoted"
        compared = {item["run_id"] for item in system.published("ComparisonRequested")}
        assert [state_of(system, run_id) for run_id in compared] == ["compared"]

    assert crash_everywhere(tell, after=after) > 3


def test_sweep_compares_an_approved_version_with_a_champion_that_moved() -> None:
    """The answer was recorded, the champion moved, and the person's request died: sweep asks for
    the comparison, with the rights it has."""
    system = everything()
    version = trained(system, ASKING)
    approval = approvals.find("m", version, lake=system.lake)
    assert approval is not None
    approvals.decide(
        approval, "approve", by="ada", reason="so", lake=system.lake, clock=system.clock
    )
    older = "20250101T000000-00000000"
    store_version(system.lake, "m", older, against=None)
    system.decide(model="m", version=older, action="promote")
    system.tick()
    assert len(system.published("ComparisonRequested")) == 1
    compare(system, version)
    system.drain()
    assert system.champion() == version
    check_promises(system)


# --- comparisons that fail -----------------------------------------------------------------------


def _fail(system: System) -> None:
    for _ in range(3):
        for execution in system.running():
            system.cloud.jobs.end(execution.name, "failed")
        system.tick()


def _reject(system: System) -> None:
    def end(task: Any) -> None:
        event = RunRejected(model="m", run_id=task.run_id, reason="Odd", message="cannot compare")
        runs.finish(event, lake=system.lake, publisher=system.publisher, clock=system.clock)

    system.work(end)
    system.drain()


@pytest.mark.parametrize("trouble", [_fail, _reject])
def test_a_comparison_that_fails_leaves_its_version_to_a_person(
    trouble: Callable[[System], None],
) -> None:
    """The version does not wait for ever: the question says why, and an approval promotes it."""
    system = everything()
    first = trained(system, SPEC)
    version = trained(system, against="somebody else")
    trouble(system)
    system.drain(advance=True)
    check_promises(system)
    assert system.champion() == first
    assert state_of(system, version) == "awaiting_approval"
    (asked,) = system.published("ApprovalRequested")
    assert "could not be compared" in asked["sentence"]
    reply, status = system.decide(model="m", version=version, action="approve")
    assert status == 200, reply
    assert system.champion() == version


def test_a_failed_training_asks_nobody_to_promote_it() -> None:
    """Only comparisons leave a version behind."""
    system = everything()
    system.drop("_specs/m.yaml", SPEC)
    system.drop("m/train/a.csv", CSV)
    system.drain()
    _fail(system)
    system.drain(advance=True)
    check_promises(system)
    assert system.published("ApprovalRequested") == []


def test_an_approval_against_a_former_champion_is_compared_and_asked_once_more() -> None:
    """The champion moved between question and answer: the approved version is compared with the
    new one, and every version of this model asks, so the person is asked again; sweeping in between
    asks for no second comparison."""
    system = everything()
    first = trained(system, ASKING)
    system.decide(model="m", version=first, action="approve")
    hurried = trained(system, evidence="insufficient_evidence")
    system.clock.advance(60)
    system.drop("_specs/m.yaml", ALWAYS)
    older = "20250101T000000-00000000"
    store_version(system.lake, "m", older, against=None)
    system.decide(model="m", version=older, action="promote")
    reply, _ = system.decide(model="m", version=hurried, action="approve")
    assert "compared again" in reply["sentence"]
    for _ in range(3):
        system.tick()
    assert len(system.published("ComparisonRequested")) == 1
    compare(system, hurried)
    system.drain()
    assert system.champion() == older
    assert state_of(system, hurried) == "awaiting_approval"
    system.decide(model="m", version=hurried, action="approve")
    system.drain()
    assert system.champion() == hurried
    check_promises(system)
