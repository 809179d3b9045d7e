"""`ports.Tracker` on an MLflow tracking server: a run per training, nested runs per candidate.

The run's artifact root is a pyfunc model as well (MLmodel, package/, code/), so that registering
the run makes `models:/<model>@champion` loadable. MLmodel is written by hand, as JSON, which YAML
contains: `mlflow.pyfunc.save_model` would copy an environment we know better.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from shared.adapters.mlflow_pyfunc import CODE
from shared.config import Config
from shared.errors import TrackingUnavailable
from shared.ports import TrackedCandidate, TrackedTraining

_TAG = "millrace.run_id"
_PARENT = "mlflow.parentRunId"
_NAME = "mlflow.runName"
# MLflow's own seven retries with doubling pauses would hold a finished training for minutes.
_LIMITS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


class MlflowTracker:
    """Implements `ports.Tracker`."""

    def __init__(self, config: Config) -> None:
        for name, value in _LIMITS.items():  # what an operator set there stays
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient(tracking_uri=config.tracking_uri)

    def log(self, training: TrackedTraining, files: Path) -> str:
        with _answering():
            experiment = self._experiment(training.model)
            run = self._find(experiment, training.version)
            if run is not None and run.info.status == "FINISHED":
                return str(run.info.run_id)
            if run is None:
                tags = {**training.tags, _TAG: training.version, _NAME: training.version}
                run = self._client.create_run(experiment, tags=tags)
            run_id = str(run.info.run_id)
            self._log_values(run_id, training.params, training.metrics)
            self._log_candidates(experiment, run_id, training.candidates)
            make_model(files, run_id)
            self._client.log_artifacts(run_id, os.fspath(files))
            # Last: an unfinished run is taken up again by the next attempt.
            self._client.set_terminated(run_id)
            return run_id

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(name))
        except MlflowException:  # somebody was faster, or it really failed
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    def _find(self, experiment: str, version: str) -> Any:
        found = self._client.search_runs([experiment], f"tags.`{_TAG}` = '{version}'")
        return min(found, key=lambda run: run.info.start_time, default=None)

    def _log_candidates(
        self, experiment: str, parent: str, candidates: Sequence[TrackedCandidate]
    ) -> None:
        known = {
            run.data.tags.get(_NAME)
            for run in self._client.search_runs([experiment], f"tags.`{_PARENT}` = '{parent}'")
        }
        for candidate in candidates:
            if candidate.name in known:
                continue
            tags = {_PARENT: parent, _NAME: candidate.name}
            run_id = self._client.create_run(experiment, tags=tags).info.run_id
            self._log_values(run_id, candidate.params, candidate.metrics)
            self._client.set_terminated(run_id)

    def _log_values(
        self, run_id: str, params: Mapping[str, float | str], metrics: Mapping[str, float]
    ) -> None:
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        self._client.log_batch(
            run_id,
            metrics=[Metric(_key(name), float(value), now, 0) for name, value in metrics.items()],
            params=[Param(_key(name), str(value)) for name, value in params.items()],
        )


def make_model(folder: Path, run_id: str) -> None:
    """Turn a folder with `package/` into a pyfunc model: MLmodel, its code, its requirements."""
    shared = Path(__file__).parents[1]
    for name in CODE:
        target = folder / "code" / "shared" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shared / name, target)
    needs = [_pinned(name) for name in ("numpy", "onnxruntime", "pandas")]
    (folder / "requirements.txt").write_text("\n".join(["mlflow", *needs]) + "\n")
    python = ".".join(map(str, sys.version_info[:3]))
    environment = {"python": python, "dependencies": ["-r requirements.txt"]}
    (folder / "python_env.yaml").write_text(json.dumps(environment, indent=1) + "\n")
    flavor = {
        "loader_module": "shared.adapters.mlflow_pyfunc",
        "data": "package",
        "code": "code",
        "env": {"virtualenv": "python_env.yaml"},
        "python_version": python,
    }
    model = {"run_id": run_id, "flavors": {"python_function": flavor}}
    (folder / "MLmodel").write_text(json.dumps(model, indent=1) + "\n")


def _pinned(name: str) -> str:
    """What answers here; pandas is not needed to train, only to load through MLflow."""
    try:
        return f"{name}=={installed(name)}"
    except PackageNotFoundError:
        return name


def _key(name: str) -> str:
    """MLflow allows letters, digits and `_-. /` in names."""
    return "".join(letter if letter.isalnum() or letter in "_-. /" else "_" for letter in name)


@contextmanager
def _answering() -> Iterator[None]:
    """Whatever MLflow has against a training, it does not undo it: TrackingUnavailable for all."""
    import requests
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        raise TrackingUnavailable(f"MLflow: {error}") from error
