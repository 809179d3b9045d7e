"""What people should know: notify tells them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from shared.events.base import Event


@dataclass(frozen=True, kw_only=True)
class DataRejected(Event):
    """A dropped object was refused at the door; `source` is gs://bucket/name#generation."""

    topic: ClassVar[str] = "alerts"
    KEY: ClassVar[tuple[str, ...]] = ("source",)
    model: str
    run_id: str
    source: str
    reason: str
    message: str
    asks: str = "act now"


@dataclass(frozen=True, kw_only=True)
class MonitorAlert(Event):
    """A judgement about one window. `incident_id` is the same for every revision of the window
    and kind; `facts` are short lines with value and threshold; `report` is an object name.

    `opened_by` is the incident of the first window of an unbroken row of firing ones, `since` that
    window's start. `findings` are what is out of bounds: `what`, `value`, `reference`, `threshold`
    and `change` each, and a column's `statistic` where it is not PSI. `effect` is the largest
    distance from the reference, 1 where the threshold is. `decided_by` is the incident_id of the
    other alert of the model that decides whether the loop trains, empty where this one does. Older
    messages lack these five."""

    topic: ClassVar[str] = "alerts"
    KEY: ClassVar[tuple[str, ...]] = ("model", "incident_id", "revision")
    model: str
    version: str
    incident_id: str
    revision: int
    channel: str
    window_start: datetime
    window_end: datetime
    sentence: str
    facts: list[str]
    report: str
    asks: str
    opened_by: str = ""
    since: str = ""
    effect: float = 0.0
    decided_by: str = ""
    findings: list[dict[str, Any]] = field(default_factory=list)

    @property
    def incident(self) -> str:
        """What people know it by, over all its windows."""
        return self.opened_by or self.incident_id


class DataQualityBroken(MonitorAlert):
    """Missing, mistyped or unseen values beyond what the reference had. Never retrains."""


class DriftDetected(MonitorAlert):
    """The inputs or predictions moved away from the reference."""


class PerformanceDropped(MonitorAlert):
    """Labels say that the champion is worse than it was on its holdout."""


class DataQualityRestored(MonitorAlert):
    """The next window of the same channel is clean again."""


class DriftResolved(MonitorAlert):
    """The next window of the same channel no longer drifts."""


class PerformanceRestored(MonitorAlert):
    """The next judged window of the same channel performs as on the holdout again."""


@dataclass(frozen=True, kw_only=True)
class AutomationNoted(Event):
    """Something the automation did, or decided not to do, that people should know.
    `subject` identifies the occasion (an incident, a run, a parked message). A note about an alert
    names its `incident` and `kind` and what was decided in a word, the `answer`: the same answer
    to the same incident is news once."""

    topic: ClassVar[str] = "alerts"
    KEY: ClassVar[tuple[str, ...]] = ("model", "source", "subject")
    model: str
    source: str
    subject: str
    sentence: str
    asks: str = "know"
    incident: str = ""
    kind: str = ""
    answer: str = ""
