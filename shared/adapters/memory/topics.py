"""Topics and subscriptions: what exists, under full resource names."""

from __future__ import annotations

import dataclasses
import json
import sqlite3

from shared.adapters.memory.database import Database
from shared.adapters.memory.filters import Filter, parse
from shared.adapters.memory.subscriptions import SubscriptionConfig, from_row
from shared.errors import MillraceError


class NoSuchTopic(MillraceError):
    """No topic or subscription of that name."""


class AlreadyThere(MillraceError):
    """A topic or subscription of that name exists."""


class Topics:
    def __init__(self, database: Database) -> None:
        self._db = database
        self._filters: dict[str, Filter] = {}

    def create_topic(self, name: str, *, exist_ok: bool = False) -> None:
        """Raises AlreadyThere unless that is fine."""
        with self._db.transaction() as tx:
            if not exist_ok and self.has_topic(name):
                raise AlreadyThere(f"topic {name} exists")
            tx.execute("INSERT OR IGNORE INTO topics VALUES (?)", (name,))

    def has_topic(self, name: str) -> bool:
        with self._db.reading() as tx:
            return tx.execute("SELECT 1 FROM topics WHERE name = ?", (name,)).fetchone() is not None

    def topics(self) -> list[str]:
        with self._db.reading() as tx:
            return [row["name"] for row in tx.execute("SELECT name FROM topics ORDER BY name")]

    def delete_topic(self, name: str) -> None:
        """Its subscriptions stay, without a source. Raises NoSuchTopic."""
        with self._db.transaction() as tx:
            self._need_topic(name)
            tx.execute("DELETE FROM topics WHERE name = ?", (name,))

    def create_subscription(self, config: SubscriptionConfig, *, exist_ok: bool = False) -> None:
        """Raises NoSuchTopic, AlreadyThere (unless that is fine: then the settings are brought up
        to date and what waits keeps waiting), filters.BadFilter."""
        parse(config.filter)
        with self._db.transaction() as tx:
            self._need_topic(config.topic)
            if not exist_ok and self._config_row(tx, config.name):
                raise AlreadyThere(f"subscription {config.name} exists")
            tx.execute(
                "INSERT OR REPLACE INTO subscriptions VALUES (?, ?, ?)",
                (config.name, config.topic, json.dumps(dataclasses.asdict(config))),
            )
            self._filters.pop(config.name, None)

    def subscription(self, name: str) -> SubscriptionConfig:
        """Raises NoSuchTopic."""
        with self._db.reading() as tx:
            row = self._config_row(tx, name)
        if row is None:
            raise NoSuchTopic(f"subscription {name} does not exist")
        return from_row(row)

    def subscriptions(self) -> list[SubscriptionConfig]:
        with self._db.reading() as tx:
            rows = tx.execute("SELECT * FROM subscriptions ORDER BY name").fetchall()
        return [from_row(row) for row in rows]

    def delete_subscription(self, name: str) -> None:
        """What waits in it is lost. Raises NoSuchTopic."""
        self.subscription(name)
        with self._db.transaction() as tx:
            tx.execute("DELETE FROM subscriptions WHERE name = ?", (name,))
            tx.execute("DELETE FROM deliveries WHERE subscription = ?", (name,))
            forget_delivered(tx)
            self._filters.pop(name, None)

    def _need_topic(self, name: str) -> None:
        if not self.has_topic(name):
            raise NoSuchTopic(f"topic {name} does not exist")

    @staticmethod
    def _config_row(tx: sqlite3.Connection, name: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = tx.execute(
            "SELECT * FROM subscriptions WHERE name = ?", (name,)
        ).fetchone()
        return row

    def subscription_filter(self, subscription: str) -> Filter:
        """Parsed once. Raises NoSuchTopic."""
        if subscription not in self._filters:
            self._filters[subscription] = parse(self.subscription(subscription).filter)
        return self._filters[subscription]


def forget_delivered(tx: sqlite3.Connection) -> None:
    """Messages that no subscription waits for."""
    tx.execute("DELETE FROM messages WHERE id NOT IN (SELECT message FROM deliveries)")
