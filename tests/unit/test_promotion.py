"""Who serves: policy, people, races, rollback; and MLflow's mirror of it."""

from __future__ import annotations

from typing import Any

import pytest

from shared import documents, paths, runs
from shared.policy import judge
from shared.spec.model import Promotion
from tests.support.system import CSV, SPEC, System

ASKING = SPEC.replace("approval: auto", "approval: first")


def _trained(spec: str = ASKING) -> tuple[System, str]:
    system = System()
    system.drop("_specs/m.yaml", spec)
    source = system.drop("m/train/a.csv", CSV)
    system.drain()
    system.train()
    system.drain()
    return system, str(system.claim(source)["run_id"])


def _challenge(system: System, **comparison: object) -> str:
    """Train another version, compared as given; its id."""
    system.clock.advance(60)
    rows = b"%d,z,no\n" % len(system.run_ids())
    source = system.drop("m/train/more.csv", CSV + rows)
    system.drain()
    system.train(**comparison)
    system.drain()
    return str(system.claim(source)["run_id"])


def test_a_first_version_asks_a_person_by_default() -> None:
    """Nothing serves before somebody approved the first version; then it does."""
    system, version = _trained()
    assert system.champion() is None
    assert len(system.published("ApprovalRequested")) == 1
    assert runs.state("m", version, lake=system.lake).state == "awaiting_approval"
    reply, status = system.decide(model="m", version=version, action="approve", reason="good")
    assert (status, reply["ok"]) == (200, True)
    assert system.champion() == version
    assert runs.state("m", version, lake=system.lake).state == "promoted"
    assert documents.require(system.lake, paths.manifest("m"))["by"] == "ada"


def test_declining_is_final_and_said() -> None:
    """A declined version ends as not promoted and can no longer be approved."""
    system, version = _trained()
    system.decide(model="m", version=version, action="decline", reason="leak")
    assert runs.state("m", version, lake=system.lake).state == "not_promoted"
    reply, status = system.decide(model="m", version=version, action="approve", reason="oops")
    assert status == 409
    assert "declined" in reply["sentence"] or "decline by ada" in reply["sentence"]


def test_answering_twice_is_one_promotion() -> None:
    """The same approval again carries nothing out twice."""
    system, version = _trained()
    for _ in range(3):
        system.decide(model="m", version=version, action="approve", reason="good")
    manifest = documents.require(system.lake, paths.manifest("m"))
    assert manifest["revision"] == 1


@pytest.mark.parametrize(
    ("comparison", "state"),
    [
        ({"gain_lower": 0.001}, "promoted"),
        ({"gain_lower": -0.001}, "not_promoted"),
        ({"eligible": False}, "not_promoted"),
        ({"evidence": "insufficient_evidence"}, "awaiting_approval"),
        ({"evidence": "not_comparable"}, "awaiting_approval"),
        (
            {"guardrails": [{"name": "fpr", "pass": False, "sentence": "Too many alarms."}]},
            "not_promoted",
        ),
    ],
)
def test_a_challenger_is_decided_by_the_rule(comparison: dict[str, object], state: str) -> None:
    """Better with confidence is promoted, not better is declined, no evidence asks a person."""
    system, first = _trained(SPEC)
    version = _challenge(system, **comparison)
    assert runs.state("m", version, lake=system.lake).state == state
    assert system.champion() == (version if state == "promoted" else first)


def test_a_champion_that_moved_is_compared_again() -> None:
    """A version compared with yesterday's champion is compared with today's before it may win."""
    system, first = _trained(SPEC)
    version = _challenge(system, against="somebody else")
    assert system.champion() == first
    (request,) = system.published("ComparisonRequested")
    assert system.request(request["run_id"]).version == version
    assert len(system.running()) == 1


def test_rollback_puts_the_previous_version_back_and_holds_automation() -> None:
    """After a rollback a better challenger asks a person; unpinned, the next is promoted."""
    system, first = _trained(SPEC)
    second = _challenge(system)
    assert system.champion() == second
    reply, _ = system.decide(model="m", action="rollback", reason="complaints")
    assert reply["ok"]
    assert system.champion() == first
    held = _challenge(system)
    assert runs.state("m", held, lake=system.lake).state == "awaiting_approval"
    system.decide(model="m", action="unpin")
    free = _challenge(system)
    assert system.champion() == free
    assert runs.state("m", held, lake=system.lake).state == "superseded"


def test_decisions_about_nothing_are_refused_in_words() -> None:
    """Unknown actions, models, versions and bodies get a sentence, never a traceback."""
    system, _version = _trained()
    bad: list[dict[str, str]] = [
        {"model": "m", "action": "destroy"},
        {"model": "../m", "action": "rollback"},
        {"model": "m", "action": "approve"},
        {"model": "m", "action": "approve", "version": "nope"},
        {"model": "m", "action": "promote", "version": "nope"},
        {"model": "m", "action": "rollback"},
    ]
    for body in bad:
        reply, status = system.decide(**body)
        assert (status, reply["ok"]) == (409, False)
        assert len(reply["sentence"]) > 10
    text, status = system.post("promote", b"not json", "/decide")
    assert status == 409
    assert "JSON" in text


def test_an_expired_approval_ends_the_run() -> None:
    """Nobody answered in time: the run says expired, once."""
    system, version = _trained()
    system.clock.advance(15 * 86400)
    system.tick()
    system.tick()
    assert runs.state("m", version, lake=system.lake).state == "expired"
    assert len(system.published("AutomationNoted")) == 2  # the spec, and the expiry


def test_not_worse_tolerates_a_margin() -> None:
    """The refresh rule lets an equal model through and stops a worse one."""
    rule = Promotion(rule="not_worse", margin=0.005)
    base = {
        "against": "old",
        "eligible": True,
        "evidence": "sufficient",
        "guardrails": [],
        "baseline": {"sentence": ""},
        "holdout": {"rows": 1000},
        "metric": "auroc",
        "gain": 0.0,
        "sentence": "",
    }
    for lower, action in ((-0.004, "promote"), (-0.006, "decline")):
        verdict = judge({**base, "gain_lower": lower}, rule, champion="old", pinned=False)
        assert verdict.action == action
        assert "with 95 % confidence" in verdict.sentence, "as comparisons without alpha had it"
        budget = {"alpha": 0.05 / 12, "budget": {"total": 0.05, "over": 12}, "gain_lower": lower}
        verdict = judge({**base, **budget}, rule, champion="old", pinned=False)
        assert verdict.action == action
        said = "judged at 99.6 %, because up to twelve challengers share one"
        assert [said in rule.sentence for rule in verdict.rules].count(True) == 1, "said once"
        assert "judged at 99.6 %)" in verdict.sentence
    verdict = judge({**base, **budget, "identical": True}, rule, champion="old", pinned=False)
    assert "answers exactly as the champion" in verdict.sentence


def test_chance_on_few_rows_is_not_promoted_unasked() -> None:
    """With `auto`, a first version judged on few rows serves only when it certainly beats always
    giving the same answer; else a person is asked."""
    comparison: dict[str, Any] = {
        "against": None,
        "eligible": True,
        "evidence": "insufficient_evidence",
        "guardrails": [],
        "sentence": "55 rows are too little to decide on.",
    }
    auto = Promotion(approval="auto")
    for lower, action in ((-0.05, "ask"), (0.01, "promote")):
        baseline = {"sentence": "It is better.", "constant_gain_lower": lower}
        verdict = judge({**comparison, "baseline": baseline}, auto, champion=None, pinned=False)
        assert verdict.action == action
    enough = {**comparison, "evidence": "sufficient", "baseline": {"sentence": ""}}
    assert judge(enough, auto, champion=None, pinned=False).action == "promote"


STRONG = {
    "name": "strong_column",
    "sentence": "`b` alone predicts `y` very well (AUROC 0.982)",
    "advice": "If it is known only afterwards, add to the spec `columns: {b: {exclude: true}}`.",
    "columns": ["b"],
}


def test_a_column_that_may_be_the_answer_asks_a_person_though_the_spec_says_auto() -> None:
    """The question names column and line of the spec; nothing serves until somebody says yes."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    version = _challenge(system, data_checks=[{**STRONG, "known": False}])
    assert system.champion() is None
    (question,) = system.published("ApprovalRequested")
    assert STRONG["sentence"] in question["sentence"]
    assert STRONG["advice"] in question["sentence"]
    system.decide(model="m", version=version, action="approve", reason="known in time")
    assert system.champion() == version


@pytest.mark.parametrize(("known", "state"), [(False, "awaiting_approval"), (True, "promoted")])
def test_a_later_version_asks_about_such_a_column_once(known: bool, state: str) -> None:
    """A new one is asked about, one that the champion was warned of as well is not again."""
    system, first = _trained(SPEC)
    assert system.champion() == first
    version = _challenge(system, data_checks=[{**STRONG, "known": known}])
    assert runs.state("m", version, lake=system.lake).state == state


def test_mlflow_follows_the_manifest_and_a_moved_alias_asks() -> None:
    """Aliases mirror our champion; an alias moved by hand changes nothing and is said once."""
    system, first = _trained(SPEC)
    registry = system.cloud.registry
    assert registry.alias("m", "champion") == first
    second = _challenge(system, gain_lower=-1.0)
    assert registry.alias("m", "challenger") == second
    moved = registry.find("m", second)
    assert moved is not None
    registry.set_alias("m", "champion", moved)
    for _ in range(3):
        system.tick()
    assert system.champion() == first
    assert len(system.published("PromotionRequested")) == 1


def test_promotion_by_hand_moves_any_stored_version() -> None:
    """A person may promote a version that policy declined; who did it is in the manifest."""
    system, _first = _trained(SPEC)
    declined = _challenge(system, gain_lower=-1.0)
    reply, _ = system.decide(model="m", version=declined, action="promote", reason="I know")
    assert reply["ok"]
    assert system.champion() == declined
    assert documents.require(system.lake, paths.manifest("m"))["by"] == "ada"
