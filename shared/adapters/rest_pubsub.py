"""`ports.Publisher` on Pub/Sub's REST API, for processes that start often."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from shared.adapters.names import wire_topic
from shared.adapters.rest import Http
from shared.config import Config


class RestPublisher:
    """Implements `ports.Publisher`. A lost answer is answered by publishing again: Pub/Sub delivers
    at least once anyway, and our messages carry their own id."""

    def __init__(self, config: Config, http: Http | None = None) -> None:
        self._http = http or Http(config)
        self._topics = f"{config.pubsub_endpoint}/v1/projects/{config.project}/topics"

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        # Put together by hand: through json.dumps a megabyte of log would be copied four times.
        described = json.dumps(dict(attributes)).encode()
        before, between = b'{"messages":[{"data":"', b'","attributes":'
        body = b"".join((before, base64.b64encode(data), between, described, b"}]}"))
        answer = self._http.request(
            "POST",
            f"{self._topics}/{wire_topic(topic)}:publish",
            headers={"Content-Type": "application/json"},
            body=body,
            repeatable=True,
        )
        message_id: str = answer.json()["messageIds"][0]
        return message_id
