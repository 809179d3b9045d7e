"""The lane of a model: one training at a time, at most two score or label runs beside it.

    request --> waiting --> slot (train | beside) --> execution --> outcome.json --> slot free

`advance` is the only way to start a run. It is called for every request and outcome and by sweep,
any number of times, and does nothing when there is nothing to do. A slot in the lane is a promise:
whoever advances next makes sure that an execution stands behind it, so a crash between taking a
slot and starting the job costs time, never a run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from shared import documents, paths, runs
from shared.errors import PreconditionFailed, Retryable
from shared.events import AutomationNoted, RunEvent, RunFailed, publish
from shared.lane import Lane, Slot, admit, enqueue, expire, free, next_attempt, read_lane
from shared.manifests import read_manifest
from shared.ports import Bucket, Clock, Execution, JobRunner, Publisher
from shared.runs import RunRequest

MAX_ATTEMPTS = 3


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
    message brought us here; of all others the outcome must be known as published before their
    slot is free. Raises Retryable on a lane that changes faster than it can be read."""

    lane, _ = read_lane(model, lake=lake)
    if request is None and not (lane.slots or lane.waiting or lane.dropped):
        return lane
    for slot in lane.slots:
        if slot.run_id != heard:
            _announce(model, slot.run_id, lake=lake, publisher=publisher, clock=clock)
    served = read_manifest(model, lake=lake) is not None

    def step(lane: Lane) -> Lane:
        told = {
            run_id
            for run_id in lane.run_ids
            if run_id == heard or runs.announced(model, run_id, lake=lake)
        }
        lane = free(lane, told)
        if request and not lane.knows(request.run_id) and not _ended(model, request.run_id, lake):
            lane = enqueue(lane, request)
        return admit(expire(lane, clock.now(), has_champion=served), has_champion=served)

    lane = _change(model, step, lake)
    _settle_dropped(model, lane, lake=lake, publisher=publisher, clock=clock)
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


def _has_outcome(model: str, run_id: str, lake: Bucket) -> bool:
    return documents.read(lake, paths.run_outcome(model, run_id)).exists


def _ended(model: str, run_id: str, lake: Bucket) -> bool:
    """True when the job gave an outcome, or the run left the queue without one."""
    return _has_outcome(model, run_id, lake) or any(
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


def _settle_dropped(
    model: str, lane: Lane, *, lake: Bucket, publisher: Publisher, clock: Clock
) -> None:
    if not lane.dropped:
        return
    for item in lane.dropped:
        if item.state == "expired":
            sentence = (
                f"Scoring {item.run_id} expired: {item.why}. Drop the file again once a version "
                f"of {model} is promoted."
            )
            note = AutomationNoted(
                model=model, source="launch", subject=item.run_id, sentence=sentence
            )
            publish(note, publisher=publisher, clock=clock)
        runs.note(model, item.run_id, item.state, lake=lake, clock=clock, why=item.why)
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
    running = next((execution for execution in found if execution.state == "running"), None)
    if running:
        _note_started(model, slot, running.name, lake=lake, clock=clock)
        return False
    # Read after the executions: an execution that ended has written its outcome before.
    if _has_outcome(model, slot.run_id, lake):
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
    tasks = 1
    if slot.kind == "score":
        manifest = read_manifest(model, lake=lake)
        champion = manifest.version if manifest else None
        runs.save_launch(model, slot.run_id, champion, lake=lake, clock=clock)
        request = runs.read_request(model, slot.run_id, lake=lake)
        tasks = jobs.tasks_for(slot.job, sum(item.size_bytes for item in request.inputs))
    env = {"RUN_ID": slot.run_id, "ATTEMPT": str(slot.attempt), "MILLRACE_MODEL": model}
    execution = jobs.run(slot.job, env=env, tasks=tasks)
    _note_started(model, slot, execution, lake=lake, clock=clock)


def _note_started(model: str, slot: Slot, execution: str, *, lake: Bucket, clock: Clock) -> None:
    name = f"started-{slot.attempt}"
    runs.note(model, slot.run_id, name, lake=lake, clock=clock, execution=execution, job=slot.job)


def _body(lane: Lane) -> dict[str, Any]:
    return asdict(lane)
