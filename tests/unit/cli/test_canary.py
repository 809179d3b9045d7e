"""The commands of canaries and shadows: what a person types, and reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from shared import documents, paths
from shared.cli import contexts, decide
from shared.cli.main import cli
from tests.support.canarying import (
    ASK,
    BACK,
    answer,
    present,
    running,
    said,
    traffic,
    train,
    write_log,
)
from tests.support.experimenting import CHALLENGER, store_package
from tests.support.system import System, store_version
from tests.support.working import DAY, everything
from tests.unit.cli.conftest import NOWHERE, context_of


class Desk:
    """A shell on a system, whose promote answers behind its door."""

    def __init__(self, system: System) -> None:
        self.system = system

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(cli, [*words])

    def says(self, *words: str) -> str:
        result = self(*words)
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split())

    def refuses(self, *words: str) -> str:
        result = self(*words)
        assert result.exit_code == 1, result.output
        return " ".join(f"{result.output} {result.exception}".split())


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Desk:
    system = everything()
    context = context_of(system, system.drain, tmp_path)
    monkeypatch.setattr(contexts, "load", lambda _: context)

    def post(
        method: str, url: str, body: dict[str, object], headers: dict[str, str]
    ) -> tuple[int, object]:
        assert (method, url) == ("POST", f"{NOWHERE}/decide")
        answered, status = system.decide(**json.loads(json.dumps(body)))
        assert headers
        return status, answered

    monkeypatch.setattr(decide, "request", post)
    return Desk(system)


def test_a_canary_is_told_from_its_begin_to_its_end(desk: Desk) -> None:
    """What it does, how each step was judged, how long it has, what one may do; then how it
    ended, in words and as JSON."""
    system = desk.system
    train(system, BACK)
    assert "is the first champion" in desk.refuses("canary", "status", "m")
    traffic(system)
    version = train(system)
    shown = desk.says("canary", "status", "m")
    assert f"{version} answers 10 % of the predictions, at random (step 1 of 10 %, 50 %" in shown
    assert "was not judged yet" in shown
    assert "48.0 h left; then it is taken back" in shown
    answer(system)
    system.tick()
    shown = desk.says("canary", "status", "m")
    assert "step 2 of 10 %, 50 %, 100 %" in shown
    assert "go on: Step 1 of 2 (10 %): 30 rows are judged and nothing speaks against it" in shown
    assert "in_canary" in desk.says("versions", "list", "m")
    assert "It comes in by steps" in desk.says("decision", "show", "m", version)
    document = json.loads(desk("canary", "status", "m", "--json").output)
    assert (document["running"], document["ended"]) == (True, None)
    assert [item["verdict"] for item in document["past"]] == ["go_on"]
    answer(system)
    system.tick()
    shown = desk.says("canary", "status", "m")
    assert "is over: it was promoted" in shown
    assert json.loads(desk("canary", "status", "m", "--json").output)["ended"]["by"] == "policy"
    assert "is over: it was promoted" in desk.refuses("canary", "stop", "m")
    assert "canary-step" in desk.says("versions", "history", "m")


def test_a_canary_is_stopped_by_hand(desk: Desk) -> None:
    """A dry run changes nothing; the reason is kept with who said it."""
    system = desk.system
    train(system, BACK)
    traffic(system)
    train(system)
    canary = present(system)
    assert "nothing was done" in desk.says("canary", "stop", "m", "--dry-run")
    assert present(system) == canary
    shown = desk.says("canary", "stop", "m", "--reason", "complaints")
    assert "is over: it was taken back. Its canary was stopped: complaints." in shown
    assert running(system) is None
    assert "Its canary was stopped" in desk.says("canary", "status", "m", "--id", canary.id)
    assert "known: " in desk.refuses("canary", "status", "m", "--id", "nope")


def test_a_canary_that_is_held_or_asked_about_says_so(desk: Desk) -> None:
    """By a pin, or because its time is over."""
    system = desk.system
    train(system, ASK)
    traffic(system)
    train(system)
    system.decide(model="m", action="pin")
    assert "pinned, so it goes no step further" in desk.says("canary", "status", "m")
    system.clock.advance(2 * DAY)
    system.tick()
    assert "Its time is over (2d), and a person was asked" in desk.says("canary", "status", "m")
    assert said(system) == ["started"]


def test_an_approval_says_beforehand_that_it_begins_a_canary(desk: Desk) -> None:
    """Nobody is told that a version serves which comes in by steps."""
    system = desk.system
    always = BACK.replace("approval: auto", "approval: always")
    system.decide(model="m", version=train(system, always), action="approve")
    traffic(system)
    version = train(system)
    shown = desk.says("approvals", "approve", "m", version, "--dry-run")
    assert "comes in by steps (serving.canary)" in shown
    assert "comes in by steps" in desk.says("approvals", "approve", "m", version)
    assert "canary" in desk.says("trace", version)


def test_a_shadow_is_started_looked_at_and_stopped(desk: Desk) -> None:
    """Refusals with what to write instead; the figures of the log beside those of the gate."""
    system = desk.system
    champion = train(system, BACK)
    store_version(system.lake, "m", CHALLENGER, against=champion)
    store_package(system, CHALLENGER)
    assert "no shadow of m runs" in desk.refuses("shadow", "status", "m")
    assert "share is 2.0" in desk.refuses("shadow", "start", "m", CHALLENGER, "--share", "2")
    assert "nobody gets its answers" in desk.says("shadow", "start", "m", CHALLENGER, "--dry-run")
    assert running(system) is None
    desk.says("shadow", "start", "m", CHALLENGER, "--share", "0.5", "--reason", "to see")
    for command in (["shadow", "start"], ["experiment", "start"]):
        refused = desk.refuses(*command, "m", CHALLENGER, "--share", "0.3", "--dry-run")
        assert "one at a time, so stop it first: millrace shadow stop m" in refused
    assert "no row of it yet" in desk.says("shadow", "status", "m")
    shadow = present(system)
    assert (shadow.kind, shadow.share, shadow.by) == ("shadow", 0.5, "ada")
    mark = {
        "id": shadow.id,
        "arm": "shadow",
        "share": 0.5,
        "unit": "0",
        "left_out": None,
        "champion": {"score": 0.4, "label": "no"},
        "challenger": {"score": 0.6, "label": "yes"},
    }
    line = {"model": "m", "version": champion, "time": "2026-01-05T10:00:00Z"}
    write_log(system, [{**line, "prediction_id": f"p{row}", "shadow": mark} for row in range(7)])
    assert "So far 7 of 7 rows were scored by both" in desk.says("shadow", "status", "m")
    document = json.loads(desk("shadow", "status", "m", "--json").output)
    assert document["compared"] == 7
    assert "nothing was done" in desk.says("shadow", "stop", "m", "--dry-run")
    assert "is over" in desk.says("shadow", "stop", "m")
    assert running(system) is None


def test_whoever_finds_no_canary_hears_why(desk: Desk) -> None:
    """A spec without one, the first champion, one that came in at once because there is too little
    traffic, and a version that was not promoted."""
    system = desk.system
    assert "asks for none" in desk.refuses("canary", "status", "nobody")
    first = train(system, BACK)
    assert f"{first} is the first champion" in desk.refuses("canary", "status", "m")
    second = train(system)
    why = desk.refuses("canary", "status", "m")
    assert f"{second} was promoted at once. As things are, the next one has none" in why
    assert "predictions in the log" in why
    third = f"{second[:4]}0201T000000-00000000"
    lake = system.cloud.lake
    store_version(lake, "m", third, against=second)
    assert f"{third}, the latest, is not decided" in desk.refuses("canary", "status", "m")
    decision = {"action": "declined", "sentence": "It is worse."}
    documents.create(lake, paths.version("m", third, "decision.json"), decision)
    assert f"{third}, the latest, was not promoted: It is worse." in desk.refuses(
        "canary", "status", "m"
    )
