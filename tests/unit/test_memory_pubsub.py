"""The Pub/Sub engine and the step-by-step delivery of unit tests."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.memory import (
    BucketConfig,
    Engine,
    FaultPlan,
    Faults,
    FixedClock,
    MemoryCloud,
    SubscriptionConfig,
    Undrained,
    subscription_path,
    topic_path,
)
from shared.adapters.memory.subscriptions import envelope
from shared.adapters.memory.topics import NoSuchTopic

TOPIC, DEAD = topic_path("local", "work"), topic_path("local", "dead-letters")
SUB, PARKED = subscription_path("local", "worker-work"), subscription_path("local", "parked")
CONFIG = SubscriptionConfig(
    name=SUB,
    topic=TOPIC,
    push="worker",
    filter='attributes.type = "Work"',
    ack_deadline_seconds=60,
    min_backoff_seconds=10,
    max_backoff_seconds=35,
    dead_letter_topic=DEAD,
    max_delivery_attempts=5,
    retention_seconds=86_400,
)
PARKING = SubscriptionConfig(name=PARKED, topic=DEAD, push="parking", ack_deadline_seconds=60)


@pytest.fixture
def cloud() -> MemoryCloud:
    return MemoryCloud(
        buckets=[BucketConfig("lake")], topics=[TOPIC, DEAD], subscriptions=[CONFIG, PARKING]
    )


def clock_of(cloud: MemoryCloud) -> FixedClock:
    assert isinstance(cloud.clock, FixedClock)
    return cloud.clock


def work(cloud: MemoryCloud, data: bytes = b"{}") -> str:
    return cloud.publisher.publish("work", data, {"type": "Work"})


def test_only_matching_messages_wait(cloud: MemoryCloud) -> None:
    """A subscription's filter is asked once, when the message is published."""
    work(cloud)
    cloud.publisher.publish("work", b"{}", {"type": "Play"})
    assert cloud.pubsub.backlog() == {SUB: 1}
    with pytest.raises(NoSuchTopic):
        cloud.publisher.publish("nowhere", b"{}", {})


def test_attempts_backoff_and_dead_letter(cloud: MemoryCloud) -> None:
    """Each nack waits twice as long up to the maximum; after the last attempt the message goes to
    the dead letter topic with the attributes Google adds."""
    work(cloud, b"poison")
    clock, waits = clock_of(cloud), []
    for attempt in range(1, 6):
        (delivery,) = cloud.pubsub.lease(SUB, 10)
        assert delivery.attempt == attempt
        assert cloud.pubsub.nack(delivery.ack_id)
        due = cloud.pubsub.next_due(SUB)
        if due is not None:
            waits.append((due - clock.now()).total_seconds())
            assert cloud.pubsub.lease(SUB, 10) == []
            clock.advance_to(due)
    assert waits == [10, 20, 35, 35]
    (parked,) = cloud.pubsub.waiting(PARKED)
    assert parked.data == b"poison"
    assert parked.attributes["type"] == "Work"
    assert parked.attributes["CloudPubSubDeadLetterSourceSubscription"] == "worker-work"
    assert parked.attributes["CloudPubSubDeadLetterSourceSubscriptionProject"] == "local"
    assert parked.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"
    assert parked.attributes["CloudPubSubDeadLetterSourceTopicPublishTime"].endswith("Z")
    assert [letter.message.data for letter in cloud.pubsub.dead_letters] == [b"poison"]


def test_a_silent_subscriber_loses_its_lease(cloud: MemoryCloud) -> None:
    """After the ack deadline the message is due again, and the old acknowledgement is void."""
    work(cloud)
    (first,) = cloud.pubsub.lease(SUB)
    assert cloud.pubsub.lease(SUB) == []
    clock_of(cloud).advance(61)
    (second,) = cloud.pubsub.lease(SUB)
    assert second.attempt == 2
    assert not cloud.pubsub.ack(first.ack_id)
    assert cloud.pubsub.ack(second.ack_id)
    assert cloud.pubsub.backlog() == {}


def test_deadline_can_be_moved(cloud: MemoryCloud) -> None:
    """A subscriber may ask for more time, or give the message back at once."""
    work(cloud)
    (delivery,) = cloud.pubsub.lease(SUB)
    cloud.pubsub.modify_deadline(delivery.ack_id, 300)
    clock_of(cloud).advance(299)
    assert cloud.pubsub.lease(SUB) == []
    cloud.pubsub.modify_deadline(delivery.ack_id, 0)
    clock_of(cloud).advance(10)
    assert len(cloud.pubsub.lease(SUB)) == 1


def test_old_messages_expire(cloud: MemoryCloud) -> None:
    """What nobody took within the retention is gone, and only that."""
    work(cloud, b"old")
    clock_of(cloud).advance(86_000)
    work(cloud, b"young")
    clock_of(cloud).advance(1_000)
    assert [item.message.data for item in cloud.pubsub.lease(SUB, 10)] == [b"young"]


def test_messages_survive_the_process(tmp_path: Path) -> None:
    """A killed process loses no message; what it had leased is due at once, its attempts stay."""
    engine = Engine(FixedClock(), tmp_path)
    engine.create(topics=[TOPIC, DEAD], subscriptions=[CONFIG])
    engine.pubsub.publish(TOPIC, b"1", {"type": "Work"})
    engine.pubsub.publish(TOPIC, b"2", {"type": "Work"})
    engine.pubsub.lease(SUB)
    engine.close()

    again = Engine(FixedClock(), tmp_path)
    assert again.pubsub.subscription(SUB) == CONFIG
    assert again.pubsub.release_leases() == 1
    found = {item.message.data: item.attempt for item in again.pubsub.lease(SUB, 10)}
    assert found == {b"1": 2, b"2": 1}
    again.close()


def test_listeners_hear_of_what_is_deliverable(cloud: MemoryCloud) -> None:
    """A commit that makes something due wakes the dispatcher, any other does not."""
    heard: list[int] = []
    cloud.engine.database.on_commit(lambda: heard.append(1))
    cloud.lake.write("a", b"")
    cloud.publisher.publish("work", b"{}", {"type": "Play"})
    assert heard == []
    work(cloud)
    assert heard == [1]


def test_envelope_is_googles(cloud: MemoryCloud) -> None:
    """The body of a push has all fields of the real one."""
    work(cloud, b"\x00hi")
    (delivery,) = cloud.pubsub.lease(SUB)
    body = envelope(delivery, CONFIG)
    assert body["subscription"] == SUB
    assert body["deliveryAttempt"] == 1
    assert base64.b64decode(body["message"]["data"]) == b"\x00hi"
    assert body["message"]["attributes"] == {"type": "Work"}
    assert body["message"]["messageId"] == body["message"]["message_id"]
    assert body["message"]["publishTime"] == "2026-01-05T09:00:00.000Z"
    assert "deliveryAttempt" not in envelope(delivery, PARKING)


def test_drain_retries_until_it_works(cloud: MemoryCloud) -> None:
    """With `advance` a nacked message comes back until it is taken; without it, it waits."""
    work(cloud)
    statuses = iter([503, 500, 204])
    handlers = {"worker": lambda _body: next(statuses)}
    assert [item.status for item in cloud.drain(handlers)] == [503]
    assert [item.status for item in cloud.drain(handlers, advance=True)] == [500, 204]
    assert cloud.pubsub.backlog() == {}


def test_drain_follows_what_handlers_publish(cloud: MemoryCloud) -> None:
    """A poisoned message reaches the parking function in the same drain."""
    work(cloud)
    parked: list[dict[str, Any]] = []

    def park(body: dict[str, Any]) -> int:
        parked.append(body)
        return 204

    cloud.drain({"worker": lambda _body: 400, "parking": park}, advance=True)
    attributes = parked[0]["message"]["attributes"]
    assert attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"


def test_drain_raises_what_a_handler_raises(cloud: MemoryCloud) -> None:
    """An error comes out of the test, and the message is not lost by it."""
    work(cloud)

    def crash(_body: dict[str, Any]) -> int:
        raise RuntimeError("killed here")

    with pytest.raises(RuntimeError, match="killed here"):
        cloud.drain({"worker": crash})
    clock_of(cloud).advance(10)
    assert [
        item.body["deliveryAttempt"] for item in cloud.drain({"worker": lambda _body: 204})
    ] == [2]


def test_drain_ends(cloud: MemoryCloud) -> None:
    """Functions that wake each other for ever fail a test instead of hanging it."""
    work(cloud)

    def again(_body: dict[str, Any]) -> int:
        work(cloud)
        return 204

    with pytest.raises(Undrained):
        cloud.drain({"worker": again}, max_deliveries=20)


def test_faults_are_at_least_once(cloud: MemoryCloud) -> None:
    """Duplicates, delays and reordering lose nothing, and a seed repeats them."""
    seen: list[bytes] = []

    def note(body: dict[str, Any]) -> int:
        seen.append(base64.b64decode(body["message"]["data"]))
        return 204

    sent = [b"%d" % number for number in range(20)]
    runs = []
    for _ in range(2):
        seen.clear()
        for data in sent:
            work(cloud, data)
        plan = FaultPlan(duplicate=0.5, delay=0.3, reorder=True, seed=4)
        faults = Faults(plan)
        cloud.drain({"worker": note}, advance=True, faults=faults)
        runs.append(list(seen))
    assert runs[0] == runs[1]
    assert set(runs[0]) == set(sent)
    assert len(runs[0]) > len(sent)
    assert runs[0][: len(sent)] != sent
