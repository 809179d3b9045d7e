"""Rehearses MLflow's image: without tables it says what to do, the job makes them, then it answers.

Where Postgres is installed it is asked as on Google Cloud: a new account has no rights yet, tokens
of a metadata server are the password, and two jobs at once do no harm. Else SQLite stands in.
"""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from infra.images import postgres
from infra.images.postgres import Postgres
from infra.images.rehearsal import Image
from infra.local.hosting import free_port
from infra.local.web import HttpServer, Request, Response, json_response

_HOST = "127.0.0.1"
_SECONDS = 120.0
_KNOWN = "mlflow-1.run.app"
_ASK = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
_TOKEN = "token-of-the-account"  # noqa: S105 - of nobody
_GOOGLE = {"Metadata-Flavor": "Google", "Content-Type": "application/json"}


def check(image: Image, database: Path) -> str:
    """What is wrong with it; empty when nothing."""
    metadata = HttpServer(_metadata)
    try:
        with postgres.running(_TOKEN) as server:
            return _check(image, _env(server, metadata, database), server)
    finally:
        metadata.close()


def _env(server: Postgres | None, metadata: HttpServer, database: Path) -> dict[str, str]:
    host = metadata.url.removeprefix("http://")
    google = {"DATABASE_AUTH": "google", "GCE_METADATA_HOST": host, "GCE_METADATA_IP": host}
    return {
        "PORT": str(free_port(_HOST)),
        "MLFLOW_BACKEND_STORE_URI": server.address if server else f"sqlite:///{database}",
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": "gs://lake/mlflow",
        "MLFLOW_SERVER_ALLOWED_HOSTS": _KNOWN,
        **(google if server else {}),
    }


def _metadata(request: Request) -> Response:
    """Tokens of one account, for whatever they are asked."""
    if request.path.endswith("/token"):
        token = {"access_token": _TOKEN, "expires_in": 3600, "token_type": "Bearer"}
        return Response(200, json_response(token).body, _GOOGLE)
    account = {"email": "mr-mlflow@p", "scopes": ["x"], "aliases": ["default"]}
    return Response(200, json_response(account).body, _GOOGLE)


def _check(image: Image, env: Mapping[str, str], database: Postgres | None) -> str:
    port, told = int(env["PORT"]), ""
    started = time.monotonic()
    server = image.start(env)
    try:
        before = _get(server, port, _KNOWN)
        seconds = time.monotonic() - started
        if database:
            told = _jobs(image, env, 1)[1]
            if "assign-roles" not in told:
                return f"an account without rights was told:\n{told}"
            database.make_member()
        codes, told = _jobs(image, env, 2 if database else 1)
        time.sleep(5.0)  # the server looks again no sooner
        found, stranger = _get(server, port, _KNOWN), _get(server, port, "evil.example")
    finally:
        server.terminate()
        said = server.communicate(timeout=20)[0].decode(errors="replace")
    statuses = (before[0], *codes, found[0], stranger[0])
    where = json.loads(found[1])["experiment"]["artifact_location"] if found[0] == 200 else ""
    if statuses != (503, *(0 for _ in codes), 200, 403) or where != "gs://lake/mlflow/0":
        return f"answered {statuses}, artifacts at {where!r}:\n{told}\n{said}"
    kept = "Postgres" if database else "SQLite"
    print(f"  MLflow on {kept}: answers {seconds:.1f} s after it was started", flush=True)
    return ""


def _jobs(image: Image, env: Mapping[str, str], count: int) -> tuple[list[int], str]:
    """Exit codes of as many jobs at once, and what they said."""
    job = replace(image, command=(*image.command[:-1], "upgrade"))
    started = [job.start(env) for _ in range(count)]
    said = [one.communicate(timeout=_SECONDS)[0].decode(errors="replace") for one in started]
    return [one.returncode for one in started], "\n".join(said)


def _get(server: subprocess.Popen[bytes], port: int, host: str) -> tuple[int, str]:
    """Status and body, as soon as somebody listens there."""
    request = urllib.request.Request(f"http://{_HOST}:{port}{_ASK}", headers={"Host": host})
    end = time.monotonic() + _SECONDS
    while server.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - ours
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except OSError:
            time.sleep(0.1)
    return 0, ""
