"""Mutes: kinds of alerts of a model that people do not want to hear at once for a while.

One document per model, changed by compare-and-swap: `mutes` in force, and the latest that `ended`,
by whom. A mute ends by itself; muted alerts are kept for the digest and counted there. A mute
without a kind covers what the monitor watches; other kinds are muted only by name, and questions
not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from shared import documents, paths
from shared.documents import Document, timestamp
from shared.errors import NotAllowed
from shared.events import parse_time
from shared.ports import Bucket, Clock
from shared.telling.kinds import MUTABLE, WATCHED

SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(days=90)
KEPT = 100  # ended ones


@dataclass(frozen=True, slots=True)
class Mute:
    """`kind` is empty for everything that the monitor watches."""

    model: str
    kind: str
    until: str
    by: str
    at: str
    reason: str = ""

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Mute:
        """Of any version: what this one does not know is left out."""
        return cls(**{item.name: body[item.name] for item in fields(cls) if item.name in body})

    def covers(self, kind: str, now: datetime) -> bool:
        return now < parse_time(self.until) and kind in ((self.kind,) if self.kind else WATCHED)

    @property
    def what(self) -> str:
        """The kind, or all of them, in words."""
        return self.kind or ", ".join(WATCHED)


def covering(model: str, kind: str, *, now: datetime, lake: Bucket) -> Mute | None:
    """The mute that covers such an alert, the one that lasts longest."""
    if not paths.is_model_name(model) or kind not in MUTABLE:
        return None
    found = [item for item in of_model(model, lake=lake) if item.covers(kind, now)]
    return max(found, key=lambda item: parse_time(item.until), default=None)


def of_model(model: str, *, lake: Bucket) -> list[Mute]:
    """All that are kept, also some that are over."""
    body = documents.read(lake, paths.mutes(model)).body
    return [Mute.from_json(item) for item in body.get("mutes", [])]


def every(*, now: datetime, lake: Bucket, model: str = "") -> Iterator[Mute]:
    """Those in force, of one model or of all."""
    names = [paths.mutes(model)] if model else [info.name for info in lake.list(paths.mutes(""))]
    for name in names:
        for item in documents.read(lake, name).body.get("mutes", []):
            mute = Mute.from_json(item)
            if now < parse_time(mute.until):
                yield mute


def checked_kind(kind: str) -> str:
    """Raises NotAllowed naming the kinds that there are."""
    if kind and kind not in MUTABLE:
        raise NotAllowed(
            f"kind {kind!r} cannot be muted; expected one of {', '.join(MUTABLE)}, or none for "
            f"what the monitor watches ({', '.join(WATCHED)})"
        )
    return kind


def mute(
    model: str,
    kind: str,
    lasts: timedelta,
    *,
    by: str,
    reason: str,
    lake: Bucket,
    clock: Clock,
) -> Mute:
    """Mute a kind from now on; a mute of the same kind is replaced. Raises NotAllowed."""
    checked_kind(kind)
    if not SHORTEST <= lasts <= LONGEST:
        raise NotAllowed("a mute lasts between a minute and 90 days, so that it ends by itself")
    now = clock.now()
    until = timestamp((now + lasts).replace(microsecond=0))
    made = Mute(model, kind, until, by, timestamp(now), reason)
    _change(
        model,
        lambda kept: [*(item for item in kept if item.kind != kind), made],
        by=by,
        now=now,
        lake=lake,
    )
    return made


def unmute(model: str, kind: str, *, by: str, lake: Bucket, clock: Clock) -> list[Mute]:
    """End the mutes of a kind, without one all of the model; those that were in force come back.
    Raises NotAllowed."""
    checked_kind(kind)
    now = clock.now()
    ended: list[Mute] = []

    def without(kept: Sequence[Mute]) -> list[Mute]:
        ended[:] = [item for item in kept if not kind or item.kind == kind]
        return [item for item in kept if item not in ended]

    _change(model, without, by=by, now=now, lake=lake)
    return ended


def _change(
    model: str,
    change: Callable[[Sequence[Mute]], Sequence[Mute]],
    *,
    by: str,
    now: datetime,
    lake: Bucket,
) -> None:
    """What is over or taken out goes among the ended ones. Raises Retryable."""

    def changed(document: Document) -> dict[str, Any] | None:
        before = [Mute.from_json(item) for item in document.body.get("mutes", [])]
        kept = [item for item in before if now < parse_time(item.until)]
        after = change(kept)
        if list(after) == before:
            return None
        ended = [
            {
                **asdict(item),
                "ended": timestamp(now) if item in kept else item.until,
                "ended_by": by if item in kept else "",
            }
            for item in before
            if item not in after
        ]
        return {
            "mutes": [asdict(item) for item in after],
            "ended": [*document.body.get("ended", []), *ended][-KEPT:],
        }

    documents.change(lake, paths.mutes(model), changed)
