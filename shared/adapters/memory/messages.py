"""Pub/Sub as an engine: topics, subscriptions, deliveries with attempts, backoff, dead letters.

A delivery is one message on its way to one subscription. It is *due* at a time; leasing it counts
an attempt and makes it due again when the ack deadline passes, so a subscriber that dies gives it
back by doing nothing. Names are full resource names (`projects/P/topics/T`).
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta

from shared.adapters.memory.clock import from_micros, micros, rfc3339
from shared.adapters.memory.database import Database
from shared.adapters.memory.faults import Faults
from shared.adapters.memory.subscriptions import (
    DeadLetter,
    Delivery,
    Message,
    SubscriptionConfig,
)
from shared.adapters.memory.topics import Topics, forget_delivered
from shared.ports import Clock


class Messages(Topics):
    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database)
        self._clock = clock
        self.dead_letters: deque[DeadLetter] = deque(maxlen=1000)

    # --- publishing ------------------------------------------------------------------------------

    def publish(
        self, topic: str, data: bytes, attributes: Mapping[str, str], ordering_key: str = ""
    ) -> str:
        """Durable when it returns. Raises NoSuchTopic."""
        with self._db.transaction() as tx:
            return self.insert(tx, topic, data, attributes, ordering_key)

    def insert(
        self,
        tx: sqlite3.Connection,
        topic: str,
        data: bytes,
        attributes: Mapping[str, str],
        ordering_key: str = "",
    ) -> str:
        """Publish inside somebody else's transaction. Raises NoSuchTopic."""
        self._need_topic(topic)
        now = micros(self._clock.now())
        cursor = tx.execute(
            "INSERT INTO messages (topic, data, attributes, ordering_key, published)"
            " VALUES (?, ?, ?, ?, ?)",
            (topic, data, json.dumps(dict(attributes)), ordering_key, now),
        )
        message = cursor.lastrowid
        names = tx.execute("SELECT name FROM subscriptions WHERE topic = ?", (topic,)).fetchall()
        wanted = [row["name"] for row in names if self.subscription_filter(row["name"])(attributes)]
        for name in wanted:
            tx.execute(
                "INSERT INTO deliveries (subscription, message, published, due)"
                " VALUES (?, ?, ?, ?)",
                (name, message, now, now),
            )
        if wanted:
            self._db.tell_after_commit()
        else:
            tx.execute("DELETE FROM messages WHERE id = ?", (message,))
        return str(message)

    # --- delivering ------------------------------------------------------------------------------

    def lease(
        self, subscription: str, limit: int = 1, faults: Faults | None = None
    ) -> list[Delivery]:
        """Up to `limit` due deliveries, oldest first. Those that used up their attempts go to the
        dead letter topic instead, expired ones disappear. `faults` may delay or reorder first
        attempts. Raises NoSuchTopic."""
        config = self.subscription(subscription)
        now = self._clock.now()
        found: list[Delivery] = []
        with self._db.transaction() as tx:
            self._expire(tx, config, now)
            rows: list[sqlite3.Row] = tx.execute(
                "SELECT * FROM deliveries WHERE subscription = ? AND due <= ?"
                " ORDER BY due, message LIMIT ?",
                (subscription, micros(now), limit if faults is None else max(limit, 50)),
            ).fetchall()
            for row in faults.order(rows) if faults else rows:
                if len(found) == limit:
                    break
                if self._is_dead(config, row["attempts"]):
                    self._bury(tx, config, row)
                elif late := faults.delay(subscription, row["message"]) if faults else 0.0:
                    self._make_due(tx, row, late)
                else:
                    found.append(self._lease_one(tx, config, row, now))
        return found

    def _lease_one(
        self, tx: sqlite3.Connection, config: SubscriptionConfig, row: sqlite3.Row, now: datetime
    ) -> Delivery:
        attempt = row["attempts"] + 1
        ack_id = f"{config.name}:{row['message']}:{attempt}"
        tx.execute(
            "UPDATE deliveries SET attempts = ?, lease = ?, due = ?"
            " WHERE subscription = ? AND message = ?",
            (
                *(attempt, ack_id, micros(now + timedelta(seconds=config.ack_deadline_seconds))),
                *(config.name, row["message"]),
            ),
        )
        return Delivery(ack_id, config.name, attempt, _message(tx, row["message"]))

    def ack(self, ack_id: str) -> bool:
        """Done with it. False when the lease is no longer the current one."""
        with self._db.transaction() as tx:
            row = self._leased(tx, ack_id)
            if row is not None:
                _remove(tx, row)
            return row is not None

    def nack(self, ack_id: str) -> bool:
        """Again after the backoff, or to the dead letter topic when the attempts are used up.
        False when the lease is no longer the current one."""
        with self._db.transaction() as tx:
            row = self._leased(tx, ack_id)
            if row is None:
                return False
            config = self.subscription(row["subscription"])
            if self._is_dead(config, row["attempts"]):
                self._bury(tx, config, row)
            else:
                self._make_due(tx, row, config.backoff(row["attempts"]))
            return True

    def modify_deadline(self, ack_id: str, seconds: float) -> bool:
        """Hold the lease until `seconds` from now; 0 is a nack."""
        if seconds <= 0:
            return self.nack(ack_id)
        with self._db.transaction() as tx:
            row = self._leased(tx, ack_id)
            if row is not None:
                due = micros(self._clock.now() + timedelta(seconds=seconds))
                tx.execute(
                    "UPDATE deliveries SET due = ? WHERE subscription = ? AND message = ?",
                    (due, row["subscription"], row["message"]),
                )
            return row is not None

    def release_leases(self) -> int:
        """After a crash nobody holds the leases of before: due now, attempts stay counted."""
        with self._db.transaction() as tx:
            changed = tx.execute(
                "UPDATE deliveries SET lease = NULL, due = ? WHERE lease IS NOT NULL AND due > ?",
                (micros(self._clock.now()), micros(self._clock.now())),
            ).rowcount
            self._db.tell_after_commit()
            return changed

    # --- looking ---------------------------------------------------------------------------------

    def next_due(self, subscription: str) -> datetime | None:
        """When the next delivery of it is due (maybe in the past), None when nothing waits."""
        with self._db.reading() as tx:
            row = tx.execute(
                "SELECT MIN(due) AS due FROM deliveries WHERE subscription = ?", (subscription,)
            ).fetchone()
        return from_micros(row["due"]) if row["due"] is not None else None

    def waiting(self, subscription: str) -> list[Message]:
        """Everything not yet acknowledged, oldest first; looking changes nothing."""
        with self._db.reading() as tx:
            rows = tx.execute(
                "SELECT message FROM deliveries WHERE subscription = ? ORDER BY message",
                (subscription,),
            ).fetchall()
            return [_message(tx, row["message"]) for row in rows]

    def backlog(self) -> dict[str, int]:
        """How many deliveries wait, by subscription."""
        with self._db.reading() as tx:
            rows = tx.execute(
                "SELECT subscription, COUNT(*) AS n FROM deliveries GROUP BY subscription"
            )
            return {row["subscription"]: row["n"] for row in rows}

    # --- inside ----------------------------------------------------------------------------------

    @staticmethod
    def _is_dead(config: SubscriptionConfig, attempts: int) -> bool:
        return config.dead_letter_topic is not None and attempts >= config.max_delivery_attempts

    @staticmethod
    def _leased(tx: sqlite3.Connection, ack_id: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = tx.execute(
            "SELECT * FROM deliveries WHERE lease = ?", (ack_id,)
        ).fetchone()
        return row

    def _make_due(self, tx: sqlite3.Connection, row: sqlite3.Row, seconds: float) -> None:
        due = micros(self._clock.now() + timedelta(seconds=seconds))
        tx.execute(
            "UPDATE deliveries SET due = ?, lease = NULL WHERE subscription = ? AND message = ?",
            (due, row["subscription"], row["message"]),
        )
        self._db.tell_after_commit()

    def _bury(self, tx: sqlite3.Connection, config: SubscriptionConfig, row: sqlite3.Row) -> None:
        """To the dead letter topic, with the attributes Google adds."""
        message = _message(tx, row["message"])
        project, name = config.name.split("/")[1], config.name.split("/")[-1]
        attributes = {
            **message.attributes,
            "CloudPubSubDeadLetterSourceSubscription": name,
            "CloudPubSubDeadLetterSourceSubscriptionProject": project,
            "CloudPubSubDeadLetterSourceDeliveryCount": str(row["attempts"]),
            "CloudPubSubDeadLetterSourceTopicPublishTime": rfc3339(message.published),
        }
        self.dead_letters.append(DeadLetter(config.name, row["attempts"], message))
        if config.dead_letter_topic and self.has_topic(config.dead_letter_topic):
            self.insert(tx, config.dead_letter_topic, message.data, attributes)
        _remove(tx, row)

    @staticmethod
    def _expire(tx: sqlite3.Connection, config: SubscriptionConfig, now: datetime) -> None:
        oldest = micros(now - timedelta(seconds=config.retention_seconds))
        first = tx.execute(
            "SELECT published FROM deliveries WHERE subscription = ? ORDER BY message LIMIT 1",
            (config.name,),
        ).fetchone()
        if first is None or first["published"] >= oldest:  # the usual case, without a scan
            return
        gone = tx.execute(
            "DELETE FROM deliveries WHERE subscription = ? AND published < ?",
            (config.name, oldest),
        ).rowcount
        if gone:
            forget_delivered(tx)


def _message(tx: sqlite3.Connection, number: int) -> Message:
    row = tx.execute("SELECT * FROM messages WHERE id = ?", (number,)).fetchone()
    return Message(
        id=str(row["id"]),
        topic=row["topic"],
        data=bytes(row["data"]),
        attributes=json.loads(row["attributes"]),
        ordering_key=row["ordering_key"],
        published=from_micros(row["published"]),
    )


def _remove(tx: sqlite3.Connection, row: sqlite3.Row) -> None:
    tx.execute(
        "DELETE FROM deliveries WHERE subscription = ? AND message = ?",
        (row["subscription"], row["message"]),
    )
    tx.execute(
        "DELETE FROM messages WHERE id = ? AND NOT EXISTS"
        " (SELECT 1 FROM deliveries WHERE deliveries.message = messages.id)",
        (row["message"],),
    )
