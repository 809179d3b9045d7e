"""Who serves: policy, then compare-and-swap of the serving manifest, then the record of it.

    TrainingCompleted -> judge -+-> promote:  swap manifest -> decision.json -> publish -> note
                                +-> decline:                   decision.json -> publish -> note
                                +-> ask:      approvals/... ----------------> publish -> note
                                `-> compare again: claim -> request.json ---> publish

`shared.usecases.settling` ends a version's story, once; here it is decided how.
"""

from __future__ import annotations

from shared import approvals, claims, documents, paths, runs
from shared.approvals import Approval
from shared.documents import timestamp
from shared.errors import ObjectNotFound
from shared.events import (
    AutomationNoted,
    ComparisonRequested,
    PromotionRequested,
    RunFailed,
    RunRejected,
    parse_time,
)
from shared.manifests import Manifest, move_champion, read_manifest, turn_of
from shared.moves import DECISION, Move
from shared.policy import Verdict, worth_knowing
from shared.runs import RunRequest
from shared.spec.registry import read_spec
from shared.usecases.experimenting import keep_running
from shared.usecases.judging import judge_version
from shared.usecases.settling import Promote, finish, settle_promotion, settle_refusal, supersede


def decide_version(model: str, version: str, ports: Promote) -> str:
    """Judge a version that was trained or compared; the action comes back. Raises AliasMoved
    when the champion moves meanwhile (the retry judges again)."""
    manifest = read_manifest(model, lake=ports.lake)
    finished = finish(model, version, manifest, ports)
    if finished:
        return finished
    verdict = judge_version(
        model,
        version,
        champion=manifest.version if manifest else None,
        pinned=manifest.pinned if manifest else False,
        lake=ports.lake,
    )
    if verdict.action == "promote" and manifest and manifest.beside:
        running = manifest.beside
        hold = f"{running.kind.capitalize()} {running.id} runs, and a promotion would end it"
        sentence = f"{verdict.sentence} {hold}, so a person decides."
        return _ask(model, version, manifest, sentence, ports, verdict=verdict)
    if verdict.action == "promote":
        sentence, cause = verdict.sentence, _cause(version)
        move = move_to(model, version, manifest, ports, by="policy", cause=cause, reason=sentence)
        return settle_promotion(model, version, move, ports, sentence=sentence, verdict=verdict)
    if verdict.action == "decline":
        return settle_refusal(
            model, version, ports, by="policy", sentence=verdict.sentence, verdict=verdict
        )
    if verdict.action == "ask":
        return _ask(model, version, manifest, verdict.sentence, ports, verdict=verdict)
    return _compare_again(model, version, manifest, ports)


def take_failure(event: RunFailed | RunRejected, ports: Promote) -> str:
    """A comparison that came to nothing leaves its version to a person; other runs are not ours.
    Raises as `decide_version`."""
    try:
        request = runs.read_request(event.model, event.run_id, lake=ports.lake)
    except ObjectNotFound:
        return "no run of ours"
    version = request.version
    if request.kind != "compare" or version is None:
        return "no comparison"
    manifest = read_manifest(event.model, lake=ports.lake)
    finished = finish(event.model, version, manifest, ports)
    if finished:
        return finished
    if (manifest.version if manifest else None) != request.against:
        return _compare_again(event.model, version, manifest, ports)
    sentence = f"It could not be compared with {request.against}: {event.message}"
    return _ask(event.model, version, manifest, sentence, ports)


def request_promotion(event: PromotionRequested, ports: Promote) -> str:
    """Somebody moved the champion alias in a registry: a person decides here, with the facts."""
    model, version = event.model, event.version
    manifest = read_manifest(model, lake=ports.lake)
    if manifest and manifest.version == version:
        return "serving already"
    sentence = (
        f"The champion alias of {model} was moved to {version} in {event.where}. "
        f"{event.instead_of} keeps serving until somebody decides."
    )
    decision = documents.read(ports.lake, paths.version(model, version, "decision.json")).body
    if decision and event.seen_at and parse_time(decision["at"]) >= parse_time(event.seen_at):
        return str(finish(model, version, manifest, ports))  # this was asked, and answered
    if not decision:
        comparison = documents.read(ports.lake, paths.version(model, version, "comparison.json"))
        facts = str(comparison.body.get("sentence", ""))
        return _ask(model, version, manifest, f"{sentence} {facts}".rstrip(), ports)
    # The gate has judged it already; only a person's explicit promote moves it now.
    back = manifest.version if manifest else event.instead_of
    sentence += (
        f" It was decided before: {decision['sentence']} To follow the alias: "
        f"millrace versions promote {model} {version}. To set it back: "
        f"millrace versions promote {model} {back}"
    )
    subject = f"champion alias in {event.where}, {event.seen_at}"
    note = AutomationNoted(
        model=model, source="promote", subject=subject, sentence=sentence, asks="decide"
    )
    ports.say(note)
    return "noted"


# --- carrying out --------------------------------------------------------------------------------


def carry_out(approval: Approval, ports: Promote) -> str:
    """Do what a decided approval says; again, if it was done before a crash."""
    model, version = approval.model, approval.version
    manifest = read_manifest(model, lake=ports.lake)
    finished = finish(model, version, manifest, ports)
    if finished:
        return finished
    decision = approval.decision or {}
    action, by = str(decision.get("action")), str(decision.get("by"))
    reason = str(decision.get("reason") or "no reason given")
    if action in ("superseded", "expired"):
        return settle_refusal(model, version, ports, by=by, sentence=reason, action=action)
    if action != "approve":
        return settle_refusal(model, version, ports, by=by, sentence=f"Declined: {reason}.")
    if not approval.holds_against(manifest.version if manifest else None, turn_of(manifest)):
        return _compare_again(model, version, manifest, ports)
    sentence = f"Approved: {reason}."
    move = move_to(model, version, manifest, ports, by=by, cause=_cause(version), reason=sentence)
    return settle_promotion(model, version, move, ports, sentence=sentence)


def _ask(
    model: str,
    version: str,
    manifest: Manifest | None,
    sentence: str,
    ports: Promote,
    *,
    verdict: Verdict | None = None,
) -> str:
    spec = read_spec(model, lake=ports.lake).spec
    approval = approvals.ask(
        model,
        version,
        manifest.version if manifest else None,
        sentence,
        spec.promotion.approval_expires,
        turn=turn_of(manifest),
        lake=ports.lake,
        clock=ports.clock,
    )
    if not approval.pending:
        return carry_out(approval, ports)
    # Whoever decided it since `manifest` was read may have been too early to see this question.
    finished = finish(model, version, read_manifest(model, lake=ports.lake), ports)
    if finished:
        return finished
    supersede(model, version, ports)
    ports.say(approval.message(worth_knowing(verdict)))
    ports.note(model, version, "approval-requested", sentence=approval.sentence)
    return "asked"


def _compare_again(model: str, version: str, manifest: Manifest | None, ports: Promote) -> str:
    against = manifest.version if manifest else None
    # Each turn of this champion asks anew.
    key = runs.comparison_key(model, version, against, turn_of(manifest))
    claim = claims.take(
        paths.claim(key), key, lake=ports.lake, clock=ports.clock, seconds=ports.claim_seconds
    )
    if claim.done:
        return "compare_again"
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
    reason: str,
    pin: bool = False,
) -> Move:
    """Swap the champion against exactly `manifest`; a pin stays until somebody unpins. Raises
    AliasMoved, ObjectNotFound."""
    body = documents.require(ports.lake, paths.version(model, version, "version.json"))
    spec = read_spec(model, lake=ports.lake).spec
    keep_running(manifest, ports)
    return move_champion(
        manifest,
        body,
        by=by,
        cause=cause,
        log=spec.serving.log,
        unknown_fields=spec.serving.unknown_fields,
        coerce=spec.serving.coerce,
        redact=spec.serving.redact,
        log_sample=spec.serving.log_sample,
        pinned=pin or bool(manifest and manifest.pinned),
        reason=reason,
        lake=ports.lake,
        clock=ports.clock,
    )


def _cause(version: str) -> str:
    """The one move that settling a version's own decision makes."""
    return f"{DECISION}{version}"
