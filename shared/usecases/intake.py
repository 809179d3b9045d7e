"""The way in: an object was finalized in the inbox; make it a run, a spec, or a clear refusal.

    claim(upload) -> route -> begin | register spec | wait for spec | refuse -> complete

Reads first bytes and metadata only. The original is never moved or altered. A file whose spec is
not known yet waits as state (`waiting/`), never as a nack; registering the spec releases it.
"""

from __future__ import annotations

from typing import Any

from shared import claims, paths, runs
from shared.claims import Claim
from shared.errors import ObjectNotFound, Rejected, Retryable
from shared.ports import ObjectInfo
from shared.routes import SpecUpload, is_litter, route
from shared.spec.model import RegisteredSpec
from shared.spec.registry import find_spec
from shared.uploads import source_of
from shared.usecases.beginning import begin
from shared.usecases.registering import register_upload
from shared.usecases.starting import Intake, finish_refusal, record_refusal
from shared.usecases.waiting import release, wait_for_spec, waits

UNROUTED = "_unrouted"


def take_in(upload: ObjectInfo, ports: Intake) -> str:
    """Handle one finalize notification; a word for what became of it comes back. Raises
    InProgress while another delivery of the same upload is at work."""
    if is_litter(upload.name):
        return "litter"
    key = source_of(upload)
    claim = claims.take(
        paths.claim(key), key, lake=ports.lake, clock=ports.clock, seconds=ports.claim_seconds
    )
    if claim.done:
        return "already done"
    try:
        result = _handle(upload, claim, ports)
    except Rejected as error:
        result = refuse(upload, claim, error, ports)
    claims.complete(claim, result, lake=ports.lake, clock=ports.clock)
    return str(result["state"])


def _handle(upload: ObjectInfo, claim: Claim, ports: Intake) -> dict[str, Any]:
    destination = route(upload.name)
    if isinstance(destination, SpecUpload):
        return _take_spec(destination, upload, claim, ports)
    # Before the run's state: whoever settles a waiting file deletes its marker last.
    waiting = claim.attempt > 1 and waits(destination.model, claim.key, lake=ports.lake)
    if claim.attempt > 1:
        before = runs.state(destination.model, claim.run_id, lake=ports.lake)
        if before.terminal:  # it went on without us: from the waiting marker, or to its end
            return {"state": before.state, "model": destination.model}
        finish_refusal(destination.model, claim.run_id, ports)
    registered = find_spec(destination.model, lake=ports.lake)
    registered = registered or _register_from_inbox(destination.model, ports)
    if registered is None or waiting:
        wait_for_spec(destination, upload, claim, ports)
        # Registered between the look and the marker? Then nobody will release it but us.
        registered = find_spec(destination.model, lake=ports.lake)
        if registered is None:
            return {"state": "waiting_for_spec", "model": destination.model}
        release(destination.model, registered, ports)
        return {"state": "released", "model": destination.model}
    return begin(destination, upload, claim.run_id, registered, ports)


# --- specs ---------------------------------------------------------------------------------------


def _take_spec(
    destination: SpecUpload, upload: ObjectInfo, claim: Claim, ports: Intake
) -> dict[str, Any]:
    model = destination.model
    done = register_upload(model, upload, ports)
    ports.note(model, claim.run_id, done.note, **done.facts)
    release(model, done.in_force, ports)
    state = runs.state(model, claim.run_id, lake=ports.lake).state
    return {"state": state, "model": model, "generation": done.in_force.generation}


def _register_from_inbox(model: str, ports: Intake) -> RegisteredSpec | None:
    """A data file came before its spec's own event: read the spec ourselves. A bad or busy spec
    is left to its own delivery."""
    try:
        upload = ports.inbox.stat(paths.spec_upload(model))
        return register_upload(model, upload, ports).in_force
    except (ObjectNotFound, Rejected, Retryable):
        return None


def refuse(upload: ObjectInfo, claim: Claim, error: Rejected, ports: Intake) -> dict[str, Any]:
    """Record why an upload can never work, in the lake and as an alert."""
    model = upload.name.split("/")[0]
    if model == "_specs":
        model = upload.name.split("/")[-1].rpartition(".")[0]
    if not paths.is_model_name(model):
        model = UNROUTED
    return record_refusal(model, upload, claim.run_id, error, ports)
