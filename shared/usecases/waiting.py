"""Files that came before their model's spec. Waiting is state in the lake, never a nack.

    waiting/<model>/<key>.json   {upload, run_id, since, decision: null | "released" | "expired"}

Releasing and expiring both swap `decision` first, so only one of them ever happens; the marker is
deleted when what was decided is done. Whoever finds a decided marker finishes that decision.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from shared import documents, paths, runs
from shared.claims import Claim
from shared.documents import timestamp
from shared.errors import ObjectNotFound, PreconditionFailed, Rejected, UnknownModel
from shared.events import parse_time
from shared.ports import Bucket, ObjectInfo
from shared.routes import DataUpload, route
from shared.spec.model import RegisteredSpec
from shared.spec.registry import find_spec, known_models
from shared.usecases.starting import Intake, record_refusal, start_run


def wait_for_spec(destination: DataUpload, upload: ObjectInfo, claim: Claim, ports: Intake) -> None:
    """Leave a marker that registering the spec will find."""
    model = destination.model
    body = {
        "upload": {**asdict(upload), "created": timestamp(upload.created)},
        "run_id": claim.run_id,
        "since": timestamp(ports.clock.now()),
        "decision": None,
    }
    documents.create(ports.lake, paths.waiting(model, claim.key), body)
    runs.note(
        model, claim.run_id, "waiting-spec", lake=ports.lake, clock=ports.clock, source=claim.key
    )


def release(model: str, registered: RegisteredSpec, ports: Intake) -> None:
    """Start what waits for this model's spec."""
    for info in list(ports.lake.list(f"waiting/{model}/")):
        marker = _decide(info.name, "released", ports.lake)
        if marker is None:
            continue
        upload = _upload(marker)
        destination = route(upload.name)
        if marker["decision"] == "released" and isinstance(destination, DataUpload):
            try:
                start_run(destination, upload, marker["run_id"], registered, ports)
            except Rejected as error:
                record_refusal(model, upload, marker["run_id"], error, ports)
            _forget(ports.lake, info.name)


def settle(ports: Intake, *, wait_seconds: int) -> int:
    """Release what has a spec by now, refuse what waited longer than `wait_seconds`, finish what
    was decided before a crash. Returns how many markers were settled."""
    settled = 0
    for info in list(ports.lake.list("waiting/")):
        model = info.name.split("/")[1]
        registered = find_spec(model, lake=ports.lake)
        if registered is not None:
            release(model, registered, ports)
            settled += 1
            continue
        age = (ports.clock.now() - info.created).total_seconds()
        marker = _decide(info.name, "expired", ports.lake) if age > wait_seconds else None
        if marker is not None and marker["decision"] == "expired":
            _refuse(model, marker, wait_seconds, ports)
            _forget(ports.lake, info.name)
            settled += 1
    return settled


def _refuse(model: str, marker: dict[str, Any], wait_seconds: int, ports: Intake) -> None:
    waited = f"{ports.clock.now() - parse_time(marker['since'])}".split(".")[0]
    known = ", ".join(known_models(lake=ports.lake)) or "none yet"
    error = UnknownModel(
        f"there is no spec for {model!r} (waited {waited}, at least {wait_seconds} s); known "
        f"models: {known}. Drop _specs/{model}.yaml, then this file again"
    )
    record_refusal(model, _upload(marker), marker["run_id"], error, ports)


def _decide(name: str, decision: str, lake: Bucket) -> dict[str, Any] | None:
    """The marker with the decision in force: ours, or the one that came first. None when it is
    gone or changing, which means that somebody else is settling it."""
    found = documents.read(lake, name)
    if not found.exists:
        return None
    if found.body["decision"] is not None:
        return found.body
    body = {**found.body, "decision": decision}
    try:
        documents.swap(lake, name, body, generation=found.generation)
    except PreconditionFailed:
        return None
    return body


def _upload(marker: dict[str, Any]) -> ObjectInfo:
    upload = marker["upload"]
    return ObjectInfo(**{**upload, "created": parse_time(upload["created"])})


def _forget(lake: Bucket, name: str) -> None:
    try:
        lake.delete(name)
    except ObjectNotFound:
        return  # another delivery settled it as well; all of it is repeatable
