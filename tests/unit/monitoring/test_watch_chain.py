"""The watching half of the picture through the real doors: tick to Slack to a guarded training."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from shared import decoding, events, paths
from shared.config import Config
from shared.events import (
    DigestDue,
    Event,
    MonitorDue,
    PerformanceDropped,
    TrainingRequested,
    publish,
)
from tests.support.system import load_door
from tests.unit.monitoring.world import DAY, HOUR, MONDAY, World, spec_of

CONFIG = Config.from_env(
    {
        "MILLRACE_PROJECT": "local",
        "MILLRACE_CONTEXT": "local",
        "MILLRACE_INBOX": "inbox",
        "MILLRACE_LAKE": "lake",
        "SLACK_WEBHOOK_URL": "http://127.0.0.1:9/slack",
    }
)
DOORS = ("monitor", "notify", "retrain")


def doors_of(world: World) -> dict[str, Callable[[dict[str, Any]], int]]:
    found = {}
    for name in DOORS:
        module = load_door("functions", name)
        module.wiring._given = CONFIG
        module.wiring.__dict__.update(
            lake=world.lake,
            publisher=world.cloud.publisher,
            channels={"slack": world.cloud.messenger},
            clock=world.clock,
        )
        found[name] = _handler(module.main)
    return found


def _handler(main: Callable[[Request], tuple[str, int]]) -> Callable[[dict[str, Any]], int]:
    def handle(body: dict[str, Any]) -> int:
        builder = EnvironBuilder(path="/", method="POST", data=json.dumps(body).encode())
        try:
            return main(Request(builder.get_environ()))[1]
        finally:
            builder.close()

    return handle


def headers(world: World) -> list[str]:
    posted: list[Any] = world.cloud.messenger.posted
    return [message["blocks"][0]["text"]["text"] for message in posted]


def test_a_shift_is_watched_told_and_learned_from() -> None:
    """tick -> drift -> Slack and a note that there is nothing to learn from -> labels -> the same
    window again -> performance -> Slack and one training; that labels came is in the digest."""
    world = World(spec_of(monitoring={"grace": "1h"}, retrain={"cooldown": "0s"}))
    doors = doors_of(world)
    run_id, truths = world.score(3000, shift=1.0, blur=0.9)
    world.clock.advance(DAY + HOUR)
    publish(MonitorDue(), publisher=world.cloud.publisher, clock=world.clock)
    world.cloud.drain(doors)
    assert headers(world) == [
        "Please decide: m drifts",
        "For your information: m: what the retrain guard says",
    ]
    world.clock.advance(HOUR)
    world.label(run_id, truths)
    world.cloud.drain(doors)
    publish(MonitorDue(), publisher=world.cloud.publisher, clock=world.clock)
    world.cloud.drain(doors)
    assert headers(world)[2:] == [
        "Act now: m performs worse",
        "For your information: m: what the retrain guard says",
    ]
    (request,) = world.events(TrainingRequested)
    (alert,) = world.events(PerformanceDropped)
    assert isinstance(alert, PerformanceDropped)
    assert isinstance(request, TrainingRequested)
    assert alert.revision == 1
    note = json.dumps(world.cloud.messenger.posted[-1])
    assert "3000 new labelled rows (500 needed); performance may train by itself" in note
    assert request.run_id in note
    publish(DigestDue(), publisher=world.cloud.publisher, clock=world.clock)
    world.cloud.drain(doors)
    assert headers(world)[4:] == [f"For your information: the digest of {world.clock.now():%F}"]
    assert "3000 labels are recorded" in json.dumps(world.cloud.messenger.posted[-1])


@pytest.mark.parametrize("door", DOORS)
def test_garbage_is_parked_and_acknowledged(door: str) -> None:
    """A malformed body and a message of another function are kept with a reason, not retried."""
    world = World()
    handle = doors_of(world)[door]
    stray = json.dumps({"type": "SweepDue"}).encode()
    assert handle({"message": {"data": "!", "publishTime": "2026-01-05T00:00:00Z"}}) == 204
    assert handle(envelope(stray, "SweepDue", world)) == 204
    kept = list(world.lake.list("rejections/_messages/"))
    assert len(kept) == 2


def test_a_window_that_is_still_open_comes_back_later() -> None:
    """503 until the window has closed, then the verdict."""
    world = World()
    handle = doors_of(world)["monitor"]
    due = events.WindowDue(
        model="m", channel="batch", window_start=MONDAY, window_end=MONDAY + timedelta(minutes=5)
    )
    body = envelope(events.encode(due, world.clock.now()), due.type, world)
    assert handle(body) == 503
    world.clock.advance(301)
    assert handle(body) == 204
    assert world.lake.stat(
        paths.reports("m", "batch", "20260105T000000Z_20260105T000500Z", "latest.json")
    )


def envelope(data: bytes, kind: str, world: World) -> dict[str, Any]:
    import base64

    return {
        "message": {
            "data": base64.b64encode(data).decode(),
            "attributes": {"type": kind},
            "messageId": "1",
            "publishTime": world.clock.now().isoformat(),
        },
        "subscription": "projects/local/subscriptions/x",
    }


def test_all_handled_classes_are_messages() -> None:
    """What notify is subscribed to, it can tell."""
    from shared.telling.drafts import DRAFTS

    told = {cls for cls in decoding.TYPES.values() if any(base in DRAFTS for base in cls.__mro__)}
    wanted: set[type[Event]] = {
        cls for cls in decoding.TYPES.values() if cls.topic in ("alerts", "outcomes")
    }
    assert wanted - told == {events.TrainingCompleted, events.ComparisonCompleted}
