"""The Pub/Sub stand-in through Google's own client."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import grpc
import pytest
import requests
from google.api_core import exceptions as api
from google.pubsub_v1 import PublisherClient, PubsubMessage, SubscriberClient, types
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from infra.local import pubsub_server
from infra.local.pubsub_server import PubsubServer
from shared.adapters.memory import Engine
from shared.adapters.system_clock import SystemClock

TOPIC, DEAD = "projects/p/topics/t", "projects/p/topics/dead"
SUB = "projects/p/subscriptions/s"


@dataclass
class Wire:
    publisher: PublisherClient
    subscriber: SubscriberClient
    server: PubsubServer
    engine: Engine

    def publish(self, data: bytes, **attributes: str) -> str:
        message = PubsubMessage(data=data, attributes=attributes)
        return str(self.publisher.publish(topic=TOPIC, messages=[message]).message_ids[0])

    def pull(self, seconds: float = 5.0) -> list[types.ReceivedMessage]:
        answer = self.subscriber.pull(subscription=SUB, max_messages=10, timeout=seconds)
        return list(answer.received_messages)


@pytest.fixture
def wire() -> Iterator[Wire]:
    engine = Engine(SystemClock())
    server = pubsub_server.serve(engine)
    channel = grpc.insecure_channel(server.grpc_target)
    publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
    subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
    for name in (TOPIC, DEAD):
        publisher.create_topic(name=name)
    yield Wire(publisher, subscriber, server, engine)
    channel.close()
    server.close()
    engine.close()


def test_settings_come_back(wire: Wire) -> None:
    """A subscription is what was asked for."""
    wanted = types.Subscription(
        name=SUB,
        topic=TOPIC,
        filter='attributes.type = "A"',
        ack_deadline_seconds=30,
        push_config=types.PushConfig(push_endpoint="http://127.0.0.1:9/x"),
        retry_policy=types.RetryPolicy(
            minimum_backoff=timedelta(seconds=1), maximum_backoff=timedelta(seconds=9)
        ),
        dead_letter_policy=types.DeadLetterPolicy(dead_letter_topic=DEAD, max_delivery_attempts=7),
    )
    wire.subscriber.create_subscription(request=wanted)
    found = wire.subscriber.get_subscription(subscription=SUB)
    for name in ("topic", "filter", "push_config", "retry_policy", "dead_letter_policy"):
        assert getattr(found, name) == getattr(wanted, name)
    wire.subscriber.modify_push_config(
        subscription=SUB, push_config=types.PushConfig(push_endpoint="http://127.0.0.1:9/y")
    )
    (listed,) = wire.subscriber.list_subscriptions(project="projects/p")
    assert listed.push_config.push_endpoint == "http://127.0.0.1:9/y"
    wire.subscriber.delete_subscription(subscription=SUB)
    with pytest.raises(api.NotFound):
        wire.subscriber.get_subscription(subscription=SUB)


def test_publish_pull_acknowledge(wire: Wire) -> None:
    """Data, attributes and ids arrive; what is acknowledged does not come again."""
    wire.subscriber.create_subscription(name=SUB, topic=TOPIC)
    published = wire.publish(b"\x00\xff", type="A")
    (received,) = wire.pull()
    assert (received.message.data, dict(received.message.attributes)) == (
        b"\x00\xff",
        {"type": "A"},
    )
    assert received.message.message_id == published
    wire.subscriber.acknowledge(subscription=SUB, ack_ids=[received.ack_id])
    assert wire.engine.pubsub.backlog() == {}


def test_nack_over_the_wire(wire: Wire) -> None:
    """A deadline of 0 gives the message back, and the attempt is counted with a dead letter."""
    wire.subscriber.create_subscription(
        request=types.Subscription(
            name=SUB, topic=TOPIC, dead_letter_policy=types.DeadLetterPolicy(dead_letter_topic=DEAD)
        )
    )
    wire.publish(b"x")
    for attempt in range(1, 6):
        (received,) = wire.pull()
        assert received.delivery_attempt == attempt
        wire.subscriber.modify_ack_deadline(
            subscription=SUB, ack_ids=[received.ack_id], ack_deadline_seconds=0
        )
    assert wire.engine.pubsub.backlog() == {}
    assert len(wire.engine.pubsub.dead_letters) == 1


def test_pull_waits_for_a_message(wire: Wire) -> None:
    """A pull that finds nothing is answered by the next publication, not by a timeout."""
    wire.subscriber.create_subscription(name=SUB, topic=TOPIC)
    publish = threading.Timer(0.2, wire.publish, (b"late",))
    publish.start()
    assert [item.message.data for item in wire.pull(10)] == [b"late"]
    publish.join()


def test_errors_are_googles(wire: Wire) -> None:
    """Missing, twice, not understood, not implemented."""
    with pytest.raises(api.AlreadyExists):
        wire.publisher.create_topic(name=TOPIC)
    with pytest.raises(api.NotFound):
        wire.publisher.publish(topic=TOPIC + "x", messages=[PubsubMessage(data=b"x")])
    with pytest.raises(api.InvalidArgument):
        wire.subscriber.create_subscription(
            request=types.Subscription(name=SUB, topic=TOPIC, filter="attributes.a ~ 1")
        )
    with pytest.raises(api.MethodNotImplemented):
        wire.subscriber.create_subscription(
            request=types.Subscription(name=SUB, topic=TOPIC, enable_message_ordering=True)
        )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"messages": [{"data": "aGk=", "attributes": {"type": "A"}}]}, 200),
        ({"messages": [{"attributes": {"type": "A"}}]}, 200),
        ({"messages": [{"data": ""}]}, 400),
        ({"messages": [{"data": "%"}]}, 400),
        ({"messages": []}, 400),
        ({}, 400),
    ],
)
def test_publishing_over_rest(wire: Wire, body: dict[str, object], status: int) -> None:
    """The same checks as at Google, the same engine behind."""
    wire.subscriber.create_subscription(name=SUB, topic=TOPIC)
    answer = requests.post(f"{wire.server.rest_url}/v1/{TOPIC}:publish", json=body, timeout=5)
    assert answer.status_code == status
    if status == 200:
        assert [item.message.message_id for item in wire.pull()] == answer.json()["messageIds"]
    nowhere = f"{wire.server.rest_url}/v1/{TOPIC}x:publish"
    good = {"messages": [{"data": "aGk="}]}
    assert requests.post(nowhere, json=good, timeout=5).status_code == 404
