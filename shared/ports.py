"""What use cases need from the outside world, as Protocols; adapters implement them.

Nothing here knows a vendor. Errors named in the docstrings are those of `shared.errors`;
every method may also raise `ServiceUnavailable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One generation of one object. `md5` and `crc32c` are base64 as Google gives them;
    a composed object has no md5."""

    bucket: str
    name: str
    generation: int
    metageneration: int
    size_bytes: int
    crc32c: str
    md5: str | None
    content_type: str
    content_encoding: str | None
    created: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes together with the generation they were read from."""

    info: ObjectInfo
    data: bytes


class Bucket(Protocol):
    """One bucket. `if_generation=0` means create only; `n` means swap that generation."""

    @property
    def name(self) -> str: ...

    def stat(self, name: str, *, generation: int | None = None) -> ObjectInfo:
        """Metadata only. Raises ObjectNotFound."""

    def read(
        self,
        name: str,
        *,
        generation: int | None = None,
        start: int = 0,
        end: int | None = None,
    ) -> Blob:
        """Bytes `start` (inclusive) to `end` (exclusive) as stored. Raises ObjectNotFound.
        A range past the end gives what there is, maybe nothing."""

    def read_if_changed(self, name: str, known_generation: int) -> Blob | None:
        """The object, or None when its live generation is still the known one.
        Raises ObjectNotFound."""

    def download(self, name: str, to: Path, *, generation: int | None = None) -> ObjectInfo:
        """Stream an object to a file in bounded memory. Raises ObjectNotFound."""

    def open_reader(self, name: str, *, generation: int | None = None) -> BinaryIO:
        """A streaming reader in bounded memory. Raises ObjectNotFound."""

    def write(
        self,
        name: str,
        data: bytes,
        *,
        if_generation: int | None = None,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        """Store bytes as a new generation. Raises PreconditionFailed."""

    def upload(
        self,
        name: str,
        path: Path,
        *,
        if_generation: int | None = None,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        """Store a file as a new generation in bounded memory. Raises PreconditionFailed."""

    def copy(
        self,
        source_bucket: str,
        source: str,
        name: str,
        *,
        source_generation: int | None = None,
        if_generation: int | None = None,
    ) -> ObjectInfo:
        """Copy an object here by rewrite, without its bytes passing through this process.
        Raises ObjectNotFound (source), PreconditionFailed (destination)."""

    def compose(
        self, sources: Sequence[str], name: str, *, if_generation: int | None = None
    ) -> ObjectInfo:
        """Join 1 to 32 objects of this bucket into one. Raises as `copy`."""

    def delete(self, name: str, *, if_generation: int | None = None) -> None:
        """Remove the live generation. Raises ObjectNotFound, PreconditionFailed."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Live objects whose name starts with `prefix`, in name order, all pages."""

    def folders(self, prefix: str = "") -> Iterator[str]:
        """Names of the 'folders' directly under `prefix` (delimiter `/`), each ending in `/`."""


class VersionedBucket(Bucket, Protocol):
    """A bucket whose earlier generations can be seen, and taken away for good."""

    def generations(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All generations, live or not, of objects whose name starts with `prefix`."""

    def delete_generation(self, name: str, generation: int) -> None:
        """Remove exactly this generation for good; one that is gone already is fine."""


class Publisher(Protocol):
    """A Pub/Sub publisher. Returns only after the service has accepted the message."""

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        """Publish to the topic with this short name; the service's message id comes back."""


ExecutionState = Literal["running", "succeeded", "failed"]


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of a Cloud Run job, with the environment it was started with.
    `name` is the short name; `env` holds at least the overrides."""

    name: str
    job: str
    state: ExecutionState
    env: Mapping[str, str]
    created: datetime
    task_count: int = 1


class JobRunner(Protocol):
    """Cloud Run Jobs. `run` has no idempotency token: look through `executions` first."""

    def tasks_for(self, job: str, size_bytes: int) -> int:
        """How many tasks of a job share a file of this size: one where they cannot."""

    def run(self, job: str, *, env: Mapping[str, str], tasks: int = 1) -> str:
        """Start an execution with environment overrides; its short name comes back."""

    def executions(self, job: str) -> Iterator[Execution]:
        """All known executions of the job, newest first."""


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC."""


class Messenger(Protocol):
    """A chat channel (Slack)."""

    def post(self, message: Mapping[str, object]) -> None:
        """Post a Block Kit message. Raises Retryable unless the service accepted it."""


@dataclass(frozen=True, slots=True)
class TrackedVersion:
    """A version in the tracking server's registry, found by our run id."""

    registry_version: str
    tracking_run_id: str


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """What a registry shows of a version beside its files. Tags are plain names; the adapter makes
    them what its service allows."""

    tracking_run_id: str | None = None
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


class Registry(Protocol):
    """A mirrored model registry (MLflow, Vertex AI). Truth stays in the lake. Every method raises
    TrackingUnavailable for whatever the service has against it."""

    @property
    def title(self) -> str:
        """What people call it."""

    def find(self, model: str, version: str) -> TrackedVersion | None:
        """The registered version that carries our run id, or None."""

    def register(self, model: str, version: str, facts: VersionFacts) -> TrackedVersion:
        """Register what is not there yet; called again, finds the first one."""

    def describe(self, model: str, version: TrackedVersion, description: str) -> None:
        """Replace what the version says of itself."""

    def alias(self, model: str, alias: str) -> str | None:
        """Our version id behind an alias; the registry's own number, after `#`, when somebody
        pointed it at a version that is none of ours; None when it is not set."""

    def set_alias(self, model: str, alias: str, version: TrackedVersion) -> None:
        """Point an alias at a version."""


@dataclass(frozen=True, slots=True)
class TrackedCandidate:
    """One candidate of a training, shown as a nested run."""

    name: str
    params: Mapping[str, float | str]
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TrackedDataset:
    """The rows a training was made from. `source` is where they lie, `counts` are small facts."""

    name: str
    digest: str
    source: str
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrackedTraining:
    """A training as the tracking server shows it. `version` is our run id, which is the key;
    `by` asked for it; `description` is Markdown."""

    model: str
    version: str
    tags: Mapping[str, str]
    params: Mapping[str, float | str]
    metrics: Mapping[str, float]
    candidates: Sequence[TrackedCandidate] = ()
    dataset: TrackedDataset | None = None
    description: str = ""
    by: str = ""


class Tracker(Protocol):
    """The tracking server (MLflow)."""

    def log(self, training: TrackedTraining, files: Path) -> str:
        """Record a training with a folder of files; the id of its run there. A repeat of the same
        version finds its first run. Raises TrackingUnavailable."""


# How many spans are lost (0: they are kept for another try), and why.
SpanTrouble = Callable[[int, str], None]


class Answered(NamedTuple):
    """What became of a prediction request. `version` is empty where none was asked."""

    model: str
    version: str
    protocol: str
    rows: int
    status: int
    seconds: float


class Spans(Protocol):
    """Traces of prediction requests. Adding one and closing raise nothing: no answer depends on
    who looks at traces."""

    def add(self, environ: Mapping[str, Any], answered: Answered) -> None:
        """A request (its WSGI environment) that has just been answered."""

    def close(self) -> None:
        """Send what is kept; the process ends."""
