"""Runs: what was asked, what happened, how it ended. All of it is create-only objects.

runs/<model>/<run_id>/request.json     what was asked (written before the request is published)
                      launch.json      what launch resolved once (the champion of a score run)
                      events/*.json    one per transition; `state` folds them
                      lease/*.json     which execution works on an attempt
                      outcome.json     how the job ended (written before it is published)
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from shared import documents, paths
from shared.decoding import decode
from shared.documents import timestamp
from shared.errors import ObjectNotFound, WrongTask
from shared.events import Event, RunEvent, encode, publish
from shared.ports import Bucket, Clock, ObjectInfo, Publisher

Kind = Literal["train", "score", "label", "compare"]

# Names of transitions that end a run, and the state each one means (design section 3).
TERMINAL = {
    "promoted": "promoted",
    "not-promoted": "not_promoted",
    "scored": "scored",
    "labelled": "labelled",
    "comparison-completed": "compared",
    "spec-registered": "spec_registered",
    "rejected": "rejected",
    "failed": "failed",
    "superseded": "superseded",
    "expired": "expired",
    "declined": "declined",
    "duplicate": "duplicate",
    "joined-batch": "joined",
}
# Transitions that wait for something a person may want to know about.
WAITING = {
    "waiting-spec": "waiting_for_spec",
    "waiting-sources": "waiting_for_sources",
    "waiting-champion": "waiting_for_champion",
    "queued": "queued",
    "approval-requested": "awaiting_approval",
    "canary-started": "in_canary",
}
CORRECTED = "corrected"  # the role of mended rows among a run's inputs
# Links that others leave in a history; they say nothing about where the run stands.
REPLAYED_BY = "replayed-by-"
FINISHED_AS = {
    "TrainingCompleted": "trained",
    "ComparisonCompleted": "comparison-completed",
    "ScoringCompleted": "scored",
    "LabelsRecorded": "labelled",
    "RunRejected": "rejected",
    "RunFailed": "failed",
}


@dataclass(frozen=True, slots=True)
class InputRef:
    """An accepted input: its copy in the lake and where it came from. `role` is the name of the
    source it belongs to (models with several), or `corrected`: mended rows of a quarantine."""

    object: str
    generation: int
    source: str
    size_bytes: int
    md5: str | None
    crc32c: str
    role: str = ""

    @classmethod
    def of(cls, copy: ObjectInfo, source: str, role: str = "") -> InputRef:
        """The reference of a copy in the lake."""
        found = (copy.name, copy.generation, source, copy.size_bytes, copy.md5, copy.crc32c)
        return cls(*found, role)


@dataclass(frozen=True, slots=True)
class RetrainCause:
    """Why the loop trains again: the incident, and the labels that are new to the champion.
    `refresh`: nothing was wrong, it was time."""

    incident_id: str
    champion: str
    label_objects: tuple[str, ...]
    refresh: bool = False


@dataclass(frozen=True, slots=True)
class RunRequest:
    """`version` and `against` are for comparisons only; `retrain` for the loop's own trainings,
    which have no `inputs` of their own but continue the champion's dataset. `replays` is the run
    whose quarantined rows were mended: its inputs come first, then those with role `corrected`;
    of two corrections of a row the later input has the last word."""

    model: str
    run_id: str
    kind: Kind
    requested_at: str
    requested_by: str
    spec_generation: int
    content_key: str = ""
    size: str = "s"
    inputs: tuple[InputRef, ...] = ()
    version: str | None = None
    against: str | None = None
    retrain: RetrainCause | None = None
    replays: str | None = None

    @classmethod
    def of(cls, body: dict[str, Any]) -> RunRequest:
        cause = body.get("retrain")
        return cls(
            **{
                **body,
                "inputs": tuple(InputRef(**item) for item in body["inputs"]),
                "retrain": RetrainCause(**{**cause, "label_objects": tuple(cause["label_objects"])})
                if cause
                else None,
            }
        )


@dataclass(frozen=True, slots=True)
class RunState:
    """The fold of a run's history."""

    state: str
    terminal: bool
    since: str
    facts: dict[str, Any] = field(default_factory=dict)


def save_request(request: RunRequest, *, lake: Bucket) -> None:
    """Create-only: a repeat changes nothing."""
    documents.create(lake, paths.run_request(request.model, request.run_id), asdict(request))


def read_request(model: str, run_id: str, *, lake: Bucket) -> RunRequest:
    """Raises ObjectNotFound."""
    return RunRequest.of(documents.require(lake, paths.run_request(model, run_id)))


def read_work(model: str, run_id: str, *, lake: Bucket) -> RunRequest:
    """The request with its inputs as they lie in this bucket: where a lake was put back from a
    copy, the same bytes are another generation. Raises ObjectNotFound, also where the bytes are
    others."""
    request = read_request(model, run_id, lake=lake)
    return replace(request, inputs=tuple(_at_hand(item, lake) for item in request.inputs))


def _at_hand(item: InputRef, lake: Bucket) -> InputRef:
    try:
        lake.stat(item.object, generation=item.generation)
    except ObjectNotFound:
        found = lake.stat(item.object)
        if (found.size_bytes, found.crc32c) != (item.size_bytes, item.crc32c):
            raise
        return replace(item, generation=found.generation)
    return item


def comparison_key(model: str, version: str, against: str | None, turn: int) -> str:
    """The claim of a comparison with one turn (revision) of a champion."""
    return f"compare|{model}|{version}|{against}|{turn}"


def has_request(model: str, run_id: str, *, lake: Bucket) -> bool:
    return documents.read(lake, paths.run_request(model, run_id)).exists


def note(
    model: str, run_id: str, name: str, /, *, lake: Bucket, clock: Clock, **facts: object
) -> None:
    """Add one transition to the history; the first write of a name stays."""
    body = {"name": name, "at": timestamp(clock.now()), "facts": facts}
    documents.create(lake, paths.run_event(model, run_id, name), body)


def history(model: str, run_id: str, *, lake: Bucket) -> list[dict[str, Any]]:
    """All transitions, oldest first: `{"name", "at", "facts"}`."""
    prefix = paths.run_event(model, run_id, "").removesuffix(".json")
    found = [(info.generation, documents.require(lake, info.name)) for info in lake.list(prefix)]
    # Generations grow with time within a bucket; they order what the clock cannot.
    found.sort(key=lambda item: (item[1]["at"], item[0]))
    return [event for _, event in found]


def fold(events: list[dict[str, Any]]) -> RunState:
    """The state after these transitions. A terminal one wins over any later note."""
    events = [event for event in events if not event["name"].startswith(REPLAYED_BY)]
    if not events:
        return RunState("unknown", terminal=False, since="")
    ends = [event for event in events if event["name"] in TERMINAL]
    last = ends[-1] if ends else events[-1]
    name = last["name"]
    state = TERMINAL.get(name) or WAITING.get(name) or ("running" if name != "requested" else name)
    return RunState(state, terminal=bool(ends), since=last["at"], facts=last["facts"])


def state(model: str, run_id: str, *, lake: Bucket) -> RunState:
    return fold(history(model, run_id, lake=lake))


# --- launching and leasing -----------------------------------------------------------------------


def read_launch(model: str, run_id: str, *, lake: Bucket) -> dict[str, Any]:
    """What launch resolved: `{"champion": version or None}`. Raises ObjectNotFound."""
    return documents.require(lake, paths.run_launch(model, run_id))


def save_launch(
    model: str, run_id: str, champion: str | None, *, lake: Bucket, clock: Clock
) -> None:
    """Create-only: the champion of a run is resolved once."""
    name = paths.run_launch(model, run_id)
    documents.create(lake, name, {"champion": champion, "at": timestamp(clock.now())})


def lease(
    model: str, run_id: str, attempt: int, task: int, execution: str, *, lake: Bucket
) -> None:
    """Make this execution the one that works on the attempt (a task retry finds its own lease).
    Raises WrongTask when another execution has it."""
    name = paths.run_lease(model, run_id, attempt, task)
    if documents.create(lake, name, {"execution": execution}):
        return
    owner = documents.require(lake, name)["execution"]
    if owner != execution:
        raise WrongTask(f"attempt {attempt} of {run_id} belongs to execution {owner}")


# --- outcomes ------------------------------------------------------------------------------------


def outcome(model: str, run_id: str, *, lake: Bucket) -> Event | None:
    """How the job ended, or None."""
    try:
        return decode(documents.require(lake, paths.run_outcome(model, run_id)))
    except ObjectNotFound:
        return None


def finish(event: RunEvent, *, lake: Bucket, publisher: Publisher, clock: Clock) -> Event:
    """End a run: write its outcome once, note it, publish it. The first outcome stays, and a
    repeat publishes that one again; it comes back."""
    name = paths.run_outcome(event.model, event.run_id)
    if not documents.create(lake, name, json.loads(encode(event, clock.now()))):
        first = outcome(event.model, event.run_id, lake=lake)
        event = first if isinstance(first, RunEvent) else event
    facts = documents.require(lake, name)
    ended_as = FINISHED_AS[event.type]
    note(event.model, event.run_id, ended_as, lake=lake, clock=clock, **facts)
    publish(event, publisher=publisher, clock=clock)
    documents.create(lake, _announced(event.model, event.run_id), {"at": timestamp(clock.now())})
    return event


def announced(model: str, run_id: str, *, lake: Bucket) -> bool:
    """True once the outcome's publish was accepted; until then somebody has to publish again."""
    return documents.read(lake, _announced(model, run_id)).exists


def _announced(model: str, run_id: str) -> str:
    return paths.run_stage(model, run_id, "announced.json")
