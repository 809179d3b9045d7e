"""Tell people: one message per event, posted once.

    claim(event id) -> post -> complete

A crash between the service's yes and the completed claim may double a message; both carry the same
incident, run or version. A service that is down is tried again for as long as the subscription
holds the event.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared import claims, paths
from shared.events import Event
from shared.ports import Bucket, Clock, Messenger
from shared.telling.blocks import message
from shared.telling.draft import Where


@dataclass(frozen=True, slots=True)
class Notify:
    """The ports of notifying. `messenger` is None when no channel is configured: then what would
    have been posted is only marked as done."""

    lake: Bucket
    messenger: Messenger | None
    clock: Clock
    claim_seconds: int
    context: str
    console_url: str = ""


def notify(event: Event, ports: Notify) -> str:
    """Post the event's message unless it was posted; a word for what was done comes back. Raises
    InProgress while another delivery posts it, Retryable when the service does not take it."""
    claim = claims.take(
        paths.notification(event.id),
        event.id,
        lake=ports.lake,
        clock=ports.clock,
        seconds=ports.claim_seconds,
    )
    if claim.done:
        return "posted before"
    where = Where(ports.lake.name, ports.context, ports.console_url)
    done = "no channel is configured"
    if ports.messenger is not None:
        ports.messenger.post(message(event, where))
        done = "posted"
    claims.complete(claim, {"state": done}, lake=ports.lake, clock=ports.clock)
    return done
