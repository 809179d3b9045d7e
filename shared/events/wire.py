"""How messages are written and published; `shared.decoding` reads them."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

from shared.events.base import Event, wire_text
from shared.ports import Clock, Publisher


def encode(event: Event, time: datetime) -> bytes:
    """The body of a message: JSON with `type`, `id`, `time` and the event's fields."""
    body: dict[str, Any] = {"type": event.type, "id": event.id, "time": wire_text(time)}
    for item in dataclasses.fields(event):
        value = getattr(event, item.name)
        body[item.name] = wire_text(value) if isinstance(value, datetime) else value
    return json.dumps(body, separators=(",", ":"), sort_keys=True).encode()


def publish(event: Event, *, publisher: Publisher, clock: Clock) -> None:
    """Publish and wait until it is accepted."""
    publisher.publish(event.topic, encode(event, clock.now()), {"type": event.type})


def parse_time(text: str) -> datetime:
    """An aware UTC time from RFC 3339 text. Raises ValueError."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return time.astimezone(UTC)
