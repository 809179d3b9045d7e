"""Tokens and imports of the thin adapters, each in a process of its own: both are per process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.local.web import HttpServer, Request, Response, json_response

ROOT = Path(__file__).resolve().parents[2]

ASK = """
from shared.adapters.rest import Http
from shared.config import Config
import sys
config = Config.from_env()
http = Http(config)
assert "google.auth" not in sys.modules
for _ in range(2):
    print(http.request("GET", config.run_endpoint + "/thing", repeatable=True).data.decode())
"""


@dataclass
class Google:
    """A metadata server that gives token-1, token-2, ... and an API that wants `valid`."""

    valid: str = "token-1"
    given: int = 0
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        flavor = {"Metadata-Flavor": "Google", "Content-Type": "application/json"}
        if request.path.startswith("/computeMetadata"):
            if request.path.endswith("/token"):
                self.given += 1
                answer = {
                    "access_token": f"token-{self.given}",
                    "expires_in": 3600,
                    "token_type": "Bearer",
                }
                return Response(200, json_response(answer).body, flavor)
            if "/service-accounts/" in request.path:
                account = {"email": "a@b", "scopes": ["x"], "aliases": ["default"]}
                return Response(200, json_response(account).body, flavor)
            return Response(200, b"project", flavor)
        if request.path == "/":
            return Response(200, b"", flavor)
        self.asked.append(request.headers.get("authorization", ""))
        if self.asked[-1] == f"Bearer {self.valid}":
            return Response(200, b"welcome")
        return Response(401, b"who are you?")


@pytest.fixture
def google() -> Iterator[tuple[Google, str]]:
    app = Google()
    server = HttpServer(app)
    yield app, server.url
    server.close()


def ask(url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "MILLRACE_PROJECT": "p",
            "MILLRACE_INBOX": "inbox",
            "MILLRACE_LAKE": "lake",
            "MILLRACE_RUN_ENDPOINT": url,
            "GCE_METADATA_HOST": url.removeprefix("http://"),
            "GCE_METADATA_IP": url.removeprefix("http://"),
            "NO_GCE_CHECK": "false",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_token_of_the_service_account(google: tuple[Google, str], tmp_path: Path) -> None:
    """On Google Cloud requests carry the service account's token, fetched once."""
    app, url = google
    done = ask(url, tmp_path)
    assert done.stdout.split() == ["welcome", "welcome"], done.stderr
    assert (app.given, app.asked) == (1, ["Bearer token-1"] * 2)


def test_refused_token_is_renewed(google: tuple[Google, str], tmp_path: Path) -> None:
    """A 401 fetches a new token once; the request then goes through."""
    app, url = google
    app.valid = "token-2"
    done = ask(url, tmp_path)
    assert done.stdout.split() == ["welcome", "welcome"], done.stderr
    assert app.asked == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]


def test_wrong_account_is_told(google: tuple[Google, str], tmp_path: Path) -> None:
    """A token that is refused twice is our configuration's fault, and says so."""
    app, url = google
    app.valid = "nobody's"
    done = ask(url, tmp_path)
    assert "UnexpectedAnswer" in done.stderr
    assert "answered 401: who are you?" in done.stderr


def test_thin_adapters_import_nothing_heavy() -> None:
    """Cold start is import time: no Google library, no requests."""
    script = (
        "import sys, shared.adapters.rest_storage, shared.adapters.rest_pubsub,"
        " shared.adapters.rest_run, shared.adapters.slack, shared.adapters.system_clock,"
        " shared.adapters.mlflow_registry;"
        "print([name for name in ('google.auth', 'google.cloud.storage', 'requests', 'grpc',"
        " 'slack_sdk', 'mlflow', 'pandas', 'numpy', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
