"""One SQLite database for objects, messages and executions, so that they commit together.

`:memory:` for unit tests, a file in WAL mode for the local stack: a killed process loses nothing
that was committed (`synchronous=NORMAL` only risks a power failure). One connection under one lock:
statements take microseconds and large bytes are never read or hashed while it is held.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS buckets (
  name TEXT PRIMARY KEY, versioning INTEGER NOT NULL, notify_topic TEXT, created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS blobs (id TEXT PRIMARY KEY, data BLOB);
CREATE TABLE IF NOT EXISTS objects (
  bucket TEXT NOT NULL, name TEXT NOT NULL, generation INTEGER NOT NULL,
  metageneration INTEGER NOT NULL, live INTEGER NOT NULL, blob TEXT NOT NULL,
  size INTEGER NOT NULL, crc32c TEXT NOT NULL, md5 TEXT, components INTEGER,
  content_type TEXT NOT NULL, content_encoding TEXT, metadata TEXT NOT NULL,
  properties TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL, deleted INTEGER,
  PRIMARY KEY (bucket, name, generation)) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS objects_live ON objects (bucket, name) WHERE live = 1;
CREATE INDEX IF NOT EXISTS objects_blob ON objects (blob);
CREATE TABLE IF NOT EXISTS topics (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS subscriptions (
  name TEXT PRIMARY KEY, topic TEXT NOT NULL, config TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, data BLOB NOT NULL,
  attributes TEXT NOT NULL, ordering_key TEXT NOT NULL, published INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
  subscription TEXT NOT NULL, message INTEGER NOT NULL, published INTEGER NOT NULL,
  due INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, lease TEXT,
  PRIMARY KEY (subscription, message)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (subscription, due, message);
CREATE INDEX IF NOT EXISTS deliveries_message ON deliveries (message);
CREATE UNIQUE INDEX IF NOT EXISTS deliveries_lease ON deliveries (lease) WHERE lease IS NOT NULL;
CREATE TABLE IF NOT EXISTS executions (
  number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, job TEXT NOT NULL,
  state TEXT NOT NULL, env TEXT NOT NULL, task_count INTEGER NOT NULL, timeout INTEGER NOT NULL,
  created INTEGER NOT NULL, started INTEGER, completed INTEGER, message TEXT NOT NULL DEFAULT '',
  running INTEGER NOT NULL DEFAULT 0, succeeded INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0, retried INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS executions_job ON executions (job, number);
"""


class Database:
    """Thread-safe transactions, and a call to every listener after a commit that asked for one."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._tell = False
        self._cleanup: list[Path] = []
        self._listeners: list[Callable[[], None]] = []
        self._connection = sqlite3.connect(
            str(path) if path else ":memory:", check_same_thread=False, isolation_level=None
        )
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)
        self._finalizer = weakref.finalize(self, self._connection.close)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. A transaction inside another one joins it."""
        with self._lock:
            outermost = self._depth == 0
            if outermost:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield self._connection
            except BaseException:
                self._depth -= 1
                if outermost:
                    self._connection.execute("ROLLBACK")
                    self._tell, self._cleanup = False, []
                raise
            self._depth -= 1
            if not outermost:
                return
            self._connection.execute("COMMIT")
            tell, self._tell = self._tell, False
            cleanup, self._cleanup = self._cleanup, []
        for path in cleanup:
            path.unlink(missing_ok=True)
        if tell:
            for listener in self._listeners:
                listener()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Statements that see one state and change nothing."""
        with self._lock:
            yield self._connection

    def count(self, name: str, at_least: int = 0) -> int:
        """The next value of a counter that never repeats and never falls behind `at_least`."""
        with self.transaction() as tx:
            row = tx.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()
            value = max(at_least, (row["value"] if row else 0) + 1)
            tx.execute("INSERT OR REPLACE INTO counters VALUES (?, ?)", (name, value))
            return value

    def tell_after_commit(self) -> None:
        """Inside a transaction: something became deliverable, wake the listeners."""
        self._tell = True

    def unlink_after_commit(self, path: Path) -> None:
        """Inside a transaction: nothing refers to this file any more."""
        self._cleanup.append(path)

    def on_commit(self, listener: Callable[[], None]) -> None:
        """`listener` runs in the committing thread; it must not block."""
        self._listeners.append(listener)

    def close(self) -> None:
        with self._lock:
            self._finalizer()
