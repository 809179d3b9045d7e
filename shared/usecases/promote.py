"""Who serves: policy, then compare-and-swap of the serving manifest, then the record of it.

    TrainingCompleted -> judge -+-> promote:  swap manifest -> decision.json -> publish -> note
                                |   or, by steps, a canary first (`beside.canarying`)
                                +-> decline:                   decision.json -> publish -> note
                                +-> ask:      approvals/... ----------------> publish -> note
                                `-> compare again: claim -> request.json ---> publish

`shared.usecases.settling` ends a version's story, once; here it is decided how.
"""

from __future__ import annotations

from shared import approvals, claims, documents, paths, runs
from shared.approvals import Approval
from shared.beside.second_version import SecondVersion
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
from shared.manifests import Manifest, read_manifest, turn_of
from shared.policy import Verdict, worth_knowing
from shared.runs import RunRequest
from shared.spec.registry import read_spec
from shared.usecases.beside.canarying import begin, close_open, complete, plan, resume
from shared.usecases.beside.shadowing import begin_waiting
from shared.usecases.judging import judge_version
from shared.usecases.moving import decided, move_to
from shared.usecases.promoting import Promote
from shared.usecases.settling import finish, settle_promotion, settle_refusal, supersede


def decide_version(model: str, version: str, ports: Promote) -> str:
    """Judge a version that was trained or compared; the action comes back. Raises AliasMoved
    when the champion moves meanwhile (the retry judges again)."""
    manifest = read_manifest(model, lake=ports.lake)
    finished = _finished(model, version, manifest, ports)
    if finished:
        return finished
    running = _tried(manifest)
    if running is not None and running.version == version:
        return resume(running, model, ports)
    verdict = judge_version(
        model,
        version,
        champion=manifest.version if manifest else None,
        pinned=manifest.pinned if manifest else False,
        lake=ports.lake,
    )
    asked = _open_question(model, version, ports)
    if asked is not None:
        return _put(asked, verdict, ports)
    return _follow(model, version, manifest, verdict, ports)


def _open_question(model: str, version: str, ports: Promote) -> Approval | None:
    """What a person was asked on this very comparison and has not answered: a message that comes
    again after somebody unpinned, or changed the spec, does not take the decision from them."""
    approval = approvals.find(model, version, lake=ports.lake)
    if approval is None or not approval.pending:
        return None
    comparison = documents.read(ports.lake, paths.version(model, version, "comparison.json")).body
    return approval if comparison.get("against") == approval.against else None


def _follow(
    model: str, version: str, manifest: Manifest | None, verdict: Verdict, ports: Promote
) -> str:
    """What policy said comes to pass."""
    if verdict.action == "promote":
        return _promote(model, version, manifest, verdict, ports)
    if verdict.action == "decline":
        return settle_refusal(
            model, version, ports, by="policy", sentence=verdict.sentence, verdict=verdict
        )
    if verdict.action == "ask":
        return _ask(model, version, manifest, verdict.sentence, ports, verdict=verdict)
    return _compare_again(model, version, manifest, ports)


def _promote(
    model: str, version: str, manifest: Manifest | None, verdict: Verdict, ports: Promote
) -> str:
    """The version has won, unless something is tried beside the champion that it may not end."""
    if manifest and manifest.experiment:
        hold = f"Experiment {manifest.experiment.id} runs, and a promotion would end it"
        sentence = f"{verdict.sentence} {hold}, so a person decides."
        return _ask(model, version, manifest, sentence, ports, verdict=verdict)
    running = _tried(manifest)
    if running is not None and running.version > version:
        why = f"{running.version} is newer and answers a part of the predictions already"
        return settle_refusal(
            model, version, ports, by="policy", sentence=why, verdict=verdict, action="superseded"
        )
    return _let_serve(
        model, version, manifest, ports, by="policy", sentence=verdict.sentence, verdict=verdict
    )


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
    finished = _finished(event.model, version, manifest, ports)
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
        f'millrace versions promote {model} {version} --reason "...". To set it back: '
        f'millrace versions promote {model} {back} --reason "..."'
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
    finished = _finished(model, version, manifest, ports)
    if finished:
        return finished
    decision = approval.decision or {}
    action, by = str(decision.get("action")), str(decision.get("by"))
    reason = str(decision.get("reason") or "no reason given")
    if action in ("superseded", "expired"):
        return settle_refusal(model, version, ports, by=by, sentence=reason, action=action)
    if action != "approve":
        return settle_refusal(model, version, ports, by=by, sentence=f"Declined: {reason}.")
    return _approved(approval, manifest, ports, by=by, sentence=f"Approved: {reason}.")


def _approved(
    approval: Approval, manifest: Manifest | None, ports: Promote, *, by: str, sentence: str
) -> str:
    model, version, running = approval.model, approval.version, _tried(manifest)
    if manifest and running and running.version == version:
        if approval.canary != running.id:  # it is what this approval began
            return resume(running, model, ports)
        return complete(manifest, running, ports, by=by, sentence=sentence)
    if not approval.holds_against(manifest.version if manifest else None, turn_of(manifest)):
        return _compare_again(model, version, manifest, ports)
    return _let_serve(model, version, manifest, ports, by=by, sentence=sentence)


def _let_serve(
    model: str,
    version: str,
    manifest: Manifest | None,
    ports: Promote,
    *,
    by: str,
    sentence: str,
    verdict: Verdict | None = None,
) -> str:
    """The champion's place for a version that has earned it, by steps where the spec wants them."""
    canary, why_not = plan(model, version, manifest, ports, by=by, reason=sentence)
    if manifest is not None and canary is not None:
        return begin(canary, manifest, ports)
    if why_not:
        at_once = f"{version} of {model} is promoted at once, without a canary: {why_not}."
        subject = f"canary-skipped-{version}"
        note = AutomationNoted(model=model, source="canary", subject=subject, sentence=at_once)
        ports.say(note)
    move = move_to(model, version, manifest, ports, by=by, cause=decided(version), reason=sentence)
    return settle_promotion(model, version, move, ports, sentence=sentence, verdict=verdict)


def _finished(model: str, version: str, manifest: Manifest | None, ports: Promote) -> str | None:
    """As `finish`, once canaries that a crash left open are closed: maybe one of this version."""
    close_open(model, manifest, ports)
    return finish(model, version, manifest, ports)


def _tried(manifest: Manifest | None) -> SecondVersion | None:
    """The version that comes in by steps just now."""
    running = manifest.beside if manifest else None
    return running if running and running.kind == "canary" else None


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
    return _put(approval, verdict, ports)


def _put(approval: Approval, verdict: Verdict | None, ports: Promote) -> str:
    """Let people know of a question. Repeatable."""
    model, version = approval.model, approval.version
    if not approval.pending:
        return carry_out(approval, ports)
    # Whoever decided it since `manifest` was read may have been too early to see this question.
    manifest = read_manifest(model, lake=ports.lake)
    finished = finish(model, version, manifest, ports)
    if finished:
        return finished
    supersede(model, version, parse_time(approval.requested_at), ports)
    ports.say(approval.message(worth_knowing(verdict)))
    ports.note(model, version, "approval-requested", sentence=approval.sentence)
    if approval.turn == turn_of(manifest):
        begin_waiting(model, version, ports)
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
