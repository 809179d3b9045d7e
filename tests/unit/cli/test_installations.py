"""Installations on Google Cloud as contexts: their files, who asks, production, real doors."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from google.api_core.exceptions import Forbidden
from google.auth.exceptions import RefreshError
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request as DoorRequest

from infra.local.web import HttpServer, Request, Response
from shared import documents
from shared.cli import contexts, identity, installations
from shared.cli.contexts import Context
from shared.cli.installations import Installation
from shared.cli.main import cli, refused
from shared.envelope import caller
from shared.wiring import Wiring
from tests.support.system import CONFIG, CSV, SPEC, System

NUMBER = "123456789"
EMAIL = "ada@example.com"
LETTER = {
    "function": "intake",
    "parked_at": "2026-01-01T00:00:00Z",
    "published": "2026-01-01T00:00:00Z",
    "message_id": "7",
    "attempts": "20",
    "attributes": {"eventType": "OBJECT_FINALIZE"},
    "body": {"bucket": "inbox", "name": "m/train/"},
}


def token_for(audience: str, email: str = EMAIL) -> str:
    claims = json.dumps({"email": email, "aud": audience}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.signature"


@dataclass
class Front:
    """Cloud Run's front end before the real doors: a token for this service, or 401; an e-mail that
    may come in, or 403; then the door, which sees a verified token."""

    system: System
    allowed: set[str] = field(default_factory=lambda: {EMAIL})
    seen: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    def __call__(self, request: Request) -> Response:
        body = request.read()
        token = (request.headers.get("Authorization") or "").removeprefix("Bearer ")
        if _audience(token) != self.url:
            return Response(401, b"<html>Unauthorized</html>")
        who = caller(dict(request.headers), "token")
        if who not in self.allowed:
            return Response(403, b"<html>Forbidden</html>")
        self.seen.append((request.path, who))
        builder = EnvironBuilder(
            path=request.path, method="POST", data=body, headers=list(request.headers.items())
        )
        door = "promote" if request.path == "/decide" else "intake"
        answer, status = self.system.doors[door].main(DoorRequest(builder.get_environ()))
        return Response(status, answer.encode() if isinstance(answer, str) else b"")


def _audience(token: str) -> str:
    try:
        payload = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(found["aud"])
    except (IndexError, ValueError, KeyError):
        return ""


@dataclass
class Cloud:
    """Commands typed against an installation whose buckets are in memory and whose services are
    behind `front`."""

    front: Front
    installation: Installation
    system: System

    def __call__(self, *words: str, confirm: str = "") -> Result:
        more = ["--confirm", confirm] if confirm else []
        name = self.installation.name
        return CliRunner().invoke(cli, ["--context", name, *more, *words])

    def become(self, environment: str) -> None:
        self.installation = replace(self.installation, environment=environment)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cloud]:
    system = System(config=replace(CONFIG, identity="token", context="there"))
    system.drop("_specs/m.yaml", SPEC)
    system.drop("m/train/a.csv", CSV)
    system.drain()
    system.train()
    system.drain()
    front = Front(system)
    server = HttpServer(front)
    front.url = server.url
    monkeypatch.setattr(installations, "HOME", tmp_path)
    monkeypatch.setenv(identity.TOKEN, token_for(server.url))
    identity.id_token.cache_clear()
    there = replace(
        Installation.predicted("there", "proj", NUMBER, "europe-west1", "dev", mlflow=False),
        promote_url=server.url,
        predict_url=server.url,
        functions={"intake": server.url},
    )
    cloud = Cloud(front, there, system)

    def load(name: str) -> Context:
        context = Context(name, tmp_path, cloud.installation.env({}), None, cloud.installation)
        wiring = Wiring(context.config)
        wiring.__dict__.update(system.ports)
        context.__dict__["wiring"] = wiring
        return context

    monkeypatch.setattr(contexts, "load", load)
    yield cloud
    server.close()
    identity.id_token.cache_clear()


# --- decisions -----------------------------------------------------------------------------------


def test_a_decision_carries_the_callers_token(cloud: Cloud) -> None:
    """promote gets an ID token for its own URL and records the e-mail in it."""
    result = cloud("pin", "m", "--reason", "holidays")
    assert result.exit_code == 0, result.output
    assert cloud.front.seen == [("/decide", EMAIL)]
    assert "context there (dev, project proj, bucket proj-millrace-inbox): pin m" in result.stderr
    status = cloud("status", "m", "--json")
    assert json.loads(status.stdout)["pinned"] is True


def test_a_token_for_another_service_is_refused_with_what_to_do(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """401 says how to come by a token; nothing was decided."""
    monkeypatch.setenv(identity.TOKEN, token_for("https://elsewhere"))
    result = cloud("pin", "m")
    assert result.exit_code == 1
    assert "gcloud auth login" in result.output
    assert cloud.front.seen == []


def test_who_may_not_come_in_learns_which_role_to_ask_for(cloud: Cloud) -> None:
    """403 names the caller, the service and the exact command of whoever may grant it."""
    cloud.front.allowed = set()
    for words in (("pin", "m"), ("predict", "m", "--example")):
        result = cloud(*words)
        assert result.exit_code == 1
        assert f"--member=user:{EMAIL} --role=roles/run.invoker" in result.output
        assert f"name user:{EMAIL} among people." in result.output
    assert "--project=proj --region=europe-west1" in result.output


def test_without_any_credentials_it_says_what_there_is_to_do(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No token is no traceback."""
    monkeypatch.delenv(identity.TOKEN)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(Wiring, "id_token", lambda audience: ("", "no metadata server"))
    result = cloud("pin", "m")
    assert result.exit_code == 1
    assert "gcloud is not installed" in result.output
    assert "gcloud auth login" in result.output


def test_a_dead_letter_is_replayed_with_the_callers_token(cloud: Cloud) -> None:
    """To the function's own URL, as Pub/Sub would push it; who may not call it is told so."""
    name = "dead-letters/intake/dt=2026-01-01/7.json"
    documents.create(cloud.system.lake, name, LETTER)
    cloud.front.allowed = set()
    result = cloud("dead-letters", "replay", name)
    assert (result.exit_code, "run.invoker" in result.stdout) == (1, False)
    assert "add-iam-policy-binding intake" in result.stderr
    cloud.front.allowed = {EMAIL}
    assert cloud("dead-letters", "replay", name).exit_code == 0
    assert documents.require(cloud.system.lake, name)["replayed"]


# --- production ----------------------------------------------------------------------------------

CHANGES = (
    ("pin", "m"),
    ("mute", "m", "--for", "1d"),
    ("versions", "promote", "m", "CHAMPION"),
    ("drop", "FILE", "--model", "m", "--as", "train", "--no-wait"),
)


@pytest.mark.parametrize("words", CHANGES)
def test_production_asks_for_the_models_name(
    cloud: Cloud, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """A script names it with --confirm; nothing or another name changes nothing."""
    cloud.become("prod")
    file = tmp_path / "b.csv"
    file.write_bytes(CSV)
    filled = {"FILE": str(file), "CHAMPION": str(cloud.system.champion())}
    line = [filled.get(word, word) for word in words]
    before = sum(1 for _ in cloud.system.inbox.list(""))
    for confirm in ("", "n"):
        result = cloud(*line, confirm=confirm)
        assert result.exit_code == 1
        assert "prod" in result.stderr
        assert "--confirm" in result.output
    assert cloud("--help").exit_code == 0
    assert cloud.front.seen == []
    assert sum(1 for _ in cloud.system.inbox.list("")) == before
    assert cloud(*line, "--dry-run").exit_code == 0
    assert cloud(*line, confirm="m").exit_code == 0


def test_what_is_about_no_model_asks_for_the_contexts_name(cloud: Cloud) -> None:
    """A sweep is about all models."""
    cloud.become("prod")
    assert cloud("tick", "sweep").exit_code == 1
    assert cloud.system.published("SweepDue") == []
    assert cloud("tick", "sweep", confirm="there").exit_code == 0
    assert len(cloud.system.published("SweepDue")) == 1


def test_every_command_that_changes_something_asks_in_production() -> None:
    """Whoever says where a change is made also agrees on it there, itself or in `decide`."""
    folder = Path(contexts.__file__).parent
    changing = [
        file for file in folder.rglob("*.py") if ".announce(" in file.read_text(encoding="utf-8")
    ]
    assert len(changing) > 8
    for file in changing:
        text = file.read_text(encoding="utf-8")
        own = file.name == "rehearsing.py"  # the doctor's own model is nobody's
        assert ".agree(" in text or "decide(" in text or own, file.name


# --- files ---------------------------------------------------------------------------------------


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(installations, "HOME", tmp_path)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "proj")
    for variable in installations.ENDPOINTS:
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def type_in(*words: str, ask: str | None = None) -> Result:
    return CliRunner().invoke(cli, list(words), input=ask)


def test_a_context_comes_from_what_terraform_prints(home: Path) -> None:
    """The output alone, or all outputs of the root; unknown keys of a later release are no harm."""
    there = Installation.predicted("x", "proj", NUMBER, "europe-west1", "staging", mlflow=True)
    body: dict[str, Any] = {**there.to_json(), "of_a_later_release": 1}
    for given in (body, {"installation": {"value": body, "type": "object", "sensitive": False}}):
        result = type_in("context", "add", "acme", "--from", "-", ask=json.dumps(given))
        assert result.exit_code == 0, result.output
        assert installations.find("acme") == replace(there, name="acme")
    rows = json.loads(type_in("context", "list", "--json").stdout)
    assert [row["context"] for row in rows] == ["local", "demo", "acme"]
    shown = json.loads(type_in("context", "show", "acme", "--json").stdout)
    assert shown["mlflow_url"] == f"https://mlflow-{NUMBER}.europe-west1.run.app"


def test_a_context_comes_from_the_names_alone(home: Path) -> None:
    """Buckets and URLs are predictable; a dry run writes nothing."""
    words = ["context", "add", "acme", "--project", "proj", "--project-number", NUMBER]
    words += ["--region", "europe-west1", "--environment", "prod"]
    assert type_in(*words, "--dry-run").exit_code == 0
    assert installations.known() == []
    assert type_in(*words).exit_code == 0
    found = installations.find("acme")
    assert found is not None
    assert (found.inbox, found.production) == ("proj-millrace-inbox", True)
    assert found.function("launch") == f"https://launch-{NUMBER}.europe-west1.run.app"


def test_a_context_of_another_project_is_not_replaced_by_the_way(home: Path) -> None:
    """What it was is shown; --replace means it, and the same project may always be told anew."""
    words = ["context", "add", "acme", "--project-number", NUMBER, "--region", "europe-west1"]
    first = [*words, "--project", "proj", "--environment", "dev"]
    assert type_in(*first).exit_code == 0
    other = [*words, "--project", "other", "--environment", "prod"]
    for more in ([], ["--dry-run"]):
        refused_one = type_in(*other, *more)
        assert refused_one.exit_code == 1
        assert "until now acme: dev, project proj, bucket proj-millrace" in refused_one.stderr
        assert "--replace" in refused_one.stderr
    assert projects() == ["proj"]
    assert type_in(*words, "--project", "proj", "--environment", "prod").exit_code == 0
    assert type_in(*other, "--replace", "--dry-run").exit_code == 0
    assert projects() == ["proj"]
    assert type_in(*other, "--replace").exit_code == 0
    assert projects() == ["other"]


def projects() -> list[str]:
    found = [installations.find(name) for name in installations.known()]
    return [item.project for item in found if item]


@pytest.mark.parametrize("words", [("status",), ("secret", "list"), ("secret", "set", "x")])
def test_the_hint_for_an_unknown_context_works(home: Path, words: tuple[str, ...]) -> None:
    """Typed as it stands, with real values, it adds the context."""
    result = type_in("--context", "acme", *words)
    assert result.exit_code == 1
    hint = re.search(r"\./millrace (context add acme .*)", result.output)
    assert hint
    values = {"ID": "proj", "REGION": "europe-west1", "dev|staging|prod": "dev"}
    typed = [values.get(word, word) for word in hint[1].split()]
    assert type_in(*typed, "--project-number", NUMBER).exit_code == 0
    assert projects() == ["proj"]


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        ("acme", {"project": "p"}, "lacks region"),
        ("local", {}, "this machine"),
        ("No", {}, "no name"),
        ("acme", [], "no JSON object"),
        ("acme", None, "no JSON"),
    ],
)
def test_what_is_no_context_is_refused(home: Path, name: str, body: object, reason: str) -> None:
    """With what is missing; nothing is written."""
    text = "{" if body is None else json.dumps(body)
    result = type_in("context", "add", name, "--from", "-", ask=text)
    assert result.exit_code == 1
    assert reason in result.output
    assert installations.known() == []


def test_the_default_context_is_chosen_once(home: Path) -> None:
    """Commands mean it, lines to type leave it out, others name themselves; forgetting it goes
    back to local."""
    there = Installation.predicted("acme", "proj", NUMBER, "europe-west1", "dev", mlflow=False)
    installations.save(there)
    assert type_in("context", "use", "nowhere").exit_code == 1
    assert type_in("context", "use", "acme", "--dry-run").exit_code == 0
    assert installations.current() == "local"
    assert type_in("context", "use", "acme").exit_code == 0
    assert installations.current() == "acme"
    result = type_in("--context", "local", "status")
    assert "the local stack is not running" in result.output
    assert type_in("context", "remove", "acme", "--dry-run").exit_code == 0
    assert installations.known() == ["acme"]
    assert type_in("context", "remove", "acme").exit_code == 0
    assert (installations.current(), installations.known()) == ("local", [])


@pytest.mark.parametrize("command", ["up", "down", "logs"])
def test_what_is_for_this_machine_says_so(home: Path, command: str) -> None:
    """An installation is no local stack."""
    there = Installation.predicted("acme", "proj", NUMBER, "europe-west1", "dev", mlflow=False)
    installations.save(there)
    result = type_in("--context", "acme", command)
    assert result.exit_code == 1
    assert f"`{command}` is for a stack on this machine" in result.output
    assert "no context 'nowhere'" in type_in("--context", "nowhere", command).output


def test_without_a_login_the_clients_are_not_asked(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login command instead of a traceback or minutes of insistence."""
    there = Installation.predicted("acme", "proj", NUMBER, "europe-west1", "dev", mlflow=False)
    installations.save(there)
    monkeypatch.setattr(Wiring, "missing_credentials", lambda self: "none were found")
    result = type_in("--context", "acme", "status")
    assert result.exit_code == 1
    assert "gcloud auth application-default login" in result.output


def test_what_google_cloud_refuses_is_one_sentence() -> None:
    """Whoever lacks a role sees which permission, and no traceback; our own bugs keep theirs."""
    forbidden: Any = Forbidden
    expired: Any = RefreshError
    error = forbidden("ada lacks storage.objects.list")
    assert refused(error) == "Google Cloud refused: ada lacks storage.objects.list"
    assert "gcloud auth application-default login" in refused(expired("expired"))
    assert refused(ValueError("ours")) == ""


# --- tokens --------------------------------------------------------------------------------------

GCLOUD = """#!{python}
import os, sys
log = open({log!r}, "a")
log.write(" ".join(sys.argv[1:]) + "\\n")
audience = [word for word in sys.argv if word.startswith("--audiences=")]
person = not any(word.startswith("--impersonate") for word in sys.argv)
if person and audience:
    sys.exit("ERROR: Invalid account type for --audiences. Requires valid service account.")
print("a.b.c")
"""


def test_a_persons_token_comes_from_gcloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For the service's URL where gcloud names one, else its own; an impersonated account's carries
    the e-mail. No token is asked for twice."""
    log, tool = tmp_path / "log", tmp_path / "gcloud"
    tool.write_text(GCLOUD.format(python=sys.executable, log=str(log)))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(identity.TOKEN, raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    identity.id_token.cache_clear()
    url = "https://promote-1.r.run.app"
    assert identity.id_token(url) == identity.id_token(url) == "a.b.c"
    robot = "bot@proj.iam.gserviceaccount.com"
    identity.id_token(url, robot)
    asked = [
        line.removeprefix("auth print-identity-token --quiet")
        for line in log.read_text().splitlines()
    ]
    assert asked == [
        f" --audiences={url}",
        "",
        f" --impersonate-service-account={robot} --audiences={url} --include-email",
    ]
    identity.id_token.cache_clear()
