"""Which adapter stands behind which port. The only module that imports `shared.adapters`.

Clients are made on first use and kept for the process; importing this makes none and reads no
environment. Small functions and the predictor take the thin REST clients (imports are cold
start), jobs and the command line the official ones: `Wiring(clients="google")`. Where somebody
waits for an answer, `hurry` gives up on a service after two seconds instead of twenty.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from shared.config import Config
from shared.ports import (
    Bucket,
    Clock,
    JobRunner,
    Messenger,
    Publisher,
    Registry,
    Spans,
    SpanTrouble,
    Tracker,
)

if TYPE_CHECKING:
    from shared.adapters.rest import Http

HURRY_SECONDS = 2.0
StorageClient = Any  # google.cloud.storage.Client, which has no types


class Wiring:
    """Ports of one process, lazily."""

    def __init__(
        self,
        config: Config | None = None,
        *,
        clients: Literal["rest", "google"] = "rest",
        hurry: bool = False,
    ) -> None:
        self._given = config
        self._clients = clients
        self._hurry = hurry

    @cached_property
    def config(self) -> Config:
        return self._given or Config.from_env()

    @cached_property
    def inbox(self) -> Bucket:
        return self.bucket(self.config.inbox)

    @cached_property
    def lake(self) -> Bucket:
        return self.bucket(self.config.lake)

    @cached_property
    def publisher(self) -> Publisher:
        if self._clients == "google":
            from shared.adapters.google_pubsub import GooglePublisher

            return GooglePublisher(self.config)
        from shared.adapters.rest_pubsub import RestPublisher

        return RestPublisher(self.config, self._http)

    @cached_property
    def jobs(self) -> JobRunner:
        from shared.adapters.rest_run import RestJobRunner

        return RestJobRunner(self.config, self._http)

    @cached_property
    def clock(self) -> Clock:
        from shared.adapters.system_clock import SystemClock

        return SystemClock()

    @cached_property
    def channels(self) -> dict[str, Messenger]:
        """Where people read, by name; empty when nothing is configured."""
        found: dict[str, Messenger] = {}
        if self.config.slack_webhook_url:
            from shared.adapters.slack import SlackMessenger

            found["slack"] = SlackMessenger(self.config.slack_webhook_url)
        if self.config.smtp_host:
            from shared.adapters.mail import MailMessenger, Relay

            config = self.config
            relay = Relay(
                *(config.smtp_host, config.smtp_port, config.mail_from, config.mail_to),
                user=config.smtp_user,
                password=config.smtp_password,
                security=config.smtp_security,
            )
            found["mail"] = MailMessenger(relay, self.clock)
        return found

    @cached_property
    def registry(self) -> Registry | None:
        """None when no tracking server is configured."""
        if not self.config.tracking_uri:
            return None
        from shared.adapters.mlflow_registry import MlflowRegistry

        return MlflowRegistry(self.config)

    @cached_property
    def vertex(self) -> Registry | None:
        """Vertex AI's Model Registry; None unless it is switched on."""
        if not self.config.vertex_registry:
            return None
        from shared.adapters.vertex_registry import VertexRegistry

        return VertexRegistry(self.config)

    @property
    def registries(self) -> list[Registry]:
        """All that mirror the lake."""
        return [one for one in (self.registry, self.vertex) if one is not None]

    @cached_property
    def tracker(self) -> Tracker | None:
        """None when no tracking server is configured."""
        if not self.config.tracking_uri:
            return None
        from shared.adapters.mlflow_tracking import MlflowTracker

        return MlflowTracker(self.config)

    def spans(self, on_trouble: SpanTrouble) -> Spans | None:
        """None unless a collector for traces is configured."""
        if not self.config.traces:
            return None
        from shared.adapters.otlp_spans import OtlpSpans

        return OtlpSpans(on_trouble=on_trouble)

    @cached_property
    def _http(self) -> Http:
        """One connection pool and one token for all REST clients of the process."""
        from shared.adapters.rest import Http, Retries

        retries = Retries(attempts=3, total_seconds=HURRY_SECONDS) if self._hurry else None
        return Http(self.config, retries=retries)

    @cached_property
    def _storage(self) -> StorageClient:
        from shared.adapters.google_storage import storage_client

        return storage_client(self.config)

    @staticmethod
    def id_token(audience: str) -> tuple[str, str]:
        """An ID token for a service, or an empty text and why there is none."""
        from shared.adapters.credentials import id_token

        return id_token(audience)

    def missing_credentials(self) -> str:
        """Why Google's clients have no credentials; empty when they have, or need none."""
        if self.config.anonymous:
            return ""
        from shared.adapters.credentials import missing_credentials

        return missing_credentials()

    def bucket(self, name: str) -> Bucket:
        """A bucket by its name."""
        if self._clients == "google":
            from shared.adapters.google_storage import GoogleBucket

            return GoogleBucket(self.config, name, self._storage)
        from shared.adapters.rest_storage import RestBucket

        return RestBucket(self.config, name, self._http)
