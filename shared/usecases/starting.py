"""From an accepted upload to a requested run, or to a recorded refusal.

    guard first bytes -> content claim -> copy to lake -> request.json -> note -> publish

Every step is create-only or repeatable, so doing all of it again for the same run id changes
nothing. Once request.json is there the run is decided: a repeat looks at neither file nor spec
again, which may have changed, and only finishes the rest. `intake` calls it for an upload,
`waiting` for one that waited for its spec.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared import documents, guards, paths, runs
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
from shared.manifests import read_manifest
from shared.ports import Bucket, Clock, ObjectInfo, Publisher
from shared.routes import DataUpload
from shared.runs import InputRef, RunRequest
from shared.spec.model import RegisteredSpec

FORCE = "millrace-force"
_REQUESTS = {
    "train": TrainingRequested,
    "score": ScoringRequested,
    "label": LabellingRequested,
}


@dataclass(frozen=True, slots=True)
class Intake:
    """The ports of the way in, and how long a claim lives."""

    inbox: Bucket
    lake: Bucket
    publisher: Publisher
    clock: Clock
    claim_seconds: int

    def say(self, event: Event) -> None:
        publish(event, publisher=self.publisher, clock=self.clock)


def source_of(upload: ObjectInfo) -> str:
    """The natural identity of an upload."""
    return f"gs://{upload.bucket}/{upload.name}#{upload.generation}"


def start_run(
    destination: DataUpload,
    upload: ObjectInfo,
    run_id: str,
    registered: RegisteredSpec,
    ports: Intake,
) -> dict[str, Any]:
    model, intent = destination.model, destination.intent
    try:
        return _request(runs.read_request(model, run_id, lake=ports.lake), ports)
    except ObjectNotFound:
        pass
    source = source_of(upload)
    try:
        blob = ports.inbox.read(
            upload.name, generation=upload.generation, start=0, end=guards.HEAD_BYTES
        )
    except ObjectNotFound:
        runs.note(
            model,
            run_id,
            "superseded",
            lake=ports.lake,
            clock=ports.clock,
            why=f"{source} was replaced or deleted before it was read",
        )
        return {"state": "superseded", "model": model}
    guards.check_head(blob.data, blob.info.size_bytes, registered.spec, intent)
    key = content_key(destination, blob.info, registered, ports.lake)
    first = None if upload.metadata.get(FORCE) else _same_content(key, model, run_id, ports)
    if first is not None:
        runs.note(
            model,
            run_id,
            "duplicate",
            lake=ports.lake,
            clock=ports.clock,
            source=source,
            same_as=first,
            why=f"same as {first}; drop it with --force to repeat",
        )
        return {"state": "duplicate", "model": model, "same_as": first}
    copy = _copy_input(destination, upload, run_id, ports.lake)
    request = RunRequest(
        model=model,
        run_id=run_id,
        kind=intent,
        requested_at=timestamp(ports.clock.now()),
        requested_by="upload",
        spec_generation=registered.generation,
        content_key=key,
        size=registered.spec.size,
        inputs=(InputRef.of(copy, source),),
    )
    runs.save_request(request, lake=ports.lake)
    return _request(request, ports)


def _request(request: RunRequest, ports: Intake) -> dict[str, Any]:
    """Note and publish what was asked."""
    model, run_id, kind = request.model, request.run_id, request.kind
    (copy,) = request.inputs
    facts = {"source": copy.source, "kind": kind, "size_bytes": copy.size_bytes}
    runs.note(model, run_id, "requested", lake=ports.lake, clock=ports.clock, **facts)
    ports.say(_REQUESTS[kind](model=model, run_id=run_id))
    return {"state": "requested", "model": model, "kind": kind}


def _copy_input(
    destination: DataUpload, upload: ObjectInfo, run_id: str, lake: Bucket
) -> ObjectInfo:
    """Copy by rewrite, create-only: later overwrites in the inbox change nothing."""
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


def content_key(
    destination: DataUpload, info: ObjectInfo, registered: RegisteredSpec, lake: Bucket
) -> str:
    """What makes two drops the same question (design section 3)."""
    content = f"md5:{info.md5}" if info.md5 else f"crc32c:{info.crc32c}:{info.size_bytes}"
    parts = [destination.model, destination.intent, content, str(registered.generation)]
    if destination.intent == "score":
        manifest = read_manifest(destination.model, lake=lake)
        parts.append(manifest.version if manifest else "no champion")
    return "|".join(parts)


def _same_content(key: str, model: str, run_id: str, ports: Intake) -> str | None:
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
    if before.state not in ("rejected", "failed", "superseded", "expired"):
        return other
    try:
        documents.swap(ports.lake, path, mine, generation=found.generation)
    except PreconditionFailed as error:
        raise InProgress("another upload of the same content is being taken in") from error
    return None


# --- refusals ------------------------------------------------------------------------------------


def record_refusal(
    model: str, upload: ObjectInfo, run_id: str, error: Rejected, ports: Intake
) -> dict[str, Any]:
    source = source_of(upload)
    facts = {"source": source, "reason": error.reason, "message": str(error)}
    documents.create(
        ports.lake,
        paths.rejection(model, run_id),
        {**facts, "run_id": run_id, "at": timestamp(ports.clock.now())},
    )
    runs.note(model, run_id, "rejected", lake=ports.lake, clock=ports.clock, **facts)
    ports.say(
        DataRejected(
            model=model, run_id=run_id, source=source, reason=error.reason, message=str(error)
        )
    )
    return {"state": "rejected", "model": model, "reason": error.reason}
