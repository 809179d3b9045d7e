"""What people decide: approve, decline, promote, rollback, pin, unpin, mute, what runs beside.

Each decision is recorded with who made it, then carried out; doing it again is harmless. A rollback
names the champion it leaves, so that a repeat recognises itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shared import approvals, documents, paths
from shared.approvals import Approval
from shared.errors import InProgress, NotAllowed
from shared.manifests import Manifest, read_manifest, set_pinned, turn_of
from shared.moves import ROLLBACK, Move
from shared.usecases import muting, spec_changes
from shared.usecases.beside import canarying, experimenting, shadowing
from shared.usecases.judging import other_question
from shared.usecases.moving import move_to
from shared.usecases.promote import carry_out
from shared.usecases.promoting import Promote
from shared.usecases.settling import record_move

WITHOUT_VERSION = ("rollback", "pin", "unpin", "mute", "unmute")


@dataclass(frozen=True, slots=True)
class Decision:
    """`by` is the verified caller; `version` is the champion to leave for a rollback, the id of the
    experiment, canary or shadow for a stop. `facts` are what else a start or a mute needs; of a
    promotion, the champion that it is to be `instead_of`, and no other."""

    model: str
    action: str
    version: str
    reason: str
    by: str
    facts: Mapping[str, object] = field(default_factory=dict)


def parse_decision(body: Mapping[str, object], by: str) -> Decision:
    """Raises NotAllowed naming what is missing."""
    model, action = str(body.get("model") or ""), str(body.get("action") or "")
    if action not in ACTIONS:
        raise NotAllowed(f"action {action!r} is none of {', '.join(ACTIONS)}")
    if not paths.is_model_name(model):
        raise NotAllowed(f"model {model!r} is no model name")
    version = str(body.get("version") or "")
    if action not in WITHOUT_VERSION and not version:
        raise NotAllowed(f"{action} needs a version")
    facts = body.get("facts")
    if not isinstance(facts, dict):
        facts = {}
    return Decision(model, action, version, str(body.get("reason") or ""), by, facts)


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
    of_spec = approval.spec_generation is not None
    if approval.pending and decision.action == "approve" and not of_spec:
        _check_question(decision, ports)
    approval = approvals.decide(
        approval,
        decision.action,
        by=decision.by,
        reason=decision.reason,
        turn=None if of_spec else turn_of(read_manifest(decision.model, lake=ports.lake)),
        lake=ports.lake,
        clock=ports.clock,
    )
    taken = approval.decision
    if taken is None:
        raise InProgress(f"{decision.version} is asked anew against another champion")
    if taken["action"] != decision.action:
        raise NotAllowed(
            f"{decision.version} was decided already: {taken['action']} by {taken['by']} at "
            f"{taken['at']}"
        )
    if of_spec:
        return _answer_spec(approval, ports)
    outcome = carry_out(approval, ports)
    if outcome == "canary":
        running = _served(decision, ports).beside
        tried = canarying.running_sentence(decision.model, running) if running else ""
        return (
            f"{decision.version} comes in by steps. {tried} To let it answer everything at once: "
            f'millrace versions promote {decision.model} {decision.version} --reason "..."'
        )
    return {
        "promoted": f"{decision.version} is the champion of {decision.model} now.",
        "not_promoted": f"{decision.version} of {decision.model} was declined.",
        "compare_again": f"The champion of {decision.model} changed since this was asked; "
        f"{decision.version} is compared again.",
        "superseded": f"A newer version took the place of {decision.version}.",
        "expired": f"The question about {decision.version} has expired.",
    }[outcome]


def _check_question(decision: Decision, ports: Promote) -> None:
    """The spec may have changed since the version was asked about. Raises NotAllowed."""
    model, version = decision.model, decision.version
    found = other_question(model, version, lake=ports.lake)
    if found:
        raise NotAllowed(
            f"{version} was asked about under an older spec. {found} Decline it, or to serve it "
            f'all the same: millrace versions promote {model} {version} --reason "..."'
        )


def _answer_spec(approval: Approval, ports: Promote) -> str:
    which = f"Spec generation {approval.spec_generation} of {approval.model}"
    return {
        "registered": f"{which} is in force now.",
        "declined": f"{which} was declined; generation {approval.against} stays in force.",
        "superseded": f"{which} was superseded: another one came into force since this was asked. "
        "To be asked anew, drop it again.",
        "expired": f"The question about {which} has expired.",
    }[spec_changes.carry_out(approval, ports)]


def _promote(decision: Decision, ports: Promote) -> str:
    if not documents.read(
        ports.lake, paths.version(decision.model, decision.version, "version.json")
    ).exists:
        raise NotAllowed(f"{decision.model} has no version {decision.version}")
    manifest = read_manifest(decision.model, lake=ports.lake)
    sentence = f"Promoted by hand: {decision.reason or 'no reason given'}."
    if manifest and manifest.version == decision.version:
        # Maybe by this very request, which died before it could say so.
        _record(decision.model, manifest.moves[-1], sentence, ports)
        return f"{decision.version} is the champion of {decision.model} already."
    instead_of = decision.facts.get("instead_of")
    if manifest and instead_of not in (None, manifest.version):
        raise NotAllowed(
            f"{decision.version} was held against {instead_of}, but {manifest.version} is the "
            f"champion of {decision.model} now; to promote it all the same: millrace versions "
            f"promote {decision.model} {decision.version}"
        )
    _check_package(decision.model, decision.version, ports)
    revision = manifest.revision if manifest else 0
    cause = f"promote:{decision.version}:{revision}"
    move = move_to(
        decision.model,
        decision.version,
        manifest,
        ports,
        by=decision.by,
        cause=cause,
        reason=sentence,
    )
    _record(decision.model, move, sentence, ports)
    held = f" It stays pinned until `millrace unpin {decision.model}`." if move.pinned else ""
    return f"{move.name} is the champion of {decision.model} now.{held}"


def _record(model: str, move: Move, sentence: str, ports: Promote) -> None:
    """A person moved the champion, maybe past a canary."""
    record_move(model, move, sentence, ports)
    canarying.close_open(model, read_manifest(model, lake=ports.lake), ports)


def _rollback(decision: Decision, ports: Promote) -> str:
    manifest = _served(decision, ports)
    left, move = decision.version or manifest.version, manifest.moves[-1]
    sentence = f"Rolled back from {left}: {decision.reason or 'no reason given'}."
    if manifest.version == left:
        if manifest.replaced is None:
            raise NotAllowed(nothing_before(decision.model, manifest.version))
        _check_package(decision.model, manifest.replaced, ports)
        cause = f"{ROLLBACK}{manifest.revision}"
        move = move_to(
            decision.model,
            manifest.replaced,
            manifest,
            ports,
            by=decision.by,
            cause=cause,
            reason=sentence,
            pin=True,
        )
    elif not (move.is_rollback and move.previous == left):
        raise NotAllowed(f"{left} does not serve {decision.model}; {manifest.version} does")
    _record(decision.model, move, sentence, ports)
    return (
        f"{move.name} serves {decision.model} again instead of {left}. Automation is held until "
        f"`millrace unpin {decision.model}`."
    )


def nothing_before(model: str, champion: str) -> str:
    """Why a rollback leads nowhere, and what leads to another version all the same."""
    return (
        f"{champion} replaced no version when it was promoted, so {model} has no previous "
        "version to go back to. Another one: "
        f'millrace versions promote {model} VERSION --reason "..."'
    )


def _check_package(model: str, version: str, ports: Promote) -> None:
    """A predictor that cannot load a version goes on with the last one: nobody is to be told that
    this one serves. Raises NotAllowed."""
    about = documents.require(ports.lake, paths.version(model, version, "version.json"))
    wanted = [paths.package(model, version, name) for name in about["package"]["files"]]
    folders = [paths.package(model, version)]
    # What joined sources say about keys; forgetting somebody takes old versions theirs.
    if snapshots := [item["object"] for item in about.get("features", ())]:
        wanted += snapshots
        folders.append(paths.features(model, version))
    there = {info.name for folder in folders for info in ports.lake.list(folder)}
    gone = [name.rpartition("/")[2] for name in wanted if name not in there]
    if gone:
        raise NotAllowed(
            f"{version} of {model} cannot serve: {', '.join(gone)} of its package is gone. Another "
            f'one: millrace versions promote {model} VERSION --reason "..."'
        )


def _pin(decision: Decision, ports: Promote) -> str:
    manifest = _served(decision, ports)
    pinned = decision.action == "pin"
    if manifest.pinned != pinned:  # else a repeat, or somebody was quicker
        set_pinned(
            manifest,
            pinned,
            by=decision.by,
            reason=decision.reason or "no reason given",
            lake=ports.lake,
            clock=ports.clock,
        )
    state = "pinned; automation is held" if pinned else "unpinned; automation goes on"
    return f"{decision.model} is {state} (champion {manifest.version})."


def _experiment(decision: Decision, ports: Promote) -> str:
    act = experimenting.start if decision.action == "experiment-start" else experimenting.stop
    model, version, facts = decision.model, decision.version, decision.facts
    return act(model, version, facts, by=decision.by, reason=decision.reason, ports=ports)


def _canary(decision: Decision, ports: Promote) -> str:
    model, version = decision.model, decision.version
    return canarying.stop(model, version, by=decision.by, reason=decision.reason, ports=ports)


def _shadow(decision: Decision, ports: Promote) -> str:
    model, version, by = decision.model, decision.version, decision.by
    if decision.action == "shadow-stop":
        return shadowing.stop(model, version, by=by, reason=decision.reason, ports=ports)
    facts, reason = decision.facts, decision.reason
    return shadowing.start(model, version, facts, by=by, reason=reason, ports=ports)


def _mute(decision: Decision, ports: Promote) -> str:
    model, facts = decision.model, decision.facts
    if decision.action == "unmute":
        return muting.unmute(model, facts, decision.by, ports)
    return muting.mute(model, facts, decision.by, decision.reason, ports)


def _served(decision: Decision, ports: Promote) -> Manifest:
    manifest = read_manifest(decision.model, lake=ports.lake)
    if manifest is None:
        raise NotAllowed(f"{decision.model} has no champion")
    return manifest


ACTIONS: dict[str, Callable[[Decision, Promote], str]] = {
    "approve": _answer,
    "decline": _answer,
    "promote": _promote,
    "rollback": _rollback,
    "pin": _pin,
    "unpin": _pin,
    "mute": _mute,
    "unmute": _mute,
    "experiment-start": _experiment,
    "experiment-stop": _experiment,
    "canary-stop": _canary,
    "shadow-start": _shadow,
    "shadow-stop": _shadow,
}
