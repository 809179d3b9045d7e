"""Cloud Run Jobs as state: which executions exist and how they end. Runs nothing itself.

In unit tests the test ends an execution; in the local stack the runner does.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.adapters.memory.clock import from_micros, micros
from shared.adapters.memory.database import Database
from shared.errors import MillraceError
from shared.ports import Clock, ExecutionState

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class NoSuchExecution(MillraceError):
    """No execution of that name."""


@dataclass(frozen=True, slots=True)
class StoredExecution:
    """`job` and `name` are names on the wire; `number` orders executions by age."""

    number: int
    name: str
    job: str
    state: ExecutionState
    env: Mapping[str, str]
    task_count: int
    timeout_seconds: int
    created: datetime
    started: datetime | None
    completed: datetime | None
    message: str
    running: int
    succeeded: int
    failed: int
    retried: int


class Executions:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._db, self._clock = database, clock

    def create(
        self, job: str, env: Mapping[str, str], *, tasks: int = 1, timeout_seconds: int = 600
    ) -> StoredExecution:
        """A new running execution, named `<job>-<5 characters>`."""
        with self._db.transaction() as tx:
            name = f"{job}-{_base36(self._db.count('execution')).rjust(5, '0')}"
            tx.execute(
                "INSERT INTO executions (name, job, state, env, task_count, timeout, created)"
                " VALUES (?, ?, 'running', ?, ?, ?, ?)",
                (
                    *(name, job, json.dumps(dict(env)), tasks, timeout_seconds),
                    micros(self._clock.now()),
                ),
            )
        return self.get(name)

    def get(self, name: str) -> StoredExecution:
        """Raises NoSuchExecution."""
        with self._db.reading() as tx:
            row = tx.execute("SELECT * FROM executions WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise NoSuchExecution(f"execution {name} does not exist")
        return _execution(row)

    def page(
        self, job: str, *, before: int | None = None, limit: int = 100
    ) -> list[StoredExecution]:
        """Newest first; `before` continues below the number of the last one seen."""
        with self._db.reading() as tx:
            rows = tx.execute(
                "SELECT * FROM executions WHERE job = ? AND number < ?"
                " ORDER BY number DESC LIMIT ?",
                (job, before if before is not None else 2**62, limit),
            ).fetchall()
        return [_execution(row) for row in rows]

    def all(self, job: str) -> Iterator[StoredExecution]:
        """All of a job, newest first."""
        page = self.page(job)
        while page:
            yield from page
            page = self.page(job, before=page[-1].number)

    def started(self, name: str) -> None:
        with self._db.transaction() as tx:
            tx.execute(
                "UPDATE executions SET started = ? WHERE name = ? AND started IS NULL",
                (micros(self._clock.now()), name),
            )

    def count(
        self, name: str, *, running: int = 0, succeeded: int = 0, failed: int = 0, retried: int = 0
    ) -> None:
        """Add to the task counters."""
        with self._db.transaction() as tx:
            tx.execute(
                "UPDATE executions SET running = running + ?, succeeded = succeeded + ?,"
                " failed = failed + ?, retried = retried + ? WHERE name = ?",
                (running, succeeded, failed, retried, name),
            )

    def end(self, name: str, state: ExecutionState, message: str = "") -> None:
        """The first end counts; a later one changes nothing."""
        with self._db.transaction() as tx:
            tx.execute(
                "UPDATE executions SET state = ?, completed = ?, message = ?, running = 0"
                " WHERE name = ? AND state = 'running'",
                (state, micros(self._clock.now()), message, name),
            )

    def fail_running(self, message: str) -> list[str]:
        """Whatever ran when the machine died has failed; their names come back."""
        with self._db.transaction() as tx:
            rows = tx.execute("SELECT name FROM executions WHERE state = 'running'").fetchall()
            tx.execute(
                "UPDATE executions SET state = 'failed', completed = ?, message = ?, running = 0,"
                " failed = task_count - succeeded WHERE state = 'running'",
                (micros(self._clock.now()), message),
            )
        return [row["name"] for row in rows]


def _execution(row: sqlite3.Row) -> StoredExecution:
    return StoredExecution(
        number=row["number"],
        name=row["name"],
        job=row["job"],
        state=row["state"],
        env=json.loads(row["env"]),
        task_count=row["task_count"],
        timeout_seconds=row["timeout"],
        created=from_micros(row["created"]),
        started=from_micros(row["started"]) if row["started"] is not None else None,
        completed=from_micros(row["completed"]) if row["completed"] is not None else None,
        message=row["message"],
        running=row["running"],
        succeeded=row["succeeded"],
        failed=row["failed"],
        retried=row["retried"],
    )


def _base36(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text
