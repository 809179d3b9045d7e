"""From windows to what people read: one act-now message per incident and one when it is over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.usecases.digest import digest
from shared.usecases.monitor import judge_window
from shared.usecases.notify import notify
from shared.usecases.posting import Notify
from tests.unit.monitoring.world import HOUR, MONDAY, World, spec_of, window


@pytest.fixture
def world() -> World:
    made = World(spec_of())
    made.ports = replace(made.ports, draw=lambda *_, **__: None)
    return made


def told(made: World) -> list[str]:
    """Headers of what notify makes of all that the monitor published, everything delivered
    twice."""
    ports = Notify(made.lake, {"slack": made.cloud.messenger}, made.clock, 90, "local")
    for body in made.alerts():
        for _ in range(2):
            notify(body, ports)
    digest(f"{made.clock.now():%Y-%m-%dT%H%M%S}", ports)
    posted: list[Any] = made.cloud.messenger.posted
    return [message["blocks"][0]["text"]["text"] for message in posted]


def test_labels_that_say_it_is_worse_for_hours_are_one_message(world: World) -> None:
    """Four windows of labels that contradict the model, then two that agree: people are told
    once, and once that it is over; the windows between are in the digest."""
    for hour in range(6):
        run_id, truths = world.score(2000, seed=hour, blur=0.9 if hour < 4 else 0.0)
        world.label(run_id, truths)
        world.clock.advance_to(MONDAY + HOUR * (hour + 1))
        judge_window(window(MONDAY + HOUR * hour), world.ports)
    headers = told(world)
    assert headers[:2] == [
        "Act now: m performs worse",
        "For your information: m performs well again",
    ]
    assert [header.partition(" of ")[0] for header in headers[2:]] == [
        "For your information: the digest"
    ]
    first, last = world.cloud.messenger.posted[:2]
    incident = "incident m-batch-performance-20260105T000000Z_20260105T010000Z"
    assert incident in str(first)
    assert incident in str(last)


def test_a_drift_that_grows_is_told_as_it_grows(world: World) -> None:
    """A shift that lasts is one message; when it doubles there is another one, which says why."""
    for hour, shift in enumerate([0.5, 0.5, 0.5, 1.2, 1.2, 0.0]):
        world.score(2000, seed=hour, shift=shift)
        world.clock.advance_to(MONDAY + HOUR * (hour + 1))
        judge_window(window(MONDAY + HOUR * hour), world.ports)
    drift = [header for header in told(world) if "drifts" in header]
    assert drift == [
        "Please decide: m drifts",
        "Please decide: m drifts, and it gets worse",
        "For your information: m no longer drifts",
    ]
