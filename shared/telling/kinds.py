"""Kinds of what people are told: their names, what they ask, what a mute covers. Pure.

A kind is a section of the runbook (`infra/docs/runbook.md`) and a word of `millrace mute --kind`.
"""

from __future__ import annotations

from shared.events import (
    ApprovalRequested,
    AutomationNoted,
    DataQualityBroken,
    DataQualityRestored,
    DataRejected,
    DriftDetected,
    DriftResolved,
    Event,
    LabelsRecorded,
    ModelNotPromoted,
    ModelPromoted,
    MonitorAlert,
    PerformanceDropped,
    PerformanceRestored,
    RunFailed,
    RunRejected,
    ScoringCompleted,
)

ASKS = ("act now", "decide", "know")
LEADS = {"act now": "Act now", "decide": "Please decide", "know": "For your information"}
# What a kind means, in one line.
KINDS = {
    "data_quality": "missing, mistyped, unseen or refused values beyond what training saw",
    "drift": "inputs or predictions moved away from what the model was trained on",
    "performance": "labels say that the model is worse than on its holdout",
    "rejected": "a file, or the run it started, can never work",
    "failed": "a run ended without a result, however often it was started",
    "approval": "a version or a spec waits for a person",
    "promoted": "another version serves",
    "not_promoted": "a version was judged and does not serve",
    "scored": "a file was scored",
    "labelled": "labels were recorded",
    "not_loading": "a predictor cannot load the version that should answer",
    "dead_letter": "a message could not be delivered and is parked",
    "note": "the automation did something, or decided not to",
}
WATCHED = ("data_quality", "drift", "performance")
# A question that nobody hears of expires, and what cannot repeat is no noise.
MUTABLE = (*WATCHED, "rejected", "failed", "note")
OPENING = (DataQualityBroken, DriftDetected, PerformanceDropped)

_OF: dict[type[Event], str] = {
    DataQualityBroken: "data_quality",
    DataQualityRestored: "data_quality",
    DriftDetected: "drift",
    DriftResolved: "drift",
    PerformanceDropped: "performance",
    PerformanceRestored: "performance",
    DataRejected: "rejected",
    RunRejected: "rejected",
    RunFailed: "failed",
    ApprovalRequested: "approval",
    ModelPromoted: "promoted",
    ModelNotPromoted: "not_promoted",
    ScoringCompleted: "scored",
    LabelsRecorded: "labelled",
}
_ASK: dict[type[Event], str] = {
    RunRejected: "act now",
    RunFailed: "act now",
    ApprovalRequested: "decide",
}
_NOTES = {"deadletter": "dead_letter", "predict": "not_loading"}
# They ask for nothing, but somebody waits for them: how a training ended, and whatever changes who
# answers predictions, or was meant to (an alias that somebody moved by hand).
_AT_ONCE = frozenset({"promoted", "not_promoted"})
_ANSWERS = frozenset({"predict", "canary", "experiment", "mirror"})


def kind_of(event: Event) -> str:
    """The event's kind. A note about an alert is of the alert's kind."""
    if isinstance(event, AutomationNoted):
        if event.kind in KINDS:
            return event.kind
        return _NOTES.get(event.source, "note")
    return _OF[type(event)]


def asks_of(event: Event) -> str:
    """What the event asks of people. A word that we do not know, of a newer publisher, is rather
    heard at once than missed."""
    if isinstance(event, DataRejected | MonitorAlert | AutomationNoted):
        return event.asks if event.asks in ASKS else "decide"
    if isinstance(event, ScoringCompleted) and event.scored_nothing:
        return "act now"
    return _ASK.get(type(event), "know")


def is_urgent(event: Event) -> bool:
    """Told by itself and at once, not in the daily digest."""
    if isinstance(event, AutomationNoted) and event.source in _ANSWERS:
        return True
    return asks_of(event) != "know" or kind_of(event) in _AT_ONCE


def model_of(event: Event) -> str:
    """The model it is about, empty for none."""
    return str(getattr(event, "model", ""))
