"""Files that came before their model's spec. Waiting is state in the lake, never a nack.

    waiting/<model>/<key>.json   {upload, run_id, since, decision: null | "released" | "expired",
                                  spec_generation}

Releasing and expiring both swap `decision` first, so only one of them ever happens; the marker is
deleted when what was decided is done. Whoever finds a decided marker finishes that decision, with
the spec that released the file: two that judged it by two specs could both run and refuse it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from shared import documents, paths, runs
from shared.claims import Claim
from shared.documents import timestamp
from shared.errors import ObjectNotFound, PreconditionFailed, Rejected, UnknownModel
from shared.events import parse_time
from shared.ports import Bucket, ObjectInfo
from shared.routes import DataUpload, route
from shared.spec.model import RegisteredSpec
from shared.spec.registry import find_spec, known_models, read_registered
from shared.uploads import as_document, of_document
from shared.usecases.beginning import begin
from shared.usecases.starting import Intake, record_refusal


def wait_for_spec(destination: DataUpload, upload: ObjectInfo, claim: Claim, ports: Intake) -> None:
    """Leave a marker that registering the spec will find, and say until when that is possible."""
    model, now = destination.model, ports.clock.now()
    body = {
        "upload": as_document(upload),
        "run_id": claim.run_id,
        "since": timestamp(now),
        "decision": None,
        "spec_generation": None,
    }
    documents.create(ports.lake, paths.waiting(model, claim.key), body)
    until = timestamp(now + timedelta(seconds=ports.spec_wait_seconds))
    ports.note(model, claim.run_id, "waiting-spec", source=claim.key, until=until)


def waits(model: str, key: str, *, lake: Bucket) -> bool:
    """True while the marker of an upload is there: what becomes of it is decided in the marker."""
    return documents.read(lake, paths.waiting(model, key)).exists


def release(model: str, registered: RegisteredSpec, ports: Intake) -> None:
    """Start what waits for this model's spec."""
    for info in list(ports.lake.list(f"waiting/{model}/")):
        _settle(info.name, registered, ports)


def settle(name: str, ports: Intake) -> int:
    """Release the file of this marker if it has a spec by now, refuse it if it waited longer than
    an upload may, finish what was decided before a crash. Returns 1 when it is settled."""
    marker = documents.read(ports.lake, name)
    if not marker.exists:
        return 0
    registered = find_spec(name.split("/")[1], lake=ports.lake)
    waited = ports.clock.now() - parse_time(marker.body["since"])
    if registered is None and waited.total_seconds() <= ports.spec_wait_seconds:
        return 0
    return _settle(name, registered, ports)


def _settle(name: str, registered: RegisteredSpec | None, ports: Intake) -> int:
    """Decide, unless that was done, and carry out whatever was decided."""
    marker = _decide(name, registered, ports.lake)
    if marker is None:
        return 0
    model, run_id = name.split("/")[1], marker["run_id"]
    # A run that has ended was settled by somebody who did not live to delete the marker.
    if not runs.state(model, run_id, lake=ports.lake).terminal:
        _carry_out(model, marker, ports)
    _forget(ports.lake, name)
    return 1


def _carry_out(model: str, marker: dict[str, Any], ports: Intake) -> None:
    run_id, upload = marker["run_id"], of_document(marker["upload"])
    destination = route(upload.name)
    try:
        if marker["decision"] == "expired":
            raise _no_spec(model, ports)
        if isinstance(destination, DataUpload):
            judge = read_registered(model, marker["spec_generation"], lake=ports.lake)
            begin(destination, upload, run_id, judge, ports)
    except Rejected as error:
        record_refusal(model, upload, run_id, error, ports)


def _no_spec(model: str, ports: Intake) -> UnknownModel:
    known = ", ".join(known_models(lake=ports.lake)) or "none yet"
    return UnknownModel(
        f"there was no spec for {model!r} within the {ports.spec_wait_seconds} seconds that a file "
        f"waits for one; known models: {known}. Drop _specs/{model}.yaml, then this file again"
    )


def _decide(name: str, registered: RegisteredSpec | None, lake: Bucket) -> dict[str, Any] | None:
    """The marker with the decision in force: ours, or the one that came first. None when it is
    gone or changing, which means that somebody else is settling it."""
    found = documents.read(lake, name)
    if not found.exists:
        return None
    if found.body["decision"] is not None:
        return found.body
    body = {**found.body, "decision": "released" if registered else "expired"}
    body["spec_generation"] = registered.generation if registered else None
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
