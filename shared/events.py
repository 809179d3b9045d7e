"""The messages that travel: past-tense facts, one frozen class each, and how they are written.

Every body carries `type`, `time`, its fields and an `id` made of the identifying fields (`KEY`), so
that a message published twice after a crash is recognisably the same one. `infra/topology.yaml`
says who publishes and who receives what, `shared.decoding` reads them. Knows no transport.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from shared.ports import Clock, Publisher


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
        return ":".join([self.type, *(_text(getattr(self, name)) for name in self.KEY)])


@dataclass(frozen=True, kw_only=True)
class RunEvent(Event):
    """Something about one run of one model."""

    KEY: ClassVar[tuple[str, ...]] = ("model", "run_id")
    model: str
    run_id: str


# --- requests ------------------------------------------------------------------------------------


class _Request(RunEvent):
    topic: ClassVar[str] = "requests"


@dataclass(frozen=True, kw_only=True)
class TrainingRequested(_Request):
    """intake or retrain wants a training; what exactly is in the run's request.json."""


@dataclass(frozen=True, kw_only=True)
class ScoringRequested(_Request):
    """intake wants a file scored."""


@dataclass(frozen=True, kw_only=True)
class LabellingRequested(_Request):
    """intake wants labels recorded."""


@dataclass(frozen=True, kw_only=True)
class ComparisonRequested(_Request):
    """promote found another champion than the one compared against; compare again."""


@dataclass(frozen=True, kw_only=True)
class PromotionRequested(Event):
    """mirror saw somebody move the champion alias by hand. `where` names the registry, `seen_at`
    tells one move from the next."""

    topic: ClassVar[str] = "requests"
    KEY: ClassVar[tuple[str, ...]] = ("model", "version", "instead_of", "where", "seen_at")
    model: str
    version: str
    instead_of: str
    by: str
    where: str = "MLflow"
    seen_at: str = ""


# --- outcomes ------------------------------------------------------------------------------------


class _Outcome(RunEvent):
    topic: ClassVar[str] = "outcomes"


@dataclass(frozen=True, kw_only=True)
class TrainingCompleted(_Outcome):
    """A version is stored with its card and comparison; it waits for a decision."""

    version: str


@dataclass(frozen=True, kw_only=True)
class ComparisonCompleted(_Outcome):
    """A stored version was compared with today's champion."""

    version: str


@dataclass(frozen=True, kw_only=True)
class ScoringCompleted(_Outcome):
    """A predictions object is complete. `errors` of its `rows` carry a reason, not a score."""

    version: str
    rows: int
    errors: int
    output: str


@dataclass(frozen=True, kw_only=True)
class LabelsRecorded(_Outcome):
    """Labels are stored; `matched` of `rows` belong to a prediction we made. The other counts are
    those of `shared.labelled.LabelSummary`."""

    rows: int
    matched: int
    unknown: int
    quarantined: int = 0
    duplicates: int = 0
    late: int = 0
    corrected: int = 0
    repeated: int = 0
    outdated: int = 0
    missing: int = 0


@dataclass(frozen=True, kw_only=True)
class RunRejected(_Outcome):
    """The run's input can never work."""

    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class RunFailed(_Outcome):
    """The run's executions ended without an outcome as often as they may."""

    message: str


@dataclass(frozen=True, kw_only=True)
class ModelPromoted(_Outcome):
    """The serving manifest now names this version. `revision` counts the manifest's moves;
    `decided_at` is when somebody decided it, however late this is said again."""

    KEY: ClassVar[tuple[str, ...]] = ("model", "version", "revision")
    version: str
    previous: str | None
    revision: int
    by: str
    sentence: str
    decided_at: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelNotPromoted(_Outcome):
    """A version was judged, or declined by a person, and the champion stays. `decided_at` as in
    ModelPromoted; `serves` is False where the model has no champion."""

    KEY: ClassVar[tuple[str, ...]] = ("model", "run_id", "version")
    version: str
    by: str
    sentence: str
    decided_at: str = ""
    serves: bool = True


@dataclass(frozen=True, kw_only=True)
class ApprovalRequested(_Outcome):
    """A version waits for a person; `sentence` says why. Against another champion, or in another
    `turn` of it, the question is another one. A spec waits as version `spec-<generation>`; `facts`
    are its changes."""

    KEY: ClassVar[tuple[str, ...]] = ("model", "run_id", "version", "against", "turn")
    version: str
    against: str | None = None
    turn: int | None = None
    sentence: str
    facts: list[str] = field(default_factory=list)


# --- alerts --------------------------------------------------------------------------------------


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
    distance from the reference, 1 where the threshold is. Older messages lack these four."""

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


# --- ticks ---------------------------------------------------------------------------------------


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


# --- JSON ----------------------------------------------------------------------------------------


def encode(event: Event, time: datetime) -> bytes:
    """The body of a message: JSON with `type`, `id`, `time` and the event's fields."""
    body: dict[str, Any] = {"type": event.type, "id": event.id, "time": _text(time)}
    for item in dataclasses.fields(event):
        value = getattr(event, item.name)
        body[item.name] = _text(value) if isinstance(value, datetime) else value
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


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)
