"""Slack and mail at once: what fails on one is neither lost nor told twice on the other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from infra.local.web import HttpServer, Request, Response
from infra.topology import load
from shared.adapters.mail import MailMessenger, Relay
from shared.adapters.memory import MemoryMessenger
from shared.adapters.slack import SlackMessenger
from shared.errors import Retryable
from tests.support import smtp
from tests.support.crashing import Crash, Fuse
from tests.unit.telling.world import Told


def both() -> dict[str, MemoryMessenger]:
    return {"slack": MemoryMessenger(), "mail": MemoryMessenger()}


@pytest.mark.parametrize("down", ["slack", "mail"])
def test_one_channel_that_is_down_holds_up_only_itself(down: str) -> None:
    """The other posts at the first delivery, and not again while the first is tried for hours."""
    channels = both()
    told = Told(channels=channels)
    channels[down].failing = True
    for _ in range(30):
        with pytest.raises(Retryable, match=down):
            told.tell(told.alert("drift", 0))
        told.clock.advance(600)
    other = "mail" if down == "slack" else "slack"
    assert (len(channels[other].posted), len(channels[down].posted)) == (1, 0)
    channels[down].failing = False
    assert told.tell(told.alert("drift", 0)) == "posted"
    assert told.tell(told.alert("drift", 0)) == "told before"
    assert (len(channels[other].posted), len(channels[down].posted)) == (1, 1)


@pytest.mark.parametrize("killer", ["slack", "mail"])
def test_a_channel_that_kills_the_process_does_not_starve_the_other(killer: str) -> None:
    """Slower than a function may live, every time: the other's turn comes first the next time."""
    channels: dict[str, Any] = both()

    class TooSlow:
        def post(self, message: Mapping[str, object]) -> None:
            raise Crash("killed at the function's timeout")

    other = channels["mail" if killer == "slack" else "slack"]
    told = Told(channels={**channels, killer: TooSlow()})
    for _ in range(4):
        with pytest.raises(Crash):
            told.tell(told.alert("drift", 0))
        told.clock.advance(91)
    assert len(other.posted) == 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_doubles_a_message_on_one_channel_at_most(after: bool) -> None:
    """Kill notify at every port call: after the redelivery each channel has it, at most one of them
    twice, both times with the same incident."""
    at = 0
    while True:
        channels, fuse = both(), Fuse(at, after=after)
        told = Told(channels=channels)
        lake = told.lake
        told.lake = fuse.wrap("lake", lake)
        told.channels = {name: fuse.wrap(name, one) for name, one in channels.items()}
        try:
            told.tell(told.alert("drift", 0))
        except Crash:
            told.lake, told.channels = lake, dict(channels)
            told.clock.advance(91)
            told.tell(told.alert("drift", 0))
        if not fuse.blown:
            break
        counts = sorted(len(one.posted) for one in channels.values())
        assert counts in ([1, 1], [1, 2]), fuse.where
        assert all(
            "m-batch-drift-0" in str(said) for one in channels.values() for said in one.posted
        )
        at += 1
    assert at >= 8


def test_a_digest_goes_to_every_channel_once() -> None:
    """Also when one of them is down for the first tries."""
    channels = both()
    told = Told(channels=channels)
    told.tell(told.note("drift", 0))
    told.tell(told.note("drift", 1))
    channels["mail"].failing = True
    with pytest.raises(Retryable):
        told.digest()
    channels["mail"].failing = False
    assert told.digest() == "posted"
    assert {name: len(one.posted) for name, one in channels.items()} == {"slack": 2, "mail": 2}


def test_a_reminder_goes_to_every_channel_once() -> None:
    """Like everything else."""
    channels = both()
    told = Told(channels=channels)
    told.tell(told.alert("performance", 0))
    told.clock.advance(86400)
    assert (told.remind(), told.remind()) == (1, 0)
    assert [len(one.posted) for one in channels.values()] == [2, 2]


# --- the real adapters, against stand-ins that misbehave ------------------------------------------


@dataclass
class Slack:
    """A webhook that answers as told, 200 when nothing is left, and keeps what it accepted;
    None accepts and answers 500."""

    answers: list[Response | None] = field(default_factory=list)
    accepted: list[Any] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        body = request.json()
        answer = self.answers.pop(0) if self.answers else Response(200, b"ok")
        if answer is None or answer.status == 200:
            self.accepted.append(body)
        if answer is None:
            return Response(500, b"too late")
        return answer


@pytest.fixture
def slack() -> Iterator[tuple[Slack, SlackMessenger]]:
    app = Slack()
    server = HttpServer(app)
    waits: list[float] = []
    yield app, SlackMessenger(f"{server.url}/services/x", timeout_seconds=1, sleep=waits.append)
    server.close()


@pytest.fixture
def relay() -> Iterator[smtp.Relay]:
    found = smtp.Relay()
    yield found
    found.close()


def test_hours_of_refusals_lose_nothing_and_double_nothing(
    slack: tuple[Slack, SlackMessenger], relay: smtp.Relay
) -> None:
    """429, 500 and 503 in turn from Slack while the mail relay defers: as many deliveries as the
    subscription makes, then both take every message once."""
    app, messenger = slack
    mails = MailMessenger(
        Relay("127.0.0.1", relay.port, "m@example.org", ("a@example.org",), security="none"),
        (told := Told()).clock,
        timeout_seconds=1,
    )
    told.channels = {"slack": messenger, "mail": mails}
    events = [told.alert("drift", 0), told.alert("performance", 0), told.note("drift", 0)]
    relay.answers = {"MAIL": "451 later"}
    app.answers = [
        Response(status, b"no", {"Retry-After": "30"}) for status in (429, 500, 503) for _ in "ab"
    ]
    # A release of the claim lets each delivery try, so this is about an hour of them.
    for _ in range(6):
        for event in events:
            with pytest.raises(Retryable):
                told.tell(event)
        told.clock.advance(600)
    relay.answers = {}
    for event in events:
        assert told.tell(event) == "posted"
        assert told.tell(event) == "told before"
    texts = Counter(body["text"] for body in app.accepted)
    assert sorted(texts.values()) == [1, 1, 1]
    assert len(relay.mails) == 3


def test_an_answer_that_is_lost_doubles_the_message_with_the_same_incident(
    slack: tuple[Slack, SlackMessenger],
) -> None:
    """Slack took it and answered something else: nobody can know, so it is said again."""
    app, messenger = slack
    told = Told(channels={"slack": messenger})
    app.answers = [None]
    with pytest.raises(Retryable):
        told.tell(told.alert("drift", 0))
    told.tell(told.alert("drift", 0))
    assert len(app.accepted) == 2
    assert all("m-batch-drift-0" in json.dumps(body) for body in app.accepted)


def test_the_subscriptions_try_for_hours() -> None:
    """With the backoff of the topology, a message that Slack never takes is given up after more
    than half a day."""
    for item in load().subscriptions.values():
        if item.push == "notify":
            waits = [
                min(item.min_backoff_seconds * 2**attempt, item.max_backoff_seconds)
                for attempt in range(item.max_delivery_attempts - 1)
            ]
            assert sum(waits) > 12 * 3600, item.name
