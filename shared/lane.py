"""The lane of a model as data: who runs, who waits, and the pure steps from one lane to the next.

    lanes/<model>.json   {train: slot | null, beside: [slot], waiting: [...], dropped: [...]}

`shared.lanes.advance` is the only one that applies the steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared import documents, paths
from shared.events import parse_time
from shared.ports import Bucket
from shared.runs import RunRequest

BESIDE_CAP = 2
SCORE_WAITS = timedelta(days=1)
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
    """`since` is when the run was requested."""

    run_id: str
    kind: str
    size: str
    since: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """`state` is how the run ends: superseded or expired."""

    run_id: str
    state: str
    why: str


@dataclass(frozen=True, slots=True)
class Lane:
    """`dropped` are runs that left the queue without a slot and whose end is to be noted."""

    train: Slot | None = None
    beside: tuple[Slot, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    dropped: tuple[Dropped, ...] = ()

    @property
    def slots(self) -> tuple[Slot, ...]:
        return ((self.train,) if self.train else ()) + self.beside

    @property
    def run_ids(self) -> set[str]:
        """Runs with a slot or waiting for one."""
        return {slot.run_id for slot in self.slots} | {item.run_id for item in self.waiting}

    def knows(self, run_id: str) -> bool:
        return run_id in self.run_ids | {item.run_id for item in self.dropped}


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
            dropped=tuple(Dropped(**item) for item in body["dropped"]),
        ),
        found.generation,
    )


# --- pure transitions ----------------------------------------------------------------------------


def enqueue(lane: Lane, request: RunRequest) -> Lane:
    """Add a request. Of trainings only the one that was requested last goes on waiting, whatever
    order the requests arrive in; the others are dropped."""
    added = Waiting(request.run_id, request.kind, request.size, request.requested_at)
    waiting = (*lane.waiting, added)
    if request.kind != "train":
        return replace(lane, waiting=waiting)
    trainings = [item for item in waiting if item.kind == "train"]
    # Of equal times the one that arrived last.
    latest = max(reversed(trainings), key=lambda item: parse_time(item.since))
    return drop(
        replace(lane, waiting=waiting),
        {item.run_id for item in trainings if item is not latest},
        "superseded",
        "a later training came",
    )


def expire(lane: Lane, now: datetime, *, has_champion: bool) -> Lane:
    """Drop score runs for which no champion came in time."""
    late = {
        item.run_id
        for item in lane.waiting
        if item.kind == "score" and now - parse_time(item.since) > SCORE_WAITS
    }
    if has_champion or not late:
        return lane
    return drop(lane, late, "expired", f"no champion within {SCORE_WAITS}")


def drop(lane: Lane, run_ids: set[str], state: str, why: str) -> Lane:
    """Take waiting runs out of the queue for good."""
    leaving = [item for item in lane.waiting if item.run_id in run_ids]
    return replace(
        lane,
        waiting=tuple(item for item in lane.waiting if item.run_id not in run_ids),
        dropped=(*lane.dropped, *(Dropped(item.run_id, state, why) for item in leaving)),
    )


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
