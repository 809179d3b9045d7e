"""`ports.Tracker` on an MLflow tracking server: a run per training, nested runs per candidate.

The run's artifact root is a pyfunc model as well (`shared.adapters.mlflow_model`), so that
registering the run makes `models:/<model>@champion` loadable.

    run (found by its tag) -> values -> nested runs -> dataset -> files -> finished
"""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any

from shared.adapters import mlflow_login
from shared.adapters.mlflow_model import make_model
from shared.config import Config
from shared.errors import TrackingUnavailable
from shared.ports import TrackedCandidate, TrackedDataset, TrackedTraining

SECONDS = "seconds"  # the metric that says how long a run's work took
_TAG = "millrace.run_id"
_PARENT = "mlflow.parentRunId"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST_LETTERS = 36  # MLflow refuses longer ones; the whole hash is a tag
# Else MLflow guesses from what is logged whether this is about prompts.
_EXPERIMENT = {"mlflow.experimentKind": "custom_model_development"}
_KEY_PACKAGES = ("numpy", "scikit-learn", "xgboost", "xgboost-cpu", "optuna", "skl2onnx")
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

        mlflow_login.offer()
        self._client = MlflowClient(tracking_uri=config.tracking_uri)
        self._code_version = config.code_version

    def log(self, training: TrackedTraining, files: Path) -> str:
        with _answering():
            experiment = self._experiment(training.model)
            run = self._find(experiment, training.version) or self._begin(
                experiment, _run_name(training), training.metrics, self._tags(training)
            )
            run_id = str(run.info.run_id)
            if run.info.status == "FINISHED":
                return run_id
            self._log_values(run_id, training.params, training.metrics)
            self._log_candidates(experiment, run_id, training.candidates)
            if training.dataset is not None:
                self._log_dataset(run_id, training.dataset)
            make_model(files, run_id)
            (files / "environment.txt").write_text(_environment())
            self._client.log_artifacts(run_id, os.fspath(files))
            # Last: an unfinished run is taken up again by the next attempt.
            self._end(run, training.metrics)
            return run_id

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(name, tags=_EXPERIMENT))
        except MlflowException:  # somebody was faster, or it really failed
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    def _find(self, experiment: str, version: str) -> Any:
        found = self._client.search_runs([experiment], f"tags.`{_TAG}` = '{version}'")
        return min(found, key=lambda run: run.info.start_time, default=None)

    def _tags(self, training: TrackedTraining) -> dict[str, str]:
        code = self._code_version
        commit = {"mlflow.source.git.commit": code} if _COMMIT.fullmatch(code) else {}
        return {
            **training.tags,
            **({"millrace.code_version": code} if code else {}),
            **commit,
            **_versions(),
            _TAG: training.version,
            "mlflow.note.content": training.description,
            "mlflow.user": training.by,
            "mlflow.source.name": "millrace train",
            "mlflow.source.type": "JOB",
        }

    def _begin(
        self, experiment: str, name: str, metrics: Mapping[str, float], tags: Mapping[str, str]
    ) -> Any:
        """A run that lasts as long as what it shows did, so that MLflow's duration is true."""
        began = int(1000 * (time.time() - metrics.get(SECONDS, 0.0)))
        shown = {key: value for key, value in tags.items() if value}
        return self._client.create_run(experiment, start_time=began, tags=shown, run_name=name)

    def _end(self, run: Any, metrics: Mapping[str, float]) -> None:
        ended = run.info.start_time + int(1000 * metrics.get(SECONDS, 0.0))
        self._client.set_terminated(run.info.run_id, end_time=ended)

    def _log_candidates(
        self, experiment: str, parent: str, candidates: Sequence[TrackedCandidate]
    ) -> None:
        """What a crash left unfinished is gone on with."""
        nested = self._client.search_runs([experiment], f"tags.`{_PARENT}` = '{parent}'")
        known = {run.info.run_name: run for run in nested}
        for candidate in candidates:
            run = known.get(candidate.name) or self._begin(
                experiment, candidate.name, candidate.metrics, {_PARENT: parent}
            )
            if run.info.status != "FINISHED":
                self._log_values(run.info.run_id, candidate.params, candidate.metrics)
                self._end(run, candidate.metrics)

    def _log_dataset(self, run_id: str, dataset: TrackedDataset) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        shown = Dataset(
            name=dataset.name,
            digest=dataset.digest[:_DIGEST_LETTERS],
            source_type="gs",
            source=json.dumps({"uri": dataset.source}),
            profile=json.dumps(dict(dataset.counts)),
        )
        context = InputTag("mlflow.data.context", "training")
        self._client.log_inputs(run_id, [DatasetInput(shown, [context])])

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


def _run_name(training: TrackedTraining) -> str:
    """Short where lists are narrow: the number that people use first."""
    number = training.tags.get("millrace.semantic_version")
    return f"{number} {training.version}" if number else training.version


def _versions() -> dict[str, str]:
    """What made the version, short enough for a tag; environment.txt has all of it."""
    found = {name: _installed(name) for name in _KEY_PACKAGES}
    packages = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    return {"millrace.python": platform.python_version(), "millrace.packages": packages}


def _environment() -> str:
    """Every distribution that is installed here, as pip would pin it."""
    pins = {f"{found.name}=={found.version}" for found in distributions() if found.name}
    lines = [f"# python {platform.python_version()}", *sorted(pins, key=str.lower)]
    return "\n".join(lines) + "\n"


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _key(name: str) -> str:
    """MLflow allows letters, digits and `_-. /` in names."""
    return "".join(letter if letter.isalnum() or letter in "_-. /" else "_" for letter in name)


@contextmanager
def _answering() -> Iterator[None]:
    """Whatever MLflow, or where its artifacts lie, has against a training, it does not undo it:
    TrackingUnavailable for all."""
    import requests
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, requests.RequestException, GoogleAPIError, GoogleAuthError) as error:
        raise TrackingUnavailable(f"MLflow: {error}") from error
