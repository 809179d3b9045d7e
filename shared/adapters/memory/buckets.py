"""Buckets: what exists, and whom a change in one is told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping

from shared.adapters.memory.clock import micros, rfc3339
from shared.adapters.memory.database import Database
from shared.adapters.memory.messages import Messages
from shared.adapters.memory.objects import BucketConfig, Stored, resource
from shared.errors import MillraceError
from shared.ports import Clock


class BucketNotFound(MillraceError):
    """No bucket of that name."""


class BucketExists(MillraceError):
    """A bucket of that name is there already, or is not empty when it should go."""


class Buckets:
    def __init__(self, database: Database, messages: Messages, clock: Clock) -> None:
        self._db, self._messages, self._clock = database, messages, clock

    def create_bucket(self, config: BucketConfig, *, exist_ok: bool = False) -> None:
        """Raises BucketExists unless that is fine; then the settings are brought up to date."""
        with self._db.transaction() as tx:
            if not exist_ok and self._bucket_row(tx, config.name):
                raise BucketExists(f"bucket {config.name} exists")
            tx.execute(
                "INSERT INTO buckets VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
                " versioning = excluded.versioning, notify_topic = excluded.notify_topic",
                (config.name, config.versioning, config.notify_topic, micros(self._clock.now())),
            )

    def bucket(self, name: str) -> BucketConfig:
        """Raises BucketNotFound."""
        with self._db.reading() as tx:
            row = self._bucket_row(tx, name)
        if row is None:
            raise BucketNotFound(f"bucket {name} does not exist")
        return BucketConfig(row["name"], bool(row["versioning"]), row["notify_topic"])

    def buckets(self) -> list[BucketConfig]:
        with self._db.reading() as tx:
            names = [row["name"] for row in tx.execute("SELECT name FROM buckets ORDER BY name")]
        return [self.bucket(name) for name in names]

    def delete_bucket(self, name: str) -> None:
        """Raises BucketNotFound, BucketExists (not empty)."""
        with self._db.transaction() as tx:
            self.bucket(name)
            if tx.execute("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", (name,)).fetchone():
                raise BucketExists(f"bucket {name} is not empty")
            tx.execute("DELETE FROM buckets WHERE name = ?", (name,))

    @staticmethod
    def _bucket_row(tx: sqlite3.Connection, name: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = tx.execute(
            "SELECT * FROM buckets WHERE name = ?", (name,)
        ).fetchone()
        return row

    def _notify(
        self,
        tx: sqlite3.Connection,
        event: str,
        stored: Stored,
        more: Mapping[str, str] | None = None,
    ) -> None:
        info = stored.info
        topic = self.bucket(info.bucket).notify_topic
        if topic is None:
            return
        attributes = {
            "notificationConfig": f"projects/_/buckets/{info.bucket}/notificationConfigs/1",
            "eventType": event,
            "payloadFormat": "JSON_API_V1",
            "bucketId": info.bucket,
            "objectId": info.name,
            "objectGeneration": str(info.generation),
            "eventTime": rfc3339(self._clock.now()),
            **(more or {}),
        }
        self._messages.insert(tx, topic, json.dumps(resource(stored)).encode(), attributes)
