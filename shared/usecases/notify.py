"""Tell people: what asks something of them at once, the rest in the daily digest.

    claim(event id) -> turn (first, worse, resolved, ... or kept) -> post, or an entry of the digest
        -> complete

Posted at once: what asks to act or to decide, how a training ended, and about an incident its first
alert, what makes it worse, each new answer to it, and its end. Everything else, and whatever is
muted, waits for the digest (`shared.usecases.digest`). A service that is down is tried again for as
long as the subscription holds the event.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from typing import Any

from shared import documents, incidents, mutes, paths
from shared.boundary import apart
from shared.decoding import decode
from shared.documents import timestamp
from shared.events import Event, encode, parse_time
from shared.incidents import Incident, Turn
from shared.mutes import Mute
from shared.telling import turns
from shared.telling.blocks import message_of
from shared.telling.draft import when
from shared.telling.drafts import draft_of
from shared.telling.kinds import is_urgent, kind_of, model_of
from shared.usecases.posting import Notify, post

KEPT = "kept for the digest"


def notify(event: Event, ports: Notify) -> str:
    """Tell the event unless it was told; a word for what was done comes back. Raises InProgress
    while another delivery tells it, Retryable when a service does not take it."""
    claim = ports.take(event.id)
    if claim.done:
        return "told before"
    now, lake = ports.clock.now(), ports.lake
    mute = mutes.covering(model_of(event), kind_of(event), now=now, lake=lake)
    turn = _turn(event, mute, ports)
    if turn.at_once:
        draft = draft_of(event, ports.where)
        if turn.word == "worse":
            draft = turns.worse(draft, turn.why)
        return ports.complete(claim, post(message_of(draft), claim, ports))
    keep(event, turn, mute, ports)
    return ports.complete(claim, KEPT)


def _turn(event: Event, mute: Mute | None, ports: Notify) -> Turn:
    if incidents.incident_of(event):
        return incidents.weigh(
            event, muted=mute is not None, now=ports.clock.now(), lake=ports.lake
        )
    if mute is not None:
        return Turn("muted")
    return Turn("first" if is_urgent(event) else "know")


def keep(event: Event, turn: Turn, mute: Mute | None, ports: Notify) -> None:
    """An entry for the next digest, once."""
    now = ports.clock.now()
    body: dict[str, Any] = {
        "event": json.loads(encode(event, now)),
        "word": turn.word,
        "why": turn.why,
        "mute": asdict(mute) if mute else None,
        "kept": timestamp(now),
    }
    name = paths.digest_entry(model_of(event), kind_of(event), event.id)
    documents.create(ports.lake, name, body)


def remind(ports: Notify) -> int:
    """Remind people, once, of every `act now` that nobody has resolved for a day; how many there
    were. Raises Retryable."""
    due = incidents.reminders_due(now=ports.clock.now(), lake=ports.lake)
    return apart((name, partial(_remind, name, one, ports)) for name, one in due)


def _remind(name: str, incident: Incident, ports: Notify) -> int:
    now, lake = ports.clock.now(), ports.lake
    if mutes.covering(incident.model, incident.kind, now=now, lake=lake) is not None:
        return 0
    claim = ports.take(f"remind:{incident.model}:{incident.incident}:{incident.told_at}")
    if not claim.done:
        draft = draft_of(decode(incident.last or {}), ports.where)
        told = when(parse_time(str(incident.told_at)))
        done = post(message_of(turns.reminder(draft, told)), claim, ports)
        ports.complete(claim, done)
    incidents.note_reminder(name, now=now, lake=lake)
    return 1
