"""What is due: from Cloud Scheduler, or from monitor to itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from shared.events.base import Event


@dataclass(frozen=True, kw_only=True)
class SweepDue(Event):
    """Scheduler: look after promises that depend on time."""

    topic: ClassVar[str] = "ticks"
    KEY: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True, kw_only=True)
class MonitorDue(Event):
    """Scheduler: find the windows that are due."""

    topic: ClassVar[str] = "ticks"
    KEY: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True, kw_only=True)
class DigestDue(Event):
    """Scheduler: tell what nobody had to know at once. `slot` names a digest out of turn; empty is
    that of the day."""

    topic: ClassVar[str] = "ticks"
    KEY: ClassVar[tuple[str, ...]] = ("slot",)
    slot: str = ""


@dataclass(frozen=True, kw_only=True)
class WindowDue(Event):
    """monitor to itself: judge one window, `window_start` inclusive to `window_end` exclusive."""

    topic: ClassVar[str] = "ticks"
    KEY: ClassVar[tuple[str, ...]] = ("model", "channel", "window_start", "window_end")
    model: str
    channel: str
    window_start: datetime
    window_end: datetime
