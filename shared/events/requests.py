"""What somebody wants done: launch takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from shared.events.base import Event, RunEvent


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
