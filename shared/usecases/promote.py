"""Who serves: policy, then compare-and-swap of the serving manifest, then the record of it.

    TrainingCompleted -> judge -+-> promote:  swap manifest -> decision.json -> note -> publish
                                +-> decline:                   decision.json -> note -> publish
                                +-> ask:      approvals/... ----------------> note -> publish
                                `-> compare again: claim -> request.json ----------> publish

decision.json is written once per version. A repeat finds it, or the move in the manifest that was
made before a crash, and only finishes the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared import approvals, claims, documents, paths, runs
from shared.approvals import Approval
from shared.documents import timestamp
from shared.events import (
    ApprovalRequested,
    AutomationNoted,
    ComparisonRequested,
    Event,
    ModelNotPromoted,
    ModelPromoted,
    PromotionRequested,
    publish,
)
from shared.manifests import Manifest, Move, move_champion, read_manifest
from shared.policy import judge
from shared.ports import Bucket, Clock, Publisher
from shared.runs import RunRequest
from shared.spec.registry import read_spec


@dataclass(frozen=True, slots=True)
class Promote:
    """The ports of promotion, and how long its claims live."""

    lake: Bucket
    publisher: Publisher
    clock: Clock
    claim_seconds: int

    def say(self, event: Event) -> None:
        publish(event, publisher=self.publisher, clock=self.clock)

    def note(self, model: str, run_id: str, name: str, /, **facts: object) -> None:
        runs.note(model, run_id, name, lake=self.lake, clock=self.clock, **facts)


def decide_version(model: str, version: str, ports: Promote) -> str:
    """Judge a version that was trained or compared; the action comes back. Raises AliasMoved
    when the champion moves meanwhile (the retry judges again)."""
    settled = documents.read(ports.lake, paths.version(model, version, "decision.json"))
    if settled.exists:
        return _announce(settled.body, ports)
    manifest = read_manifest(model, lake=ports.lake)
    moved = manifest.move_for(_cause(version)) if manifest else None
    if moved:
        return _settle_promotion(model, version, moved, ports, sentence="")
    comparison = documents.require(ports.lake, paths.version(model, version, "comparison.json"))
    spec = read_spec(model, lake=ports.lake).spec
    verdict = judge(
        comparison,
        spec.promotion,
        champion=manifest.version if manifest else None,
        pinned=manifest.pinned if manifest else False,
    )
    rules = verdict.as_dict()["rules"]
    if verdict.action == "promote":
        move = move_to(model, version, manifest, ports, by="policy", cause=_cause(version))
        return _settle_promotion(
            model, version, move, ports, sentence=verdict.sentence, rules=rules
        )
    if verdict.action == "decline":
        return settle_refusal(
            model, version, ports, by="policy", sentence=verdict.sentence, rules=rules
        )
    if verdict.action == "ask":
        return _ask(model, version, manifest, verdict.sentence, ports)
    return _compare_again(model, version, manifest, ports)


def request_promotion(event: PromotionRequested, ports: Promote) -> str:
    """Somebody moved the champion alias in MLflow: a person decides here, with the facts."""
    manifest = read_manifest(event.model, lake=ports.lake)
    if manifest and manifest.version == event.version:
        return "serving already"
    sentence = (
        f"The champion alias of {event.model} was moved to {event.version} in MLflow. "
        f"{event.instead_of} keeps serving until somebody approves."
    )
    if documents.read(
        ports.lake, paths.version(event.model, event.version, "decision.json")
    ).exists:
        # Its own training was decided long ago; only a person's explicit promote moves it now.
        sentence += f" To follow it: millrace versions promote {event.model} {event.version}"
        ports.say(
            AutomationNoted(
                model=event.model,
                source="promote",
                subject=event.id,
                sentence=sentence,
                asks="decide",
            )
        )
        return "noted"
    return _ask(event.model, event.version, manifest, sentence, ports)


# --- carrying out --------------------------------------------------------------------------------


def carry_out(approval: Approval, ports: Promote) -> str:
    """Do what a decided approval says; again, if it was done before a crash."""
    model, version = approval.model, approval.version
    settled = documents.read(ports.lake, paths.version(model, version, "decision.json"))
    if settled.exists:
        return _announce(settled.body, ports)
    decision = approval.decision or {}
    by, reason = str(decision.get("by")), str(decision.get("reason") or "no reason given")
    if decision.get("action") != "approve":
        return settle_refusal(model, version, ports, by=by, sentence=f"Declined: {reason}.")
    manifest = read_manifest(model, lake=ports.lake)
    move = manifest.move_for(_cause(version)) if manifest else None
    if move is None:
        if (manifest.version if manifest else None) != approval.against:
            return _compare_again(model, version, manifest, ports)
        move = move_to(model, version, manifest, ports, by=by, cause=_cause(version))
    return _settle_promotion(model, version, move, ports, sentence=f"Approved: {reason}.")


def settle_refusal(
    model: str, version: str, ports: Promote, *, by: str, sentence: str, rules: object = ()
) -> str:
    """Record that the champion stays."""
    body = {
        "model": model,
        "version": version,
        "action": "not_promoted",
        "by": by,
        "at": timestamp(ports.clock.now()),
        "sentence": sentence,
        "rules": rules,
    }
    return _settle(body, ports)


def _settle_promotion(
    model: str, version: str, move: Move, ports: Promote, *, sentence: str, rules: object = ()
) -> str:
    body = {
        "model": model,
        "version": version,
        "action": "promoted",
        "by": move.by,
        "at": move.at,
        "sentence": sentence or "Promoted; the facts are in comparison.json.",
        "rules": rules,
        "previous": move.previous,
        "revision": move.revision,
    }
    return _settle(body, ports)


def _settle(body: dict[str, Any], ports: Promote) -> str:
    name = paths.version(body["model"], body["version"], "decision.json")
    documents.create(ports.lake, name, body)
    return _announce(documents.require(ports.lake, name), ports)


def _announce(body: Mapping[str, Any], ports: Promote) -> str:
    """Note and publish a settled decision."""
    model, version = body["model"], body["version"]
    supersede(model, version, ports)
    facts = {"version": version, "by": body["by"], "sentence": body["sentence"]}
    if body["action"] == "promoted":
        ports.note(model, version, "promoted", **facts, previous=body["previous"])
        ports.say(
            ModelPromoted(
                model=model,
                run_id=version,
                previous=body["previous"],
                revision=body["revision"],
                **facts,
            )
        )
        return "promoted"
    ports.note(model, version, "not-promoted", **facts)
    ports.say(ModelNotPromoted(model=model, run_id=version, **facts))
    return "not_promoted"


def supersede(model: str, version: str, ports: Promote) -> None:
    """A decision about a newer version ends the pending questions about older ones."""
    for approval in approvals.every(model, lake=ports.lake):
        if approval.version < version and approval.pending:
            approvals.decide(
                approval,
                "superseded",
                by="policy",
                reason=f"{version} is newer",
                lake=ports.lake,
                clock=ports.clock,
            )
            ports.note(model, approval.version, "superseded", why=f"{version} is newer")


def _ask(model: str, version: str, manifest: Manifest | None, sentence: str, ports: Promote) -> str:
    spec = read_spec(model, lake=ports.lake).spec
    approval = approvals.ask(
        model,
        version,
        manifest.version if manifest else None,
        sentence,
        spec.promotion.approval_expires,
        lake=ports.lake,
        clock=ports.clock,
    )
    if not approval.pending:
        return carry_out(approval, ports)
    supersede(model, version, ports)
    ports.note(model, version, "approval-requested", sentence=approval.sentence)
    ports.say(
        ApprovalRequested(model=model, run_id=version, version=version, sentence=approval.sentence)
    )
    return "asked"


def _compare_again(model: str, version: str, manifest: Manifest | None, ports: Promote) -> str:
    against = manifest.version if manifest else None
    # The revision tells one turn of this champion from another: each asks anew.
    revision = manifest.revision if manifest else 0
    key = f"compare|{model}|{version}|{against}|{revision}"
    claim = claims.take(
        paths.claim(key), key, lake=ports.lake, clock=ports.clock, seconds=ports.claim_seconds
    )
    registered = read_spec(model, lake=ports.lake)
    request = RunRequest(
        model=model,
        run_id=claim.run_id,
        kind="compare",
        requested_at=timestamp(claim.created),
        requested_by="promote",
        spec_generation=registered.generation,
        size=registered.spec.size,
        version=version,
        against=against,
    )
    runs.save_request(request, lake=ports.lake)
    ports.note(model, claim.run_id, "requested", kind="compare", version=version, against=against)
    ports.say(ComparisonRequested(model=model, run_id=claim.run_id))
    if not claim.done:
        claims.complete(claim, {"state": "requested"}, lake=ports.lake, clock=ports.clock)
    return "compare_again"


def move_to(
    model: str,
    version: str,
    manifest: Manifest | None,
    ports: Promote,
    *,
    by: str,
    cause: str,
    pinned: bool = False,
) -> Move:
    """Swap the champion against exactly `manifest`. Raises AliasMoved, ObjectNotFound."""
    body = documents.require(ports.lake, paths.version(model, version, "version.json"))
    spec = read_spec(model, lake=ports.lake).spec
    return move_champion(
        manifest,
        body,
        by=by,
        cause=cause,
        log=spec.serving.log,
        pinned=pinned,
        lake=ports.lake,
        clock=ports.clock,
    )


def _cause(version: str) -> str:
    """The one move that settling a version's own decision makes."""
    return f"decision:{version}"
