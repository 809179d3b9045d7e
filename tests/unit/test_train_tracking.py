"""MLflow shows each training once, and loads its version with the predictor's answers."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.adapters.mlflow_model import make_model
from shared.adapters.mlflow_tracking import MlflowTracker
from shared.config import Config
from shared.errors import TrackingUnavailable
from shared.ports import TrackedCandidate, TrackedTraining
from shared.serving.package import LoadedModel, write
from tests.unit.serving.models import binary_package

TRAINING = TrackedTraining(
    model="m",
    version="20260105T090000-0a1b2c3d",
    tags={"millrace.run_id": "20260105T090000-0a1b2c3d", "millrace.model": "m"},
    params={"candidate": "linear", "penalty": 1.0},
    metrics={"auroc": 0.9},
    candidates=[TrackedCandidate("linear", {"penalty": 1.0}, {"auroc": 0.89})],
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
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own queries
def test_a_training_is_shown_once(tmp_path: Path) -> None:
    """A repeat after a crash finds its run, a finished one and one that was left in the middle."""
    tracker = MlflowTracker(_config(f"sqlite:///{tmp_path}/mlflow.db"))
    client: Any = tracker._client
    client.create_experiment("m", artifact_location=str(tmp_path / "artifacts"))
    half = client.create_run(
        client.get_experiment_by_name("m").experiment_id, tags=dict(TRAINING.tags)
    ).info.run_id
    found = []
    for attempt in ("one", "two"):
        write(binary_package(), tmp_path / attempt / "package")
        found.append(tracker.log(TRAINING, tmp_path / attempt))
    assert found == [half, half]
    runs = client.search_runs([client.get_run(half).info.experiment_id])
    assert len(runs) == 2
    assert "linear" in {run.info.run_name for run in runs}
    assert client.get_run(half).data.metrics == {"auroc": 0.9}
    assert (tmp_path / "artifacts" / half / "artifacts" / "MLmodel").exists()


@pytest.mark.usefixtures("environment")
def test_a_server_that_does_not_answer_is_unavailable_soon(tmp_path: Path) -> None:
    """Not after MLflow's own minutes of retries."""
    tracker = MlflowTracker(_config("http://127.0.0.1:9"))
    with pytest.raises(TrackingUnavailable):
        tracker.log(dataclasses.replace(TRAINING), tmp_path)
