"""What somebody who means harm can send, and what comes of it. SECURITY.md names the threats; those
whose defence is tested where it is written stand there with that test."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from infra.docs.alert_examples import EXAMPLES, WHERE, name_of
from shared import boundary, documents, paths
from shared.envelope import caller
from shared.errors import NotAllowed
from shared.events import Event, TrainingCompleted, encode
from shared.tabular.column_drift import ColumnDrift
from shared.telling.blocks import message
from shared.usecases.monitoring.report import summary_csv
from tests.support.system import CONFIG, SPEC, System, with_env
from tests.support.working import everything, state_of, trained

# --- who asks ------------------------------------------------------------------------------------


def token(**claims: Any) -> str:
    """An ID token as Cloud Run hands it on: the signature is gone."""

    def part(body: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(body).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part(claims)}.SIGNATURE_REMOVED_BY_GOOGLE"


def test_who_asks_stands_in_the_header_that_was_verified() -> None:
    """With both headers there Cloud Run verifies one and lets the other through as it came: a
    decision is recorded for the name that was verified."""
    real, forged = token(email="eve@example.com"), token(email="ada@example.com")
    both = {"X-Serverless-Authorization": f"Bearer {real}", "Authorization": f"Bearer {forged}"}
    assert caller(both, "token") == "eve@example.com"
    assert caller({"Authorization": f"Bearer {real}"}, "token") == "eve@example.com"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Millrace-User": "ada"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic YWRhOmFkYQ=="},
        {"Authorization": "Bearer a.b"},
        {"Authorization": "Bearer a.!!!.c"},
        {"Authorization": f"Bearer {token(email='a@b')},Bearer {token(email='ada@b')}"},
        {"Authorization": f"Bearer {token(sub='1')}"},
        {"Authorization": f"Bearer {token(email=['ada@example.com'])}"},
        {"Authorization": f"Bearer {token(email='')}"},
        {"Authorization": f"Bearer {token(email='a@b', email_verified=False)}"},
        {
            "Authorization": "Bearer a."
            + base64.urlsafe_b64encode(b"[" * 50_000).decode().rstrip("=")
            + ".c"
        },
    ],
    ids=range(12),
)
def test_nobody_decides_without_a_verified_name(headers: dict[str, str]) -> None:
    """On Google Cloud a name in a header of ours, a torn token or one without a verified e-mail
    decides nothing."""
    with pytest.raises(NotAllowed):
        caller(headers, "token")
    system = System(config=with_env(CONFIG, identity="token"))
    body = json.dumps({"model": "m", "version": "v", "action": "promote"}).encode()
    text, status = system.post("promote", body, "/decide", headers)
    assert status == 409
    assert "ID token" in json.loads(text)["sentence"]
    assert system.champion() is None


def test_identity_is_a_token_unless_nothing_is_real() -> None:
    """A deployment that forgets the setting, or copies that of a laptop, does not believe a header:
    only a stack whose storage is a stand-in does."""
    env = {
        "MILLRACE_PROJECT": "p",
        "MILLRACE_CONTEXT": "production",
        "MILLRACE_INBOX": "i",
        "MILLRACE_LAKE": "l",
    }
    assert type(CONFIG).from_env(env).identity == "token"
    assert type(CONFIG).from_env({**env, "MILLRACE_IDENTITY": "header"}).identity == "token"
    local = {**env, "MILLRACE_IDENTITY": "header", "STORAGE_EMULATOR_HOST": "http://127.0.0.1:1"}
    assert type(CONFIG).from_env(local).identity == "header"
    other = {**local, "STORAGE_EMULATOR_HOST": "https://storage.googleapis.com"}
    assert type(CONFIG).from_env(other).identity == "token"


# --- messages ------------------------------------------------------------------------------------


def push(body: dict[str, Any], number: str = "1") -> bytes:
    message = {
        "data": base64.b64encode(json.dumps(body).encode()).decode(),
        "attributes": {"type": body["type"]},
        "messageId": number,
        "publishTime": "2026-01-05T09:00:00Z",
    }
    return json.dumps({"message": message, "subscription": "s", "deliveryAttempt": 1}).encode()


def test_a_forged_outcome_promotes_nothing() -> None:
    """A message only points at what is in the lake: a version that lost stays lost, one that nobody
    trained does not come to be, however often somebody says that it was completed."""
    system = everything()
    champion = trained(system, SPEC)
    lost = trained(system, gain=-0.2, gain_lower=-0.3, challenger=0.6, champion=0.8)
    assert state_of(system, lost) == "not_promoted"
    for version in (lost, "20260101T000000-deadbeef"):
        for number in range(3):
            event = TrainingCompleted(model="m", run_id=version, version=version)
            body = json.loads(encode(event, system.clock.now()))
            system.post("promote", push(body, f"{version}{number}"))
    system.drain(advance=True)
    assert system.champion() == champion


def examples() -> Iterator[Any]:
    """One example of every message type that people are told."""
    seen = set()
    for event in EXAMPLES:
        if event.type not in seen:
            seen.add(event.type)
            yield pytest.param(event, id=event.type)


@pytest.mark.parametrize("event", list(examples()))
@pytest.mark.parametrize("function", ["promote", "mirror", "sweep", "launch", "retrain"])
def test_a_message_for_another_function_moves_nothing(function: str, event: Event) -> None:
    """Whatever somebody pushes to a function's address: no champion, run or execution comes of a
    message about a model that has none."""
    system = everything()
    body = json.loads(encode(event, system.clock.now()))
    assert system.post(function, push(body))[1] in (204, 503)
    assert not list(system.lake.list("serving/"))
    assert not list(system.lake.list("moves/"))
    assert not [info for info in system.lake.list("runs/") if info.name.endswith("request.json")]
    assert not system.running("train-s")


@pytest.mark.parametrize("where", ["body", "data"])
def test_deep_brackets_are_refused_once(where: str) -> None:
    """JSON of a hundred thousand brackets is a message that can never work, not one to try again
    for hours."""
    system, deep = everything(), b'{"a":' * 100_000
    raw = deep if where == "body" else push({"type": "x"})
    if where == "data":
        raw = json.dumps(
            {
                "message": {
                    "data": base64.b64encode(deep).decode(),
                    "publishTime": "2026-01-05T09:00:00Z",
                }
            }
        ).encode()
    assert system.post("launch", raw) == ("", 204)
    (info,) = system.lake.list("rejections/")
    assert documents.require(system.lake, info.name)["reason"] == "MalformedMessage"


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["..", "../../serving/m", "m/../../serving/m", "/", "", "\x00"])
def test_no_name_leads_out_of_its_folder(name: str) -> None:
    """Objects have names and no folders: whatever stands for a model, a version or a run, the first
    part of the name stays ours, and storage takes `..` for the two dots that it is."""
    for place, found in {
        "mutes/": paths.mutes(name or "x"),
        "models/": paths.version(name, name, name),
        "runs/": paths.run_event(name, name, name),
        "predictions/": paths.predictions(name, name, name),
        "approvals/": paths.approval(name, name),
        "labels/": paths.labels(name),
        "waiting/": paths.waiting(name, name),
    }.items():
        assert found.startswith(place)
    system = System()
    if "\x00" not in name:
        system.lake.write(paths.mutes(name or "x"), b"{}")
        assert [info.name for info in system.lake.list("serving/")] == []


# --- what people read ----------------------------------------------------------------------------

HOSTILE = "<!channel> <@U123> <https://evil.example|Approve here> =HYPERLINK(1) \u202eevil"


def poisoned(event: Event) -> Event:
    """The event with words of somebody else wherever data or people can put some."""
    ours = {"model", "asks", "source", "version", "run_id", "kind", "channel", "incident_id"}
    ours |= {"report", "opened_by", "since"}
    changes = {
        item.name: HOSTILE
        for item in dataclasses.fields(event)
        if item.name not in ours and isinstance(getattr(event, item.name), str)
    }
    lists = {
        item.name: [HOSTILE]
        for item in dataclasses.fields(event)
        if isinstance(getattr(event, item.name), list) and item.name == "facts"
    }
    return replace(event, **changes, **lists)


def texts(block: object) -> Iterator[str]:
    if isinstance(block, dict):
        if block.get("type") == "mrkdwn":
            yield block["text"]
        for value in block.values():
            yield from texts(value)
    elif isinstance(block, list):
        for value in block:
            yield from texts(value)


@pytest.mark.parametrize("event", EXAMPLES, ids=name_of)
def test_no_text_mentions_or_links_in_slack(event: Event) -> None:
    """Mentions and links in names, cells, reasons and notes are shown as text; the links of a
    message are ours: the console's and the docs'."""
    body = message(poisoned(event), WHERE)
    for text in (*texts(body["blocks"]), body["text"]):
        for found in text.split("<")[1:]:
            assert found.startswith((WHERE.console_url, WHERE.docs_url)), found


def test_no_cell_of_the_drift_table_is_a_formula() -> None:
    """A column called like a formula is text in a spreadsheet."""
    name = '=HYPERLINK("https://evil.example")'
    found = ColumnDrift(name, "number", 0.1, 0.1, None, 1, True, "+1+cmd|' /C calc'!A0")
    judged: Any = SimpleNamespace(
        versions=[SimpleNamespace(version="v", drift=SimpleNamespace(judged=[found]))]
    )
    row = list(csv.reader(io.StringIO(summary_csv(judged))))[1]
    assert [cell for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert row[1] == "'" + name


def test_a_log_line_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Line breaks in a file's name or a caller's words make no second line that looks like ours."""
    fake = '\n{"severity": "ERROR", "message": "all is lost"}\r\n\u2028'
    boundary.log(0.0, f"rejected: {fake}", False, {"function": "intake", "trace": fake})
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["severity"] == "WARNING"
    assert json.loads(line)["message"] == f"rejected: {fake}"
