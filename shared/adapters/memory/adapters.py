"""The ports of `shared.ports` on top of the engines, for unit tests and the contract suite."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from shared.adapters.memory.executions import Executions, StoredExecution
from shared.adapters.memory.listing import Query
from shared.adapters.memory.messages import Messages
from shared.adapters.memory.objects import Describe
from shared.adapters.memory.preconditions import NotModified, Preconditions
from shared.adapters.memory.staging import Content
from shared.adapters.memory.storage import Storage
from shared.adapters.names import wire_job, wire_topic
from shared.errors import ObjectNotFound
from shared.ports import Blob, Execution, ExecutionState, ObjectInfo


class MemoryBucket:
    """Implements `ports.VersionedBucket`."""

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage, self._name = storage, name

    @property
    def name(self) -> str:
        return self._name

    def stat(self, name: str, *, generation: int | None = None) -> ObjectInfo:
        return self._storage.get(self._name, name, generation=generation).info

    def read(
        self, name: str, *, generation: int | None = None, start: int = 0, end: int | None = None
    ) -> Blob:
        stored, stream = self._storage.open(self._name, name, generation=generation)
        with stream:
            stream.seek(start)
            return Blob(stored.info, stream.read(-1 if end is None else max(end - start, 0)))

    def read_if_changed(self, name: str, known_generation: int) -> Blob | None:
        when = Preconditions(if_generation_not=known_generation)
        try:
            stored, stream = self._storage.open(self._name, name, when=when)
        except NotModified:
            return None
        with stream:
            return Blob(stored.info, stream.read())

    def download(self, name: str, to: Path, *, generation: int | None = None) -> ObjectInfo:
        stored, stream = self._storage.open(self._name, name, generation=generation)
        with stream, to.open("wb") as target:
            shutil.copyfileobj(stream, target)
        return stored.info

    def open_reader(self, name: str, *, generation: int | None = None) -> BinaryIO:
        return self._storage.open(self._name, name, generation=generation)[1]

    def write(
        self,
        name: str,
        data: bytes,
        *,
        if_generation: int | None = None,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        with self._storage.stage() as staging:
            staging.write(data)
            return self._put(name, staging.finish(), if_generation, content_type, metadata)

    def upload(
        self,
        name: str,
        path: Path,
        *,
        if_generation: int | None = None,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        with self._storage.stage() as staging, path.open("rb") as source:
            staging.drain(source)
            return self._put(name, staging.finish(), if_generation, content_type, metadata)

    def _put(
        self,
        name: str,
        content: Content,
        if_generation: int | None,
        content_type: str,
        metadata: Mapping[str, str] | None,
    ) -> ObjectInfo:
        describe = Describe(content_type=content_type, metadata=dict(metadata or {}))
        when = Preconditions(if_generation=if_generation)
        return self._storage.put(self._name, name, content, describe, when=when).info

    def copy(
        self,
        source_bucket: str,
        source: str,
        name: str,
        *,
        source_generation: int | None = None,
        if_generation: int | None = None,
    ) -> ObjectInfo:
        return self._storage.copy(
            (source_bucket, source, source_generation),
            self._name,
            name,
            when=Preconditions(if_generation=if_generation),
        ).info

    def compose(
        self, sources: Sequence[str], name: str, *, if_generation: int | None = None
    ) -> ObjectInfo:
        return self._storage.compose(
            self._name,
            [(source, None, Preconditions()) for source in sources],
            name,
            when=Preconditions(if_generation=if_generation),
        ).info

    def delete(self, name: str, *, if_generation: int | None = None) -> None:
        self._storage.delete(self._name, name, when=Preconditions(if_generation=if_generation))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        at: tuple[str, int] | None = ("", 0)
        while at is not None:
            page = self._storage.page(self._name, Query(prefix=prefix, start=at[0]))
            yield from (stored.info for stored in page.items)
            at = page.next

    def generations(self, prefix: str = "") -> Iterator[ObjectInfo]:
        at: tuple[str, int] | None = ("", 0)
        while at is not None:
            query = Query(prefix=prefix, start=at[0], start_generation=at[1], versions=True)
            page = self._storage.page(self._name, query)
            yield from (stored.info for stored in page.items)
            at = page.next

    def delete_generation(self, name: str, generation: int) -> None:
        with suppress(ObjectNotFound):
            self._storage.delete(self._name, name, generation=generation)

    def folders(self, prefix: str = "") -> Iterator[str]:
        at: tuple[str, int] | None = ("", 0)
        while at is not None:
            query = Query(prefix=prefix, delimiter="/", start=at[0])
            page = self._storage.page(self._name, query)
            yield from page.prefixes
            at = page.next


@dataclass(frozen=True, slots=True)
class Published:
    """A message as it was handed to the publisher; `topic` is the short name."""

    topic: str
    data: bytes
    attributes: Mapping[str, str]


class MemoryPublisher:
    """Implements `ports.Publisher`; `published` keeps everything for assertions."""

    def __init__(self, messages: Messages, project: str) -> None:
        self._messages, self._project = messages, project
        self._lock = threading.Lock()
        self.published: list[Published] = []

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        found = self._messages.publish(topic_path(self._project, topic), data, attributes)
        with self._lock:
            self.published.append(Published(topic, data, dict(attributes)))
        return found


class MemoryJobs:
    """Implements `ports.JobRunner`. Executions run until the test ends them. A task scores
    `task_bytes` of a file."""

    def __init__(self, executions: Executions, task_bytes: int = 1 << 27) -> None:
        self._executions, self.task_bytes = executions, task_bytes

    def tasks_for(self, job: str, size_bytes: int) -> int:
        return max(1, -(-size_bytes // self.task_bytes)) if job.startswith("score-") else 1

    def run(self, job: str, *, env: Mapping[str, str], tasks: int = 1) -> str:
        name = self._executions.create(wire_job(job), env, tasks=tasks).name
        self._executions.started(name)
        return name

    def executions(self, job: str) -> Iterator[Execution]:
        for stored in self._executions.all(wire_job(job)):
            yield _execution(job, stored)

    def end(self, name: str, state: ExecutionState) -> None:
        """For tests: this execution has come to its end."""
        self._executions.end(name, state)


def _execution(job: str, stored: StoredExecution) -> Execution:
    return Execution(
        name=stored.name,
        job=job,
        state=stored.state,
        env=stored.env,
        created=stored.created,
        task_count=stored.task_count,
    )


def topic_path(project: str, short: str) -> str:
    """The full name of the topic with this topology key."""
    return f"projects/{project}/topics/{wire_topic(short)}"


def subscription_path(project: str, short: str) -> str:
    return f"projects/{project}/subscriptions/{short}"
