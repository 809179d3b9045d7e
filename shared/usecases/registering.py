"""A dropped spec: read, written down as a generation, put in force or asked about.

    read -> propose (generation) -+-> in force ------------------------> publish
                                  `-> approvals/<model>/spec-<n>.json -> publish   (protected keys)

Intake calls it for the spec's own event, and for a data file that came before it. Doing all of it
again changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shared import approvals, paths
from shared.approvals import Approval
from shared.errors import BadSpec, ObjectNotFound, Rejected
from shared.events import AutomationNoted
from shared.files import guards
from shared.ports import ObjectInfo
from shared.spec.differences import differences
from shared.spec.load import load_spec
from shared.spec.model import RegisteredSpec, Spec
from shared.spec.protected import asks_in, protected
from shared.spec.registry import (
    Proposal,
    overtaken_by,
    propose,
    put_in_force,
    read_registered,
    read_spec,
    was_in_force,
)
from shared.uploads import source_of
from shared.usecases import spec_changes
from shared.usecases.starting import Intake

SPEC_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Registration:
    """What became of a spec: the transition of its run with facts, and the spec in force."""

    note: str
    in_force: RegisteredSpec
    facts: dict[str, Any] = field(default_factory=dict)


def register_upload(model: str, upload: ObjectInfo, ports: Intake) -> Registration:
    """Take in one generation of `_specs/<model>.yaml`. Raises Rejected, AliasMoved."""
    spec, source = _read(model, upload, ports), source_of(upload)
    proposal = propose(model, spec, source, lake=ports.lake, clock=ports.clock)
    if proposal.state == "overtaken":
        return _overtaken(spec, source, proposal.asked, ports)
    approval = _question(proposal, ports)
    if approval is not None and approval.pending:
        # Dropped while we asked, and maybe before there was a question to end: then we end it.
        newer = overtaken_by(model, source, lake=ports.lake)
        if newer is not None:
            return _overtaken(spec, source, newer, ports)
    if approval is None:
        if proposal.state == "new":
            put_in_force(proposal.asked, lake=ports.lake)
        _announce(proposal.asked, ports)
    spec_changes.supersede(proposal.asked, ports)
    if approval is None:
        return Registration("spec-registered", proposal.asked, _facts(proposal.asked, source))
    return _answered(approval, ports)


def _read(model: str, upload: ObjectInfo, ports: Intake) -> Spec:
    """The spec in an upload. A refusal says which one stays in force. Raises Rejected."""
    try:
        if upload.size_bytes > SPEC_BYTES:
            raise BadSpec(
                f"{upload.name} has {upload.size_bytes} bytes, a spec has at most {SPEC_BYTES}. "
                f"Was a data file dropped in the place of a spec?"
            )
        blob = ports.inbox.read(upload.name, generation=upload.generation)
        return load_spec(guards.decode_text(blob.data, upload.name), upload.name)
    except ObjectNotFound as error:
        gone = f"{source_of(upload)} was replaced or deleted before it was read."
        stays = spec_changes.stays_in_force(model, ports.lake)
        raise BadSpec(f"{gone} {stays}".rstrip()) from error
    except Rejected as error:
        stays = spec_changes.stays_in_force(model, ports.lake)
        if not stays:
            raise
        raise Rejected(f"{str(error).rstrip('.')}. {stays}", reason=error.reason) from error


def _question(proposal: Proposal, ports: Intake) -> Approval | None:
    """The question about a spec, asked now if it needs one."""
    asked, in_force = proposal.asked, proposal.in_force
    name = paths.spec_question(asked.generation)
    found = approvals.find(asked.model, name, lake=ports.lake)
    if found is not None and not found.pending:
        return found
    if in_force is None or proposal.state != "new" or not asks_in(ports.context):
        return None
    if found is not None and found.against != str(in_force.generation):
        return found  # asked before another one came into force; it cannot follow that one
    if found is None and not protected(differences(in_force.spec, asked.spec)):
        return None
    return spec_changes.ask(asked, in_force, ports)


def _answered(approval: Approval, ports: Intake) -> Registration:
    """Where a question stands, in the words of the upload's run."""
    model, generation = approval.model, approval.spec_generation or 0
    if approval.pending:
        asked = read_registered(model, generation, lake=ports.lake)
        facts = {**_facts(asked, asked.source), "version": approval.version}
        facts["sentence"] = approval.sentence
        return Registration("approval-requested", read_spec(model, lake=ports.lake), facts)
    note = spec_changes.NOTES[spec_changes.carry_out(approval, ports)]
    facts = spec_changes.decision_of(model, generation, ports.lake)
    return Registration(note, read_spec(model, lake=ports.lake), facts)


def _overtaken(spec: Spec, source: str, newer: RegisteredSpec, ports: Intake) -> Registration:
    """A newer upload was first. If somebody was asked about this one, the question ends."""
    model = newer.model
    for approval in approvals.every(model, lake=ports.lake):
        generation = approval.spec_generation
        if generation and read_registered(model, generation, lake=ports.lake).source == source:
            spec_changes.end_question(approval, ports)
            found = approvals.find(model, approval.version, lake=ports.lake)
            return _answered(found or approval, ports)
    in_force = read_spec(model, lake=ports.lake)
    mine = was_in_force(model, source, lake=ports.lake)
    if mine is None and not differences(in_force.spec, spec):
        mine = in_force
    if mine is not None:  # and maybe its process died before it could say so
        ended = f"was in force, before generation {in_force.generation}"
        _announce(mine, ports, "is in force" if mine.generation == in_force.generation else ended)
        return Registration("spec-registered", in_force, _facts(mine, source))
    facts = _facts(newer, source)
    facts["why"] = f"generation {newer.generation} was dropped after it"
    return Registration("superseded", in_force, facts)


def _announce(registered: RegisteredSpec, ports: Intake, stands: str = "is in force") -> None:
    what = spec_changes.in_words(registered, ports.lake)
    ports.say(
        AutomationNoted(
            model=registered.model,
            source="intake",
            subject=paths.spec_question(registered.generation),
            sentence=f"Spec generation {registered.generation} of {registered.model} {stands}: "
            f"{what}.",
        )
    )


def _facts(registered: RegisteredSpec, source: str) -> dict[str, Any]:
    return {"generation": registered.generation, "kind": "spec", "source": source}
