"""Files that came before their model's spec. Waiting is state in the lake, never a nack.

    waiting/<model>/<key>.json   {upload, run_id, since, decision: null | "released" | "expired"}

Releasing and expiring both swap `decision` first, so only one of them ever happens; the marker is
deleted when what was decided is done. Whoever finds a decided marker finishes that decision.
"""

from __future__ import annotations

from typing import Any

from shared import documents, paths
from shared.claims import Claim
from shared.documents import timestamp
from shared.errors import ObjectNotFound, PreconditionFailed, Rejected, UnknownModel
from shared.events import parse_time
from shared.ports import Bucket, ObjectInfo
from shared.routes import DataUpload, route
from shared.spec.model import RegisteredSpec
from shared.spec.registry import find_spec, known_models
from shared.uploads import as_document, of_document
from shared.usecases.beginning import begin
from shared.usecases.starting import Intake, record_refusal


def wait_for_spec(destination: DataUpload, upload: ObjectInfo, claim: Claim, ports: Intake) -> None:
    """Leave a marker that registering the spec will find."""
    model = destination.model
    body = {
        "upload": as_document(upload),
        "run_id": claim.run_id,
        "since": timestamp(ports.clock.now()),
        "decision": None,
    }
    documents.create(ports.lake, paths.waiting(model, claim.key), body)
    ports.note(model, claim.run_id, "waiting-spec", source=claim.key)


def release(model: str, registered: RegisteredSpec, ports: Intake) -> None:
    """Start what waits for this model's spec."""
    for info in list(ports.lake.list(f"waiting/{model}/")):
        _settle(info.name, registered, ports)


def settle(name: str, ports: Intake, *, wait_seconds: int) -> int:
    """Release the file of this marker if it has a spec by now, refuse it if it waited longer than
    `wait_seconds`, finish what was decided before a crash. Returns 1 when it is settled."""
    marker = documents.read(ports.lake, name)
    if not marker.exists:
        return 0
    registered = find_spec(name.split("/")[1], lake=ports.lake)
    waited = ports.clock.now() - parse_time(marker.body["since"])
    if registered is None and waited.total_seconds() <= wait_seconds:
        return 0
    return _settle(name, registered, ports)


def _settle(name: str, registered: RegisteredSpec | None, ports: Intake) -> int:
    """Decide, unless that was done, and carry out whatever was decided."""
    marker = _decide(name, "released" if registered else "expired", ports.lake)
    if marker is None or (marker["decision"] == "released" and registered is None):
        return 0
    upload = of_document(marker["upload"])
    destination = route(upload.name)
    try:
        if marker["decision"] == "expired":
            raise _no_spec(name.split("/")[1], marker, ports)
        if registered is not None and isinstance(destination, DataUpload):
            begin(destination, upload, marker["run_id"], registered, ports)
    except Rejected as error:
        record_refusal(name.split("/")[1], upload, marker["run_id"], error, ports)
    _forget(ports.lake, name)
    return 1


def _no_spec(model: str, marker: dict[str, Any], ports: Intake) -> UnknownModel:
    waited = f"{ports.clock.now() - parse_time(marker['since'])}".split(".")[0]
    known = ", ".join(known_models(lake=ports.lake)) or "none yet"
    return UnknownModel(
        f"there was no spec for {model!r} within {waited}; known models: {known}. Drop "
        f"_specs/{model}.yaml, then this file again"
    )


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


def _forget(lake: Bucket, name: str) -> None:
    try:
        lake.delete(name)
    except ObjectNotFound:
        return  # another delivery settled it as well; all of it is repeatable
