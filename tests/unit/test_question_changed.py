"""A version answers what its spec asked; when that changes meanwhile, winning does not help it."""

from __future__ import annotations

from typing import Any

import pytest

from shared import documents, paths
from tests.support.promises import check_promises
from tests.support.system import SPEC, System
from tests.support.working import ASKING, everything, repeat, state_of, trained

NAMED = SPEC.replace("target: y", "target: {column: y, positive: 'yes'}")
OTHER = {
    "task": SPEC.replace("binary", "multiclass"),
    "target": SPEC.replace("target: y", "target: b"),
    "positive": NAMED.replace("'yes'", "'no'"),
}
SAME = {"policy": NAMED + "max_bad_rows: 0.2\n", "named": SPEC}


def _overtaken(after: str, before: str = NAMED, **comparison: Any) -> tuple[System, str, str]:
    """A champion, and a version whose training ended when another spec had come into force."""
    system = everything()
    first = trained(system, before)
    system.clock.advance(60)
    source = system.drop("m/train/b.csv", b"a,b,y\n7,z,no\n8,x,yes\n")
    system.drain()
    system.drop("_specs/m.yaml", after)
    system.drain()
    system.train(**comparison)
    system.drain()
    return system, first, str(system.claim(source)["run_id"])


def _rules(system: System, version: str) -> dict[str, dict[str, Any]]:
    body = documents.require(system.lake, paths.version("m", version, "decision.json"))
    return {rule["name"]: rule for rule in body["rules"]}


@pytest.mark.parametrize("what", OTHER)
def test_the_winner_of_an_old_question_is_not_promoted(what: str) -> None:
    """The spec asks for something else now: people read what was learned, what is asked, and what
    to do. Said once, however often it is delivered."""
    system, first, version = _overtaken(OTHER[what])
    assert state_of(system, version) == "not_promoted"
    assert system.champion() == first
    rule = _rules(system, version)["question"]
    assert (rule["verdict"], rule["decides"]) == ("broken", True)
    (said,) = system.published("ModelNotPromoted")
    assert said["sentence"] == rule["sentence"]
    assert said["sentence"].startswith("It answers another question: it learned y is yes (binary)")
    assert "generation 2 of the spec, in force now, asks for" in said["sentence"]
    assert "A training file that is dropped now" in said["sentence"]
    repeat(system, version)
    assert len({item["id"] for item in system.published("ModelNotPromoted")}) == 1
    check_promises(system)


@pytest.mark.parametrize("what", SAME)
def test_other_changes_of_the_spec_do_not_matter(what: str) -> None:
    """Policy is that of the spec in force; a `positive` that the data decided may be the same."""
    system, _first, version = _overtaken(SAME[what])
    assert system.champion() == version
    rule = _rules(system, version)["question"]
    assert (rule["verdict"], rule["decides"]) == ("ok", False)


def test_it_is_not_compared_again_for_nothing() -> None:
    """The champion moved as well: that the question changed is enough."""
    system, first, version = _overtaken(OTHER["target"], against="somebody else")
    assert state_of(system, version) == "not_promoted"
    assert system.published("ComparisonRequested") == []
    assert system.champion() == first


def test_a_person_may_still_let_it_serve() -> None:
    """By name and on their word; the decision keeps what policy said."""
    system, _first, version = _overtaken(OTHER["target"])
    _, status = system.decide(model="m", action="promote", version=version, reason="I know")
    assert status == 200
    assert system.champion() == version


def test_a_question_that_changed_is_not_approved_unawares() -> None:
    """The version was asked about, then the spec changed: a yes is refused in words that name the
    ways on, a no is carried out, and an answer that was given before stays given."""
    for action, status in (("approve", 409), ("decline", 200)):
        system = everything()
        version = trained(system, ASKING)
        system.drop("_specs/m.yaml", OTHER["target"])
        system.drain()
        reply, found = system.decide(model="m", version=version, action=action, reason="so")
        assert found == status
        assert system.champion() is None
        if action == "approve":
            assert "asks for b (binary)" in reply["sentence"]
            assert f"millrace versions promote m {version}" in reply["sentence"]
            assert state_of(system, version) == "awaiting_approval"
            system.drop("_specs/m.yaml", ASKING + "title: back\n")
            system.drain()
            system.decide(model="m", version=version, action=action, reason="so")
            system.drop("_specs/m.yaml", OTHER["target"])
            system.drain()
            again, found = system.decide(model="m", version=version, action=action, reason="so")
            assert (found, system.champion()) == (200, version), again
        system.drain()
        check_promises(system)


def test_a_version_whose_spec_nobody_knows_is_judged_as_before() -> None:
    """Versions of before have no generation, or one whose file is gone."""
    for generation in (None, 77):
        system, _first, version = _overtaken(OTHER["target"], spec_generation=generation)
        assert system.champion() == version
        assert "question" not in _rules(system, version)
