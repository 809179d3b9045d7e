"""Rehearses the images (`make bundles`): the predictor's answers a prediction, as a container would
be asked, and ends when it is told to, with its span sent; the jobs' import; MLflow's
answers once its database is made (`infra.images.check_mlflow`).
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from infra.images import check_mlflow, rehearsal
from infra.images.rehearsal import Image, RunFailed
from infra.local.hosting import free_port
from infra.local.web import HttpServer, Request, Response
from shared.serving.columns import Columns, Schema
from shared.serving.encoder import Encoder
from shared.serving.features import Feature
from shared.serving.loaded_model import LoadedModel
from shared.serving.package import Package, linear_engine, write

PREDICTOR, MLFLOW = "functions/predict", "infra/images/mlflow"
_HOST = "127.0.0.1"
_START_SECONDS = 60.0
_ROUTE, _HEALTH = "/v1/endpoints/1/deployedModels/2:predict", "/health-of-vertex"


def has_image(door: str) -> bool:
    """Functions are built by Google Cloud from their bundles; the predictor, jobs and MLflow are
    images."""
    return door in (PREDICTOR, MLFLOW) or door.startswith("jobs/")


def target_of(door: str) -> str:
    """The stage of the Dockerfile that a door's image is."""
    return {PREDICTOR: "predict", MLFLOW: "mlflow"}.get(door, "job")


def check(door: str, root: Path) -> str:
    """What is wrong with the image of a door such as `jobs/train`; empty when nothing."""
    try:
        image = rehearsal.build(target_of(door), root, {"DOOR": door})
    except (RunFailed, OSError) as error:
        return str(error)
    if door == MLFLOW:
        return check_mlflow.check(image, root / "mlflow.db")
    return _asked(image, root / "package") if door == PREDICTOR else _imported(image)


def _imported(image: Image) -> str:
    """A job has nothing to do here, and says so, once everything is imported."""
    process = image.start({})
    said = process.communicate(timeout=120)[0].decode(errors="replace")
    return "" if process.returncode == 1 and "KeyError: 'MILLRACE_MODEL'" in said else said


def _asked(image: Image, folder: Path) -> str:
    expected, spans = write_package(folder), list[str]()
    port = free_port(_HOST)
    collector = HttpServer(lambda request: _taken(request, spans))
    started = time.monotonic()
    tracing = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    process = image.start({**vertex_env(port, folder), **tracing})
    try:
        score = _first_score(process, port)
        seconds = time.monotonic() - started
    finally:
        process.terminate()  # the first process alone, as a container gets it
        said = process.communicate(timeout=20)[0].decode(errors="replace")
        collector.close()
    if score != expected or process.returncode or spans != ["/v1/traces"]:
        found = f"{score}, exit code {process.returncode}, spans to {spans}"
        return f"expected the score {expected}, found {found}:\n{said}"
    print(f"  {PREDICTOR}: predicts {seconds:.1f} s after it was started", flush=True)
    return ""


def _taken(request: Request, spans: list[str]) -> Response:
    request.read()
    spans.append(request.path)
    return Response(200, b"")


def vertex_env(port: int, package: Path) -> Mapping[str, str]:
    """What a container needs to serve the package in a folder."""
    return {
        "AIP_HTTP_PORT": str(port),
        "AIP_STORAGE_URI": os.fspath(package),
        "AIP_HEALTH_ROUTE": _HEALTH,
        "AIP_PREDICT_ROUTE": _ROUTE,
    }


def write_package(folder: Path) -> float:
    """A model of one column, and its score of 39."""
    feature = Feature("age", "number")
    columns: Columns = {"age": np.array([39.0, 50.0, np.nan])}
    encoder = Encoder.fit(columns, (feature,), "linear", min_frequency=1)
    package = Package(
        model="small",
        version="v1",
        task="binary",
        schema=Schema((feature,)),
        encoder=encoder,
        engine=linear_engine(np.ones(len(encoder.names)), 0.25, "logit"),
        created="2026-01-01T00:00:00Z",
        labels=("no", "yes"),
        threshold=0.5,
        metrics={},
    )
    write(package, folder)
    return float(LoadedModel(package).predict_records([{"age": 39}]).score[0])


def _first_score(process: subprocess.Popen[bytes], port: int) -> float | None:
    body = json.dumps({"instances": [{"age": 39}]}).encode()
    request = urllib.request.Request(
        f"http://{_HOST}:{port}{_ROUTE}", body, {"Content-Type": "application/json"}
    )
    end = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - ours
                return float(json.loads(response.read())["predictions"][0]["score"])
        except urllib.error.HTTPError:
            return None
        except OSError:
            time.sleep(0.01)
    return None
