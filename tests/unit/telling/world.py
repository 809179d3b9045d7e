"""Alerts of a watched model, window after window, and a notify that tells of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared import events, mutes
from shared.adapters.memory import FixedClock, MemoryCloud
from shared.events import Event, MonitorAlert
from shared.usecases.digest import digest
from shared.usecases.notify import notify, remind
from shared.usecases.posting import Notify
from tests.support.system import memory_cloud

DAY = timedelta(days=1)
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
WORDS = {
    "drift": (events.DriftDetected, events.DriftResolved, "decide"),
    "data_quality": (events.DataQualityBroken, events.DataQualityRestored, "act now"),
    "performance": (events.PerformanceDropped, events.PerformanceRestored, "act now"),
}


@dataclass
class Told:
    """`day` is the number of the window an alert is about, 0 for Monday's."""

    clock: FixedClock = field(default_factory=lambda: FixedClock(MONDAY))
    channels: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cloud: MemoryCloud = memory_cloud(self.clock)
        self.lake = self.cloud.lake
        self.channels = self.channels or {"slack": self.cloud.messenger}

    @property
    def ports(self) -> Notify:
        return Notify(self.lake, self.channels, self.clock, 90, "local")

    def alert(
        self,
        kind: str,
        day: int,
        *,
        first: int = 0,
        effect: float = 2.0,
        whats: Sequence[str] = ("age",),
        over: bool = False,
        revision: int = 0,
    ) -> MonitorAlert:
        opens, resolves, asks = WORDS[kind]
        start = MONDAY + day * DAY
        return (resolves if over else opens)(
            model="m",
            version="v1",
            incident_id=f"m-batch-{kind}-{day}",
            revision=revision,
            channel="batch",
            window_start=start,
            window_end=start + DAY,
            sentence=f"{kind} of day {day}{' is over' if over else ''}.",
            facts=[],
            report=f"reports/m/batch/{day}/report.html",
            asks="know" if over else asks,
            opened_by=f"m-batch-{kind}-{first}",
            since=f"{MONDAY + first * DAY:%Y-%m-%dT00:00:00Z}",
            effect=effect,
            findings=[
                {"what": what, "value": effect, "reference": 0, "threshold": 1, "change": ""}
                for what in whats
            ],
        )

    def note(self, kind: str, day: int, *, asks: str = "know", answer: str = "note") -> Event:
        return events.AutomationNoted(
            model="m",
            source="retrain",
            subject=f"m-batch-{kind}-{day}",
            sentence=f"{answer} about day {day}.",
            asks=asks,
            incident=f"m-batch-{kind}-0",
            kind=kind,
            answer=answer,
        )

    def tell(self, event: Event) -> str:
        return notify(event, self.ports)

    def digest(self, slot: str = "") -> str:
        return digest(slot or f"{self.clock.now():%Y-%m-%d}", self.ports)

    def remind(self) -> int:
        return remind(self.ports)

    def mute(self, kind: str = "", lasts: timedelta = 7 * DAY) -> None:
        mutes.mute("m", kind, lasts, by="ada", reason="", lake=self.lake, clock=self.clock)

    @property
    def posted(self) -> list[str]:
        """Headers of what was posted, oldest first."""
        return [message["blocks"][0]["text"]["text"] for message in self.messages]

    @property
    def messages(self) -> list[Any]:
        return self.cloud.messenger.posted

    def last(self) -> str:
        return json.dumps(self.messages[-1], ensure_ascii=False)
