"""What a subscription is, what travels through it, and the body of a push. Pure."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.adapters.memory.clock import rfc3339

ACK_STATUSES = frozenset({102, 200, 201, 202, 204})


@dataclass(frozen=True, slots=True)
class ExportConfig:
    """A Cloud Storage subscription: lines collected for up to `max_seconds`, one object each."""

    bucket: str
    prefix: str = ""
    datetime_format: str = "YYYY-MM-DDThh:mm:ssZ"
    suffix: str = ""
    max_seconds: int = 300
    max_bytes: int = 1_000_000_000


@dataclass(frozen=True, slots=True)
class SubscriptionConfig:
    """`push` is whatever the dispatcher knows the receiver by (a function's name, a URL); without
    `push` and `export` the subscription is pulled. Without backoff a nack is due at once."""

    name: str
    topic: str
    push: str | None = None
    filter: str = ""
    ack_deadline_seconds: int = 10
    min_backoff_seconds: float = 0
    max_backoff_seconds: float = 0
    dead_letter_topic: str | None = None
    max_delivery_attempts: int = 5
    retention_seconds: int = 7 * 86_400
    export: ExportConfig | None = None

    def backoff(self, attempts: int) -> float:
        """Seconds to wait after the given number of failed attempts."""
        if attempts < 1:
            return 0
        doubled = self.min_backoff_seconds * 2.0 ** min(attempts - 1, 32)
        return min(doubled, max(self.max_backoff_seconds, self.min_backoff_seconds))


@dataclass(frozen=True, slots=True)
class Message:
    id: str
    topic: str
    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str
    published: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt. `ack_id` is valid until the deadline passes or somebody else leases it."""

    ack_id: str
    subscription: str
    attempt: int
    message: Message


@dataclass(frozen=True, slots=True)
class DeadLetter:
    subscription: str
    attempts: int
    message: Message


def envelope(delivery: Delivery, config: SubscriptionConfig) -> dict[str, Any]:
    """The body of a push request. Both spellings of id and time are Google's;
    `deliveryAttempt` is only there with a dead letter topic."""
    message = delivery.message
    published = rfc3339(message.published)
    inner: dict[str, Any] = {
        "data": base64.b64encode(message.data).decode(),
        "attributes": dict(message.attributes),
        "messageId": message.id,
        "message_id": message.id,
        "publishTime": published,
        "publish_time": published,
    }
    if message.ordering_key:
        inner["orderingKey"] = message.ordering_key
    body: dict[str, Any] = {"message": inner, "subscription": delivery.subscription}
    if config.dead_letter_topic is not None:
        body["deliveryAttempt"] = delivery.attempt
    return body


def from_row(row: sqlite3.Row) -> SubscriptionConfig:
    values = json.loads(row["config"])
    export = values.pop("export")
    return SubscriptionConfig(**values, export=ExportConfig(**export) if export else None)
