"""Artifacts as on Google Cloud: the client writes them into the lake itself, the server of the
image only shows them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import urllib3

from infra.images.mlflow import main as door
from infra.local import storage_server
from infra.local.hosting import free_port
from shared.adapters.memory import BucketConfig, Engine, MemoryBucket
from shared.adapters.mlflow_tracking import MlflowTracker
from shared.adapters.system_clock import SystemClock
from shared.errors import TrackingUnavailable
from shared.ports import TrackedTraining
from shared.serving.package import write
from tests.contract.stores import config
from tests.unit.serving.models import binary_package

SECONDS = 90


@contextmanager
def image(folder: Path, storage: str, artifacts: str) -> Iterator[str]:
    """The door of MLflow's image with its tables made, and its address."""
    port = free_port("127.0.0.1")
    env = {
        **os.environ,
        "PORT": str(port),
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/mlflow.db",
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": artifacts,
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"127.0.0.1:{port}",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "STORAGE_EMULATOR_HOST": storage,
        "GOOGLE_CLOUD_PROJECT": "p",
        "HOME": str(folder),
    }
    door.upgrade(env["MLFLOW_BACKEND_STORE_URI"])
    with (folder / "server.log").open("wb") as log:
        command = [sys.executable, door.__file__, "serve"]
        server = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
        url = f"http://127.0.0.1:{port}"
        try:
            _wait(server, f"{url}/health", folder / "server.log")
            yield url
        finally:
            server.terminate()
            server.wait(20)


def _wait(server: subprocess.Popen[bytes], health: str, log: Path) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            if urllib3.request("GET", health, retries=False).status == 200:
                return
        except urllib3.exceptions.HTTPError:
            time.sleep(0.1)
    raise AssertionError(f"MLflow did not start:\n{log.read_text()[-2000:]}")


@pytest.mark.stack
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")  # MLflow's own, at import
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # of its tables
def test_artifacts_go_into_the_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the one prefix that train may write and the server may read; the page of a run shows
    them. A lake that refuses them is MLflow's trouble, not the training's."""
    engine = Engine(SystemClock())
    engine.create(buckets=[BucketConfig("lake")])
    storage = storage_server.serve(engine)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    files = tmp_path / "files"
    write(binary_package(), files / "package")
    (files / "plots").mkdir()
    (files / "plots" / "roc.svg").write_text("<svg/>")
    training = TrackedTraining("m", "v1", {}, {}, {"auroc": 0.9})
    try:
        with image(tmp_path, storage.url, "gs://lake/mlflow") as url:
            tracker = MlflowTracker(replace(config(), tracking_uri=url))
            run_id = tracker.log(training, files)
            names = [item.name for item in MemoryBucket(engine.storage, "lake").list("")]
            assert f"mlflow/1/{run_id}/artifacts/plots/roc.svg" in names
            assert all(name.startswith("mlflow/") for name in names)
            shown = f"{url}/get-artifact?run_id={run_id}&path=plots/roc.svg"
            assert urllib3.request("GET", shown).data == b"<svg/>"
            tracker._client.create_experiment("refused", artifact_location="gs://gone/mlflow")
            with pytest.raises(TrackingUnavailable, match="gone"):
                tracker.log(replace(training, model="refused"), files)
    finally:
        storage.close()
        engine.close()
