"""Changes of a spec that a person decides: asked by intake, answered in promote, ended by either.

    ask:        approvals/<model>/spec-3.json -> publish
    carry out:  (approved: swap specs/<model>/current.json) -> publish -> note -> *-decision.json

All or nothing: the parts of such a change that nobody protects wait with it. It comes into force in
the place of the generation it was compared with, or not at all: then it is superseded, and dropping
it again asks anew. The decision is written last; who finds it knows that all is said.
"""

from __future__ import annotations

from typing import Any, Protocol

from shared import approvals, documents, paths
from shared.approvals import Approval
from shared.documents import timestamp
from shared.events import AutomationNoted, Event
from shared.ports import Bucket, Clock
from shared.spec.differences import Difference, differences, in_one_line
from shared.spec.model import RegisteredSpec
from shared.spec.protected import protected
from shared.spec.registry import (
    come_into_force,
    find_spec,
    is_older,
    read_generation,
    read_registered,
)

# The last transition of the upload's run, by how the question ended.
NOTES = {
    "registered": "spec-registered",
    "declined": "declined",
    "superseded": "superseded",
    "expired": "expired",
}
_ENDS = {"approve": "registered", "decline": "declined"}


class Ports(Protocol):
    """What both intake and promote have."""

    @property
    def lake(self) -> Bucket: ...

    @property
    def clock(self) -> Clock: ...

    def say(self, event: Event) -> None: ...

    def note(self, model: str, run_id: str, name: str, /, **facts: object) -> None: ...


def ask(asked: RegisteredSpec, in_force: RegisteredSpec, ports: Ports) -> Approval:
    """Ask a person about a generation; a repeat finds the first question, and maybe its answer."""
    found = differences(in_force.spec, asked.spec)
    approval = approvals.ask(
        asked.model,
        paths.spec_question(asked.generation),
        str(in_force.generation),
        _question(asked, in_force.generation, protected(found)),
        in_force.spec.promotion.approval_expires,
        turn=in_force.generation,
        lake=ports.lake,
        clock=ports.clock,
    )
    if approval.pending:
        ports.say(approval.message([str(item) for item in found]))
    return approval


def supersede(newest: RegisteredSpec, ports: Ports) -> None:
    """A newer drop ends the questions before it. A person may have answered in the same moment:
    then the answer is carried out."""
    for approval in list(approvals.every(newest.model, lake=ports.lake)):
        generation = approval.spec_generation
        if generation is None or generation == newest.generation:
            continue
        if carried_out(approval, ports):
            continue
        asked = read_registered(newest.model, generation, lake=ports.lake)
        if not is_older(newest.source, asked.source):
            end_question(approval, ports)


def end_question(approval: Approval, ports: Ports) -> None:
    """Supersede a question that is open, and carry out however it was decided."""
    if approval.pending:
        why = "a newer spec was dropped"
        approval = approvals.decide(
            approval, "superseded", by="policy", reason=why, lake=ports.lake, clock=ports.clock
        )
    if not approval.pending:
        carry_out(approval, ports)


def carried_out(approval: Approval, ports: Ports) -> bool:
    """True when the question is answered and everybody has been told."""
    return not approval.pending and _decision(approval, ports.lake) is not None


def carry_out(approval: Approval, ports: Ports) -> str:
    """Do what a decided question says; again, if it was done before a crash. How it ended comes
    back, a key of NOTES. Raises AliasMoved."""
    settled = _decision(approval, ports.lake)
    if settled is not None:
        return str(settled["action"])
    asked = read_registered(approval.model, approval.spec_generation or 0, lake=ports.lake)
    taken = approval.decision or {}
    action = _ENDS.get(taken["action"], str(taken["action"]))
    why = taken["reason"] or "no reason given"
    if action == "registered" and not come_into_force(asked, lake=ports.lake):
        action = "superseded"
        why = f"generation {approval.against}, which it was to replace, is no longer in force"
    body = {
        "kind": "spec",
        "generation": asked.generation,
        "source": asked.source,
        "action": action,
        "by": taken["by"],
        "reason": taken["reason"],
        "why": why,
        "sentence": _sentence(action, str(taken["by"]), why, asked, ports.lake),
        "at": timestamp(ports.clock.now()),
    }
    _tell(asked, body, ports)
    documents.create(ports.lake, paths.spec_decision(asked.model, asked.generation), body)
    return action


def in_words(asked: RegisteredSpec, lake: Bucket) -> str:
    """What a generation changed, compared with the one it replaced, in one line."""
    spec = asked.spec
    if not asked.replaces:
        columns = f"{len(spec.columns)} columns" if spec.columns else "columns as the file has them"
        return f"{spec.task}, target {spec.target.column}, {columns}"
    return in_one_line(differences(read_generation(asked.model, asked.replaces, lake=lake), spec))


def _question(asked: RegisteredSpec, present: int, need: list[Difference]) -> str:
    return (
        f"Spec generation {asked.generation} changes what needs an approval: {in_one_line(need)}. "
        f"Until somebody approves all of it, generation {present} stays in force."
    )


def _sentence(action: str, by: str, why: str, asked: RegisteredSpec, lake: Bucket) -> str:
    """How a question ended, and what is in force now."""
    who = f"Spec generation {asked.generation} of {asked.model}"
    if action == "registered":
        return f"{who} is in force: {in_words(asked, lake)}. Approved by {by}: {why}."
    ended = {"declined": f"was declined by {by}", "expired": "expired"}.get(action, f"was {action}")
    again = "" if action == "declined" else " To be asked anew, drop it again."
    return f"{who} {ended}: {why}. {stays_in_force(asked.model, lake)}{again}"


def stays_in_force(model: str, lake: Bucket) -> str:
    """A sentence; empty for a model without a spec."""
    present = find_spec(model, lake=lake)
    return f"Generation {present.generation} of {model} stays in force." if present else ""


def _tell(asked: RegisteredSpec, body: dict[str, Any], ports: Ports) -> None:
    """Publish the end of a question and note it in the run of the upload, if that has begun: its
    own delivery notes it otherwise."""
    model, generation, action = asked.model, asked.generation, str(body["action"])
    ports.say(
        AutomationNoted(
            model=model,
            source="promote",
            subject=f"{paths.spec_question(generation)}-{action}",
            sentence=body["sentence"],
        )
    )
    claim = documents.read(ports.lake, paths.claim(asked.source))
    if claim.exists:
        ports.note(model, str(claim.body["run_id"]), NOTES[action], **body)


def _decision(approval: Approval, lake: Bucket) -> dict[str, Any] | None:
    name = paths.spec_decision(approval.model, approval.spec_generation or 0)
    found = documents.read(lake, name)
    return found.body if found.exists else None


def decision_of(model: str, generation: int, lake: Bucket) -> dict[str, Any]:
    """How the question about a generation ended. Raises ObjectNotFound."""
    return documents.require(lake, paths.spec_decision(model, generation))
