"""The doctor of the local stack, and the tiny model that goes from drop to prediction."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest

from infra import topology as topologies
from shared import documents, paths
from shared.cli import contexts, doctor, rehearsing
from tests.unit.cli.conftest import Shell

LETTER = {
    "function": "intake",
    "parked_at": "2026-01-01T00:00:00Z",
    "attributes": {},
    "body": {},
}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the stack's doors answer, by the end of the URL."""
    hosts = {key: {"pid": 1} for key in topologies.load(local=True).functions}
    found: dict[str, Any] = {
        "/_admin/status": (200, {"hosts": hosts, "backlog": {"a/b/intake-uploads": 2}}),
        "/ready": (200, {}),
        "/decide": (409, {}),
        "/version": (200, {}),
        "/messages": (200, []),
    }

    def request(method: str, url: str, body: object = None, headers: object = None) -> Any:
        answer = next(answer for end, answer in found.items() if url.endswith(end))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(doctor, "request", request)
    return found


def test_the_stack_on_this_machine_is_walked(shell: Shell, answers: dict[str, Any]) -> None:
    """Buckets, functions, doors, and what is parked; in order it ends with 0."""
    result = shell("doctor", "--json")
    assert result.exit_code == 0, result.output
    checks = {check["name"]: check for check in json.loads(result.stdout)}
    assert {"bucket inbox", "function intake", "promote", "slack", "dead letters"} <= set(checks)
    assert checks["messages"]["found"] == "under way: intake-uploads 2"
    assert {check["state"] for check in checks.values()} == {"ok"}


def test_what_does_not_answer_is_named(shell: Shell, answers: dict[str, Any]) -> None:
    """With where to look; parked messages are told and stop nothing; exit code 1."""
    del answers["/_admin/status"][1]["hosts"]["launch"]
    answers["/ready"] = click.ClickException("nobody listens there")
    answers["/decide"] = (500, {})
    documents.create(shell.system.lake, "dead-letters/intake/dt=2026-01-01/7.json", LETTER)
    result = shell("doctor")
    assert result.exit_code == 1
    for line in (
        "MISSING  function launch: not hosted",
        "MISSING  predictor: nobody listens there",
        "./millrace logs promote",
        "look     dead letters: 1 parked",
        "3 missing, 1 to look at",
    ):
        assert line in result.stdout


def left(shell: Shell) -> list[str]:
    buckets = (shell.system.inbox, shell.system.lake)
    found = [info.name for bucket in buckets for info in bucket.list("")]
    return [name for name in found if rehearsing.MODEL in name]


def test_a_tiny_model_goes_all_the_way_and_away(
    shell: Shell, answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spec, training, promotion, prediction; nothing of it is left, and other models stay."""
    asked: list[str] = []

    def ask(context: object, model: str, records: list[Any]) -> dict[str, Any]:
        asked.append(str(shell.system.champion(rehearsing.MODEL)))
        return {"predictions": [{"score": 0.9}]}

    monkeypatch.setattr(rehearsing, "ask", ask)
    shell.system.drop("_specs/m.yaml", rehearsing.SPEC.encode())
    shell.work()
    others = sum(1 for _ in shell.system.lake.list("specs/m/"))
    result = shell("doctor", "--end-to-end")
    assert result.exit_code == 0, result.output
    assert "context local (bucket inbox): drop the model millrace_doctor" in result.stderr
    assert "ok       trained and promoted" in result.stdout
    assert "ok       prediction" in result.stdout
    assert len(asked) == 1
    assert asked != ["None"]
    assert left(shell) == []
    assert sum(1 for _ in shell.system.lake.list("specs/m/")) == others


def test_a_tiny_model_that_gets_stuck_is_cleared_away_too(
    shell: Shell, answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says where it got stuck and how to look; the next time begins with nothing of it."""
    monkeypatch.setattr(rehearsing, "SECONDS", 0.0)
    shell.trains = False
    result = shell("doctor", "--end-to-end")
    assert result.exit_code == 1
    assert "MISSING  trained and promoted" in result.stdout
    assert "./millrace why" in result.stdout
    assert left(shell) == []


def test_the_tiny_models_table_is_another_every_time(shell: Shell) -> None:
    """The same content would be trained once only."""
    context = contexts.load("local")
    first = rehearsing.rows(context.clock.now())
    shell.system.clock.advance(1)
    assert first != rehearsing.rows(context.clock.now())
    assert first.count(b"\n") == rehearsing.ROWS + 1
    assert paths.is_model_name(rehearsing.MODEL)
