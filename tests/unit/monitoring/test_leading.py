"""Drift and performance of one model at once: one of them decides, and people read one story."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shared.events import (
    AutomationNoted,
    DriftDetected,
    MonitorAlert,
    PerformanceDropped,
    TrainingRequested,
)
from shared.usecases.digest import digest
from shared.usecases.monitor import judge_window
from shared.usecases.notify import notify
from shared.usecases.posting import Notify
from shared.usecases.retrain import RetrainPorts, consider
from tests.unit.monitoring.world import DAY, HOUR, MONDAY, VERSION, World, spec_of, window


def world(**retrain: Any) -> World:
    made = World(spec_of(retrain={"cooldown": "0s", **retrain}))
    made.ports = replace(made.ports, draw=lambda *_, **__: None)
    return made


def judge(
    made: World, day: int, *, blur: float, labelled: bool = True, version: str = VERSION
) -> list[MonitorAlert]:
    """A day of drifted predictions, judged at its end; what the judgement says."""
    said = len(made.alerts())
    made.clock.advance(MONDAY + day * DAY + HOUR - made.clock.now())
    run_id, truths = made.score(3000, shift=1.0, blur=blur, seed=day, version=version)
    if labelled:
        made.label(run_id, truths)
    made.clock.advance(DAY)
    judge_window(window(MONDAY + day * DAY, DAY), made.ports)
    return made.alerts()[said:]


def loop_of(made: World) -> RetrainPorts:
    return RetrainPorts(made.lake, made.cloud.publisher, made.clock, 90, "inbox")


def notes(made: World) -> list[AutomationNoted]:
    return [item for item in made.events() if isinstance(item, AutomationNoted)]


def telling(made: World) -> Notify:
    return Notify(made.lake, {"slack": made.cloud.messenger}, made.clock, 90, "local")


def headers(made: World) -> list[str]:
    posted: list[Any] = made.cloud.messenger.posted
    return [message["blocks"][0]["text"]["text"] for message in posted]


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
def test_a_window_that_drifts_and_performs_worse_tells_one_story(order: tuple[int, int]) -> None:
    """In whatever order the two alerts are delivered, and twice each: one message to act on that
    names the drift, one answer of the loop, one training; the drift itself is in the digest."""
    made = world()
    alerts = judge(made, 0, blur=0.9)
    drift, performance = alerts
    assert isinstance(drift, DriftDetected)
    assert isinstance(performance, PerformanceDropped)
    assert (drift.asks, drift.decided_by) == ("know", performance.incident_id)
    assert (performance.asks, performance.decided_by) == ("act now", "")
    assert any(fact.startswith("drifts, too: age: PSI") for fact in performance.facts)
    for number in order + order:
        consider(alerts[number], loop_of(made))  # type: ignore[arg-type]
    assert len(made.events(TrainingRequested)) == 1
    (note,) = notes(made)
    assert note.incident == performance.incident_id
    for event in [*(alerts[number] for number in order), note, *alerts, note]:
        notify(event, telling(made))
    assert headers(made) == [
        "Act now: m performs worse",
        "For your information: m: what the retrain guard says",
    ]
    digest("2026-01-07", telling(made))
    told = json.dumps(made.cloud.messenger.posted[-1])
    assert "Its performance alert (since 2026-01-05) decides what is done about both." in told


def test_drift_decides_where_it_alone_may_train() -> None:
    """`on_drift: train` beside `on_performance: ask`: the drop is still one to act on, and its own
    policy does not ask for what the drift's already does."""
    made = world(on_drift="train", on_performance="ask")
    drift, performance = judge(made, 0, blur=0.9)
    assert (drift.asks, drift.decided_by) == ("decide", "")
    assert (performance.asks, performance.decided_by) == ("act now", drift.incident_id)
    for event in (performance, drift):
        consider(event, loop_of(made))  # type: ignore[arg-type]
    (note,) = notes(made)
    assert note.incident == drift.incident_id
    assert len(made.events(TrainingRequested)) == 1


def test_drift_waits_for_the_labels_while_performance_is_open_and_asks_when_it_is_not() -> None:
    """The next window has no labels yet: its drift asks nothing. The one after it performs well and
    still drifts: now a person is asked, at once."""
    made = world()
    judge(made, 0, blur=0.9)
    (drift,) = judge(made, 1, blur=0.9, labelled=False)
    assert (drift.asks, "performance" in drift.decided_by) == ("know", True)
    restored, asked = sorted(judge(made, 2, blur=0.0), key=lambda event: event.type, reverse=True)
    assert restored.type == "PerformanceRestored"
    assert (asked.type, asked.asks, asked.decided_by) == ("DriftDetected", "decide", "")
    for event in made.alerts():
        notify(event, telling(made))
    assert "Please decide: m drifts" in headers(made)
    assert len([header for header in headers(made) if "drifts" in header]) == 1


def test_corrected_labels_that_take_the_drop_back_leave_the_drift_to_ask() -> None:
    """The labels were wrong: performance is in order again, the same window still drifts, and now
    that is told and answered, once."""
    made = world()
    run_id, truths = made.score(3000, shift=1.0)
    made.label(run_id, np.random.default_rng(0).permutation(truths))
    made.clock.advance(DAY + HOUR)
    judge_window(window(MONDAY, DAY), made.ports)
    made.clock.advance(HOUR)
    made.label(run_id, truths)
    for _ in range(2):
        judge_window(window(MONDAY, DAY), made.ports)
    left, dropped, asked, restored = made.alerts()
    assert (left.asks, left.decided_by) == ("know", dropped.incident_id)
    assert (restored.type, restored.revision) == ("PerformanceRestored", 1)
    assert (asked.asks, asked.decided_by, asked.revision) == ("decide", "", 1)
    for event in made.alerts() * 2:
        notify(event, telling(made))
        if isinstance(event, DriftDetected | PerformanceDropped):
            consider(event, loop_of(made))
    assert headers(made).count("Please decide: m drifts") == 1
    assert {note.incident for note in notes(made)} == {left.incident, dropped.incident}


def test_drift_of_another_version_than_the_one_that_performed_worse_asks_by_itself() -> None:
    """Labels did not judge the new champion yet; what the old one did decides nothing about it."""
    made = world()
    judge(made, 0, blur=0.9)
    young = "20260106T020000-cccccccc"
    made.store_version(young)
    made.promote(young)
    (drift,) = judge(made, 1, blur=0.9, labelled=False, version=young)
    assert (drift.version, drift.asks, drift.decided_by) == (young, "decide", "")
