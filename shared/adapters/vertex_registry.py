"""`ports.Registry` on the Vertex AI Model Registry, through google.cloud.aiplatform_v1 (gRPC).

    model   projects/P/locations/R/models/<model>      its id is our model's name
    version @1, @2, ...                                numbered by Vertex
    alias   @run-<version id>                          ours: finds the version that we uploaded
            @champion, @challenger, @default           moved; `default` goes with `champion`

An upload has no idempotency token, so it is never sent again by itself: whoever comes next looks
for the alias, then for the label, before uploading. The client library takes a second to import
and is imported only here, when the registry is switched on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from shared import paths
from shared.config import Config
from shared.errors import TrackingUnavailable
from shared.ports import TrackedVersion, VersionFacts

PORT, PREDICT_ROUTE, HEALTH_ROUTE = 8080, "/vertex/predict", "/vertex/health"
_LABEL = "millrace_run_id"
_RUN_ALIAS = "run-"
_CALL_SECONDS = 8.0
_UPLOAD_SECONDS = 35.0  # under mirror's timeout
_LABEL_LETTERS = 63
_DESCRIPTION_LETTERS = 2000


class VertexRegistry:
    """Implements `ports.Registry`."""

    title = "Vertex AI"

    def __init__(self, config: Config) -> None:
        from google.api_core import exceptions
        from google.api_core.retry import Retry, if_exception_type
        from google.cloud import aiplatform_v1

        self._api: Any = aiplatform_v1
        self._missing: type[Exception] = exceptions.NotFound
        self._taken: type[Exception] = exceptions.AlreadyExists
        passing = if_exception_type(exceptions.ServiceUnavailable)
        # `retry` bounds all attempts of a call together.
        retry = Retry(predicate=passing, initial=0.2, maximum=2.0, timeout=_CALL_SECONDS)
        self._patient: dict[str, Any] = {"retry": retry, "timeout": _CALL_SECONDS}
        self._client: Any = _client(aiplatform_v1, config)
        self._config = config
        self._parent = f"projects/{config.project}/locations/{config.region}"

    def find(self, model: str, version: str) -> TrackedVersion | None:
        with _answering():
            found = self._get(f"{self._name(model)}@{_RUN_ALIAS}{version}")
            if found is None or found.labels.get(_LABEL) != _label(version):
                found = self._labelled(model, version)
        return None if found is None else TrackedVersion(str(found.version_id), "")

    def register(self, model: str, version: str, facts: VersionFacts) -> TrackedVersion:
        known = self.find(model, version)
        if known is not None:
            return known
        with _answering():
            self._upload(model, version, facts)
        known = self.find(model, version)
        if known is None:
            raise TrackingUnavailable(f"Vertex AI took version {version} of {model}, without trace")
        return known

    def describe(self, model: str, version: TrackedVersion, description: str) -> None:
        with _answering():
            changed = self._api.Model(
                name=f"{self._name(model)}@{version.registry_version}",
                version_description=description[:_DESCRIPTION_LETTERS],
            )
            self._client.update_model(
                model=changed, update_mask={"paths": ["version_description"]}, **self._patient
            )

    def alias(self, model: str, alias: str) -> str | None:
        with _answering():
            found = self._get(f"{self._name(model)}@{alias}")
        if found is None:
            return None
        return _version_id(found.labels.get(_LABEL, "")) or f"#{found.version_id}"

    def set_alias(self, model: str, alias: str, version: TrackedVersion) -> None:
        aliases = [alias, "default"] if alias == "champion" else [alias]
        with _answering():
            self._client.merge_version_aliases(
                name=f"{self._name(model)}@{version.registry_version}",
                version_aliases=aliases,
                **self._patient,
            )

    # --- uploading -------------------------------------------------------------------------------

    def _upload(self, model: str, version: str, facts: VersionFacts) -> None:
        """As a version of the model, or as the model's first one."""
        body = self._model(model, version, facts)
        if self._get(self._name(model)) is None:
            try:
                self._send({"model_id": model}, body)
                return
            except self._taken:  # somebody was faster; ours becomes the next version
                pass
        self._send({"parent_model": self._name(model)}, body)

    def _send(self, where: Mapping[str, str], body: Any) -> None:
        request = self._api.UploadModelRequest(parent=self._parent, model=body, **where)
        # Without retry: an upload whose answer was lost may have happened.
        started = self._client.upload_model(request=request, retry=None, timeout=_CALL_SECONDS)
        started.result(timeout=_UPLOAD_SECONDS)

    def _model(self, model: str, version: str, facts: VersionFacts) -> Any:
        named = {f"millrace_{name}": _label(text) for name, text in facts.tags.items()}
        return self._api.Model(
            display_name=model,
            description="Mirrored by Millrace; what serves is decided in the lake.",
            version_description=facts.description[:_DESCRIPTION_LETTERS],
            version_aliases=[f"{_RUN_ALIAS}{version}"],
            labels={**named, _LABEL: _label(version)},
            artifact_uri=f"gs://{self._config.lake}/{paths.package(model, version)}".rstrip("/"),
            container_spec=self._container(),
        )

    def _container(self) -> Any:
        """Our predictor: it serves the package that Vertex AI points AIP_STORAGE_URI at, so it is
        told nothing of the version. The rest is what every process of ours reads."""
        config = self._config
        environment = {
            "MILLRACE_PROJECT": config.project,
            "MILLRACE_REGION": config.region,
            "MILLRACE_INBOX": config.inbox,
            "MILLRACE_LAKE": config.lake,
        }
        return self._api.ModelContainerSpec(
            image_uri=config.predict_image,
            ports=[self._api.Port(container_port=PORT)],
            predict_route=PREDICT_ROUTE,
            health_route=HEALTH_ROUTE,
            env=[self._api.EnvVar(name=name, value=text) for name, text in environment.items()],
        )

    # --- looking ---------------------------------------------------------------------------------

    def _get(self, name: str) -> Any:
        try:
            return self._client.get_model(name=name, **self._patient)
        except self._missing:
            return None

    def _labelled(self, model: str, version: str) -> Any:
        """The first upload that carries our run id: its alias may have been taken away."""
        query = self._api.ListModelVersionsRequest(
            name=self._name(model), filter=f'labels.{_LABEL}="{_label(version)}"'
        )
        try:
            found = list(self._client.list_model_versions(request=query, **self._patient))
        except self._missing:
            return None
        return min(found, key=lambda one: int(one.version_id), default=None)

    def _name(self, model: str) -> str:
        return f"{self._parent}/models/{model}"


def _client(api: Any, config: Config) -> Any:
    if not config.vertex_endpoint:
        address = f"{config.region}-aiplatform.googleapis.com"
        return api.ModelServiceClient(client_options={"api_endpoint": address})
    import grpc

    transport = api.ModelServiceClient.get_transport_class("grpc")
    return api.ModelServiceClient(
        transport=transport(channel=grpc.insecure_channel(config.vertex_endpoint))
    )


def _label(text: str) -> str:
    """As labels allow it: small letters, digits, `_` and `-`, at most 63."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:_LABEL_LETTERS]


def _version_id(label: str) -> str:
    """The version id of a label, which has no capital T; empty for anything else."""
    found = re.fullmatch(r"(\d{8})t(\d{6}-[0-9a-f]{8})", label)
    return f"{found[1]}T{found[2]}" if found else ""


@contextmanager
def _answering() -> Iterator[None]:
    """TrackingUnavailable for whatever Vertex has against it, also a refusal: an operator can mend
    that while the message is tried again, and it is no reason to lose a training."""
    import concurrent.futures

    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except (GoogleAPIError, GoogleAuthError, concurrent.futures.TimeoutError) as error:
        raise TrackingUnavailable(f"Vertex AI: {error}"[:500]) from error
