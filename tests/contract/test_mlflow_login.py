"""Train and mirror at an MLflow server that only lets in known callers, as Cloud Run has it: each
in a process of its own, because MLflow and google-auth read their settings once."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from infra.local.web import HttpServer, Request, Response, json_response

ROOT = Path(__file__).resolve().parents[2]
HOUR = 3600

MIRROR = """
from shared.adapters.mlflow_registry import MlflowRegistry
from shared.config import Config
registry = MlflowRegistry(Config.from_env())
for _ in range(2):
    print(registry.find("adult", "20260101T000000-aaaaaaaa"))
"""
TRAIN = """
import pathlib, tempfile
from shared.adapters.mlflow_tracking import MlflowTracker
from shared.config import Config
from shared.ports import TrackedTraining
training = TrackedTraining(
    model="adult", version="v1", tags={}, params={}, metrics={}, candidates=[], dataset=None,
    description="", by="test",
)
print(MlflowTracker(Config.from_env()).log(training, pathlib.Path(tempfile.mkdtemp())))
"""


def jwt(claims: dict[str, Any]) -> str:
    """As google-auth reads it: nobody here checks the signature."""
    parts = [{"alg": "RS256", "typ": "JWT"}, claims]
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    return ".".join([*(part.decode() for part in coded), "c2lnbmVk"])


@dataclass
class Google:
    """A metadata server whose tokens last `lasting` seconds, and an MLflow of one finished run that
    answers 403, as Cloud Run does, to whoever brings none for its own address."""

    url: str = ""
    lasting: int = HOUR
    given: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        flavor = {"Metadata-Flavor": "Google", "Content-Type": "application/text"}
        if request.path.endswith("/identity"):
            return Response(200, self._token(request).encode(), flavor)
        if "/service-accounts/" in request.path:
            account = json_response({"email": "a@b", "scopes": ["x"], "aliases": ["default"]})
            return Response(200, account.body, {**flavor, "Content-Type": "application/json"})
        if not request.path.startswith("/api/"):
            return Response(200, b"", flavor)
        request.read()
        self.asked.append(request.path.rpartition("/2.0/mlflow/")[2])
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.given:
            return Response(403, b"Your client does not have permission")
        return json_response(_ANSWERS[self.asked[-1]])

    def _token(self, request: Request) -> str:
        audience = request.query.get("audience", "")
        token = jwt({"aud": audience, "exp": int(time.time()) + self.lasting, "n": len(self.given)})
        if audience == self.url:
            self.given.append(token)
        return token


_RUN = {
    "info": {"run_id": "run-1", "experiment_id": "1", "status": "FINISHED", "start_time": 1},
    "data": {},
}
_ANSWERS: dict[str, Any] = {
    "experiments/get-by-name": {"experiment": {"experiment_id": "1", "name": "adult"}},
    "runs/search": {"runs": [_RUN]},
    "model-versions/search": {"model_versions": []},
}


@pytest.fixture
def google() -> Iterator[Google]:
    app = Google()
    server = HttpServer(app)
    app.url = server.url
    yield app
    server.close()


def run(script: str, google: Google, folder: Path, auth: str = "google") -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "MILLRACE_PROJECT": "p",
            "MILLRACE_INBOX": "inbox",
            "MILLRACE_LAKE": "lake",
            "MLFLOW_TRACKING_URI": google.url,
            "MLFLOW_TRACKING_AUTH": auth,
            "GCE_METADATA_HOST": urlsplit(google.url).netloc,
            "GCE_METADATA_IP": urlsplit(google.url).netloc,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout or done.stderr


@pytest.mark.parametrize(("script", "said"), [(MIRROR, "None\nNone\n"), (TRAIN, "run-1\n")])
def test_every_request_says_who_asks(
    script: str, said: str, google: Google, tmp_path: Path
) -> None:
    """One token, made for the server's own address, goes with all requests of an hour."""
    assert run(script, google, tmp_path) == said
    assert (len(google.given), len(google.asked)) == (1, 2)


def test_a_token_that_ends_is_renewed(google: Google, tmp_path: Path) -> None:
    """A training may outlast its token: the next request brings another."""
    google.lasting = 60  # less than google-auth trusts to arrive in time
    assert run(MIRROR, google, tmp_path) == "None\nNone\n"
    assert (len(google.given), len(google.asked)) == (2, 2)


def test_no_token_without_being_told_to(google: Google, tmp_path: Path) -> None:
    """A server of one's own gets no token of ours; being refused is a fault that may pass."""
    assert "TrackingUnavailable" in run(MIRROR, google, tmp_path, auth="")
    assert google.given == []


def test_no_account_is_a_fault_that_may_pass(google: Google, tmp_path: Path) -> None:
    """Where there is no service account, a training notes it and goes on."""
    script = "import os; os.environ['GCE_METADATA_IP'] = '127.0.0.1:1'\n" + MIRROR
    said = run(script, google, tmp_path)
    assert "TrackingUnavailable" in said
    assert "credentials" in said
