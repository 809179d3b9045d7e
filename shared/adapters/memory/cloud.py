"""The whole small cloud in one object: what unit tests hold in their hands.

cloud = MemoryCloud(buckets=[...], topics=[...], subscriptions=[...], clock=FixedClock())
cloud.inbox.write("adult/train/a.csv", b"...")
cloud.drain({"intake": intake, "launch": launch})
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.adapters.memory.adapters import MemoryBucket, MemoryJobs, MemoryPublisher
from shared.adapters.memory.clock import FixedClock
from shared.adapters.memory.database import Database
from shared.adapters.memory.doubles import MemoryMessenger, MemoryRegistry
from shared.adapters.memory.executions import Executions
from shared.adapters.memory.faults import Faults
from shared.adapters.memory.messages import Messages
from shared.adapters.memory.objects import BucketConfig
from shared.adapters.memory.storage import Storage
from shared.adapters.memory.subscriptions import (
    ACK_STATUSES,
    Delivery,
    SubscriptionConfig,
    envelope,
)
from shared.ports import Clock

Handler = Callable[[dict[str, Any]], int]


class Engine:
    """Storage, Pub/Sub and executions over one database. Without a directory: in memory."""

    def __init__(self, clock: Clock, directory: Path | None = None) -> None:
        if directory:
            directory.mkdir(parents=True, exist_ok=True)
        self.clock = clock
        self.database = Database(directory / "engine.sqlite3" if directory else None)
        self.pubsub = Messages(self.database, clock)
        self.storage = Storage(self.database, self.pubsub, clock, directory)
        self.executions = Executions(self.database, clock)

    def create(
        self,
        *,
        buckets: Sequence[BucketConfig] = (),
        topics: Sequence[str] = (),
        subscriptions: Sequence[SubscriptionConfig] = (),
    ) -> None:
        """Bring resources up to date (full names); what waits in them stays."""
        for topic in topics:
            self.pubsub.create_topic(topic, exist_ok=True)
        for subscription in subscriptions:
            self.pubsub.create_subscription(subscription, exist_ok=True)
        for bucket in buckets:
            self.storage.create_bucket(bucket, exist_ok=True)

    def close(self) -> None:
        self.database.close()


@dataclass(frozen=True, slots=True)
class Delivered:
    """One push that happened while draining."""

    function: str
    status: int
    body: dict[str, Any]


class Undrained(AssertionError):
    """Deliveries did not come to an end within the allowed number."""


class MemoryCloud:
    """An engine with its adapters, and a push delivery that a test runs step by step."""

    def __init__(
        self,
        *,
        buckets: Sequence[BucketConfig],
        topics: Sequence[str] = (),
        subscriptions: Sequence[SubscriptionConfig] = (),
        clock: Clock | None = None,
        project: str = "local",
    ) -> None:
        self.project = project
        self.clock: Clock = clock or FixedClock()
        self.engine = Engine(self.clock)
        self.engine.create(buckets=buckets, topics=topics, subscriptions=subscriptions)
        self.pubsub = self.engine.pubsub
        self.storage = self.engine.storage
        self.publisher = MemoryPublisher(self.pubsub, project)
        self.jobs = MemoryJobs(self.engine.executions)
        self.messenger = MemoryMessenger()
        self.registry = MemoryRegistry()

    def bucket(self, name: str) -> MemoryBucket:
        return MemoryBucket(self.storage, self.storage.bucket(name).name)

    @property
    def inbox(self) -> MemoryBucket:
        return self.bucket("inbox")

    @property
    def lake(self) -> MemoryBucket:
        return self.bucket("lake")

    def drain(
        self,
        handlers: Mapping[str, Handler],
        *,
        max_deliveries: int = 1000,
        advance: bool = False,
        faults: Faults | None = None,
    ) -> list[Delivered]:
        """Deliver everything that is due to the function it is for, until nothing is.

        A handler takes the push body and returns an HTTP status; an error it raises counts as a
        nack and comes out of here. Subscriptions without a handler keep waiting. `advance` moves
        the clock to the next due time until nothing waits at all. Raises Undrained.
        """
        faults = faults or Faults()
        log: list[Delivered] = []
        while True:
            delivery = self._next(handlers, faults)
            if delivery is None:
                if not (advance and self._advance(handlers)):
                    return log
                continue
            if len(log) == max_deliveries:
                self.pubsub.nack(delivery.ack_id)
                raise Undrained(f"{max_deliveries} deliveries, waiting: {self.pubsub.backlog()}")
            log.append(self._push(delivery, handlers, faults))

    def _push(
        self, delivery: Delivery, handlers: Mapping[str, Handler], faults: Faults
    ) -> Delivered:
        config = self.pubsub.subscription(delivery.subscription)
        function = config.push or ""
        body = envelope(delivery, config)
        try:
            # Through JSON and back, so that a handler sees what a wire would give it.
            status = handlers[function](json.loads(json.dumps(body)))
        except BaseException:
            self.pubsub.nack(delivery.ack_id)
            raise
        lost = faults.loses_ack(delivery.subscription, int(delivery.message.id))
        if status in ACK_STATUSES and not lost:
            self.pubsub.ack(delivery.ack_id)
        else:
            self.pubsub.nack(delivery.ack_id)
        return Delivered(function, status, body)

    def _next(self, handlers: Mapping[str, Handler], faults: Faults) -> Delivery | None:
        due = sorted(
            (when, config.name)
            for config in self._pushed(handlers)
            if (when := self.pubsub.next_due(config.name)) and when <= self.clock.now()
        )
        for _, name in faults.order(due):
            if found := self.pubsub.lease(name, faults=faults):
                return found[0]
        return None

    def _pushed(self, handlers: Mapping[str, Handler]) -> list[SubscriptionConfig]:
        return [config for config in self.pubsub.subscriptions() if config.push in handlers]

    def _next_due(self, handlers: Mapping[str, Handler]) -> datetime | None:
        dues = [self.pubsub.next_due(config.name) for config in self._pushed(handlers)]
        return min((due for due in dues if due), default=None)

    def _advance(self, handlers: Mapping[str, Handler]) -> bool:
        due = self._next_due(handlers)
        if due is None:
            return False
        if not isinstance(self.clock, FixedClock):
            raise TypeError("only a FixedClock can be advanced")
        self.clock.advance_to(due)
        return True
