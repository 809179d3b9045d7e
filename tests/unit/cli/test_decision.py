"""decision show: the letter about a version, whoever decided it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared import documents, paths
from tests.support.system import CSV, SPEC
from tests.unit.cli.conftest import Shell

GUARDED = SPEC.replace(
    "promotion: {approval: auto}",
    "promotion: {approval: auto, guardrails: {recall: {min: 0.6}}}",
)
RECALL = {"value": 0.9, "low": 0.85, "high": 0.94, "error": 0.02, "freedom": 200, "rows": 250}


@pytest.fixture
def asked(shell: Shell) -> Shell:
    """A first version that waits for a person."""
    shell.system.drop("_specs/m.yaml", SPEC.replace("approval: auto", "approval: first"))
    shell.system.drop("m/train/a.csv", CSV)
    shell.work()
    return shell


def _train(shell: Shell, name: str, **comparison: Any) -> str:
    """Another version, compared as given; its id."""
    shell.comparison = comparison
    shell.system.clock.advance(60)
    source = shell.system.drop(f"m/train/{name}.csv", CSV + name.encode() + b",z,no\n")
    shell.work()
    return str(shell.system.claim(source)["run_id"])


def _version(shell: Shell) -> str:
    """The only one."""
    (folder,) = shell.system.lake.folders("models/m/")
    return folder.split("/")[2]


def test_a_declined_version_shows_every_rule_and_the_one_that_decided(shell: Shell) -> None:
    """A manager reads outcome, who, when, the numbers, what holds and what to do next."""
    shell.system.drop("_specs/m.yaml", GUARDED)
    _train(shell, "1", measures={"recall": RECALL})
    version = _train(shell, "2", measures={"recall": {**RECALL, "value": 0.55}})
    text = shell("decision", "show", "m", version).stdout
    lines = text.splitlines()
    assert lines[0] == f"Decision on m, version {version}"
    assert "not promoted" in lines[2]
    assert lines[3].startswith("Decided by the rules alone on 2026-")
    assert "Recall is 0.5500" in lines[5]
    (broken,) = [line for line in lines if "BROKEN" in line]
    assert broken.startswith("-> BROKEN  guardrail recall  Recall is 0.5500")
    assert sum(line.startswith("   ok ") for line in lines) == 4
    assert f"versions promote m {version}" in text
    story = json.loads(shell("decision", "show", version, "--json").stdout)
    assert [rule["name"] for rule in story["rules"] if rule["decides"]] == ["guardrail recall"]
    assert shell("decision", "show", "m").stdout == text


def test_what_waits_says_how_to_answer_and_until_when(asked: Shell) -> None:
    """Nothing is decided yet, but the rules are known."""
    text = asked("decision", "show", "m").stdout
    assert "waits for a person" in text
    assert "expires on 2026-" in text
    assert "open    approval" in text
    assert "approvals approve m" in text


def test_a_person_decides_and_the_letter_says_what_the_rules_would_have(asked: Shell) -> None:
    """Who, when, why, and what policy alone would have done."""
    version = _version(asked)
    asked.system.decide(model="m", version=version, action="decline", reason="leak")
    text = asked("decision", "show", "m", version).stdout
    assert "Decided by ada on 2026-" in text
    assert "Declined: leak." in text
    assert "The rules alone would have asked a person" in text
    asked.system.decide(model="m", version=version, action="promote", reason="no leak after all")
    later = asked("decision", "show", "m", version).stdout
    assert "Since then" in later
    assert "promoted, by ada: " in later
    assert "no leak after all" in later
    assert "It serves" in later


def test_the_decision_lies_beside_the_version_for_people_too(asked: Shell) -> None:
    """decision.md holds the same, and data cannot become markup in it."""
    version = _version(asked)
    asked.system.decide(model="m", version=version, action="decline", reason="<script>|*x*\n# y")
    text = asked.system.lake.read(paths.version("m", version, "decision.md")).data.decode()
    assert "| baseline | ok |" in text
    assert "&lt;script>\\|\\*x\\* \\# y" in text
    body = documents.require(asked.system.lake, paths.version("m", version, "decision.json"))
    assert body["policy"]["action"] == "ask"


def test_a_decision_from_before_there_were_verdicts_is_still_read(asked: Shell) -> None:
    """Old rules have `passed` only."""
    version = _version(asked)
    rules = [{"name": "fpr", "passed": False, "sentence": "Too many."}]
    body = {"model": "m", "version": version, "action": "not_promoted", "by": "policy"}
    more = {"at": "2026-01-05T09:00:00Z", "sentence": "Too many.", "rules": rules}
    name = paths.version("m", version, "decision.json")
    documents.create(asked.system.lake, name, {**body, **more})
    assert "BROKEN  fpr  Too many." in asked("decision", "show", "m", version).stdout


def test_what_is_no_version_is_answered_in_words(asked: Shell) -> None:
    """Unknown models and runs, and runs that make no version."""
    for words in (("n", "v"), ("nothing",), ("m", "nothing")):
        result = asked("decision", "show", *words)
        assert result.exit_code == 1
        assert "no version" in result.output or "there is no" in result.output
    spec_run = next(run for run in asked.system.run_ids() if run != _version(asked))
    result = asked("decision", "show", spec_run)
    assert "made no version" in result.output


def test_what_nobody_answered_and_what_was_superseded_have_their_rules_too(asked: Shell) -> None:
    """A newer version ends the question about an older one; time ends the newer one's."""
    older = _version(asked)
    newer = _train(asked, "2")
    text = asked("decision", "show", "m", older).stdout
    assert "superseded before anybody decided" in text
    assert "open    approval" in text
    asked.system.clock.advance(15 * 86400)
    asked.system.tick()
    text = asked("decision", "show", "m", newer).stdout
    assert "Nobody decided in time" in text
    assert "open    approval" in text
    assert json.loads(asked("approvals", "list", "--json").stdout) == []


def test_what_a_guardrail_excludes_asks_nobody(shell: Shell) -> None:
    """Also a first version that would have needed an approval: it is declined, and serves by a
    person's explicit word only."""
    spec = GUARDED.replace("approval: auto", "approval: first")
    shell.system.drop("_specs/m.yaml", spec)
    version = _train(shell, "1", measures={"recall": {**RECALL, "value": 0.5}})
    assert shell.system.champion() is None
    assert json.loads(shell("approvals", "list", "--json").stdout) == []
    assert "BROKEN  guardrail recall" in shell("decision", "show", version).stdout
    shell.system.decide(model="m", version=version, action="promote", reason="trial")
    assert shell.system.champion() == version


def test_who_is_asked_learns_what_else_is_open(asked: Shell) -> None:
    """The question in Slack carries what the rules found beside its own reason."""
    _train(asked, "2", evidence="insufficient_evidence")
    question = asked.system.published("ApprovalRequested")[-1]
    assert "too few to be certain" in " ".join(question["facts"])
