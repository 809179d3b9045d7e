"""What people decide: approve, decline, promote, rollback, pin, unpin.

Each decision is recorded with who made it, then carried out; doing it again is harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared import approvals, documents, paths
from shared.errors import NotAllowed
from shared.events import ModelPromoted
from shared.manifests import Manifest, Move, read_manifest, set_pinned
from shared.usecases.promote import Promote, carry_out, move_to


@dataclass(frozen=True, slots=True)
class Decision:
    """`by` is the verified caller."""

    model: str
    action: str
    version: str
    reason: str
    by: str


def parse_decision(body: Mapping[str, object], by: str) -> Decision:
    """Raises NotAllowed naming what is missing."""
    model, action = str(body.get("model") or ""), str(body.get("action") or "")
    if action not in ACTIONS:
        raise NotAllowed(f"action {action!r} is none of {', '.join(ACTIONS)}")
    if not paths.is_model_name(model):
        raise NotAllowed(f"model {model!r} is no model name")
    version = str(body.get("version") or "")
    if action in ("approve", "decline", "promote") and not version:
        raise NotAllowed(f"{action} needs a version")
    return Decision(model, action, version, str(body.get("reason") or ""), by)


def take_decision(decision: Decision, ports: Promote) -> str:
    """Carry a person's decision out; a sentence comes back. Raises NotAllowed."""
    return ACTIONS[decision.action](decision, ports)


def _answer(decision: Decision, ports: Promote) -> str:
    approval = approvals.find(decision.model, decision.version, lake=ports.lake)
    if approval is None:
        waiting = [a.version for a in approvals.every(decision.model, lake=ports.lake) if a.pending]
        raise NotAllowed(
            f"{decision.version} of {decision.model} does not wait for an approval; waiting: "
            f"{', '.join(waiting) or 'none'}"
        )
    approval = approvals.decide(
        approval,
        decision.action,
        by=decision.by,
        reason=decision.reason,
        lake=ports.lake,
        clock=ports.clock,
    )
    taken = approval.decision or {}
    if taken["action"] != decision.action:
        raise NotAllowed(
            f"{decision.version} was decided already: {taken['action']} by {taken['by']} at "
            f"{taken['at']}"
        )
    outcome = carry_out(approval, ports)
    return {
        "promoted": f"{decision.version} is the champion of {decision.model} now.",
        "not_promoted": f"{decision.version} of {decision.model} was declined.",
        "compare_again": f"The champion of {decision.model} changed since this was asked; "
        f"{decision.version} is compared again.",
    }[outcome]


def _promote(decision: Decision, ports: Promote) -> str:
    if not documents.read(
        ports.lake, paths.version(decision.model, decision.version, "version.json")
    ).exists:
        raise NotAllowed(f"{decision.model} has no version {decision.version}")
    manifest = read_manifest(decision.model, lake=ports.lake)
    if manifest and manifest.version == decision.version:
        return f"{decision.version} is the champion of {decision.model} already."
    revision = manifest.revision if manifest else 0
    cause = f"promote:{decision.version}:{revision}"
    move = move_to(decision.model, decision.version, manifest, ports, by=decision.by, cause=cause)
    _say(decision, move, f"Promoted by hand: {decision.reason or 'no reason given'}.", ports)
    return f"{decision.version} is the champion of {decision.model} now."


def _rollback(decision: Decision, ports: Promote) -> str:
    manifest = _served(decision, ports)
    if manifest.previous is None:
        raise NotAllowed(f"{decision.model} has no previous version to go back to")
    cause = f"rollback:{manifest.revision}"
    move = move_to(
        decision.model,
        manifest.previous,
        manifest,
        ports,
        by=decision.by,
        cause=cause,
        pinned=True,
    )
    reason = decision.reason or "no reason given"
    _say(decision, move, f"Rolled back from {manifest.version}: {reason}.", ports)
    return (
        f"{move.version} serves {decision.model} again instead of {manifest.version}. Automation "
        f"is held until `millrace unpin {decision.model}`."
    )


def _pin(decision: Decision, ports: Promote) -> str:
    manifest = _served(decision, ports)
    pinned = decision.action == "pin"
    set_pinned(manifest, pinned, lake=ports.lake)
    state = "pinned; automation is held" if pinned else "unpinned; automation goes on"
    return f"{decision.model} is {state} (champion {manifest.version})."


def _served(decision: Decision, ports: Promote) -> Manifest:
    manifest = read_manifest(decision.model, lake=ports.lake)
    if manifest is None:
        raise NotAllowed(f"{decision.model} has no champion")
    return manifest


def _say(decision: Decision, move: Move, sentence: str, ports: Promote) -> None:
    ports.say(
        ModelPromoted(
            model=decision.model,
            run_id=move.version,
            version=move.version,
            previous=move.previous,
            revision=move.revision,
            by=decision.by,
            sentence=sentence,
        )
    )


ACTIONS: dict[str, Callable[[Decision, Promote], str]] = {
    "approve": _answer,
    "decline": _answer,
    "promote": _promote,
    "rollback": _rollback,
    "pin": _pin,
    "unpin": _pin,
}
