"""Promotions by steps: begun, judged, passed, taken back and asked about."""

from __future__ import annotations

import pytest

from shared import approvals, documents, paths
from shared.manifests import KEPT_MOVES
from tests.support.canarying import (
    ASK,
    BACK,
    PROMOTE,
    answer,
    decision,
    in_canary,
    manifest_of,
    present,
    record,
    running,
    said,
    traffic,
    train,
)
from tests.support.experimenting import CHALLENGER, start, store_package
from tests.support.promises import check_promises
from tests.support.system import System, store_version
from tests.support.working import DAY, everything, repeat, state_of


@pytest.fixture
def system() -> System:
    return in_canary()


def actions(system: System) -> list[str]:
    manifest = manifest_of(system)
    moves = sorted(manifest.journal, key=lambda move: move.revision)
    return [move.action for move in moves]


# --- begin ---------------------------------------------------------------------------------------


def test_what_is_promoted_begins_with_the_first_step(system: System) -> None:
    """The champion stays; the manifest names both, the record has why, people hear of it, and
    nothing is decided yet."""
    canary = present(system)
    assert (canary.kind, canary.share, canary.steps, canary.step) == ("canary", 0.1, (0.1, 0.5), 0)
    assert canary.against == system.champion() != canary.version
    assert canary.by == "policy"
    assert record(system).canary == canary
    assert state_of(system, canary.version) == "in_canary"
    assert decision(system, canary.version) == {}
    assert said(system) == ["started"]
    check_promises(system)


def test_a_repeat_changes_nothing(system: System) -> None:
    """The training's outcome is delivered again: the same canary, told once."""
    before = present(system)
    repeat(system, before.version)
    assert present(system) == before
    assert said(system) == ["started"]


def test_a_models_first_version_has_nobody_to_be_tried_beside() -> None:
    """It serves at once, as without a canary."""
    system = everything()
    version = train(system, BACK)
    assert system.champion() == version
    assert said(system) == []


@pytest.mark.parametrize("why", ["traffic", "log", "experiment"])
def test_where_a_canary_cannot_be_judged_there_is_none_and_that_is_said(why: str) -> None:
    """Too few predictions, no log, an experiment that the approved promotion ends."""
    system = everything()
    champion = train(system, BACK)
    traffic(system, rows=400 if why != "traffic" else 1)
    if why == "log":
        found = documents.read(system.lake, paths.manifest("m"))
        changed = {**found.body, "log": "off"}
        documents.swap(system.lake, paths.manifest("m"), changed, generation=found.generation)
    if why == "traffic":
        system.clock.advance(3 * DAY)
    if why == "experiment":
        store_version(system.lake, "m", CHALLENGER, against=champion)
        store_package(system, CHALLENGER)
        assert start(system)[1] == 200
    version = train(system)
    if why == "experiment":
        system.decide(model="m", version=version, action="approve")
    assert system.champion() == version
    (note,) = [n for n in system.published("AutomationNoted") if n["source"] == "canary"]
    assert "at once, without a canary" in note["sentence"]


# --- steps ---------------------------------------------------------------------------------------


def test_a_good_challenger_goes_step_by_step_to_the_champions_place(system: System) -> None:
    """Each step needs its rows; the last one passed is the ordinary promotion, by who decided it,
    with one decision, and the trail tells every step with its reason."""
    canary = present(system)
    system.tick()
    assert present(system).step == 0
    answer(system)
    system.tick()
    assert (present(system).step, present(system).share) == (1, 0.5)
    assert present(system).id == canary.id
    answer(system, rows=10)
    system.tick()
    assert "10 of 20 rows are judged" in record(system).judged["sentence"]  # type: ignore[index]
    answer(system, rows=10)
    system.tick()
    system.drain()
    assert system.champion() == canary.version
    assert running(system) is None
    found = decision(system, canary.version)
    assert (found["action"], found["by"]) == ("promoted", "policy")
    assert "Its canary is over: Step 2 of 2 (50 %): 20 rows are judged" in found["sentence"]
    assert (found["rules"][-1]["name"], found["rules"][-1]["verdict"]) == ("canary", "ok")
    assert actions(system) == ["promote", "canary-start", "canary-step", "promote"]
    assert manifest_of(system).moves[-1].cause == f"decision:{canary.version}"
    assert said(system) == ["started", "step-2"]
    ended = record(system).ended
    assert ended is not None
    assert ended["how"] == "promoted"
    assert [item["step"] for item in record(system).past] == [0]
    check_promises(system)


def test_rows_of_another_step_another_canary_and_the_champion_do_not_count(system: System) -> None:
    """Lines that come late, and lines that come twice."""
    answer(system)
    system.tick()
    answer(system, rows=5)
    lines = [info.name for info in system.lake.list("inference-log/")]
    data = system.lake.read(lines[-1]).data
    system.lake.write(f"{lines[-1]}-again", data)
    first = system.lake.read(lines[-2]).data
    system.lake.write(f"{lines[-2]}-late", first)
    system.tick()
    assert record(system).tally.dealt == 5


def test_a_challenger_that_answers_differently_is_taken_back(system: System) -> None:
    """The champion answers everything again, the version is decided, and people get the figures."""
    canary, champion = present(system), system.champion()
    answer(system, rows=40, differ=30)
    system.tick()
    system.drain()
    assert running(system) is None
    assert system.champion() == champion
    found = decision(system, canary.version)
    assert (found["action"], found["by"]) == ("not_promoted", "policy")
    assert "75 % of 40 rows get another label than from the champion" in found["sentence"]
    assert found["policy"]["action"] == "promote"
    (decides,) = [rule for rule in found["rules"] if rule["decides"]]
    assert (decides["name"], decides["verdict"]) == ("canary", "broken")
    assert actions(system) == ["promote", "canary-start", "canary-stop"]
    (told,) = system.published("ModelNotPromoted")
    assert told["sentence"] == found["sentence"]
    repeat(system, canary.version)
    system.tick()
    assert running(system) is None
    check_promises(system)


def test_a_challenger_that_fails_is_taken_back(system: System) -> None:
    """Though it never gave an answer that differs."""
    canary = present(system)
    answer(system, rows=40, left_out="challenger_failed")
    system.tick()
    assert running(system) is None
    assert "it fails too often" in decision(system, canary.version)["sentence"]


# --- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spec", "serves"), [(BACK, False), (PROMOTE, True)])
def test_what_has_not_passed_in_time_ends_as_the_spec_says(spec: str, serves: bool) -> None:
    """Promoted or taken back, and it is said that its time was over."""
    system = in_canary(spec)
    version = present(system).version
    system.clock.advance(2 * DAY - 60)
    system.tick()
    assert running(system) is not None
    system.clock.advance(60)
    system.tick()
    system.drain()
    assert running(system) is None
    assert (system.champion() == version) is serves
    assert "After 2d it had not passed" in decision(system, version)["sentence"]
    check_promises(system)


@pytest.mark.parametrize("begun", ["by policy", "by a person"])
def test_a_person_is_asked_however_much_was_decided_meanwhile(begun: str) -> None:
    """The manifest's journal forgets where the canary began, and the question is put all the same;
    an approval that began it is not taken for the answer."""
    if begun == "by policy":
        system = in_canary(ASK)
    else:
        system = everything()
        first = train(system, ASK.replace("approval: auto", "approval: always"))
        system.decide(model="m", version=first, action="approve")
        traffic(system)
        system.decide(model="m", version=train(system), action="approve")
    version, told = present(system).version, len(system.published("ApprovalRequested"))
    for turn in range(KEPT_MOVES + 1):
        system.decide(model="m", action="unpin" if turn % 2 else "pin")
    assert all(move.beside is None for move in manifest_of(system).policies)
    system.clock.advance(2 * DAY)
    system.tick()
    system.tick()
    asked = [item["version"] for item in system.published("ApprovalRequested")]
    assert asked[told:] == [version]
    reply, status = system.decide(model="m", version=version, action="approve", reason="so")
    assert status == 200, reply
    assert system.champion() == version


@pytest.mark.parametrize("answered", ["approve", "decline", "nobody", "goes on"])
def test_a_person_is_asked_when_its_time_is_over(answered: str) -> None:
    """Once; until the answer it goes on as it is, and may still pass by itself."""
    system = in_canary(ASK)
    version = present(system).version
    system.clock.advance(2 * DAY)
    for _ in range(2):
        system.tick()
    assert [item["version"] for item in system.published("ApprovalRequested")] == [version]
    assert present(system).step == 0
    if answered in ("approve", "decline"):
        reply, status = system.decide(model="m", version=version, action=answered, reason="so")
        assert status == 200, reply
    elif answered == "nobody":
        system.clock.advance(15 * DAY)
    else:
        answer(system)
        system.tick()
        assert present(system).step == 1
        answer(system)
    system.tick()
    system.drain(advance=True)
    assert running(system) is None
    assert (system.champion() == version) is (answered in ("approve", "goes on"))
    ends = {"approve": "promoted", "goes on": "promoted", "decline": "not_promoted"}
    assert decision(system, version)["action"] == ends.get(answered, "expired")
    assert not [item for item in approvals.every("m", lake=system.lake) if item.pending]
    check_promises(system)


def test_an_approval_begins_a_canary_and_a_second_question_ends_it() -> None:
    """The version needs a person first; that answer is not taken for the one about the end."""
    system = everything()
    first = train(system, ASK.replace("approval: auto", "approval: always"))
    system.decide(model="m", version=first, action="approve")
    traffic(system)
    version = train(system)
    reply, status = system.decide(model="m", version=version, action="approve", reason="looks fine")
    assert status == 200
    assert "comes in by steps" in reply["sentence"]
    assert (present(system).by, system.champion()) == ("ada", first)
    for _ in range(2):
        system.tick()
    assert system.champion() == first
    system.clock.advance(2 * DAY)
    system.tick()
    asked = [item for item in system.published("ApprovalRequested") if item["version"] == version]
    assert len({item["id"] for item in asked}) == 2
    system.decide(model="m", version=version, action="approve", reason="long enough")
    system.drain()
    assert system.champion() == version
    assert decision(system, version)["by"] == "ada"
    check_promises(system)
