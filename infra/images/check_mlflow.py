"""Rehearses MLflow's image: without tables it says what to do, the job makes them, then it answers;
what it keeps is no artifact.
"""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

from infra.images.rehearsal import Image
from infra.local.hosting import free_port

_HOST = "127.0.0.1"
_SECONDS = 120.0
_KNOWN = "mlflow-1.run.app"
_ASK = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"


def check(image: Image, database: Path) -> str:
    """What is wrong with it; empty when nothing."""
    port = free_port(_HOST)
    env = {
        "PORT": str(port),
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{database}",
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": "gs://lake/mlflow",
        "MLFLOW_SERVER_ALLOWED_HOSTS": _KNOWN,
    }
    started = time.monotonic()
    server = image.start(env)
    try:
        before = _get(server, port, _KNOWN)
        seconds = time.monotonic() - started
        job = replace(image, command=(*image.command[:-1], "upgrade")).start(env)
        told = job.communicate(timeout=_SECONDS)[0].decode(errors="replace")
        time.sleep(5.0)  # the server looks again no sooner
        found, stranger = _get(server, port, _KNOWN), _get(server, port, "evil.example")
    finally:
        server.terminate()
        said = server.communicate(timeout=20)[0].decode(errors="replace")
    statuses = (before[0], job.returncode, found[0], stranger[0])
    where = json.loads(found[1])["experiment"]["artifact_location"] if found[0] == 200 else ""
    if statuses != (503, 0, 200, 403) or where != "gs://lake/mlflow/0":
        return f"answered {statuses}, artifacts at {where!r}:\n{told}\n{said}"
    print(f"  MLflow: answers {seconds:.1f} s after it was started", flush=True)
    return ""


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
