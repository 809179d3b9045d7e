"""What every `ports.Messenger` promises: posted, or Retryable."""

from __future__ import annotations

import json
import socket
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from infra.local.web import HttpServer, Request, Response
from shared.adapters.memory import MemoryMessenger
from shared.adapters.slack import SlackMessenger
from shared.errors import Retryable

MESSAGE = {
    "text": "größer <b>&",
    "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*act now* 🚂"}}],
}


@dataclass
class Webhook:
    """A Slack that answers as told, 200 when nothing is left, and keeps what it accepted."""

    answers: list[Response] = field(default_factory=list)
    accepted: list[Any] = field(default_factory=list)
    asked: int = 0
    waits: list[float] = field(default_factory=list)
    url: str = ""

    def __call__(self, request: Request) -> Response:
        self.asked += 1
        body = request.json()
        answer = self.answers.pop(0) if self.answers else Response(200, b"ok")
        if answer.status == 200:
            self.accepted.append(body)
        return answer

    def messenger(self) -> SlackMessenger:
        return SlackMessenger(self.url, timeout_seconds=2, sleep=self.waits.append)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    server = HttpServer(hook)
    hook.url = f"{server.url}/services/T/B/secret"
    yield hook
    server.close()


def test_posts(webhook: Webhook) -> None:
    """The message arrives as it was given."""
    memory = MemoryMessenger()
    memory.post(MESSAGE)
    webhook.messenger().post(MESSAGE)
    assert webhook.accepted == [json.loads(json.dumps(each)) for each in memory.posted]


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_anything_but_200_is_retryable(webhook: Webhook, status: int) -> None:
    """Slack's reason is in the message, the webhook's URL is not, and nothing is sent twice."""
    webhook.answers = [Response(status, b"no_service")]
    with pytest.raises(Retryable, match=f"{status}: no_service") as error:
        webhook.messenger().post(MESSAGE)
    assert "secret" not in str(error.value)
    assert webhook.asked == 1


def test_nobody_there_is_retryable() -> None:
    """A connection that fails is a fault that may pass, in memory as on the wire."""
    memory = MemoryMessenger()
    memory.failing = True
    for messenger in (memory, SlackMessenger("http://127.0.0.1:1/secret", timeout_seconds=1)):
        with pytest.raises(Retryable) as error:
            messenger.post(MESSAGE)
        assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/secret", "no address, secret", "http://x/secret\n"]
)
def test_the_address_is_in_no_traceback(url: str) -> None:
    """Tracebacks are logged, and some faults of an address that is none repeat it."""
    with pytest.raises(Retryable) as error:
        SlackMessenger(url, timeout_seconds=1).post(MESSAGE)
    assert "secret" not in "".join(traceback.format_exception(error.value)).replace(__file__, "")


def test_silence_is_retryable() -> None:
    """A Slack that takes the connection and says nothing is given up after the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/secret"
        with pytest.raises(Retryable) as error:
            SlackMessenger(url, timeout_seconds=1).post(MESSAGE)
    assert "secret" not in str(error.value)


def test_short_rate_limit_is_waited_for(webhook: Webhook) -> None:
    """429 posts nothing, so the message is sent again after the time Slack asks for."""
    webhook.answers = [Response(429, b"", {"Retry-After": "3"})]
    webhook.messenger().post(MESSAGE)
    assert (webhook.waits, len(webhook.accepted)) == ([3.0], 1)


@pytest.mark.parametrize("why", [b"invalid_blocks", b"msg_blocks_too_long", b"msg_too_long"])
def test_blocks_that_slack_does_not_take_are_told_in_words(webhook: Webhook, why: bytes) -> None:
    """A message that would be refused for ever is posted as its text: nobody hears of nothing."""
    webhook.answers = [Response(400, why)]
    webhook.messenger().post(MESSAGE)
    too_long = {"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}
    webhook.messenger().post({"text": "too long", "blocks": [too_long]})
    assert webhook.accepted == [{"text": MESSAGE["text"]}, {"text": "too long"}]


def test_long_rate_limit_is_left_to_the_next_delivery(webhook: Webhook) -> None:
    """A wait longer than a function lives is not started; a second 429 ends the attempt."""
    webhook.answers = [Response(429, b"", {"Retry-After": "60"})]
    with pytest.raises(Retryable, match="60 s"):
        webhook.messenger().post(MESSAGE)
    assert webhook.waits == []
    webhook.answers = [Response(429, b""), Response(429, b"")]
    with pytest.raises(Retryable, match="429"):
        webhook.messenger().post(MESSAGE)
    assert webhook.waits == [1.0]
