"""What every `ports.Publisher` promises: accepted means that subscribers get exactly this."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import grpc
import pytest
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from infra.local import pubsub_server
from shared.adapters.google_pubsub import GooglePublisher
from shared.adapters.memory import Engine, MemoryPublisher, SubscriptionConfig, topic_path
from shared.adapters.names import wire_topic
from shared.adapters.rest import Http, Retries
from shared.adapters.rest_pubsub import RestPublisher
from shared.adapters.system_clock import SystemClock
from shared.config import Config
from shared.errors import Retryable, ServiceUnavailable
from shared.ports import Publisher
from tests.contract.faulty import Fault, faulty
from tests.contract.stores import EXTERNAL_PUBSUB, config

Received = list[tuple[bytes, Mapping[str, str], str]]


@dataclass(frozen=True)
class Post:
    """`receive` pulls up to that many messages from a subscription to the topic `topic`."""

    publisher: Publisher
    topic: str
    receive: Callable[[int], Received]


def _kinds() -> list[str]:
    outside = ["rest-external", "google-external"] if os.environ.get(EXTERNAL_PUBSUB) else []
    return ["memory", "rest", "google", *outside]


@pytest.fixture(params=_kinds())
def post(request: pytest.FixtureRequest) -> Iterator[Post]:
    kind: str = request.param
    if kind == "memory":
        yield from _memory()
    elif kind.endswith("external"):
        host = os.environ[EXTERNAL_PUBSUB].removeprefix("http://")
        yield from _wire(kind.removesuffix("-external"), f"http://{host}", host)
    else:
        engine = Engine(SystemClock())
        server = pubsub_server.serve(engine)
        yield from _wire(kind, server.rest_url, server.grpc_target)
        server.close()
        engine.close()


def _memory() -> Iterator[Post]:
    engine = Engine(SystemClock())
    topic, project = "uploads", "contract"
    path = topic_path(project, topic)
    engine.create(topics=[path], subscriptions=[SubscriptionConfig("s", path)])

    def receive(count: int) -> Received:
        found = engine.pubsub.lease("s", count)
        return [(each.message.data, each.message.attributes, each.message.id) for each in found]

    yield Post(MemoryPublisher(engine.pubsub, project), topic, receive)
    engine.close()


def _wire(client: str, rest_url: str, grpc_target: str) -> Iterator[Post]:
    settings = config(pubsub=rest_url, pubsub_grpc=grpc_target)
    topic = f"t-{uuid.uuid4().hex[:12]}"
    path = f"projects/{settings.project}/topics/{wire_topic(topic)}"
    subscription = f"projects/{settings.project}/subscriptions/{topic}"
    with grpc.insecure_channel(grpc_target) as channel:
        topics = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        subscriptions = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        topics.create_topic(name=path)
        subscriptions.create_subscription(name=subscription, topic=path)

        def receive(count: int) -> Received:
            found: Received = []
            while len(found) < count:
                answer = subscriptions.pull(
                    subscription=subscription, max_messages=count, timeout=10
                )
                for each in answer.received_messages:
                    message = each.message
                    found.append((message.data, dict(message.attributes), message.message_id))
                    subscriptions.acknowledge(subscription=subscription, ack_ids=[each.ack_id])
            return found

        yield Post(_publisher(client, settings), topic, receive)


def _publisher(client: str, settings: Config) -> Publisher:
    return RestPublisher(settings) if client == "rest" else GooglePublisher(settings)


def test_message_arrives(post: Post) -> None:
    """Body, attributes and the id that publish returned reach the subscriber unchanged."""
    data = '{"type":"TrainingRequested","model":"größe"}'.encode() + bytes(range(256))
    attributes = {"type": "TrainingRequested", "topic": "a", "timeout": "b", "ümlaut": "🚂"}
    message_id = post.publisher.publish(post.topic, data, attributes)
    assert post.receive(1) == [(data, attributes, message_id)]


def test_messages_have_different_ids(post: Post) -> None:
    """Publishing the same twice makes two messages."""
    ids = {post.publisher.publish(post.topic, b"{}", {"type": "X"}) for _ in range(3)}
    assert {each[2] for each in post.receive(3)} == ids
    assert len(ids) == 3


def test_large_body(post: Post) -> None:
    """A megabyte is an ordinary message."""
    data = os.urandom(1_000_000)
    post.publisher.publish(post.topic, data, {})
    assert post.receive(1)[0][0] == data


def test_unknown_topic(post: Post) -> None:
    """A topic that does not exist is our mistake, no passing fault."""
    with pytest.raises(Exception, match=r"(?i)not.*found|not exist|404") as wrong:
        post.publisher.publish("no-such-topic", b"{}", {})
    assert not isinstance(wrong.value, Retryable)


def test_nobody_there() -> None:
    """A service that does not answer is a fault that may pass."""
    settings = config(pubsub="http://127.0.0.1:1", pubsub_grpc="127.0.0.1:1")
    quick = Http(settings, retries=Retries(sleep=lambda _: None))
    publishers: list[Publisher] = [
        RestPublisher(settings, quick),
        GooglePublisher(settings, patience_seconds=0.5),
    ]
    for publisher in publishers:
        with pytest.raises(ServiceUnavailable):
            publisher.publish("uploads", b"{}", {})


def test_lost_answer_publishes_again() -> None:
    """At least once: when the answer is lost, the message is sent again and its id comes back."""
    engine = Engine(SystemClock())
    settings = config()
    path = topic_path(settings.project, "uploads")
    engine.create(topics=[path], subscriptions=[SubscriptionConfig("s", path)])
    server = pubsub_server.serve(engine)
    with faulty(server.rest_url) as proxy:
        settings = config(pubsub=proxy.url)
        http = Http(settings, retries=Retries(sleep=lambda _: None))
        proxy.plan("POST", ":publish", Fault(status=503), Fault(lose=True))
        message_id = RestPublisher(settings, http).publish("uploads", b"{}", {"type": "X"})
    found = [each.message for each in engine.pubsub.lease("s", 10)]
    assert [each.data for each in found] == [b"{}", b"{}"]
    assert found[-1].id == message_id
    server.close()
    engine.close()
