"""Park what could not be delivered, with everything needed to deliver it again, and say so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared import documents, paths
from shared.documents import timestamp
from shared.events import AutomationNoted, publish
from shared.ports import Bucket, Clock, Publisher

SOURCE = "CloudPubSubDeadLetterSource"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message as Pub/Sub forwards it: its attributes name the subscription it came from."""

    message_id: str
    published: datetime
    attributes: dict[str, str]
    body: dict[str, Any]


def function_of(attributes: dict[str, str]) -> str:
    """The function a dead letter was meant for: push subscriptions are `<function>-<topic>`,
    on the wire with the installation's prefix and maybe a filter hash behind."""
    name = attributes.get(f"{SOURCE}Subscription", "").rpartition("/")[2]
    return name.removeprefix("millrace-").partition("-")[0] or "unknown"


def park(letter: DeadLetter, *, lake: Bucket, publisher: Publisher, clock: Clock) -> str:
    """Store the letter once; the object's name comes back. notify's own dead letters raise no
    alert, which could only die the same way."""
    function = function_of(letter.attributes)
    name = paths.dead_letter(function, letter.published.date(), letter.message_id)
    attributes = {
        key: value for key, value in letter.attributes.items() if not key.startswith(SOURCE)
    }
    documents.create(
        lake,
        name,
        {
            "function": function,
            "parked_at": timestamp(clock.now()),
            "published": timestamp(letter.published),
            "message_id": letter.message_id,
            "attempts": letter.attributes.get(f"{SOURCE}DeliveryCount"),
            "attributes": attributes,
            "body": letter.body,
        },
    )
    if function != "notify":
        note = AutomationNoted(
            model=str(letter.body.get("model") or ""),
            source="deadletter",
            subject=name,
            sentence=f"A message for {function} could not be delivered and is parked in {name}. "
            f"Once the cause is fixed: millrace dead-letters replay {name}",
            asks="act now",
        )
        publish(note, publisher=publisher, clock=clock)
    return name
