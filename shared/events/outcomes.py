"""How a run, or the decision about a version, ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from shared.events.base import RunEvent


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

    @property
    def scored_nothing(self) -> bool:
        """Whether the file is complete and of no use: an error in every row."""
        return 0 < self.rows == self.errors


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
