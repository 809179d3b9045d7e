"""Pushing, exporting and scheduling: what happens between the engine and the functions."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.local.dispatch import Dispatcher, push_to_url
from infra.local.export import Exporter, object_name
from infra.local.schedule import BadCron, Scheduler, next_after, tick
from infra.local.web import HttpServer, Request, Response
from infra.topology import Schedule
from shared.adapters.memory import (
    Engine,
    ExportConfig,
    FaultPlan,
    Faults,
    FixedClock,
    MemoryPublisher,
    SubscriptionConfig,
    topic_path,
)
from shared.adapters.system_clock import SystemClock
from shared.errors import ServiceUnavailable

TOPIC, DEAD = topic_path("local", "work"), topic_path("local", "dead-letters")
SUB = "projects/local/subscriptions/worker-work"
PATIENCE_SECONDS = 10.0


def until(condition: Callable[[], bool]) -> None:
    """Real threads are at work: wait for what they do, with a limit."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(SystemClock())
    config = SubscriptionConfig(
        SUB,
        TOPIC,
        push="worker",
        ack_deadline_seconds=30,
        min_backoff_seconds=0.01,
        max_backoff_seconds=0.05,
        dead_letter_topic=DEAD,
        max_delivery_attempts=5,
    )
    made.create(topics=[TOPIC, DEAD], subscriptions=[config])
    yield made
    made.close()


class Worker:
    """A receiver whose answers are scripted; the last one is repeated."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.bodies: list[dict[str, object]] = []
        self.at_once = 0
        self.most_at_once = 0
        self.lock = threading.Lock()

    def push(self, _receiver: str, body: bytes, _seconds: float) -> int:
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.bodies.append(json.loads(body))
            answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        time.sleep(0.01)
        with self.lock:
            self.at_once -= 1
        if answer == 0:
            raise ServiceUnavailable("nobody there")
        return answer

    @property
    def attempts(self) -> list[object]:
        return [body["deliveryAttempt"] for body in self.bodies]


@pytest.mark.parametrize("status", [102, 200, 201, 202, 204])
def test_acknowledged_by_status(engine: Engine, tmp_path: Path, status: int) -> None:
    """Exactly Google's five statuses end a delivery."""
    worker = Worker(status)
    dispatcher = Dispatcher(engine, worker.push, limit=lambda _: 1, log=tmp_path / "log")
    engine.pubsub.publish(TOPIC, b"{}", {})
    until(lambda: worker.bodies != [] and engine.pubsub.backlog() == {})
    dispatcher.close()
    assert worker.attempts == [1]


def test_refused_pushes_come_again(engine: Engine, tmp_path: Path) -> None:
    """Errors, redirects and dead receivers are nacks; each attempt is counted and noted."""
    worker = Worker(503, 302, 0, 204)
    dispatcher = Dispatcher(engine, worker.push, limit=lambda _: 1, log=tmp_path / "log")
    engine.pubsub.publish(TOPIC, b"{}", {})
    until(lambda: len(worker.bodies) == 4 and engine.pubsub.backlog() == {})
    dispatcher.close()
    assert worker.attempts == [1, 2, 3, 4]
    noted = [json.loads(line)["status"] for line in (tmp_path / "log").read_text().splitlines()]
    assert noted == [503, 302, 503]


def test_poison_is_parked(engine: Engine, tmp_path: Path) -> None:
    """After the last attempt the message is a dead letter and is pushed no more."""
    worker = Worker(500)
    dispatcher = Dispatcher(engine, worker.push, limit=lambda _: 1, log=tmp_path / "log")
    engine.pubsub.publish(TOPIC, b"{}", {})
    until(lambda: len(engine.pubsub.dead_letters) == 1)
    dispatcher.close()
    assert worker.attempts == [1, 2, 3, 4, 5]


def test_pushes_at_once_are_limited(engine: Engine, tmp_path: Path) -> None:
    """A receiver never gets more requests at a time than it takes."""
    worker = Worker(204)
    dispatcher = Dispatcher(engine, worker.push, limit=lambda _: 3, log=tmp_path / "log")
    for number in range(30):
        engine.pubsub.publish(TOPIC, b"%d" % number, {})
    until(lambda: engine.pubsub.backlog() == {})
    dispatcher.close()
    assert len(worker.bodies) == 30
    assert worker.most_at_once == 3


def test_duplicates_on_demand(engine: Engine, tmp_path: Path) -> None:
    """A lost acknowledgement is a second delivery of the same message."""
    worker = Worker(204)
    faults = Faults(FaultPlan(duplicate=1.0))
    dispatcher = Dispatcher(
        engine, worker.push, limit=lambda _: 1, log=tmp_path / "log", faults=faults
    )
    engine.pubsub.publish(TOPIC, b"{}", {})
    until(lambda: len(worker.bodies) == 2 and engine.pubsub.backlog() == {})
    dispatcher.close()
    assert worker.attempts == [1, 2]


def test_push_to_an_address() -> None:
    """Subscriptions made over the API push to a URL; its status counts, its absence is a fault."""
    seen: list[tuple[str, str, bytes]] = []

    def app(request: Request) -> Response:
        seen.append((request.method, request.headers["content-type"], request.read()))
        return Response(204 if request.path == "/good" else 418)

    server = HttpServer(app)
    assert push_to_url(f"{server.url}/good", b"{}", 5) == 204
    assert push_to_url(f"{server.url}/bad", b"{}", 5) == 418
    server.close()
    assert seen[0] == ("POST", "application/json", b"{}")
    with pytest.raises(ServiceUnavailable):
        push_to_url(f"{server.url}/good", b"{}", 1)


def test_export_writes_one_object_per_batch() -> None:
    """Lines published within the window end in one object, in order, and are acknowledged."""
    engine = Engine(SystemClock())
    export = ExportConfig("lake", "log/dt=", "YYYY-MM-DD/hh-mm-ssZ", ".jsonl", max_seconds=1)
    engine.create(topics=[TOPIC], subscriptions=[SubscriptionConfig(SUB, TOPIC, export=export)])
    written: list[tuple[str, str, bytes]] = []
    exporter = Exporter(engine, lambda *item: written.append(item))
    for number in range(3):
        engine.pubsub.publish(TOPIC, b"%d" % number, {})
    until(lambda: len(written) > 0 and engine.pubsub.backlog() == {})
    exporter.close()
    engine.close()
    ((bucket, name, data),) = written
    assert (bucket, data) == ("lake", b"0\n1\n2\n")
    assert name.startswith(f"log/dt={datetime.now(UTC):%Y-%m-}")


def test_names_of_exports() -> None:
    """Prefix, time in the configured form, suffix; two batches of one second do not collide."""
    export = ExportConfig("lake", "log/dt=", "YYYY-MM-DD/hh-mm-ssZ", ".jsonl")
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    first, second = object_name(export, now), object_name(export, now)
    assert first.startswith("log/dt=2026-01-02/03-04-05Z_")
    assert first.endswith(".jsonl")
    assert first != second


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("*/5 * * * *", "2026-01-05T09:00:30", "2026-01-05T09:05:00"),
        ("*/5 * * * *", "2026-01-05T09:05:00", "2026-01-05T09:10:00"),
        ("15 * * * *", "2026-01-05T09:15:01", "2026-01-05T10:15:00"),
        ("0 3 * * *", "2026-01-31T03:00:00", "2026-02-01T03:00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("30 8-10/2,20 * * 1-5", "2026-01-09T10:30:00", "2026-01-09T20:30:00"),
        ("30 8 * * 1-5", "2026-01-09T09:00:00", "2026-01-12T08:30:00"),
        ("0 0 * * 7", "2026-01-05T00:00:00", "2026-01-11T00:00:00"),
        ("0 0 13 * 5", "2026-01-05T00:00:00", "2026-01-09T00:00:00"),
        ("0 12 1/10 * *", "2026-01-12T00:00:00", "2026-01-21T12:00:00"),
    ],
)
def test_cron(cron: str, after: str, expected: str) -> None:
    """The next occasion is strictly later; a day matches by month or week if both are given."""
    start = datetime.fromisoformat(after).replace(tzinfo=UTC)
    assert next_after(cron, start) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "cron",
    ["* * * *", "60 * * * *", "* * 0 * *", "a * * * *", "*/0 * * * *", "0 0 31 2 *", "5-1 * * * *"],
)
def test_bad_cron(cron: str) -> None:
    """What is not understood or never happens is refused."""
    with pytest.raises(BadCron):
        next_after(cron, datetime(2026, 1, 1, tzinfo=UTC))


def test_ticks_are_the_messages_of_the_topology(engine: Engine) -> None:
    """Body and attribute both name the type."""
    publisher = MemoryPublisher(engine.pubsub, "local")
    tick(Schedule("sweep", "* * * * *", "work", "SweepDue"), publisher)
    (message,) = engine.pubsub.waiting(SUB)
    assert (message.attributes, json.loads(message.data)) == (
        {"type": "SweepDue"},
        {"type": "SweepDue"},
    )


def test_scheduler_publishes_what_is_due(engine: Engine) -> None:
    """Occasions that were slept through are made up for once."""
    clock = FixedClock(datetime(2026, 1, 5, 9, 0, tzinfo=UTC))
    publisher = MemoryPublisher(engine.pubsub, "local")
    schedules = {"sweep": Schedule("sweep", "*/5 * * * *", "work", "SweepDue")}
    scheduler = Scheduler(schedules, publisher, clock)
    clock.advance(timedelta(hours=3))
    scheduler.wake()
    until(lambda: len(publisher.published) == 1)
    scheduler.close()
    assert len(publisher.published) == 1


def test_envelope_reaches_the_worker(engine: Engine, tmp_path: Path) -> None:
    """Data and attributes arrive as they were published."""
    worker = Worker(204)
    dispatcher = Dispatcher(engine, worker.push, limit=lambda _: 1, log=tmp_path / "log")
    engine.pubsub.publish(TOPIC, b"\xff{", {"k": "ü"})
    until(lambda: worker.bodies != [])
    dispatcher.close()
    message = worker.bodies[0]["message"]
    assert isinstance(message, dict)
    assert base64.b64decode(message["data"]) == b"\xff{"
    assert message["attributes"] == {"k": "ü"}
