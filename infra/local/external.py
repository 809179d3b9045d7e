"""Emulators that somebody else runs: used instead of ours when the environment names them.

With a foreign storage nobody tells us of new objects, so a lister looks for them. With a foreign
Pub/Sub the foreign one pushes; only the Cloud Storage subscription, which no emulator has, is
pulled and written from here.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.api_core import exceptions as api
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from infra.local.assemble import buckets, subscriptions, topics
from infra.local.export import object_name
from infra.local.pubsub_wire import subscription_to
from infra.topology import Topology
from shared.adapters.google_pubsub import GooglePublisher
from shared.adapters.memory.clock import rfc3339
from shared.adapters.memory.subscriptions import ExportConfig, SubscriptionConfig
from shared.config import Config
from shared.errors import ServiceUnavailable
from shared.ports import Publisher

_LIST_SECONDS = 1.0
_PULL_SECONDS = 3.0


class ExternalStorage:
    """Makes the buckets; `write` stores bytes."""

    def __init__(self, url: str, topology: Topology, project: str) -> None:
        self._client = storage.Client(
            project=project,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options=ClientOptions(api_endpoint=url),
        )
        for config in buckets(topology, project):
            bucket = self._client.bucket(config.name)
            bucket.versioning_enabled = config.versioning
            try:
                self._client.create_bucket(bucket)
            except api.Conflict:
                continue

    def write(self, bucket: str, name: str, data: bytes) -> None:
        self._client.bucket(bucket).blob(name).upload_from_string(data)

    def objects(self, bucket: str) -> list[Mapping[str, Any]]:
        """The JSON resources of all live objects."""
        return [
            {
                "kind": "storage#object",
                "name": blob.name,
                "bucket": bucket,
                "generation": str(blob.generation),
                "metageneration": str(blob.metageneration),
                "size": str(blob.size),
                "md5Hash": blob.md5_hash,
                "crc32c": blob.crc32c,
                "contentType": blob.content_type,
                "timeCreated": rfc3339(blob.time_created or datetime.now(UTC)),
                "metadata": blob.metadata or {},
            }
            for blob in self._client.list_blobs(bucket)
        ]


class Lister:
    """Publishes a finalize event for every generation it has not seen. What it has seen is on
    disk; after a crash an event may come twice, never not at all."""

    def __init__(
        self,
        source: ExternalStorage,
        bucket: str,
        topic: str,
        publisher: Publisher,
        memory: Path,
    ) -> None:
        self._source, self._bucket, self._topic = source, bucket, topic
        self._publisher, self._memory = publisher, memory
        self._seen: dict[str, str] = json.loads(memory.read_text()) if memory.exists() else {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lister", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.wait(_LIST_SECONDS):
            try:
                self.look()
            except (api.GoogleAPICallError, ServiceUnavailable, OSError) as error:
                print(f"listing {self._bucket}: {error}; trying again", flush=True)

    def look(self) -> None:
        """One listing."""
        there = {str(item["name"]): item for item in self._source.objects(self._bucket)}
        new = [
            item for item in there.values() if self._seen.get(item["name"]) != item["generation"]
        ]
        for item in new:
            attributes = {
                "eventType": "OBJECT_FINALIZE",
                "payloadFormat": "JSON_API_V1",
                "bucketId": self._bucket,
                "objectId": str(item["name"]),
                "objectGeneration": str(item["generation"]),
                "eventTime": str(item["timeCreated"]),
                "notificationConfig": f"projects/_/buckets/{self._bucket}/notificationConfigs/0",
            }
            self._publisher.publish(self._topic, json.dumps(item).encode(), attributes)
        if new or len(there) != len(self._seen):
            self._seen = {name: str(item["generation"]) for name, item in there.items()}
            draft = self._memory.with_suffix(".new")
            draft.write_text(json.dumps(self._seen))
            draft.replace(self._memory)


class ExternalPubsub:
    """Makes topics and subscriptions, pushes going to `functions`, and pulls for the exports."""

    def __init__(self, config: Config, topology: Topology, functions: str) -> None:
        import grpc
        from google.pubsub_v1 import PublisherClient, SubscriberClient
        from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
        from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

        channel = grpc.insecure_channel(config.pubsub_grpc)
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        self._client = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        self.publisher: Publisher = GooglePublisher(config)
        for name in topics(topology, config.project):
            try:
                publisher.create_topic(name=name)
            except api.AlreadyExists:
                continue
        self.exports: list[SubscriptionConfig] = []
        for wanted in subscriptions(topology, config.project):
            self._create(wanted, functions)
            if wanted.export:
                self.exports.append(wanted)

    def _create(self, wanted: SubscriptionConfig, functions: str) -> None:
        push = f"{functions}/{wanted.push}/" if wanted.push else None
        request = subscription_to(replace(wanted, push=push, export=None))
        try:
            self._client.create_subscription(request=request)
        except api.AlreadyExists:
            if push:  # the port may be another one today
                self._client.modify_push_config(
                    subscription=wanted.name, push_config=request.push_config
                )

    def pull(self, subscription: str, seconds: float) -> list[tuple[str, bytes]]:
        """Acknowledgement ids and data of what waits; waits that long for a first message."""
        try:
            answer = self._client.pull(
                subscription=subscription, max_messages=1000, timeout=seconds
            )
        except api.DeadlineExceeded:
            return []
        return [(item.ack_id, bytes(item.message.data)) for item in answer.received_messages]

    def ack(self, subscription: str, ack_ids: list[str]) -> None:
        self._client.acknowledge(subscription=subscription, ack_ids=ack_ids)


class PullingExporter:
    """A Cloud Storage subscription over a Pub/Sub that has none."""

    def __init__(self, pubsub: ExternalPubsub, config: SubscriptionConfig, write: Any) -> None:
        self._pubsub, self._config, self._write = pubsub, config, write
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="export", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=_PULL_SECONDS + 2)

    def _run(self) -> None:
        export = self._config.export or ExportConfig("lake")
        while not self._stop.is_set():
            try:
                self._batch(export)
            except (api.GoogleAPICallError, OSError) as error:
                print(f"exporting {self._config.name}: {error}; trying again", flush=True)
                self._stop.wait(_LIST_SECONDS)

    def _batch(self, export: ExportConfig) -> None:
        pulled = self._pubsub.pull(self._config.name, _PULL_SECONDS)
        end = time.monotonic() + export.max_seconds
        while pulled and (left := end - time.monotonic()) > 0 and not self._stop.is_set():
            pulled += self._pubsub.pull(self._config.name, left)
        if pulled:
            lines = b"".join(data + b"\n" for _, data in pulled)
            self._write(export.bucket, object_name(export, datetime.now(UTC)), lines)
            self._pubsub.ack(self._config.name, [ack_id for ack_id, _ in pulled])
