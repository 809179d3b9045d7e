"""From an accepted upload to a requested run, or to a recorded refusal.

    guard first bytes -> content claim -> copy to lake -> request.json -> note -> publish

Every step is create-only or repeatable, so doing all of it again for the same run id changes
nothing. Once request.json is there the run is decided: a repeat looks at neither file nor spec
again, which may have changed, and only finishes the rest. `shared.usecases.beginning` chooses
between one file, a batch of several and corrected rows; all three end here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared import documents, paths, runs
from shared.documents import timestamp
from shared.errors import InProgress, ObjectNotFound, PreconditionFailed, Rejected
from shared.events import (
    DataRejected,
    Event,
    LabellingRequested,
    ScoringRequested,
    TrainingRequested,
    publish,
)
from shared.files import guards
from shared.manifests import read_manifest
from shared.ports import Blob, Bucket, Clock, ObjectInfo, Publisher
from shared.routes import DataUpload, Intent
from shared.runs import InputRef, RunRequest
from shared.served import champion_of
from shared.spec.model import RegisteredSpec
from shared.uploads import source_of

FORCE = "millrace-force"
_REQUESTS = {
    "train": TrainingRequested,
    "score": ScoringRequested,
    "label": LabellingRequested,
}


@dataclass(frozen=True, slots=True)
class Intake:
    """The ports of the way in, how long a claim lives, which installation this is, and how long a
    file waits for its model's first spec."""

    inbox: Bucket
    lake: Bucket
    publisher: Publisher
    clock: Clock
    claim_seconds: int
    context: str
    spec_wait_seconds: int = 600

    def say(self, event: Event) -> None:
        publish(event, publisher=self.publisher, clock=self.clock)

    def note(self, model: str, run_id: str, name: str, /, **facts: object) -> None:
        runs.note(model, run_id, name, lake=self.lake, clock=self.clock, **facts)


def start_run(
    destination: DataUpload, head: Blob, run_id: str, registered: RegisteredSpec, ports: Intake
) -> dict[str, Any]:
    """The run of one file. `head` are its first bytes, with the generation they are of.
    Raises Rejected."""
    model, intent, upload = destination.model, destination.intent, head.info
    guard(destination, head, registered, ports.lake)
    key = question(model, intent, [content_of(upload)], registered.generation, ports.lake)
    first = None if is_forced(upload) else same_content(key, model, run_id, ports)
    if first is not None:
        return end_as_duplicate(model, run_id, first, source_of(upload), ports)
    copy = copy_input(destination, upload, run_id, ports.lake)
    if copy is None:
        return end_as_superseded(model, run_id, upload, ports)
    request = RunRequest(
        model=model,
        run_id=run_id,
        kind=intent,
        requested_at=timestamp(ports.clock.now()),
        requested_by="upload",
        spec_generation=registered.generation,
        content_key=key,
        size=registered.spec.size,
        inputs=(InputRef.of(copy, source_of(upload)),),
    )
    return ask(request, ports)


# --- steps ---------------------------------------------------------------------------------------


def first_bytes(upload: ObjectInfo, ports: Intake) -> Blob | None:
    """The head of exactly this generation, with the marks it was uploaded with; None when it is
    gone."""
    try:
        return ports.inbox.read(
            upload.name, generation=upload.generation, start=0, end=guards.HEAD_BYTES
        )
    except ObjectNotFound:
        return None


def guard(destination: DataUpload, head: Blob, registered: RegisteredSpec, lake: Bucket) -> None:
    """Raises Rejected for first bytes that cannot be a file for this spec, or of which the version
    that serves could make nothing."""
    scored = destination.intent == "score"
    guards.check_head(
        head.data,
        head.info.size_bytes,
        registered.spec,
        destination.intent,
        name=destination.file_name,
        source=destination.source,
        served=champion_of(destination.model, lake=lake) if scored else None,
    )


def copy_input(
    destination: DataUpload, upload: ObjectInfo, run_id: str, lake: Bucket
) -> ObjectInfo | None:
    """Copy by rewrite, create-only: later overwrites in the inbox change nothing. None when the
    upload is gone."""
    name = paths.input_copy(destination.model, destination.intent, run_id, destination.file_name)
    try:
        return lake.copy(
            upload.bucket,
            upload.name,
            name,
            source_generation=upload.generation,
            if_generation=0,
        )
    except PreconditionFailed:
        return lake.stat(name)
    except ObjectNotFound:
        return None


def ask(request: RunRequest, ports: Intake) -> dict[str, Any]:
    """Decide the run: store what is asked, then announce it."""
    runs.save_request(request, lake=ports.lake)
    return announce(request, ports)


def announce(request: RunRequest, ports: Intake) -> dict[str, Any]:
    """Note and publish what was asked. Repeatable."""
    model, run_id, kind = request.model, request.run_id, request.kind
    new = request.inputs[-1]  # of a replay the corrected file, before it come the original ones
    facts: dict[str, Any] = {"source": new.source, "kind": kind, "size_bytes": new.size_bytes}
    if request.replays:
        facts["replays"] = request.replays
        link = f"{runs.REPLAYED_BY}{run_id}"
        ports.note(model, request.replays, link, run_id=run_id, source=new.source)
    elif len(request.inputs) > 1:
        facts["source"] = ", ".join(item.source for item in request.inputs)
        facts["sources"] = [item.role for item in request.inputs]
        facts["size_bytes"] = sum(item.size_bytes for item in request.inputs)
    ports.note(model, run_id, "requested", **facts)
    ports.say(_REQUESTS[kind](model=model, run_id=run_id))
    return {"state": "requested", "model": model, "kind": kind}


def announce_again(model: str, run_id: str, ports: Intake) -> dict[str, Any] | None:
    """As `announce` for a run that was decided before; None when it was not."""
    try:
        request = runs.read_request(model, run_id, lake=ports.lake)
    except ObjectNotFound:
        return None
    return announce(request, ports)


# --- the same question again ---------------------------------------------------------------------


def content_of(info: ObjectInfo | InputRef) -> str:
    """The content of an object as Google hashes it: a composed one has no md5."""
    return f"md5:{info.md5}" if info.md5 else f"crc32c:{info.crc32c}:{info.size_bytes}"


def question(
    model: str, intent: Intent, contents: Sequence[str], spec_generation: int, lake: Bucket
) -> str:
    """What makes two drops the same question (design section 3)."""
    parts = [model, intent, *contents, str(spec_generation)]
    if intent == "score":
        manifest = read_manifest(model, lake=lake)
        parts.append(manifest.version if manifest else "no champion")
    return "|".join(parts)


def is_forced(upload: ObjectInfo) -> bool:
    return bool(upload.metadata.get(FORCE))


def same_content(key: str, model: str, run_id: str, ports: Intake) -> str | None:
    """The run that already answers this question, or None when this run is to do it."""
    path = paths.content_claim(key)
    mine = {"key": key, "run_id": run_id}
    if documents.create(ports.lake, path, mine):
        return None
    found = documents.read(ports.lake, path)
    other = str(found.body["run_id"])
    if other == run_id:
        return None
    before = runs.state(model, other, lake=ports.lake)
    came_to_nothing = before.state in ("rejected", "failed", "superseded", "expired")
    if not came_to_nothing and _asked_whom_it_says(key, model, other, ports.lake):
        return other
    try:
        documents.swap(ports.lake, path, mine, generation=found.generation)
    except PreconditionFailed as error:
        raise InProgress("another upload of the same content is being taken in") from error
    return None


def _asked_whom_it_says(key: str, model: str, run_id: str, lake: Bucket) -> bool:
    """False for a score run that waited while the champion moved: it was answered by another
    version than that of its question."""
    launch = documents.read(lake, paths.run_launch(model, run_id))
    return not launch.exists or key.endswith(f"|{launch.body['champion']}")


# --- runs that end at the door -------------------------------------------------------------------


def end_as_duplicate(
    model: str, run_id: str, first: str, source: str, ports: Intake
) -> dict[str, Any]:
    why = f"same as {first}; drop it with --force to repeat"
    ports.note(model, run_id, "duplicate", source=source, same_as=first, why=why)
    return {"state": "duplicate", "model": model, "same_as": first}


def end_as_superseded(model: str, run_id: str, upload: ObjectInfo, ports: Intake) -> dict[str, Any]:
    source = source_of(upload)
    why = f"{source} was replaced or deleted before it was read"
    ports.note(model, run_id, "superseded", source=source, why=why)
    return {"state": "superseded", "model": model}


def record_refusal(
    model: str, upload: ObjectInfo, run_id: str, error: Rejected, ports: Intake
) -> dict[str, Any]:
    """Keep why an upload can never work, end its run with that, tell people. What was kept first
    stays."""
    source = source_of(upload)
    facts = {"source": source, "reason": error.reason, "message": str(error)}
    documents.create(
        ports.lake,
        paths.rejection(model, run_id),
        {**facts, "run_id": run_id, "at": timestamp(ports.clock.now())},
    )
    # Said before the run ends: a redelivery looks no further than at a run that has ended.
    ports.say(
        DataRejected(
            model=model, run_id=run_id, source=source, reason=error.reason, message=str(error)
        )
    )
    ports.note(model, run_id, "rejected", **facts)
    return {"state": "rejected", "model": model, "reason": error.reason}


def finish_refusal(model: str, run_id: str, ports: Intake) -> None:
    """A refusal that was written down is decided, whatever a changed spec would say now. Raises
    Rejected as it was then."""
    kept = documents.read(ports.lake, paths.rejection(model, run_id)).body
    if kept:
        raise Rejected(kept["message"], reason=kept["reason"])
