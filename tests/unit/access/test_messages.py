"""Every message gets where it should with the rights that there are: an edge that is missing would
show here as a message that is stuck."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from infra import access
from infra.access import Edge
from infra.topology import Subscription, Topology
from tests.support.granting import finished_topology
from tests.support.hcl import resources, value


def gaps(plan: Topology, edges: set[Edge]) -> list[str]:
    """Where a message would be stuck with these grants: from every publisher of a topic, over its
    subscriptions, to the function (or the bucket), and to the dead letters."""
    has = {(edge.who, edge.verb, edge.what) for edge in edges}
    return [
        *(said for item in plan.subscriptions.values() for said in _on_the_way(item, plan, has)),
        *(
            f"{bucket.name} cannot tell that a file came"
            for bucket in plan.buckets.values()
            if bucket.notify_topic
            and ("agent/storage", "publishes", bucket.notify_topic) not in has
        ),
        *(
            f"{schedule.name} cannot publish"
            for schedule in plan.schedules.values()
            if ("agent/scheduler", "publishes", schedule.topic) not in has
        ),
    ]


def _on_the_way(
    item: Subscription, plan: Topology, has: set[tuple[str, str, str]]
) -> Iterator[str]:
    if item.topic not in {what for _, verb, what in has if verb == "publishes"}:
        yield f"nobody publishes to {item.topic}, which {item.name} waits for"
    if item.push and (access.PUSH + item.push, "calls", item.push) not in has:
        yield f"{item.name} may not call {item.push}"
    if item.export:
        place = f"{item.export.bucket}/{item.export.prefix}"
        if ("agent/pubsub", "creates", place) not in has:
            yield f"{item.name} may not write to {item.export.bucket}"
    if item.dead_letter:
        if ("agent/pubsub", "subscribes", item.name) not in has:
            yield f"{item.name} cannot give up a message"
        if ("agent/pubsub", "publishes", access.DEAD_LETTERS) not in has:
            yield f"{item.name} has nowhere to put a dead letter"
        if not any(other.topic == access.DEAD_LETTERS for other in plan.subscriptions.values()):
            yield f"nobody reads what {item.name} gives up"


def test_every_message_gets_where_it_should() -> None:
    """Publisher, subscription, caller, function or bucket, and the dead letters behind them all."""
    plan = finished_topology()
    assert gaps(plan, set(access.edges(plan))) == []


def test_dead_letters_need_a_reader() -> None:
    """Without a subscription of their own they would be gone after all."""
    plan = finished_topology()
    some = {key: x for key, x in plan.subscriptions.items() if x.topic != access.DEAD_LETTERS}
    fewer = replace(plan, subscriptions=some)
    assert "nobody reads what sweep-ticks gives up" in gaps(fewer, set(access.edges(plan)))


@pytest.mark.parametrize(
    ("edge", "said"),
    [
        (("push-intake", "calls", "intake"), "intake-uploads may not call intake"),
        (("agent/storage", "publishes", "uploads"), "inbox cannot tell that a file came"),
        (("agent/scheduler", "publishes", "ticks"), "sweep cannot publish"),
        (("agent/pubsub", "subscribes", "notify-alerts"), "notify-alerts cannot give up a message"),
        (
            ("agent/pubsub", "publishes", "dead-letters"),
            "sweep-ticks has nowhere to put a dead letter",
        ),
        (
            ("agent/pubsub", "creates", "lake/inference-log/dt="),
            "predictions-lake may not write to lake",
        ),
        (
            ("predict", "publishes", "predictions"),
            "nobody publishes to predictions, which predictions-lake waits for",
        ),
    ],
)
def test_a_gap_in_the_way_of_a_message_is_found(edge: tuple[str, str, str], said: str) -> None:
    """Any grant on the way that is missing has a message that gets stuck."""
    plan = finished_topology()
    every = set(access.edges(plan))
    fewer = {item for item in every if tuple(item)[:3] != edge}
    assert len(fewer) == len(every) - 1
    assert said in gaps(plan, fewer)


def pushes(subscription: dict[str, Any]) -> list[str]:
    """What is wrong with how messages are pushed."""
    found = []
    (push,) = [x["push_config"] for x in subscription["dynamic"] if "push_config" in x]
    (content,) = push["content"]
    (token,) = content["oidc_token"]
    if 'identity["push-${push_config.value}"]' not in token["service_account_email"]:
        found.append("pushed as somebody else")
    if token["audience"] != content["push_endpoint"]:
        found.append("a token for another service")
    return found


def changed(subscription: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> list[str]:
    """As `pushes`, after a change of the token."""
    other = copy.deepcopy(subscription)
    (push,) = [x["push_config"] for x in other["dynamic"] if "push_config" in x]
    change(push["content"][0]["oidc_token"][0])
    return pushes(other)


def test_a_push_is_by_the_pusher_of_its_function_and_for_it() -> None:
    """The account that may call the function, and a token that is good there and nowhere else."""
    (body,) = [item.body for item in resources() if item.type == "google_pubsub_subscription"]
    assert pushes(body) == []
    other = {"service_account_email": "${google_service_account.identity[each.key].email}"}
    assert changed(body, lambda token: token.update(other)) == ["pushed as somebody else"]
    wrong = {"audience": "https://example.com"}
    assert changed(body, lambda token: token.update(wrong)) == ["a token for another service"]


# What Terraform says of each edge itself: without a line the message has no way, or none back.
SUBSCRIPTIONS: dict[str, Any] = {
    "for_each": "${module.topology.subscriptions}",
    "topic": "${google_pubsub_topic.topic[each.value.topic].id}",
    "filter": "${each.value.filter}",
    "ack_deadline_seconds": "${each.value.ack_deadline_seconds}",
    "expiration_policy.ttl": "",
    "retry_policy.minimum_backoff": "${each.value.min_backoff_seconds}s",
    "retry_policy.maximum_backoff": "${each.value.max_backoff_seconds}s",
    "push_config.for_each": "${each.value.push == null ? [] : [each.value.push]}",
    "cloud_storage_config.for_each": "${each.value.export == null ? [] : [each.value.export]}",
    "dead_letter_policy.for_each": (
        "${each.value.dead_letter ? [each.value.max_delivery_attempts] : []}"
    ),
    "dead_letter_policy.content.dead_letter_topic": (
        '${google_pubsub_topic.topic["dead-letters"].id}'
    ),
    "dead_letter_policy.content.max_delivery_attempts": "${dead_letter_policy.value}",
    "lifecycle.create_before_destroy": True,
    "depends_on": "${time_sleep.grants}",
}
NOTIFICATIONS: dict[str, Any] = {
    "topic": "${google_pubsub_topic.topic[each.value.notify_topic].id}",
    "event_types": "OBJECT_FINALIZE",
    "depends_on": "${time_sleep.grants}",
}
WRITTEN: dict[str, dict[str, Any]] = {
    "google_pubsub_subscription": SUBSCRIPTIONS,
    "google_storage_notification": NOTIFICATIONS,
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_terraform_makes_every_link_as_the_topology_has_it(kind: str) -> None:
    """Its filter, its patience, its dead letters and who waits for which right: all of it from the
    topology, and no subscription that is made in another way."""
    (body,) = [item.body for item in resources() if item.type == kind]
    assert {path: value(body, path) for path in WRITTEN[kind]} == WRITTEN[kind]


@pytest.mark.parametrize("path", ["filter", "dead_letter_policy.for_each", "retry_policy"])
def test_a_link_without_a_line_is_found(path: str) -> None:
    """The same look, at a subscription that lacks something."""
    (body,) = [item.body for item in resources() if item.type == "google_pubsub_subscription"]
    name = path.partition(".")[0]
    fewer = {key: x for key, x in body.items() if key != name}
    fewer["dynamic"] = [one for one in body["dynamic"] if name not in one]
    missing = {path for path in SUBSCRIPTIONS if value(fewer, path) is None}
    assert missing == {one for one in SUBSCRIPTIONS if one.partition(".")[0] == name}
