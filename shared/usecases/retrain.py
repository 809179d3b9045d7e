"""From an alert to at most one training, and always to one note that says why.

    claim(incident) -> rule -> ledger (swap: one decision at a time per model)
        -> incidents/<model>/<incident>.json (create-only: decided) -> request -> note -> publish
        -> AutomationNoted -> complete

The run id is the claim's, so every delivery of the incident means the same run. After the ledger
or the incident is written, a repeat only finishes what was decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from shared import claims, documents, paths, runs
from shared.claims import Claim
from shared.documents import timestamp
from shared.errors import ObjectNotFound, PreconditionFailed, Retryable
from shared.events import (
    AutomationNoted,
    DriftDetected,
    Event,
    PerformanceDropped,
    TrainingRequested,
    parse_time,
    publish,
)
from shared.labelled import LabelFile, label_objects, open_summary
from shared.manifests import Manifest, read_manifest
from shared.ports import Bucket, Clock, Publisher
from shared.retraining import Past, Ruling, Situation, rule
from shared.runs import RetrainCause, RunRequest
from shared.spec.model import RegisteredSpec
from shared.spec.registry import read_spec

SWAPS = 20
KEPT_TRAININGS = 100


@dataclass(frozen=True, slots=True)
class RetrainPorts:
    """The ports of the loop. `inbox` is the bucket's name, for people."""

    lake: Bucket
    publisher: Publisher
    clock: Clock
    claim_seconds: int
    inbox: str

    def say(self, event: Event) -> None:
        publish(event, publisher=self.publisher, clock=self.clock)


def consider(event: DriftDetected | PerformanceDropped, ports: RetrainPorts) -> str:
    """Decide about an incident once, and carry the decision out; "training" or "note" comes back.
    Raises InProgress while another delivery is at it."""
    key = f"retrain:{event.model}:{event.incident_id}"
    claim = claims.take(
        paths.claim(key), key, lake=ports.lake, clock=ports.clock, seconds=ports.claim_seconds
    )
    if claim.result is not None:
        return str(claim.result["action"])
    name = paths.incident(event.model, event.incident_id)
    incident = documents.read(ports.lake, name)
    body = incident.body if incident.exists else _decide(event, claim, ports)
    if not incident.exists and not documents.create(ports.lake, name, body):
        body = documents.require(ports.lake, name)
    _carry_out(body, ports)
    action = str(body["decision"]["action"])
    claims.complete(claim, {"action": action}, lake=ports.lake, clock=ports.clock)
    return action


# --- deciding ------------------------------------------------------------------------------------


def _decide(
    event: DriftDetected | PerformanceDropped, claim: Claim, ports: RetrainPorts
) -> dict[str, Any]:
    """The incident with its decision. A training enters the model's ledger before it is decided
    for, so two incidents at once cannot both use the last try. Raises Retryable."""
    model, lake = event.model, ports.lake
    registered = read_spec(model, lake=lake)
    for _ in range(SWAPS):
        ledger = documents.read(lake, paths.retrain_ledger(model))
        trainings: list[dict[str, Any]] = ledger.body.get("trainings", [])
        mine = next((t for t in trainings if t["incident_id"] == event.incident_id), None)
        if mine is not None:
            return _incident(event, mine["decision"], ports)
        decision = _decision(event, claim, registered, trainings, ports)
        if decision["action"] == "note":
            return _incident(event, decision, ports)
        entry = {
            "incident_id": event.incident_id,
            "run_id": claim.run_id,
            "at": timestamp(ports.clock.now()),
            "decision": decision,
        }
        body = {"trainings": [*trainings, entry][-KEPT_TRAININGS:]}
        try:
            documents.swap(lake, paths.retrain_ledger(model), body, generation=ledger.generation)
        except PreconditionFailed:
            continue  # another incident of this model was decided: look again
        return _incident(event, decision, ports)
    raise Retryable(f"the retrain ledger of {model} is contended")


def _decision(
    event: DriftDetected | PerformanceDropped,
    claim: Claim,
    registered: RegisteredSpec,
    trainings: list[dict[str, Any]],
    ports: RetrainPorts,
) -> dict[str, Any]:
    lake, model = ports.lake, event.model
    manifest = read_manifest(model, lake=lake)
    champion = _champion(model, manifest, lake)
    since = parse_time(champion["requested_at"]) if champion else None
    files = _new_labels(model, champion, lake)
    situation = Situation(
        model=model,
        alert="drift" if isinstance(event, DriftDetected) else "performance",
        about_version=event.version,
        champion=manifest.version if manifest else None,
        champion_since=since,
        pinned=manifest.pinned if manifest else False,
        new_labels=sum(file.summary.matched for file in files),
        past=[_past(model, entry, since, lake) for entry in trainings],
        now=ports.clock.now(),
        inbox=ports.inbox,
    )
    ruling = rule(situation, registered.spec.retrain)
    decision: dict[str, Any] = {
        "action": "training" if ruling.train else "note",
        "guard": ruling.guard,
        "policy": ruling.policy,
        "sentence": _sentence(ruling, claim),
        "asks": ruling.asks,
        "new_labels": situation.new_labels,
        "champion": situation.champion,
    }
    if ruling.train:
        decision["request"] = asdict(_request(event, claim, registered, files, ports))
    return decision


def _champion(model: str, manifest: Manifest | None, lake: Bucket) -> dict[str, Any] | None:
    """When the champion's training was requested, and the labels it learned from."""
    if manifest is None:
        return None
    version = documents.require(lake, paths.version(model, manifest.version, "version.json"))
    try:
        asked = runs.read_request(model, version["run_id"], lake=lake).requested_at
    except ObjectNotFound:
        asked = version["created"]  # a version that was not made by a run of ours
    return {"requested_at": asked, "labels_used": version.get("labels_used", [])}


def _new_labels(model: str, champion: Mapping[str, Any] | None, lake: Bucket) -> list[LabelFile]:
    """Label files that arrived after the champion's training was requested and are none of its."""
    if champion is None:
        return []
    since, used = parse_time(champion["requested_at"]), set(champion["labels_used"])
    found = []
    for info in label_objects(model, lake=lake):
        if info.created <= since or info.name in used:
            continue
        try:
            file = open_summary(model, info, lake=lake)
        except ObjectNotFound:
            continue  # put there by hand: nobody checked it
        if file.summary.matched:
            found.append(file)
    return found


def _past(model: str, entry: Mapping[str, Any], since: datetime | None, lake: Bucket) -> Past:
    """How a training ended matters only if it was to beat today's champion."""
    at = parse_time(entry["at"])
    state = "" if since and at <= since else runs.state(model, entry["run_id"], lake=lake).state
    return Past(entry["incident_id"], entry["run_id"], at, state)


def _sentence(ruling: Ruling, claim: Claim) -> str:
    return ruling.sentence + (f" Its run is {claim.run_id}." if ruling.train else "")


def _incident(
    event: DriftDetected | PerformanceDropped, decision: Mapping[str, Any], ports: RetrainPorts
) -> dict[str, Any]:
    return {
        "incident_id": event.incident_id,
        "opened_by": event.incident,
        "event": event.id,
        "kind": event.type,
        "model": event.model,
        "version": event.version,
        "channel": event.channel,
        "window_start": timestamp(event.window_start),
        "window_end": timestamp(event.window_end),
        "report": event.report,
        "opened": timestamp(ports.clock.now()),
        "decision": dict(decision),
    }


# --- carrying out --------------------------------------------------------------------------------


def _request(
    event: DriftDetected | PerformanceDropped,
    claim: Claim,
    registered: RegisteredSpec,
    files: list[LabelFile],
    ports: RetrainPorts,
) -> RunRequest:
    contents = sorted(file.info.md5 or file.info.crc32c for file in files)
    parts = [event.model, "train", *contents, str(registered.generation), event.incident_id]
    return RunRequest(
        model=event.model,
        run_id=claim.run_id,
        kind="train",
        requested_at=timestamp(ports.clock.now()),
        requested_by="retrain",
        spec_generation=registered.generation,
        content_key="|".join(parts),
        size=registered.spec.size,
        retrain=RetrainCause(
            incident_id=event.incident_id,
            champion=event.version,
            label_objects=tuple(file.info.name for file in files),
        ),
    )


def _carry_out(incident: Mapping[str, Any], ports: RetrainPorts) -> None:
    """Request the training that was decided for, if one was, and say what was decided."""
    decision = incident["decision"]
    if decision["action"] == "training":
        request = RunRequest.of(decision["request"])
        runs.save_request(request, lake=ports.lake)
        runs.note(
            request.model,
            request.run_id,
            "requested",
            lake=ports.lake,
            clock=ports.clock,
            kind="train",
            source=f"incident {incident['incident_id']}",
        )
        ports.say(TrainingRequested(model=request.model, run_id=request.run_id))
    ports.say(
        AutomationNoted(
            model=incident["model"],
            source="retrain",
            subject=incident["incident_id"],
            sentence=decision["sentence"],
            asks=decision["asks"],
            incident=incident.get("opened_by") or incident["incident_id"],
            kind="drift" if incident["kind"] == DriftDetected.__name__ else "performance",
            answer=decision["action"],
        )
    )
