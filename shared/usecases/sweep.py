"""Promises that depend on time, kept every few minutes. Each part is repeatable by itself.

Waiting files (released or refused), open batches (closed, or given up), lanes (dead executions
started again, outcomes published that their jobs did not live to publish, scores that wait too
long for a champion), approvals that expire or were decided and not carried out, champions whose
decision or audit object a crash kept from being written, moves that nobody was told of, experiments
that ended and were not taken out, or whose planned end has come, canaries, which it judges, and
champions that are due for a refresh.

Each sweep begins elsewhere: what one has no time for, a later one begins with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from shared import approvals, documents, paths
from shared.batch import OPEN
from shared.beside import canaries, experiments
from shared.boundary import apart
from shared.fairness import rotated, turn_of
from shared.lanes import advance
from shared.manifests import Manifest, read_manifest, served_models
from shared.moves import keep
from shared.ports import Bucket, JobRunner
from shared.usecases import batches, refresh, spec_changes
from shared.usecases.beside import canary_look, experimenting
from shared.usecases.beside.canary_log import LogReader
from shared.usecases.promote import carry_out
from shared.usecases.promoting import Promote
from shared.usecases.retrain import RetrainPorts
from shared.usecases.settling import carried_out, finish, told
from shared.usecases.starting import Intake
from shared.usecases.telling import say_untold
from shared.usecases.waiting import settle

# As often as the schedule of infra/topology.yaml says.
EVERY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Swept:
    """How much of each kind one sweep looked after."""

    lanes: int = 0
    waiting: int = 0
    batches: int = 0
    approvals: int = 0
    moves: int = 0
    experiments: int = 0
    canaries: int = 0
    refreshes: int = 0


def sweep(intake: Intake, promote: Promote, jobs: JobRunner) -> Swept:
    """Look after everything once. One part's trouble does not keep the others waiting; it is
    raised at the end as Retryable."""
    lake, counts = intake.lake, dict[str, int]()
    turn = turn_of(promote.clock.now(), EVERY)

    def listed(prefix: str) -> list[str]:
        return rotated([info.name for info in lake.list(prefix)], turn)

    def look_after_waiting() -> int:
        work = partial(settle, ports=intake)
        return apart((name, partial(work, name)) for name in listed("waiting/"))

    def look_after_batches() -> int:
        work = partial(batches.look_after, ports=intake)
        return apart((name, partial(work, name)) for name in listed(OPEN))

    def look_after_lanes() -> int:
        work = partial(_look_after_lane, ports=promote, jobs=jobs)
        return apart((name, partial(work, name)) for name in listed("lanes/"))

    def look_after_approvals() -> int:
        settled = {info.name for info in lake.list(paths.APPROVALS_SETTLED)}
        marks = {
            info.name: paths.approval_settled(info.name, info.generation)
            for info in lake.list(paths.APPROVALS)
        }
        return apart(
            (name, partial(_look_after_approval, name, mark, promote))
            for name, mark in rotated(list(marks.items()), turn)
            if mark not in settled
        )

    def look_after_models() -> int:
        loop = RetrainPorts(
            lake, promote.publisher, promote.clock, promote.claim_seconds, intake.inbox.name
        )
        served = _Served(promote, loop, LogReader(lake, promote.clock.now()), counts)
        models = rotated(served_models(lake=lake), turn)
        return apart((model, partial(served.look_after, model)) for model in models)

    parts = {
        "waiting": look_after_waiting,
        "batches": look_after_batches,
        "lanes": look_after_lanes,
        "approvals": look_after_approvals,
    }

    def counted(part: str) -> int:
        counts[part] = parts[part]()
        return counts[part]

    work: dict[str, Callable[[], int]] = {part: partial(counted, part) for part in parts}
    work["models"] = look_after_models
    # One after the other: a part that begins says nothing about where its names do.
    first = turn % len(work)
    apart([*work.items()][first:] + [*work.items()][:first])
    return Swept(**counts)


@dataclass(frozen=True, slots=True)
class _Served:
    """What is looked after of every model that serves, in one pass: its manifest is read once, and
    again only when something was done about it. `counts` are added up by part."""

    promote: Promote
    loop: RetrainPorts
    log: LogReader
    counts: dict[str, int]
    experimented: set[str] = field(init=False)
    canaried: set[str] = field(init=False)

    def __post_init__(self) -> None:
        lake = self.promote.lake
        object.__setattr__(self, "experimented", experiments.recorded(lake=lake))
        object.__setattr__(self, "canaried", canaries.recorded(lake=lake))

    def look_after(self, model: str) -> int:
        read = _Manifest(model, self.promote.lake)
        parts: dict[str, Callable[[Manifest], int]] = {
            "moves": partial(_look_after_moves, ports=self.promote),
            "experiments": partial(
                experimenting.look_after, ports=self.promote, recorded=self.experimented
            ),
            "canaries": partial(
                canary_look.look_after, ports=self.promote, log=self.log, recorded=self.canaried
            ),
            "refreshes": partial(refresh.look_after, ports=self.loop),
        }

        def done(part: str) -> int:
            manifest = read.now()
            if manifest is None:
                return 0
            read.stale = True  # until it is known that nothing was done
            count = parts[part](manifest)
            read.stale = bool(count)
            self.counts[part] = self.counts.get(part, 0) + count
            return count

        return apart((part, partial(done, part)) for part in parts)


@dataclass(slots=True)
class _Manifest:
    """A model's manifest as it was read last, unless that is `stale`."""

    model: str
    lake: Bucket
    stale: bool = True
    found: Manifest | None = None

    def now(self) -> Manifest | None:
        if self.stale:
            self.found = read_manifest(self.model, lake=self.lake)
            self.stale = False
        return self.found


def _look_after_lane(name: str, ports: Promote, jobs: JobRunner) -> int:
    model = name.removeprefix("lanes/").removesuffix(".json")
    advance(model, lake=ports.lake, jobs=jobs, publisher=ports.publisher, clock=ports.clock)
    return 1


def _look_after_moves(manifest: Manifest, ports: Promote) -> int:
    model = manifest.model
    count = keep(model, manifest.journal, lake=ports.lake)
    # A person made it serve, and the request died before it said so: perhaps nobody asks again.
    if not told(model, manifest.version, ports):
        finish(model, manifest.version, manifest, ports)
        count += 1
    return count + say_untold(manifest, ports)


def _look_after_approval(name: str, mark: str, ports: Promote) -> int:
    """`mark` is written when there is nothing left to do: approvals are kept for good, and reading
    all of them every time would be more work every month."""
    _, model, version = name.removesuffix(".json").split("/")
    approval = approvals.find(model, version, lake=ports.lake)
    if approval is None:
        return 0
    of_spec = approval.spec_generation is not None
    if (spec_changes.carried_out if of_spec else carried_out)(approval, ports):
        documents.create(ports.lake, mark, {})
        return 0
    if approval.pending and approval.expires_at < ports.clock.now():
        approval = approvals.decide(
            approval,
            "expired",
            by="sweep",
            reason="nobody decided in time",
            lake=ports.lake,
            clock=ports.clock,
        )
    if approval.pending:
        return 0
    (spec_changes.carry_out if of_spec else carry_out)(approval, ports)
    return 1
