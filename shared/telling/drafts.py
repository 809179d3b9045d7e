"""Which words belong to which event. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from shared.events import (
    ApprovalRequested,
    AutomationNoted,
    DataRejected,
    Event,
    LabelsRecorded,
    ModelNotPromoted,
    ModelPromoted,
    MonitorAlert,
    RunFailed,
    RunRejected,
    ScoringCompleted,
)
from shared.telling import alerts, outcomes
from shared.telling.draft import Draft, Where
from shared.telling.kinds import kind_of


def draft_of(event: Event, where: Where) -> Draft:
    """Raises KeyError for an event that nobody is told about."""
    for cls in type(event).__mro__:
        if cls in DRAFTS:
            draft = DRAFTS[cls](event, where)
            return replace(draft, links=[*draft.links, where.runbook(kind_of(event))])
    raise KeyError(event.type)


def _typed(draft: Callable[[Any, Where], Draft]) -> Callable[[Event, Where], Draft]:
    return cast("Callable[[Event, Where], Draft]", draft)


DRAFTS: dict[type, Callable[[Event, Where], Draft]] = {
    MonitorAlert: _typed(alerts.monitor_alert),
    DataRejected: _typed(alerts.data_rejected),
    AutomationNoted: _typed(alerts.automation_noted),
    RunRejected: _typed(outcomes.run_rejected),
    RunFailed: _typed(outcomes.run_failed),
    ModelPromoted: _typed(outcomes.model_promoted),
    ModelNotPromoted: _typed(outcomes.model_not_promoted),
    ApprovalRequested: _typed(outcomes.approval_requested),
    ScoringCompleted: _typed(outcomes.scoring_completed),
    LabelsRecorded: _typed(outcomes.labels_recorded),
}
