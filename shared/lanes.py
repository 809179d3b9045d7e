"""The lane of a model: one training at a time, at most two score or label runs beside it.

    request --> waiting --> slot (train | beside) --> execution --> outcome.json --> slot free

`advance` is the only way to start a run. It is called for every request and outcome and by sweep,
any number of times, and does nothing when there is nothing to do. A slot in the lane is a promise:
whoever advances next makes sure that an execution stands behind it, so a crash between taking a
slot and starting the job costs time, never a run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from shared import documents, paths, runs
from shared.documents import timestamp
from shared.errors import PreconditionFailed, Retryable
from shared.events import RunEvent, RunFailed
from shared.manifests import read_manifest
from shared.ports import Bucket, Clock, Execution, JobRunner, Publisher
from shared.runs import RunRequest

BESIDE_CAP = 2
MAX_ATTEMPTS = 3
JOBS = {"train": "train", "compare": "train", "score": "score", "label": "label"}


@dataclass(frozen=True, slots=True)
class Slot:
    """A run that has its place; `attempt` counts from 1."""

    run_id: str
    attempt: int
    kind: str
    size: str

    @property
    def job(self) -> str:
        return f"{JOBS[self.kind]}-{self.size}"


@dataclass(frozen=True, slots=True)
class Waiting:
    run_id: str
    kind: str
    size: str
    since: str


@dataclass(frozen=True, slots=True)
class Lane:
    """`dropped` are waiting trainings that a later one replaced and whose end is to be noted."""

    train: Slot | None = None
    beside: tuple[Slot, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def slots(self) -> tuple[Slot, ...]:
        return ((self.train,) if self.train else ()) + self.beside

    @property
    def run_ids(self) -> set[str]:
        """Runs with a slot or waiting for one."""
        return {slot.run_id for slot in self.slots} | {item.run_id for item in self.waiting}

    def knows(self, run_id: str) -> bool:
        return run_id in self.run_ids or run_id in self.dropped


def read_lane(model: str, *, lake: Bucket) -> tuple[Lane, int]:
    """The lane and its generation (0 when there is none yet)."""
    found = documents.read(lake, paths.lane(model))
    if not found.exists:
        return Lane(), 0
    body = found.body
    return (
        Lane(
            train=Slot(**body["train"]) if body["train"] else None,
            beside=tuple(Slot(**slot) for slot in body["beside"]),
            waiting=tuple(Waiting(**item) for item in body["waiting"]),
            dropped=tuple(body["dropped"]),
        ),
        found.generation,
    )


# --- pure transitions ----------------------------------------------------------------------------


def enqueue(lane: Lane, request: RunRequest, now: str) -> Lane:
    """Add a request. A later training replaces a waiting one, which is dropped."""
    waiting = lane.waiting
    dropped: tuple[str, ...] = ()
    if request.kind == "train":
        dropped = tuple(item.run_id for item in waiting if item.kind == "train")
        waiting = tuple(item for item in waiting if item.kind != "train")
    added = Waiting(request.run_id, request.kind, request.size, now)
    return replace(lane, waiting=(*waiting, added), dropped=(*lane.dropped, *dropped))


def free(lane: Lane, ended: set[str]) -> Lane:
    """Clear the slots of runs that ended, and forget waiting ones that did."""
    return replace(
        lane,
        train=lane.train if lane.train and lane.train.run_id not in ended else None,
        beside=tuple(slot for slot in lane.beside if slot.run_id not in ended),
        waiting=tuple(item for item in lane.waiting if item.run_id not in ended),
    )


def admit(lane: Lane, *, has_champion: bool) -> Lane:
    """Move waiting runs into free slots, first come first served within their kind of slot.
    A score run needs a champion to be resolved at its start."""
    train, beside, waiting = lane.train, list(lane.beside), []
    for item in lane.waiting:
        slot = Slot(item.run_id, 1, item.kind, item.size)
        if JOBS[item.kind] == "train" and train is None:
            train = slot
        elif (
            JOBS[item.kind] != "train"
            and len(beside) < BESIDE_CAP
            and (item.kind != "score" or has_champion)
        ):
            beside.append(slot)
        else:
            waiting.append(item)
    return replace(lane, train=train, beside=tuple(beside), waiting=tuple(waiting))


def next_attempt(lane: Lane, run_id: str) -> Lane:
    """The same run, one attempt further."""

    def bump(slot: Slot) -> Slot:
        return replace(slot, attempt=slot.attempt + 1) if slot.run_id == run_id else slot

    return replace(
        lane,
        train=bump(lane.train) if lane.train else None,
        beside=tuple(bump(slot) for slot in lane.beside),
    )


# --- advance -------------------------------------------------------------------------------------


def advance(
    model: str,
    *,
    request: RunRequest | None = None,
    heard: str | None = None,
    lake: Bucket,
    jobs: JobRunner,
    publisher: Publisher,
    clock: Clock,
) -> Lane:
    """Bring the lane of a model up to date: take in `request`, free what ended, admit what
    waits, start (or adopt, or start again) what has a slot. `heard` is the run whose outcome
    message brought us here. Raises Retryable on a lane that changes faster than it can be read."""

    for slot in read_lane(model, lake=lake)[0].slots:
        if slot.run_id != heard:
            _announce(model, slot.run_id, lake=lake, publisher=publisher, clock=clock)
    served = read_manifest(model, lake=lake) is not None

    def step(lane: Lane) -> Lane:
        ended = {run_id for run_id in lane.run_ids if _ended(model, run_id, lake)}
        lane = free(lane, ended)
        if request and not lane.knows(request.run_id) and not _ended(model, request.run_id, lake):
            lane = enqueue(lane, request, timestamp(clock.now()))
        return admit(lane, has_champion=served)

    lane = _change(model, step, lake)
    _settle_dropped(model, lane, lake=lake, clock=clock)
    for item in lane.waiting:
        name = "waiting-champion" if item.kind == "score" and not served else "queued"
        runs.note(model, item.run_id, name, lake=lake, clock=clock)
    ended = [
        slot
        for slot in lane.slots
        if _ensure_started(model, slot, lake=lake, jobs=jobs, publisher=publisher, clock=clock)
    ]
    if ended:
        return advance(model, lake=lake, jobs=jobs, publisher=publisher, clock=clock)
    return lane


def _announce(model: str, run_id: str, *, lake: Bucket, publisher: Publisher, clock: Clock) -> None:
    """Publish an outcome that its job wrote and did not live to publish: publish first, clear
    the slot second."""
    found = runs.outcome(model, run_id, lake=lake)
    if isinstance(found, RunEvent) and not runs.announced(model, run_id, lake=lake):
        runs.finish(found, lake=lake, publisher=publisher, clock=clock)


def _ended(model: str, run_id: str, lake: Bucket) -> bool:
    """True when the job gave an outcome, or the run ended without one (superseded, expired)."""
    if documents.read(lake, paths.run_outcome(model, run_id)).exists:
        return True
    return any(
        documents.read(lake, paths.run_event(model, run_id, name)).exists
        for name in ("superseded", "expired")
    )


def _change(model: str, step: Callable[[Lane], Lane], lake: Bucket) -> Lane:
    """Apply a pure step by compare-and-swap, again from the start when the swap is lost."""
    for _ in range(20):
        lane, generation = read_lane(model, lake=lake)
        changed = step(lane)
        if changed == lane:
            return lane
        try:
            documents.swap(lake, paths.lane(model), _body(changed), generation=generation)
        except PreconditionFailed:
            continue
        return changed
    raise Retryable(f"the lane of {model} is contended")


def _settle_dropped(model: str, lane: Lane, *, lake: Bucket, clock: Clock) -> None:
    if not lane.dropped:
        return
    for run_id in lane.dropped:
        runs.note(model, run_id, "superseded", lake=lake, clock=clock, why="a later training came")
    settled = set(lane.dropped)
    _change(
        model,
        lambda now: replace(now, dropped=tuple(r for r in now.dropped if r not in settled)),
        lake,
    )


def _ensure_started(
    model: str,
    slot: Slot,
    *,
    lake: Bucket,
    jobs: JobRunner,
    publisher: Publisher,
    clock: Clock,
) -> bool:
    """Put an execution behind a slot. True when the run ended instead (failed too often)."""
    found = _executions(jobs, slot)
    if not found:
        _start(model, slot, lake=lake, jobs=jobs, clock=clock)
        return False
    if any(execution.state == "running" for execution in found):
        return False
    # Read after the executions: an execution that ended has written its outcome before.
    if _ended(model, slot.run_id, lake):
        return True
    if slot.attempt < MAX_ATTEMPTS:
        lane = _change(model, lambda now: _bump_once(now, slot), lake)
        again = next((item for item in lane.slots if item.run_id == slot.run_id), None)
        if again and not _executions(jobs, again):
            _start(model, again, lake=lake, jobs=jobs, clock=clock)
        return False
    event = RunFailed(
        model=model,
        run_id=slot.run_id,
        message=f"{slot.attempt} executions of {slot.job} ended without a result, the last one "
        f"is {found[0].name}; see its log (`millrace logs {found[0].name}`)",
    )
    runs.finish(event, lake=lake, publisher=publisher, clock=clock)
    return True


def _executions(jobs: JobRunner, slot: Slot) -> list[Execution]:
    return [
        execution
        for execution in jobs.executions(slot.job)
        if execution.env.get("RUN_ID") == slot.run_id
        and execution.env.get("ATTEMPT") == str(slot.attempt)
    ]


def _bump_once(lane: Lane, seen: Slot) -> Lane:
    """One attempt further than the one that was seen dead, however many saw it."""
    return next_attempt(lane, seen.run_id) if seen in lane.slots else lane


def _start(model: str, slot: Slot, *, lake: Bucket, jobs: JobRunner, clock: Clock) -> None:
    if slot.kind == "score":
        manifest = read_manifest(model, lake=lake)
        champion = manifest.version if manifest else None
        runs.save_launch(model, slot.run_id, champion, lake=lake, clock=clock)
    env = {"RUN_ID": slot.run_id, "ATTEMPT": str(slot.attempt), "MILLRACE_MODEL": model}
    execution = jobs.run(slot.job, env=env)
    name = f"started-{slot.attempt}"
    runs.note(model, slot.run_id, name, lake=lake, clock=clock, execution=execution, job=slot.job)


def _body(lane: Lane) -> dict[str, Any]:
    return asdict(lane)
