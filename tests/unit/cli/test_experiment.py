"""The commands of an experiment: what a person types, from the plan to the promotion."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from infra.local.addresses import Addresses
from shared import documents, paths
from shared.cli import contexts, decide
from shared.cli.contexts import Context
from shared.cli.main import cli
from shared.errors import Rejected
from shared.manifests import read_manifest
from shared.usecases.decisions import parse_decision, take_decision
from shared.wiring import Wiring
from tests.support.system import CONFIG
from tests.unit.cli.conftest import NOWHERE
from tests.unit.experiment_world import CHALLENGER, Trial
from tests.unit.monitoring.world import MODEL, VERSION


class Desk:
    """A shell on a trial. The wire to promote is short: its door is tested elsewhere."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial

    def decide(
        self, method: str, url: str, body: dict[str, Any], headers: dict[str, str]
    ) -> tuple[int, Any]:
        assert (method, url) == ("POST", f"{NOWHERE}/decide")
        said = json.loads(json.dumps(body, allow_nan=False))
        try:
            decision = parse_decision(said, headers["X-Millrace-User"])
            return 200, {"ok": True, "sentence": take_decision(decision, self.trial.promoting)}
        except Rejected as error:
            return 409, {"ok": False, "sentence": str(error)}

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(cli, ["experiment", *words])

    def champion(self) -> str:
        manifest = read_manifest(MODEL, lake=self.trial.lake)
        assert manifest is not None
        return manifest.version


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Desk:
    trial = Trial({"age": 1.5})
    addresses = Addresses(*[NOWHERE] * len(Addresses.__dataclass_fields__))
    context, wiring = Context("local", tmp_path, {}, addresses), Wiring(CONFIG)
    ports = {"lake": trial.lake, "clock": trial.clock, "publisher": trial.cloud.publisher}
    wiring.__dict__.update(ports)  # stands where cached properties would
    config = replace(CONFIG, predict_url=NOWHERE, promote_url=NOWHERE)
    context.__dict__.update({"config": config, "wiring": wiring})
    found = Desk(trial)
    monkeypatch.setattr(contexts, "load", lambda name: context)
    monkeypatch.setattr(decide, "request", found.decide)
    return found


def test_a_dry_run_says_what_would_happen_and_how_many_labels_it_takes(desk: Desk) -> None:
    """Who would answer what, and labelled rows for a difference of the size one cares about;
    nothing is begun."""
    result = desk("start", MODEL, CHALLENGER, "--key", "customer", "--dry-run")
    assert result.exit_code == 0, result.output
    assert f"{CHALLENGER} answers 50% of the values of customer" in result.stdout
    assert "true difference of 0.02 in AUROC" in result.stdout
    assert "nothing was done" in result.stderr
    small = desk("start", MODEL, CHALLENGER, "--difference", "0.1", "--dry-run")
    assert "true difference of 0.1 in AUROC" in small.stdout
    assert desk("status", MODEL).exit_code == 1
    refused = desk("start", MODEL, CHALLENGER, "--key", "shoe_size", "--dry-run")
    assert (refused.exit_code, "no column 'shoe_size'" in str(refused.exception)) == (1, True)


def test_an_experiment_from_start_to_promotion(desk: Desk) -> None:
    """Start, look, stop with --promote: the verdict is shown, recorded, and in the reason of an
    ordinary promotion; typing it again changes nothing."""
    trial = desk.trial
    started = desk("start", MODEL, CHALLENGER, "--key", "customer", "--reason", "try it")
    assert started.exit_code == 0, started.output
    early = desk("status", MODEL)
    assert "Not enough to judge" in early.stdout
    trial.ask(1200)
    trial.label_all()
    text = desk("status", MODEL).stdout
    assert "The challenger is better: AUROC" in text
    assert "There is no planned end" in text
    body = json.loads(desk("status", MODEL, "--json").stdout)
    assert body["verdict"] == "challenger_better"
    assert body["experiment"]["reason"] == "try it"
    assert body["champion"]["rows"] + body["challenger"]["rows"] == 1200
    dry = desk("stop", MODEL, "--promote", "--dry-run")
    assert "nothing was done" in dry.stderr
    assert desk.champion() == VERSION
    stopped = desk("stop", MODEL, "--promote", "--reason", "as planned")
    assert stopped.exit_code == 0, stopped.output
    assert f"{CHALLENGER} is the champion of {MODEL} now" in stopped.stdout
    assert desk.champion() == CHALLENGER
    record = trial.record()
    assert record.ended is not None
    assert (record.ended.how, record.ended.reason) == ("promote", "as planned")
    manifest = read_manifest(MODEL, lake=trial.lake)
    assert manifest is not None
    assert "The challenger is better: AUROC" in manifest.moves[-1].reason
    assert desk("stop", MODEL, "--promote").exit_code == 0
    assert desk.champion() == CHALLENGER


def test_a_promotion_that_was_cut_off_is_done_by_the_same_command(desk: Desk) -> None:
    """The stop went through and the promotion did not: typed again, it does."""
    desk("start", MODEL, CHALLENGER)
    desk.trial.stop("promote")
    assert desk.champion() == VERSION
    result = desk("stop", MODEL, "--promote")
    assert result.exit_code == 0, result.output
    assert desk.champion() == CHALLENGER


def test_what_was_held_against_a_former_champion_replaces_no_other(desk: Desk) -> None:
    """The champion moves while somebody stops the experiment and promotes: the new champion was
    never compared with the challenger, so it stays, and the person is told how to go on."""
    desk("start", MODEL, CHALLENGER)
    third, decide_there = "20260103T000000-cccccccc", desk.decide

    def moves_after_the_stop(*args: Any) -> tuple[int, Any]:
        answer = decide_there(*args)
        if args[2]["action"] == "experiment-stop":
            desk.trial.coefficients[third] = {"age": 1.0}
            desk.trial.store_version(third)
            desk.trial.promote(third)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decide, "request", moves_after_the_stop)
        result = desk("stop", MODEL, "--promote", "--anyway")
    assert result.exit_code == 1
    assert f"millrace versions promote {MODEL} {CHALLENGER}" in result.output
    assert desk.champion() == third


def test_a_stop_says_who_answers_afterwards(desk: Desk) -> None:
    """Without a word on that nothing ends, and the error names both. A stop of what is over says
    how it ended."""
    desk("start", MODEL, CHALLENGER)
    unsaid = desk("stop", MODEL, "--reason", "enough")
    assert unsaid.exit_code == 2
    assert "--keep" in unsaid.output
    assert "--promote" in unsaid.output
    assert desk.trial.record().ended is None
    assert desk("stop", MODEL, "--keep", "--reason", "enough").exit_code == 0
    assert desk.champion() == VERSION
    again = desk("stop", MODEL, "--keep")
    assert again.exit_code == 1
    assert "enough" in again.output
    assert "enough" in desk("status", MODEL).stdout


def test_an_ended_experiment_keeps_its_verdict(desk: Desk) -> None:
    """Status tells the figures of the end, not those of labels that came later; and a version that
    was declined is called so before an experiment begins with it."""
    name = paths.version(MODEL, CHALLENGER, "decision.json")
    body = {"action": "not_promoted", "by": "policy", "sentence": "It is no better."}
    documents.create(desk.trial.lake, name, body)
    started = desk("start", MODEL, CHALLENGER, "--key", "customer")
    assert started.exit_code == 0, started.output
    assert f"The gate declined {CHALLENGER}: It is no better." in started.stdout
    assert "labelled rows in all" in started.stdout
    assert "no planned end" in started.stdout
    desk.trial.ask(300)
    desk("stop", MODEL, "--keep")
    then = json.loads(desk("status", MODEL, "--json").stdout)
    desk.trial.label_all()
    assert json.loads(desk("status", MODEL, "--json").stdout) == then
    text = desk("status", MODEL).stdout
    assert text.count("Not enough to judge") == 1
    assert "So judged when it ended" in text


def test_times_are_dates_or_have_a_zone(desk: Desk) -> None:
    """`--until` is never guessed."""
    for text, reason in (("soon", "is no date"), ("2027-01-01T10:00", "no time zone")):
        result = desk("start", MODEL, CHALLENGER, "--until", text)
        assert result.exit_code == 2
        assert reason in result.output
    assert desk("start", MODEL, CHALLENGER, "--until", "2027-01-01").exit_code == 0
    assert desk.trial.record().experiment.until == "2027-01-01T00:00:00Z"


def test_a_challenger_that_is_not_shown_better_is_promoted_only_anyway(desk: Desk) -> None:
    """Without --anyway nothing ends; with it the promotion says that nothing was shown."""
    desk("start", MODEL, CHALLENGER)
    refused = desk("stop", MODEL, "--promote")
    assert refused.exit_code == 1
    assert "--anyway" in refused.output
    assert desk.trial.record().ended is None
    assert desk("stop", MODEL, "--promote", "--anyway", "--reason", "late").exit_code == 0
    manifest = read_manifest(MODEL, lake=desk.trial.lake)
    assert manifest is not None
    assert manifest.version == CHALLENGER
    assert "late. Not enough to judge" in manifest.moves[-1].reason


def test_history_names_the_experiment_and_its_challenger(desk: Desk) -> None:
    """Start and stop say which experiment and which second version, and rest on its record."""
    desk("start", MODEL, CHALLENGER)
    desk("stop", MODEL, "--keep")
    rows = json.loads(CliRunner().invoke(cli, ["versions", "history", MODEL, "--json"]).stdout)
    record = desk.trial.record().experiment
    for row in rows[-2:]:
        assert (row["experiment"], row["challenger"]) == (record.id, CHALLENGER)
        assert row["rests_on"][0].endswith(paths.experiment(MODEL, record.id))
    assert "experiment" not in rows[0]
