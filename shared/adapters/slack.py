"""`ports.Messenger` on a Slack incoming webhook."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any

from shared.errors import Retryable

# A function has 30 s for all channels; a longer wish is left to the next delivery.
_TIMEOUT_SECONDS = 6
_LONGEST_WAIT_SECONDS = 5.0
# What it says to blocks that it will never take: invalid_blocks, msg_blocks_too_long, msg_too_long.
_MISFITS = ("blocks", "too_long")


class SlackUnavailable(Retryable):
    """Slack did not answer 200. The message has its reason, but not the webhook's URL: a secret."""


class SlackMessenger:
    """Implements `ports.Messenger`.

    One post per call: a post whose answer was lost is not sent again here, the caller's record
    decides. Sent again is only what was surely not posted: after 429, which is waited for once, and
    when Slack does not take the blocks: then the text alone, so that people hear of it.
    """

    def __init__(
        self,
        webhook_url: str,
        *,
        timeout_seconds: int = _TIMEOUT_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        from slack_sdk.webhook import WebhookClient

        self._client = WebhookClient(webhook_url, timeout=timeout_seconds, retry_handlers=[])
        self._sleep = sleep

    def post(self, message: Mapping[str, object]) -> None:
        """Raises SlackUnavailable."""
        response = self._send(_formed(message))
        if response.status_code == 429:
            wait = _seconds(response.headers)
            if wait > _LONGEST_WAIT_SECONDS:
                raise SlackUnavailable(f"Slack asks to wait {wait:.0f} s (429)")
            self._sleep(wait)
            response = self._send(_formed(message))
        if response.status_code == 400 and any(word in response.body for word in _MISFITS):
            response = self._send({"text": message["text"]})
        if response.status_code != 200:
            raise SlackUnavailable(f"Slack answered {response.status_code}: {response.body[:200]}")

    def _send(self, message: Mapping[str, object]) -> Any:
        try:
            return self._client.send_dict(dict(message))
        except (OSError, HTTPException, ValueError) as error:  # URLError, timeouts: OSErrors
            # The cause is left out: for an address that is none it repeats it, and causes are
            # logged.
            raise SlackUnavailable(f"Slack did not answer: {type(error).__name__}") from None


def _formed(message: Mapping[str, object]) -> dict[str, object]:
    """The message as slack_sdk forms it, which checks Slack's limits; the text alone when a block
    breaks one."""
    from slack_sdk.errors import SlackObjectFormationError
    from slack_sdk.models.blocks import Block

    blocks: Any = message.get("blocks", [])
    try:
        formed = [block.to_dict() for block in Block.parse_all(blocks)]
    except SlackObjectFormationError:
        return {"text": message["text"]}
    return {**message, "blocks": formed}


def _seconds(headers: Mapping[str, str]) -> float:
    """What `Retry-After` says, else a second."""
    for name, value in headers.items():
        if name.lower() == "retry-after" and value.isdigit():
            return float(value)
    return 1.0
