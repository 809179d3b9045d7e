"""MLflow shows each training once, and loads its version with the predictor's answers."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.adapters.mlflow_model import make_model
from shared.adapters.mlflow_registry import MlflowRegistry
from shared.adapters.mlflow_tracking import MlflowTracker
from shared.config import Config
from shared.errors import InvalidInstances, TrackingUnavailable
from shared.ports import TrackedCandidate, TrackedDataset, TrackedTraining, VersionFacts
from shared.serving.loaded_model import LoadedModel
from shared.serving.package import write
from tests.support.crashing import Crash, Fuse
from tests.support.sources import package_of, transactions
from tests.unit.serving.models import binary_package

TRAINING = TrackedTraining(
    model="m",
    version="20260105T090000-0a1b2c3d",
    tags={"millrace.run_id": "20260105T090000-0a1b2c3d", "millrace.model": "m"},
    params={"candidate": "linear", "penalty": 1.0},
    metrics={"auroc": 0.9, "seconds": 61.5},
    candidates=[TrackedCandidate("linear", {"penalty": 1.0}, {"auroc": 0.89, "seconds": 2.0})],
    dataset=TrackedDataset("m", "ab" * 32, "gs://lake/datasets/m/data.csv.gz", {"rows": 400}),
    description="**It is better.**",
    by="ada",
)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """MLflow's limits are set in the process's environment; not in that of other tests."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def _config(uri: str) -> Config:
    return Config.from_env(
        {
            "MILLRACE_PROJECT": "p",
            "MILLRACE_INBOX": "i",
            "MILLRACE_LAKE": "l",
            "MLFLOW_TRACKING_URI": uri,
            "MILLRACE_CODE_VERSION": "c0ffee" + "0" * 34,
        }
    )


@pytest.mark.usefixtures("environment")
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")  # MLflow's own, at import
def test_a_logged_version_loads_with_the_predictors_answers(tmp_path: Path) -> None:
    """The folder that is logged is a pyfunc model: frames with None, NaN and integers work."""
    import mlflow.pyfunc
    import pandas as pd

    package = binary_package()
    write(package, tmp_path / "package")
    make_model(tmp_path, "run")
    model = mlflow.pyfunc.load_model(str(tmp_path))
    records: list[Any] = [package.example_record(), {**package.example_record()}]
    records[1] = dict.fromkeys(records[1])
    found = model.predict(pd.DataFrame(records))
    wanted = LoadedModel(package).predict_records(records)
    assert found.tolist() == wanted.label
    probabilities = model.predict(pd.DataFrame(records), params={"output": "proba"})
    np.testing.assert_array_equal(probabilities[:, 1], wanted.score)


@pytest.mark.usefixtures("environment")
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")  # MLflow's own, at import
@pytest.mark.parametrize(
    "rows",
    [
        [{"age": 39}],
        [{"age": 39, "gain": 1}, {"age": 40, "gain": None}],
        [{"age": 39.5, "city": None}],
        [{"age": "39", "grade": 1}],
        [{"age": None, "gain": 2.0, "city": "Rome", "grade": "2", "unknown": "x"}],
    ],
)
def test_the_signature_refuses_nothing_that_the_predictor_takes(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Whole numbers, numbers as text, nulls, absent and unknown columns: the same answers."""
    import mlflow.pyfunc
    import pandas as pd

    package = binary_package()
    write(package, tmp_path / "package")
    make_model(tmp_path, "run")
    model = mlflow.pyfunc.load_model(str(tmp_path))
    found = model.predict(pd.DataFrame(rows), params={"output": "full"})
    wanted = LoadedModel(package).predict_records(rows)
    np.testing.assert_array_equal(found["score"], wanted.score)


@pytest.mark.usefixtures("environment")
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")  # MLflow's own, at import
def test_a_logged_version_says_what_it_takes(tmp_path: Path) -> None:
    """Signature, types and an example that can be asked as it is; rows without any known column are
    refused like the predictor does, not answered with nothing."""
    import mlflow.models
    import mlflow.pyfunc
    import pandas as pd

    package = binary_package()
    write(package, tmp_path / "package")
    make_model(tmp_path, "run")
    info = mlflow.models.get_model_info(str(tmp_path))
    assert info.signature.inputs.input_names() == package.schema.names
    assert not info.signature.inputs.required_input_names()
    assert info.signature.outputs is not None
    assert (info.metadata or {})["columns"] == {f.name: f.kind for f in package.schema.features}
    model = mlflow.pyfunc.load_model(str(tmp_path))
    assert model.input_example.to_dict("records") == [package.example_record()]
    assert len(model.predict(model.input_example)) == 1
    body = json.loads((tmp_path / "serving_input_example.json").read_text())
    assert body["dataframe_split"]["columns"] == package.schema.names
    with pytest.raises(InvalidInstances):
        model.predict(pd.DataFrame([{"colour": "red"}]))


def test_rows_of_joined_sources_pass_the_signature(tmp_path: Path) -> None:
    """MLflow drops columns that a signature does not name: rows, key and cut-off are named."""
    package = package_of(transactions())
    write(package, tmp_path / "package")
    make_model(tmp_path, "run")
    model = json.loads((tmp_path / "MLmodel").read_text())
    named = {item["name"] for item in json.loads(model["signature"]["inputs"])}
    (source,) = package.sources
    assert {*package.schema.names, source.name, source.key} <= named
    assert model["metadata"]["columns"][source.name] == "rows"


def test_requirements_are_what_the_loaded_code_imports(tmp_path: Path) -> None:
    """Pinned, without what only training needs; onnxruntime only where there are trees."""
    write(binary_package(), tmp_path / "package")
    make_model(tmp_path, "run")
    lines = (tmp_path / "requirements.txt").read_text().splitlines()
    assert [line.partition("==")[0] for line in lines] == ["mlflow", "numpy", "pandas"]
    assert all("==" in line for line in lines)


@pytest.mark.usefixtures("environment")
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own queries
def test_a_training_is_shown_once(tmp_path: Path) -> None:
    """A repeat after a crash finds its run, a finished one and one that was left in the middle."""
    tracker = MlflowTracker(_config(f"sqlite:///{tmp_path}/mlflow.db"))
    client: Any = tracker._client
    client.create_experiment("m", artifact_location=str(tmp_path / "artifacts"))
    half = client.create_run(
        client.get_experiment_by_name("m").experiment_id, tags=tracker._tags(TRAINING)
    ).info.run_id
    found = []
    for attempt in ("one", "two"):
        write(binary_package(), tmp_path / attempt / "package")
        found.append(tracker.log(TRAINING, tmp_path / attempt))
    assert found == [half, half]
    runs = client.search_runs([client.get_run(half).info.experiment_id])
    assert len(runs) == 2
    assert "linear" in {run.info.run_name for run in runs}
    run = client.get_run(half)
    assert run.data.metrics == TRAINING.metrics
    assert run.data.tags["mlflow.user"] == "ada"
    assert run.data.tags["millrace.code_version"] == run.data.tags["mlflow.source.git.commit"]
    assert "numpy " in run.data.tags["millrace.packages"]
    (shown,) = run.inputs.dataset_inputs
    assert (shown.dataset.name, shown.dataset.digest) == ("m", ("ab" * 32)[:36])
    assert json.loads(shown.dataset.source) == {"uri": "gs://lake/datasets/m/data.csv.gz"}
    names = {path.name for path in (tmp_path / "artifacts" / half / "artifacts").iterdir()}
    assert {"MLmodel", "environment.txt", "requirements.txt", "input_example.json"} <= names
    assert (tmp_path / "artifacts" / half / "artifacts" / "MLmodel").exists()


@pytest.mark.usefixtures("environment")
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own queries
def test_a_crash_after_any_call_of_mlflow_leaves_one_run_and_one_version(tmp_path: Path) -> None:
    """The process dies after each call of the client that changes something in turn; the retry ends
    with one parent run, every candidate complete and once, and one registered version."""
    fresh = tmp_path / "fresh.db"
    MlflowTracker(_config(f"sqlite:///{fresh}"))._client.search_experiments()
    at = 0
    while True:
        folder = tmp_path / str(at)
        folder.mkdir()
        shutil.copyfile(fresh, folder / "mlflow.db")
        fuse = Fuse(at, after=True, reads=False)
        try:
            _log_and_register(folder, fuse)
        except Crash:
            _log_and_register(folder, Fuse(-1, after=True))
        _check_one_of_each(folder, fuse)
        if not fuse.blown:
            break
        at += 1
    assert at >= 12


def _log_and_register(folder: Path, fuse: Fuse) -> None:
    """What the train job does with MLflow, with clients that die where the fuse says."""
    settings = _config(f"sqlite:///{folder}/mlflow.db")
    tracker, registry = MlflowTracker(settings), MlflowRegistry(settings)
    artifacts = str(folder / "artifacts")
    client: Any = tracker._client
    create = client.create_experiment
    client.create_experiment = lambda name, **more: create(name, artifacts, **more)
    if fuse.at >= 0:
        tracker._client = fuse.wrap("tracker", client)
        registry._client = fuse.wrap("registry", registry._client)
    files = folder / "files"
    shutil.rmtree(files, ignore_errors=True)
    write(binary_package(), files / "package")
    run_id = tracker.log(TRAINING, files)
    version = registry.register("m", TRAINING.version, VersionFacts(run_id, "text", {"a": "b"}))
    registry.set_alias("m", "champion", version)


def _check_one_of_each(folder: Path, fuse: Fuse) -> None:
    client: Any = MlflowTracker(_config(f"sqlite:///{folder}/mlflow.db"))._client
    experiment = client.get_experiment_by_name("m")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == [TRAINING.version, "linear"], fuse.where
    assert {run.info.status for run in runs} == {"FINISHED"}, fuse.where
    for run in runs:
        assert run.data.metrics["auroc"] in (0.9, 0.89), fuse.where
        length = run.info.end_time - run.info.start_time
        assert length == 1000 * run.data.metrics["seconds"], fuse.where
    (version,) = client.search_model_versions("name = 'm'")
    assert version.tags == {"millrace.run_id": TRAINING.version, "millrace.a": "b"}, fuse.where
    assert client.get_model_version_by_alias("m", "champion").version == version.version


@pytest.mark.usefixtures("environment")
def test_a_server_that_does_not_answer_is_unavailable_soon(tmp_path: Path) -> None:
    """Not after MLflow's own minutes of retries."""
    tracker = MlflowTracker(_config("http://127.0.0.1:9"))
    with pytest.raises(TrackingUnavailable):
        tracker.log(dataclasses.replace(TRAINING), tmp_path)
