"""What people were told about an incident: an unbroken row of windows that are out of bounds.

    first alert --> told ------ same again --> digest          worse --> told again
                     |  \\----- a day of `act now` without an end --> one reminder
                     \\-------- resolved --> told once

One document per incident (`alerts/<model>/<incident>.json`), changed by compare-and-swap; what was
made of an event is kept in it, so that a repeat says the same. An incident that nobody was told of
(it was muted, or left to another alert of the model) is told when that is over. Pure
but for that document.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any

from shared import documents, paths
from shared.decoding import decode
from shared.documents import Document, timestamp
from shared.events import AutomationNoted, Event, MonitorAlert, encode, parse_time
from shared.ports import Bucket
from shared.telling.kinds import OPENING, asks_of, kind_of

# Worse by half again is news, and so are more columns than were told.
GROWTH = 1.5
REMIND_AFTER = timedelta(days=1)
# Incidents that nothing was heard of for longer are not looked through for reminders.
RECENT = timedelta(days=30)
KEPT_EVENTS = 500


@dataclass(frozen=True, slots=True)
class Turn:
    """What to make of an event. `word` is one of: first, worse, resolved, note (told at once),
    same, late, left, muted (kept for the digest); `why` is for people, may be empty."""

    word: str
    why: str = ""

    @property
    def at_once(self) -> bool:
        return self.word in ("first", "worse", "resolved", "note")


@dataclass(frozen=True, slots=True)
class Incident:
    """`told_at` is None while nobody was told; `effect` and `whats` are the worst that was told.
    `resolved` is the start of the window that ended it, `last` the newest alert as it came."""

    model: str
    incident: str
    kind: str
    told_at: str | None = None
    effect: float = 0.0
    whats: tuple[str, ...] = ()
    reminded_at: str | None = None
    resolved: str | None = None
    answers: tuple[str, ...] = ()
    seen: dict[str, list[str]] = field(default_factory=dict)
    last: dict[str, Any] | None = None

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Incident:
        """Of any version: what this one does not know is left out."""
        known = {item.name: body[item.name] for item in fields(cls) if item.name in body}
        lists = {name: tuple(body.get(name, ())) for name in ("whats", "answers")}
        return cls(**{**known, **lists})

    def reminder_due(self, now: datetime) -> bool:
        """An `act now` that was told a day ago, and nobody knows it to be over."""
        if self.told_at is None or self.reminded_at or self.resolved or self.last is None:
            return False
        late = now - parse_time(self.told_at) >= REMIND_AFTER
        return late and asks_of(decode(self.last)) == "act now"


def incident_of(event: Event) -> str:
    """The incident an event belongs to, empty for none."""
    return event.incident if isinstance(event, MonitorAlert | AutomationNoted) else ""


def weigh(event: Event, *, muted: bool, now: datetime, lake: Bucket) -> Turn:
    """What to make of an event of an incident, the same for every delivery of it.
    Raises Retryable."""
    name = paths.alert(str(getattr(event, "model", "")), incident_of(event))
    turn = Turn("first")

    def weighed(document: Document) -> dict[str, Any] | None:
        nonlocal turn
        before = Incident.from_json(document.body) if document.exists else None
        if before is not None and event.id in before.seen:
            turn = Turn(*before.seen[event.id])
            return None
        turn, after = judge(before, event, muted=muted, now=now)
        after.seen[event.id] = [turn.word, turn.why]
        return asdict(after)

    documents.change(lake, name, weighed)
    return turn


def judge(
    before: Incident | None, event: Event, *, muted: bool, now: datetime
) -> tuple[Turn, Incident]:
    """What to make of an event, and what is known of the incident afterwards. Pure."""
    known = before or Incident(
        model=str(getattr(event, "model", "")), incident=incident_of(event), kind=kind_of(event)
    )
    known = replace(known, seen=dict(list(known.seen.items())[-KEPT_EVENTS:]))
    if isinstance(event, OPENING):
        return _again(known, event, muted=muted, now=now)
    if isinstance(event, MonitorAlert):
        over = replace(known, resolved=known.resolved or timestamp(event.window_start))
        if muted:
            return Turn("muted"), over
        # Without a document it was told by an older version, or its alert is still on its way.
        news = known.resolved is None and (before is None or known.told_at is not None)
        return Turn("resolved" if news else "same"), over
    return _answer(known, event, muted=muted, first=before is None)


def _again(
    known: Incident, event: MonitorAlert, *, muted: bool, now: datetime
) -> tuple[Turn, Incident]:
    if known.resolved is not None:
        if event.window_start < parse_time(known.resolved):
            return Turn("late", "it is over by now"), known
        known = replace(known, resolved=None, told_at=None, reminded_at=None)  # open again
    known = replace(known, last=json.loads(encode(event, now)))
    if muted:
        return Turn("muted"), known
    if event.asks == "know":  # another alert of the model tells of it, and decides
        return Turn("same" if known.told_at else "left"), known
    whats = {item["what"] for item in event.findings}
    told = replace(
        known,
        told_at=known.told_at or timestamp(now),
        effect=max(known.effect, event.effect),
        whats=tuple(sorted({*known.whats, *whats})),
    )
    if known.told_at is None:
        return Turn("first"), told
    why = _worse(known, event.effect, whats)
    return (Turn("worse", why), told) if why else (Turn("same"), known)


def _worse(known: Incident, effect: float, whats: set[str]) -> str:
    """Why this is worse than what was told, empty if it is not."""
    found = []
    if known.effect and effect >= GROWTH * known.effect:
        found.append(
            f"{effect:.3g} times the allowed distance from the reference, {known.effect:.3g} when "
            "it was told last"
        )
    more = sorted(whats - set(known.whats))
    if more and len(whats) > len(known.whats):
        found.append(f"new: {', '.join(more[:5])}{' and more' if len(more) > 5 else ''}")
    return "; ".join(found)


def _answer(known: Incident, event: Event, *, muted: bool, first: bool) -> tuple[Turn, Incident]:
    """A note about the incident: the same answer is news once."""
    if muted:
        return Turn("muted"), known
    asks, source = asks_of(event), str(getattr(event, "source", ""))
    answer = f"{source}: {asks}: {getattr(event, 'answer', '')}"
    heard = first or known.told_at is not None or asks != "know"
    if answer in known.answers or not heard:
        return Turn("same"), known
    return Turn("note"), replace(known, answers=(*known.answers, answer))


# --- reminders -----------------------------------------------------------------------------------


def reminders_due(*, now: datetime, lake: Bucket) -> Iterator[tuple[str, Incident]]:
    """(object, incident) of every incident that people should be reminded of."""
    for info in lake.list(paths.alert("", "")):
        if now - info.created < RECENT:
            incident = Incident.from_json(documents.read(lake, info.name).body)
            if incident.reminder_due(now):
                yield info.name, incident


def note_reminder(name: str, *, now: datetime, lake: Bucket) -> None:
    """From now on the incident is one that people were reminded of. Raises Retryable."""

    def reminded(document: Document) -> dict[str, Any] | None:
        incident = Incident.from_json(document.body)
        if incident.reminded_at is not None:
            return None
        return asdict(replace(incident, reminded_at=timestamp(now)))

    documents.change(lake, name, reminded)
