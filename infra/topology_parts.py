"""What `topology.yaml` is made of: plain values, defaults filled in. Knows nothing of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Bucket:
    """`notify_topic` is a topology key or None. `retention` gives days since an object was made by
    prefix, `kept` the reason why a prefix has none. `noncurrent_days` (None: for ever) are those of
    generations that are no longer live, `soft_delete_days` how long a deleted object can be brought
    back."""

    name: str
    versioning: bool
    notify_topic: str | None
    retention: Mapping[str, int] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)
    noncurrent_days: int | None = None
    soft_delete_days: int = 7


@dataclass(frozen=True, slots=True)
class Party:
    """Who may do what. Places are `bucket/start of an object's name`; who `creates` also reads, who
    `changes` also creates. `calls` names functions, services and externals, `*` every function."""

    name: str
    purpose: str
    reads: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    creates: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    publishes: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime(Party):
    """What functions and services have in common."""

    timeout_seconds: int
    memory: str
    cpu: str
    concurrency: int
    max_instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Function(Runtime):
    """`runs` are jobs it may start; `path` is set when people call it over HTTPS."""

    runs: tuple[str, ...]
    claim_seconds: int
    path: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Runtime):
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class External(Party):
    """What runs beside our own parts while the Terraform variable `switch` says so. Without an
    `account` it is Google's."""

    switch: str = ""
    account: bool = True


@dataclass(frozen=True, slots=True)
class People(Party):
    """A role of people. `excludes` are places whose objects the others do not reach, `project` are
    Google's roles on the whole project."""

    excludes: tuple[str, ...] = ()
    project: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Size:
    cpu: str
    memory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Party):
    """Deployed once per size, as `<name>-<size>`. A file is shared by one task per `task_mib`, at
    most `max_tasks`."""

    timeout_seconds: int
    max_retries: int
    sizes: Mapping[str, Size]
    task_mib: int = 128
    max_tasks: int = 1


@dataclass(frozen=True, slots=True)
class Export:
    """Lines to a bucket, one object per batch."""

    bucket: str
    prefix: str
    datetime_format: str
    max_seconds: int


@dataclass(frozen=True, slots=True)
class Subscription:
    """`push` is the function it delivers to; else `export` says where it writes."""

    name: str
    topic: str
    push: str | None
    filter: str
    ack_deadline_seconds: int
    min_backoff_seconds: int
    max_backoff_seconds: int
    max_delivery_attempts: int
    retention_days: int
    dead_letter: bool
    export: Export | None


@dataclass(frozen=True, slots=True)
class Schedule:
    name: str
    cron: str
    topic: str
    message: str


@dataclass(frozen=True, slots=True)
class Topology:
    """All maps are keyed by topology key. `commands` says which roles of people a command takes;
    `project_roles` are reasons, by Terraform resource."""

    buckets: Mapping[str, Bucket]
    topics: tuple[str, ...]
    functions: Mapping[str, Function]
    services: Mapping[str, Service]
    jobs: Mapping[str, Job]
    subscriptions: Mapping[str, Subscription]
    schedules: Mapping[str, Schedule]
    externals: Mapping[str, External]
    people: Mapping[str, People]
    commands: Mapping[str, tuple[str, ...]]
    project_roles: Mapping[str, str]
    claim_seconds: int
    spec_wait_seconds: int

    @property
    def parties(self) -> dict[str, Party]:
        """Everything of ours that runs, and the externals with an account."""
        own = (self.functions, self.services, self.jobs)
        found: dict[str, Party] = {name: item for kind in own for name, item in kind.items()}
        return found | {name: item for name, item in self.externals.items() if item.account}

    @property
    def secrets(self) -> tuple[str, ...]:
        """All that functions and services ask for."""
        parts: tuple[Runtime, ...] = (*self.functions.values(), *self.services.values())
        return tuple(sorted({name for part in parts for name in part.secrets}))

    def received_by(self, function: str) -> list[Subscription]:
        """The subscriptions that push to a function."""
        return [item for item in self.subscriptions.values() if item.push == function]
