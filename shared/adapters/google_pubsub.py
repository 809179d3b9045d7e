"""`ports.Publisher` on Google's Pub/Sub client, for jobs and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import grpc
from google.api_core import exceptions as api
from google.api_core.retry import Retry, if_exception_type
from google.auth.exceptions import RefreshError, TransportError
from google.pubsub_v1 import PublisherClient, PubsubMessage
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from shared.adapters.names import wire_topic
from shared.config import Config
from shared.errors import ServiceUnavailable

_TIMEOUT_SECONDS = 20.0  # of one attempt
_FAULTS = (
    api.Aborted,
    api.Cancelled,
    api.DeadlineExceeded,
    api.InternalServerError,
    api.ResourceExhausted,
    api.ServiceUnavailable,
    api.Unknown,
)


class GooglePublisher:
    """Implements `ports.Publisher`.

    The plain client, not the batching one of `google.cloud.pubsub_v1`: its call returns when the
    service has answered, there is no thread that could die with the process, and attributes may
    be named `topic` or `timeout`.
    """

    def __init__(self, config: Config, *, patience_seconds: float = 60.0) -> None:
        self._topics = f"projects/{config.project}/topics"
        self._retry = Retry(
            predicate=if_exception_type(*_FAULTS),
            initial=0.2,
            maximum=10.0,
            multiplier=2.0,
            timeout=patience_seconds,
        )
        self._client = PublisherClient(transport=_transport(config))

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        message = PubsubMessage(data=data, attributes=dict(attributes))
        try:
            answer = self._client.publish(
                topic=f"{self._topics}/{wire_topic(topic)}",
                messages=[message],
                retry=self._retry,
                timeout=_TIMEOUT_SECONDS,
            )
        except (api.RetryError, *_FAULTS, TransportError, RefreshError) as error:
            raise ServiceUnavailable(f"publishing to {topic}: {error}") from error
        message_id: str = answer.message_ids[0]
        return message_id


def _transport(config: Config) -> PublisherGrpcTransport:
    """Encrypted and with our credentials, or, for a stand-in, plain and anonymous."""
    host = config.pubsub_grpc or urlsplit(config.pubsub_endpoint).netloc
    if config.anonymous:
        return PublisherGrpcTransport(channel=grpc.insecure_channel(host))
    return PublisherGrpcTransport(host=host)
