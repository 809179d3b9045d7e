"""A predictor with everything behind it: clock, line to storage, log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flask.testing import FlaskClient

from shared.adapters.memory import BucketConfig, MemoryBucket, MemoryCloud, topic_path
from shared.errors import ServiceUnavailable
from shared.ports import Blob, ObjectInfo, Publisher
from shared.serving.app import create_app

RECORD = {"age": 39, "gain": 0, "city": "Köln", "grade": 1}
OTHER = {"age": None, "gain": 12.5, "city": "nowhere", "grade": 2}


class Seconds:
    """A monotonic clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Lake:
    """The memory lake behind a line that can be cut, for manifests or (`reads_down`) for the rest;
    counts what is asked."""

    def __init__(self, bucket: MemoryBucket) -> None:
        self.bucket, self.down, self.looks = bucket, False, 0
        self.reads_down = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bucket, name)

    def read_if_changed(self, name: str, known_generation: int) -> Blob | None:
        self._reach()
        self.looks += 1
        return self.bucket.read_if_changed(name, known_generation)

    def read(self, name: str) -> Blob:
        if self.reads_down:
            raise ServiceUnavailable("no route to storage")
        self._reach()
        return self.bucket.read(name)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self._reach()
        return self.bucket.list(prefix)

    def _reach(self) -> None:
        if self.down:
            raise ServiceUnavailable("no route to storage")


class BrokenPublisher:
    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        raise ServiceUnavailable("no route to Pub/Sub")


class World:
    """A predictor with everything behind it."""

    def __init__(self, **options: Any) -> None:
        self.cloud = MemoryCloud(
            buckets=[BucketConfig("lake")],
            topics=[topic_path("local", name) for name in ("predictions", "alerts")],
        )
        self.lake = Lake(self.cloud.lake)
        self.seconds, self.cpu = Seconds(), Seconds()
        self.publisher: Publisher = self.cloud.publisher
        self.app = create_app(
            lake=lambda: self.lake,  # type: ignore[arg-type,return-value]  # the rest is delegated
            publisher=lambda: self.publisher,
            clock=lambda: self.cloud.clock,
            monotonic=self.seconds,
            cpu=self.cpu,
            **options,
        )
        self.client: FlaskClient = self.app.test_client()

    def ask(self, body: Any, path: str = "/models/adult/predict", **more: Any) -> tuple[int, Any]:
        response = self.client.post(path, json=body, buffered=True, **more)
        return response.status_code, response.get_json()

    def log_lines(self) -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for message in self.cloud.publisher.published
            if message.topic == "predictions"
            for line in message.data.split(b"\n")
        ]

    def alerts(self) -> list[dict[str, Any]]:
        return [
            json.loads(message.data)
            for message in self.cloud.publisher.published
            if message.topic == "alerts"
        ]
