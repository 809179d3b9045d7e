"""Pub/Sub on the wire over the engine: gRPC for the official clients, REST for publishing.

`PUBSUB_EMULATOR_HOST` is the gRPC target, `MILLRACE_PUBSUB_ENDPOINT` the REST one. Pushing is the
dispatcher's business.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import grpc
from google.pubsub_v1 import types

from infra.local.pubsub_wire import (
    Unsupported,
    page_of,
    received,
    subscription_from,
    subscription_to,
)
from infra.local.wake import Wake
from infra.local.web import HttpError, HttpServer, Request, Response, Routes, json_response
from shared.adapters.memory.cloud import Engine
from shared.adapters.memory.messages import Messages
from shared.adapters.memory.topics import AlreadyThere, NoSuchTopic

_PULL_WAIT_SECONDS = 20.0
_THREADS = 16
_MAX_MESSAGE_BYTES = 10_000_000


class PubsubServer:
    """Both doors. `grpc_target` is host:port, `rest_url` a base URL without a trailing slash."""

    def __init__(
        self, engine: Engine, host: str = "127.0.0.1", grpc_port: int = 0, rest_port: int = 0
    ) -> None:
        self._wake = Wake()
        engine.database.on_commit(self._wake.set)
        self._grpc = grpc.server(
            ThreadPoolExecutor(_THREADS, thread_name_prefix="pubsub"),
            options=[
                ("grpc.max_receive_message_length", 2 * _MAX_MESSAGE_BYTES),
                ("grpc.so_reuseport", 0),  # two stacks on one port must not share it silently
            ],
        )
        service = _Service(engine, self._wake)
        self._grpc.add_generic_rpc_handlers(tuple(service.handlers()))
        port = self._grpc.add_insecure_port(f"{host}:{grpc_port}")
        self._grpc.start()
        self._rest = HttpServer(_rest_app(engine.pubsub), host, rest_port)
        self.grpc_target = f"{host}:{port}"
        self.rest_url = self._rest.url

    def close(self) -> None:
        self._wake.close()
        self._grpc.stop(grace=None).wait(timeout=5)
        self._rest.close()


def serve(
    engine: Engine, host: str = "127.0.0.1", grpc_port: int = 0, rest_port: int = 0
) -> PubsubServer:
    """Start both servers; `.grpc_target`, `.rest_url`, `.close()`."""
    return PubsubServer(engine, host, grpc_port, rest_port)


class _Service:
    """The methods of Publisher and Subscriber; a method takes the request and the call."""

    def __init__(self, engine: Engine, wake: Wake) -> None:
        self._engine, self._messages, self._wake = engine, engine.pubsub, wake

    def handlers(self) -> list[Any]:
        publisher = {
            "CreateTopic": (self.create_topic, types.Topic, types.Topic),
            "GetTopic": (self.get_topic, types.GetTopicRequest, types.Topic),
            "ListTopics": (self.list_topics, types.ListTopicsRequest, types.ListTopicsResponse),
            "DeleteTopic": (self.delete_topic, types.DeleteTopicRequest, None),
            "Publish": (self.publish, types.PublishRequest, types.PublishResponse),
        }
        subscriber = {
            "CreateSubscription": (self.create, types.Subscription, types.Subscription),
            "GetSubscription": (self.get, types.GetSubscriptionRequest, types.Subscription),
            "ListSubscriptions": (
                *(self.list, types.ListSubscriptionsRequest),
                types.ListSubscriptionsResponse,
            ),
            "DeleteSubscription": (self.delete, types.DeleteSubscriptionRequest, None),
            "ModifyPushConfig": (self.modify_push, types.ModifyPushConfigRequest, None),
            "Pull": (self.pull, types.PullRequest, types.PullResponse),
            "Acknowledge": (self.acknowledge, types.AcknowledgeRequest, None),
            "ModifyAckDeadline": (self.modify, types.ModifyAckDeadlineRequest, None),
        }
        return [
            grpc.method_handlers_generic_handler(
                f"google.pubsub.v1.{service}",
                {name: _method(*parts) for name, parts in methods.items()},
            )
            for service, methods in (("Publisher", publisher), ("Subscriber", subscriber))
        ]

    def create_topic(self, request: types.Topic, _call: Any) -> types.Topic:
        self._messages.create_topic(request.name)
        return types.Topic(name=request.name)

    def get_topic(self, request: types.GetTopicRequest, _call: Any) -> types.Topic:
        if not self._messages.has_topic(request.topic):
            raise NoSuchTopic(f"topic {request.topic} does not exist")
        return types.Topic(name=request.topic)

    def list_topics(self, request: types.ListTopicsRequest, _call: Any) -> types.ListTopicsResponse:
        ours = [name for name in self._messages.topics() if name.startswith(request.project + "/")]
        page, token = page_of(ours, request.page_token, request.page_size)
        return types.ListTopicsResponse(
            topics=[types.Topic(name=name) for name in page], next_page_token=token
        )

    def delete_topic(self, request: types.DeleteTopicRequest, _call: Any) -> None:
        self._messages.delete_topic(request.topic)

    def publish(self, request: types.PublishRequest, _call: Any) -> types.PublishResponse:
        with self._engine.database.transaction():  # all messages of a request, or none
            ids = [
                self._messages.publish(
                    request.topic, item.data, dict(item.attributes), item.ordering_key
                )
                for item in request.messages
            ]
        return types.PublishResponse(message_ids=ids)

    def create(self, request: types.Subscription, _call: Any) -> types.Subscription:
        self._messages.create_subscription(subscription_from(request))
        return subscription_to(self._messages.subscription(request.name))

    def get(self, request: types.GetSubscriptionRequest, _call: Any) -> types.Subscription:
        return subscription_to(self._messages.subscription(request.subscription))

    def list(
        self, request: types.ListSubscriptionsRequest, _call: Any
    ) -> types.ListSubscriptionsResponse:
        names = [config.name for config in self._messages.subscriptions()]
        ours = [name for name in names if name.startswith(request.project + "/")]
        page, token = page_of(ours, request.page_token, request.page_size)
        found = [subscription_to(self._messages.subscription(name)) for name in page]
        return types.ListSubscriptionsResponse(subscriptions=found, next_page_token=token)

    def delete(self, request: types.DeleteSubscriptionRequest, _call: Any) -> None:
        self._messages.delete_subscription(request.subscription)

    def modify_push(self, request: types.ModifyPushConfigRequest, _call: Any) -> None:
        config = self._messages.subscription(request.subscription)
        changed = replace(config, push=request.push_config.push_endpoint or None)
        self._messages.create_subscription(changed, exist_ok=True)

    def pull(self, request: types.PullRequest, call: Any) -> types.PullResponse:
        """Waits a while for a first message, as Google does; an empty answer is allowed."""
        config = self._messages.subscription(request.subscription)
        patience = min(call.time_remaining() or _PULL_WAIT_SECONDS, _PULL_WAIT_SECONDS) - 0.5
        deadline = self._wake.deadline(0 if request.return_immediately else patience)
        while True:
            seen = self._wake.mark()
            found = self._messages.lease(config.name, request.max_messages or 1)
            if found or not call.is_active():
                break
            due = self._messages.next_due(config.name)
            wait = (due - self._engine.clock.now()).total_seconds() if due else None
            if not self._wake.wait(seen, deadline, wait):
                break
        return types.PullResponse(received_messages=[received(item, config) for item in found])

    def acknowledge(self, request: types.AcknowledgeRequest, _call: Any) -> None:
        for ack_id in request.ack_ids:
            self._messages.ack(ack_id)

    def modify(self, request: types.ModifyAckDeadlineRequest, _call: Any) -> None:
        for ack_id in request.ack_ids:
            self._messages.modify_deadline(ack_id, request.ack_deadline_seconds)


def _method(work: Callable[[Any, Any], Any], request: Any, response: Any) -> Any:
    def handle(message: Any, call: Any) -> Any:
        try:
            found = work(message, call)
        except NoSuchTopic as error:
            call.abort(grpc.StatusCode.NOT_FOUND, str(error))
        except AlreadyThere as error:
            call.abort(grpc.StatusCode.ALREADY_EXISTS, str(error))
        except Unsupported as error:
            call.abort(grpc.StatusCode.UNIMPLEMENTED, str(error))
        except ValueError as error:
            call.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return found

    serializer = response.serialize if response else _empty
    return grpc.unary_unary_rpc_method_handler(
        handle, request_deserializer=request.deserialize, response_serializer=serializer
    )


def _empty(_nothing: None) -> bytes:
    """google.protobuf.Empty on the wire."""
    return b""


def _rest_app(messages: Messages) -> Callable[[Request], Response]:
    def publish(request: Request, topic: str) -> Response:
        items = request.json().get("messages")
        if not isinstance(items, list) or not items:
            raise HttpError(400, "a publish request needs messages")
        ids = [_publish_one(messages, topic, item) for item in items]
        return json_response({"messageIds": ids})

    def create_topic(_request: Request, topic: str) -> Response:
        try:
            messages.create_topic(topic)
        except AlreadyThere as error:
            raise HttpError(409, str(error), reason="alreadyExists") from error
        return json_response({"name": topic})

    routes = Routes()
    routes.add("POST", r"/v1/(projects/[^/]+/topics/[^/:]+):publish", publish)
    routes.add("PUT", r"/v1/(projects/[^/]+/topics/[^/:]+)", create_topic)
    return routes


def _publish_one(messages: Messages, topic: str, item: dict[str, Any]) -> str:
    attributes = item.get("attributes") or {}
    try:
        data = base64.b64decode(item.get("data", ""), validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise HttpError(400, "data is no base64") from error
    if not data and not attributes:
        raise HttpError(400, "a message needs data or attributes")
    if len(data) > _MAX_MESSAGE_BYTES:
        raise HttpError(400, f"a message may have {_MAX_MESSAGE_BYTES} bytes")
    try:
        return messages.publish(topic, data, attributes, item.get("orderingKey", ""))
    except NoSuchTopic as error:
        raise HttpError(404, str(error), reason="notFound") from error
