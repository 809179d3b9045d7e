"""Decisions repeated, late, or in the same moment: a version ends once, and the one that was left
does not come back."""

from __future__ import annotations

from typing import Any

import pytest

from shared import approvals, documents, paths
from shared.events import TrainingCompleted
from shared.usecases.promote import carry_out
from shared.usecases.promoting import Promote
from tests.support.promises import check_promises
from tests.support.system import CSV, SPEC, store_version
from tests.support.working import ASKING, DAY, everything, post_sweep, repeat, state_of, trained


@pytest.mark.parametrize("ending", ["expired", "superseded", "not_promoted", "promoted"])
def test_a_late_redelivery_does_not_end_a_version_twice(ending: str) -> None:
    """However a version ended, its outcome delivered once more changes nothing and nobody hears
    of it again."""
    system = everything()
    version = trained(system, ASKING)
    if ending == "expired":
        system.clock.advance(15 * DAY)
        system.tick()
    elif ending == "superseded":
        trained(system)
    else:
        action = "approve" if ending == "promoted" else "decline"
        system.decide(model="m", version=version, action=action)
    system.drain(advance=True)
    assert state_of(system, version) == ending
    posted = len(system.cloud.messenger.posted)
    repeat(system, version)
    check_promises(system)
    assert state_of(system, version) == ending
    assert len(system.cloud.messenger.posted) == posted


def test_an_approval_in_the_same_moment_as_a_newer_version_wins() -> None:
    """A person approves while a newer version supersedes the question: whoever is first is
    carried out, and nothing else."""
    system = everything()
    old = trained(system, ASKING)
    every = approvals.every

    def answered_meanwhile(*args: Any, **kwargs: Any) -> Any:
        found = list(every(*args, **kwargs))
        if any(item.version == old and item.pending for item in found):
            reply, status = system.decide(model="m", version=old, action="approve")
            assert status == 200, reply
        return iter(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(approvals, "every", answered_meanwhile)  # a race that needs its moment
        trained(system)
    system.tick()
    system.drain(advance=True)
    check_promises(system)
    assert state_of(system, old) == "promoted"
    assert system.champion() == old


def test_promoting_by_hand_answers_the_question() -> None:
    """A version that waits for approval is promoted by hand: it is not asked about, compared with
    itself, or expired afterwards, and its outcome delivered again changes nothing."""
    system = everything()
    first = trained(system, ASKING)
    system.decide(model="m", version=first, action="approve")
    second = trained(system, evidence="insufficient_evidence")
    system.decide(model="m", version=second, action="promote", reason="I know")
    assert state_of(system, second) == "promoted"
    assert not any(item.pending for item in approvals.every("m", lake=system.lake))
    repeat(system, second)
    system.decide(model="m", version=second, action="approve")
    system.clock.advance(20 * DAY)
    system.tick()
    system.drain(advance=True)
    check_promises(system)
    assert state_of(system, second) == "promoted"
    assert system.published("ComparisonRequested") == []


def test_a_promotion_before_the_outcome_was_published_loses_no_outcome() -> None:
    """A job stored its version and died before it published; a person promotes the version by
    hand. The outcome is still published, and the lane is free."""
    system = everything()
    system.drop("_specs/m.yaml", SPEC)
    source = system.drop("m/train/a.csv", CSV)
    system.drain()
    version = str(system.claim(source)["run_id"])
    store_version(system.lake, "m", version, against=None)
    event = TrainingCompleted(model="m", run_id=version, version=version)
    name = paths.run_outcome("m", version)
    body = {"type": event.type, "model": "m", "run_id": version, "version": version}
    documents.create(system.lake, name, body)
    (execution,) = system.running()
    system.cloud.jobs.end(execution.name, "failed")
    system.decide(model="m", version=version, action="promote")
    system.drain(advance=True)
    system.tick()
    check_promises(system)
    assert len(system.published("TrainingCompleted")) == 1
    assert state_of(system, version) == "promoted"


def test_rolling_back_twice_goes_further_back_or_nowhere() -> None:
    """Once more from the first version there is nowhere to go; the version that was left does not
    come back. A rollback that names another version than the champion is refused."""
    system = everything()
    first, second, third = trained(system, SPEC), trained(system), trained(system)
    for expected in (second, first):
        reply, status = system.decide(model="m", action="rollback")
        assert (status, system.champion()) == (200, expected), reply
    reply, status = system.decide(model="m", action="rollback")
    assert (status, system.champion()) == (409, first)
    reply, status = system.decide(model="m", action="rollback", version=third)
    assert (status, system.champion()) == (409, first)
    assert third in reply["sentence"]


@pytest.mark.parametrize("action", ["rollback", "promote"])
def test_nobody_is_told_that_a_version_serves_which_cannot_be_loaded(action: str) -> None:
    """The package of the version to go to was deleted. The predictor would go on with the one that
    serves, so the person hears of it at once, and nothing moves."""
    system = everything()
    first, second = trained(system, SPEC), trained(system)
    system.lake.delete(paths.package("m", first, "package.json"))
    version = second if action == "rollback" else first
    reply, status = system.decide(model="m", action=action, version=version)
    assert (status, system.champion()) == (409, second)
    assert "package.json" in reply["sentence"]
    assert first in reply["sentence"]


def test_a_question_asked_anew_while_it_is_answered_is_said() -> None:
    """The answer to a question that changed meanwhile is not taken; the person is told."""
    system = everything()
    version = trained(system, ASKING)
    decide = approvals.decide

    def changed_meanwhile(approval: approvals.Approval, *args: Any, **kwargs: Any) -> Any:
        found = documents.read(system.lake, paths.approval("m", version))
        body = {**found.body, "against": "another"}
        documents.swap(system.lake, paths.approval("m", version), body, generation=found.generation)
        return decide(approval, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(approvals, "decide", changed_meanwhile)  # a race that needs its moment
        reply, status = system.decide(model="m", version=version, action="approve")
    assert (status, reply["ok"]) == (503, False)
    assert system.champion() is None


def test_one_models_broken_approval_stops_no_other() -> None:
    """An object that nobody can read keeps sweep from one approval, not from the rest; the
    trouble is said by a nack."""
    system = everything()
    version = trained(system, ASKING)
    approval = approvals.find("m", version, lake=system.lake)
    assert approval is not None
    system.lake.write("approvals/a/broken.json", b"{}")
    system.lake.write("lanes/a.json", b"{}")
    system.lake.write("waiting/a/x.json", b"{}")
    system.clock.advance(15 * DAY)
    assert post_sweep(system, "sweep") == 503
    assert state_of(system, version) == "expired"
    ports = Promote(system.lake, system.publisher, system.clock, 90)
    found = approvals.find("m", version, lake=system.lake)
    assert found is not None
    assert carry_out(found, ports) == "expired"
