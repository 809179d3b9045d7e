"""`ports.Registry` on an MLflow tracking server, through mlflow-skinny's client.

The registered model has the model's name; each of our versions is found by its tag, because MLflow
numbers its versions itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shared import paths
from shared.adapters import mlflow_login
from shared.config import Config
from shared.errors import TrackingUnavailable
from shared.ports import TrackedVersion, VersionFacts

_TAG = "millrace.run_id"
_MISSING = "RESOURCE_DOES_NOT_EXIST"
_ABOUT = (
    "Mirrored by Millrace; what serves is decided in the lake. Moving the alias `champion` here "
    "changes nothing by itself: it asks for an approval, with the same gate."
)
_FEW_RETRIES = 1  # MLflow's own 7 with doubling pauses outlast a function
_TIMEOUT_SECONDS = 10


class MlflowRegistry:
    """Implements `ports.Registry`."""

    title = "MLflow"

    def __init__(self, config: Config) -> None:
        from mlflow.environment_variables import (
            MLFLOW_HTTP_REQUEST_MAX_RETRIES,
            MLFLOW_HTTP_REQUEST_TIMEOUT,
        )
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        mlflow_login.offer()
        self._error: type[Any] = MlflowException
        # MLflow takes these from the environment only; what an operator set there stays.
        limits: list[tuple[Any, int]] = [
            (MLFLOW_HTTP_REQUEST_MAX_RETRIES, _FEW_RETRIES),
            (MLFLOW_HTTP_REQUEST_TIMEOUT, _TIMEOUT_SECONDS),
        ]
        for variable, value in limits:
            if not variable.is_set():
                variable.set(value)
        self._client = MlflowClient(
            tracking_uri=config.tracking_uri, registry_uri=config.tracking_uri
        )
        self._lake = config.lake

    def find(self, model: str, version: str) -> TrackedVersion | None:
        query = f"name = '{model}' and tags.`{_TAG}` = '{version}'"
        with _answering():
            found = list(self._client.search_model_versions(query))
        if not found:
            return None
        # Two registrations at the same moment can both see nothing: the first number counts.
        first = min(found, key=lambda each: int(each.version))
        return TrackedVersion(str(first.version), first.run_id or "")

    def register(self, model: str, version: str, facts: VersionFacts) -> TrackedVersion:
        known = self.find(model, version)
        if known is None:
            with _answering():
                self._create(model, version, facts)
            known = self.find(model, version)
        if known is None:
            raise TrackingUnavailable(f"MLflow took version {version} of {model} but has no trace")
        return known

    def describe(self, model: str, version: TrackedVersion, description: str) -> None:
        with _answering():
            self._client.update_model_version(model, version.registry_version, description)

    def alias(self, model: str, alias: str) -> str | None:
        with _answering():
            try:
                found = self._client.get_model_version_by_alias(model, alias)
            except self._error as error:
                # The server calls an alias that is not set an invalid parameter.
                if error.error_code not in {_MISSING, "INVALID_PARAMETER_VALUE"}:
                    raise
                return None
        return str(found.tags.get(_TAG) or f"#{found.version}")

    def set_alias(self, model: str, alias: str, version: TrackedVersion) -> None:
        with _answering():
            self._client.set_registered_model_alias(model, alias, version.registry_version)

    def _create(self, model: str, version: str, facts: VersionFacts) -> None:
        try:
            self._client.create_registered_model(model, description=_ABOUT)
        except self._error as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        artifacts = self._artifacts(facts.tracking_run_id)
        self._client.create_model_version(
            name=model,
            source=artifacts or f"gs://{self._lake}/{paths.version(model, version)}",
            run_id=facts.tracking_run_id if artifacts else None,
            tags={**{f"millrace.{name}": text for name, text in facts.tags.items()}, _TAG: version},
            description=facts.description,
            await_creation_for=0,
        )

    def _artifacts(self, tracking_run_id: str | None) -> str | None:
        """Where the run's files are, or None for a run this server does not know."""
        if tracking_run_id is None:
            return None
        try:
            uri: str = self._client.get_run(tracking_run_id).info.artifact_uri
        except self._error as error:
            if error.error_code != _MISSING:
                raise
            return None
        return uri


@contextmanager
def _answering() -> Iterator[None]:
    """TrackingUnavailable for whatever MLflow has against it: a connection that failed, any 5xx,
    and also a refusal, which an operator can mend while the message is tried again."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise TrackingUnavailable(f"MLflow: {error.message}") from error
