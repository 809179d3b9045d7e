"""What every `ports.Registry` promises: a version is registered once and found by our id."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import urllib3

from shared.adapters.memory import MemoryRegistry
from shared.adapters.mlflow_registry import MlflowRegistry
from shared.adapters.mlflow_tracking import MlflowTracker
from shared.config import Config
from shared.errors import TrackingUnavailable
from shared.ports import Registry, TrackedTraining, VersionFacts
from shared.serving.loaded_model import LoadedModel
from shared.serving.package import write
from tests.contract.stores import config
from tests.unit.serving.models import binary_package

ONE, TWO = "20260101T000000-aaaaaaaa", "20260102T000000-bbbbbbbb"


def hold_the_contract(registry: Registry, tracking_run_id: str | None) -> None:
    """One walk through the port; starting an MLflow server is too slow for more."""
    assert registry.find("adult", ONE) is None
    assert registry.alias("adult", "champion") is None
    facts = VersionFacts(tracking_run_id, "what it is", {"candidate": "linear"})
    first = registry.register("adult", ONE, facts)
    assert first.tracking_run_id == (tracking_run_id or "")
    assert registry.register("adult", ONE, facts) == first
    assert registry.find("adult", ONE) == first
    assert registry.find("other", ONE) is None
    assert registry.alias("adult", "champion") is None
    second = registry.register("adult", TWO, VersionFacts())
    assert second.registry_version != first.registry_version
    registry.set_alias("adult", "champion", first)
    registry.set_alias("adult", "challenger", second)
    assert registry.alias("adult", "champion") == ONE
    registry.set_alias("adult", "champion", second)
    assert registry.alias("adult", "champion") == TWO
    assert registry.alias("adult", "challenger") == TWO
    registry.describe("adult", first, "how it was decided")
    assert registry.find("adult", ONE) == first


def test_memory_registry() -> None:
    """The registry of the unit tests keeps the contract."""
    hold_the_contract(MemoryRegistry(), "run-1")
    down = MemoryRegistry()
    down.failing = True
    with pytest.raises(TrackingUnavailable):
        down.find("adult", ONE)


@pytest.mark.stack
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")  # MLflow's own, at import
def test_mlflow_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's registry keeps the contract: the version points at the run's artifacts, or at the
    lake for a run the server does not know; a server that is gone is a fault that may pass."""
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    with _server(tmp_path) as url:
        settings = replace(config(), tracking_uri=url)
        registry = MlflowRegistry(settings)
        client = MlflowClient(url)  # to look behind the port
        run = client.create_run(client.create_experiment("adult"))
        hold_the_contract(registry, run.info.run_id)
        mine = client.get_model_version(
            "adult", registry.register("adult", ONE, VersionFacts()).registry_version
        )
        assert (mine.source, mine.run_id) == (run.info.artifact_uri, run.info.run_id)
        unknown = registry.register("fresh", ONE, VersionFacts("0" * 32))
        assert unknown.tracking_run_id == ""
        source = client.get_model_version("fresh", unknown.registry_version).source
        assert str(source).rstrip("/") == f"gs://lake/models/fresh/{ONE}"
        client.create_model_version("fresh", source="gs://lake/somebody/else")
        client.set_registered_model_alias("fresh", "champion", "2")
        assert registry.alias("fresh", "champion") == "#2"
        _load_the_champion(settings, registry, tmp_path, monkeypatch)
    with pytest.raises(TrackingUnavailable):
        registry.find("adult", ONE)


def _load_the_champion(
    settings: Config, registry: MlflowRegistry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a training logs and registers answers through MLflow as the predictor would, with the
    example that travels with it, and says where it comes from."""
    import mlflow.pyfunc
    from mlflow.models import get_model_info

    package = binary_package()
    files = folder / "files"
    write(package, files / "package")
    training = TrackedTraining("loaded", ONE, {"millrace.model": "loaded"}, {}, {"auroc": 0.9})
    run_id = MlflowTracker(settings).log(training, files)
    version = registry.register("loaded", ONE, VersionFacts(run_id, "what it is"))
    registry.set_alias("loaded", "champion", version)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.tracking_uri)
    where = "models:/loaded@champion"
    info = get_model_info(where)
    assert info.run_id == run_id
    assert (info.metadata or {})["millrace.run_id"] == package.version
    model = mlflow.pyfunc.load_model(where)
    found = model.predict(model.input_example, params={"output": "full"})
    wanted = LoadedModel(package).predict_records([package.example_record()])
    assert found["score"].tolist() == wanted.score.tolist()
    assert found["label"].tolist() == wanted.label


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    arguments = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    arguments += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    arguments += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            cwd=folder,
            start_new_session=True,
        )
        try:
            _wait(url, process, folder / "server.log")
            yield url
        finally:
            os.killpg(process.pid, 15)
            process.wait(20)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if urllib3.request("GET", f"{url}/health", retries=False).status == 200:
                return
        except urllib3.exceptions.HTTPError:
            time.sleep(0.2)
    raise AssertionError(f"mlflow server did not start:\n{log.read_text()[-2000:]}")
