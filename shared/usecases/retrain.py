"""From an alert (or a refresh that is due) to at most one training, and to one note that says why.

    claim(incident) -> rule -> ledger (swap: one decision at a time per model)
        -> incidents/<model>/<incident>.json (create-only: decided) -> request -> note -> publish
        -> AutomationNoted -> complete

The run id is the claim's, so every delivery of the incident means the same run. After the ledger
or the incident is written, a repeat only finishes what was decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from shared import claims, documents, paths, runs
from shared.claims import Claim
from shared.documents import timestamp
from shared.errors import PreconditionFailed, Retryable
from shared.events import (
    AutomationNoted,
    DriftDetected,
    Event,
    PerformanceDropped,
    TrainingRequested,
    publish,
)
from shared.labelled import LabelFile
from shared.manifests import read_manifest
from shared.ports import Bucket, Clock, Publisher
from shared.retraining import Cause, Ruling, Situation, labels_needed, rule
from shared.runs import RetrainCause, RunRequest
from shared.spec.model import RegisteredSpec
from shared.spec.registry import read_spec
from shared.usecases.retrain_facts import (
    Occasion,
    alerted,
    champion_of,
    count_labelled,
    new_labels,
    past_of,
)

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


@dataclass(frozen=True, slots=True)
class _Looked:
    """What the ruling was made of."""

    ruling: Ruling
    champion: str | None
    files: tuple[LabelFile, ...]
    count: int


def consider(event: DriftDetected | PerformanceDropped, ports: RetrainPorts) -> str:
    """Decide about an incident once, and carry the decision out; "training" or "note" comes back,
    "left" where another alert of the model decides. Raises InProgress while another delivery is at
    it."""
    if event.decided_by:
        return "left"
    return settle(alerted(event, lake=ports.lake), ports)


def settle(occasion: Occasion, ports: RetrainPorts) -> str:
    """As `consider`; "later" where a refresh has to wait, which decides nothing."""
    model, lake = occasion.model, ports.lake
    claim = claims.take(
        paths.claim(occasion.key),
        occasion.key,
        lake=lake,
        clock=ports.clock,
        seconds=ports.claim_seconds,
    )
    if claim.result is not None:
        return str(claim.result["action"])
    name = paths.incident(model, occasion.incident_id)
    incident = documents.read(lake, name)
    body = incident.body if incident.exists else _decide(occasion, claim, ports)
    if body["decision"]["action"] == "later":
        claims.release(claim, lake=lake, clock=ports.clock)
        return "later"
    if not incident.exists and not documents.create(lake, name, body):
        body = documents.require(lake, name)
    _carry_out(body, ports)
    action = str(body["decision"]["action"])
    claims.complete(claim, {"action": action}, lake=lake, clock=ports.clock)
    return action


def has_to_wait(occasion: Occasion, ports: RetrainPorts) -> bool:
    """Whether nothing but time is in the way of a training."""
    spec = read_spec(occasion.model, lake=ports.lake)
    ledger = documents.read(ports.lake, paths.retrain_ledger(occasion.model))
    return _look(occasion, spec, ledger.body.get("trainings", []), ports).ruling.later


# --- deciding ------------------------------------------------------------------------------------


def _decide(occasion: Occasion, claim: Claim, ports: RetrainPorts) -> dict[str, Any]:
    """The incident with its decision. A training enters the model's ledger before it is decided
    for, so two incidents at once cannot both use the last try. Raises Retryable."""
    model, lake = occasion.model, ports.lake
    registered = read_spec(model, lake=lake)
    for _ in range(SWAPS):
        ledger = documents.read(lake, paths.retrain_ledger(model))
        trainings: list[dict[str, Any]] = ledger.body.get("trainings", [])
        mine = next((t for t in trainings if t["incident_id"] == occasion.incident_id), None)
        if mine is not None:
            return _incident(occasion, mine["decision"], ports)
        decision = _decision(occasion, claim, registered, trainings, ports)
        if decision["action"] != "training":
            return _incident(occasion, decision, ports)
        entry = {
            "incident_id": occasion.incident_id,
            "run_id": claim.run_id,
            "at": timestamp(ports.clock.now()),
            "decision": decision,
        }
        body = {"trainings": [*trainings, entry][-KEPT_TRAININGS:]}
        try:
            documents.swap(lake, paths.retrain_ledger(model), body, generation=ledger.generation)
        except PreconditionFailed:
            continue  # another incident of this model was decided: look again
        return _incident(occasion, decision, ports)
    raise Retryable(f"the retrain ledger of {model} is contended")


def _decision(
    occasion: Occasion,
    claim: Claim,
    registered: RegisteredSpec,
    trainings: list[dict[str, Any]],
    ports: RetrainPorts,
) -> dict[str, Any]:
    looked = _look(occasion, registered, trainings, ports)
    ruling = looked.ruling
    later = ruling.later and occasion.cause == "refresh"
    decision: dict[str, Any] = {
        "action": "training" if ruling.train else "later" if later else "note",
        "guard": ruling.guard,
        "policy": ruling.policy,
        "sentence": ruling.sentence + (f" Its run is {claim.run_id}." if ruling.train else ""),
        "asks": ruling.asks,
        "new_labels": looked.count,
        "champion": looked.champion,
    }
    if ruling.train:
        request = _request(occasion, claim, registered, looked.files, ports)
        decision["request"] = asdict(request)
    return decision


def _look(
    occasion: Occasion,
    registered: RegisteredSpec,
    trainings: list[dict[str, Any]],
    ports: RetrainPorts,
) -> _Looked:
    """Guard and policy on what is there now."""
    lake, model, spec = ports.lake, occasion.model, registered.spec
    manifest = read_manifest(model, lake=lake)
    champion = champion_of(manifest, lake=lake) if manifest else None
    learns = champion is not None and not spec.labels.biased
    files = tuple(new_labels(model, champion, lake=lake)) if champion and learns else ()
    rows = champion.rows if champion else None
    count = count_labelled(files, labels_needed(spec.retrain, rows), lake=lake)
    since = champion.since if champion else None
    situation = Situation(
        model=model,
        alert=occasion.cause,
        about_version=occasion.about_version,
        champion=manifest.version if manifest else None,
        champion_since=since,
        pinned=manifest.pinned if manifest else False,
        new_labels=count,
        past=past_of(model, trainings, since, lake=lake),
        now=ports.clock.now(),
        inbox=ports.inbox,
        champion_rows=rows,
        biased=spec.labels.biased,
        broken=occasion.broken,
    )
    return _Looked(rule(situation, spec.retrain), situation.champion, files, count)


def _incident(
    occasion: Occasion, decision: Mapping[str, Any], ports: RetrainPorts
) -> dict[str, Any]:
    return {
        "incident_id": occasion.incident_id,
        "opened_by": occasion.row,
        "cause": occasion.cause,
        "model": occasion.model,
        "version": occasion.about_version,
        **occasion.facts,
        "opened": timestamp(ports.clock.now()),
        "decision": dict(decision),
    }


# --- carrying out --------------------------------------------------------------------------------


def _request(
    occasion: Occasion,
    claim: Claim,
    registered: RegisteredSpec,
    files: tuple[LabelFile, ...],
    ports: RetrainPorts,
) -> RunRequest:
    model = occasion.model
    contents = sorted(file.info.md5 or file.info.crc32c for file in files)
    parts = [model, "train", *contents, str(registered.generation), occasion.incident_id]
    return RunRequest(
        model=model,
        run_id=claim.run_id,
        kind="train",
        requested_at=timestamp(ports.clock.now()),
        requested_by="retrain",
        spec_generation=registered.generation,
        content_key="|".join(parts),
        size=registered.spec.size,
        retrain=RetrainCause(
            incident_id=occasion.incident_id,
            champion=occasion.about_version,
            label_objects=tuple(file.info.name for file in files),
            refresh=occasion.cause == "refresh",
        ),
    )


def _carry_out(incident: Mapping[str, Any], ports: RetrainPorts) -> None:
    """Request the training that was decided for, if one was, and say what was decided."""
    decision, cause = incident["decision"], _cause(incident)
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
            source=f"{'refresh' if cause == 'refresh' else 'incident'} {incident['incident_id']}",
        )
        ports.say(TrainingRequested(model=request.model, run_id=request.run_id))
    ports.say(
        AutomationNoted(
            model=incident["model"],
            source="retrain",
            subject=incident["incident_id"],
            sentence=decision["sentence"],
            asks=decision["asks"],
            incident=_row(incident, cause),
            kind="" if cause == "refresh" else cause,
            answer=decision["action"],
        )
    )


def _cause(incident: Mapping[str, Any]) -> Cause:
    if "cause" in incident:
        found: Cause = incident["cause"]
        return found
    # Decided by an older version.
    return "drift" if incident["kind"] == DriftDetected.__name__ else "performance"


def _row(incident: Mapping[str, Any], cause: Cause) -> str:
    """What people were told of that this answers; a refresh answers nothing."""
    return "" if cause == "refresh" else incident.get("opened_by") or incident["incident_id"]
