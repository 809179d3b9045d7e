"""`ports.Messenger` on a Slack incoming webhook."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any

from shared.errors import Retryable

_LONGEST_WAIT_SECONDS = 10.0  # a function has 30 s; a longer wish is left to the next delivery


class SlackUnavailable(Retryable):
    """Slack did not answer 200. The message has its reason, but not the webhook's URL: a secret."""


class SlackMessenger:
    """Implements `ports.Messenger`.

    One post per call: a post whose answer was lost is not sent again here, the caller's record
    decides. Only 429, which says that nothing was posted, is waited for once.
    """

    def __init__(
        self,
        webhook_url: str,
        *,
        timeout_seconds: int = 10,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        from slack_sdk.webhook import WebhookClient

        self._client = WebhookClient(webhook_url, timeout=timeout_seconds, retry_handlers=[])
        self._sleep = sleep

    def post(self, message: Mapping[str, object]) -> None:
        """Raises SlackUnavailable."""
        response = self._send(message)
        if response.status_code == 429:
            wait = _seconds(response.headers)
            if wait > _LONGEST_WAIT_SECONDS:
                raise SlackUnavailable(f"Slack asks to wait {wait:.0f} s (429)")
            self._sleep(wait)
            response = self._send(message)
        if response.status_code != 200:
            raise SlackUnavailable(f"Slack answered {response.status_code}: {response.body[:200]}")

    def _send(self, message: Mapping[str, object]) -> Any:
        try:
            return self._client.send_dict(dict(message))
        except (OSError, HTTPException) as error:  # URLError and timeouts are OSErrors
            raise SlackUnavailable(f"Slack did not answer: {type(error).__name__}") from error


def _seconds(headers: Mapping[str, str]) -> float:
    """What `Retry-After` says, else a second."""
    for name, value in headers.items():
        if name.lower() == "retry-after" and value.isdigit():
            return float(value)
    return 1.0
