"""What every message has: a topic, and an id made of the fields that identify it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all messages. `topic` is a topology key."""

    topic: ClassVar[str]
    KEY: ClassVar[tuple[str, ...]]

    @property
    def type(self) -> str:
        return type(self).__name__

    @property
    def id(self) -> str:
        return ":".join([self.type, *(wire_text(getattr(self, name)) for name in self.KEY)])


@dataclass(frozen=True, kw_only=True)
class RunEvent(Event):
    """Something about one run of one model."""

    KEY: ClassVar[tuple[str, ...]] = ("model", "run_id")
    model: str
    run_id: str


def wire_text(value: object) -> str:
    """How a field is written in a body and in an id."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)
