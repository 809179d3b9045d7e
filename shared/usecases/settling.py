"""How a version's story ends: decision.json, what is published, the last note of its run.

    decision.json (create-only) -> decision.md -> close its question -> publish -> note

decision.json is written once per version, whatever ended it: promoted, not_promoted, superseded or
expired. A repeat finds it, or the move in the manifest that was made before a crash (or by a
person), and only finishes the rest. The note comes last: who finds it knows that all is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared import approvals, documents, paths
from shared.approvals import Approval
from shared.beside import canaries
from shared.documents import timestamp
from shared.events import AutomationNoted, ModelNotPromoted, parse_time
from shared.manifests import Manifest, read_manifest
from shared.moves import Move
from shared.policy import Verdict
from shared.reporting import letter
from shared.usecases.beside.seconding import take_out
from shared.usecases.judging import judge_as_compared
from shared.usecases.promoting import Promote
from shared.usecases.telling import say_move

# The last transition of a version's run, by what decision.json says.
NOTES = {
    "promoted": "promoted",
    "not_promoted": "not-promoted",
    "superseded": "superseded",
    "expired": "expired",
}


def finish(model: str, version: str, manifest: Manifest | None, ports: Promote) -> str | None:
    """Finish what was decided about a version before; None when nothing was."""
    settled = documents.read(ports.lake, paths.version(model, version, "decision.json"))
    if settled.exists:
        return _announce(settled.body, ports)
    moved = manifest.move_to(version) if manifest else None
    if moved is None:
        return None
    return settle_promotion(model, version, moved, ports, sentence="")


def told(model: str, version: str, ports: Promote) -> bool:
    """True when the version is decided and everybody knows."""
    settled = documents.read(ports.lake, paths.version(model, version, "decision.json"))
    if not settled.exists:
        return False
    name = NOTES[settled.body["action"]]
    return documents.read(ports.lake, paths.run_event(model, version, name)).exists


def carried_out(approval: Approval, ports: Promote) -> bool:
    """True when the question is answered, its version decided, and everybody knows."""
    return not approval.pending and told(approval.model, approval.version, ports)


def record_move(model: str, move: Move, sentence: str, ports: Promote) -> None:
    """Publish a move that a person made, or wants as it is; it settles a version that was not
    decided yet."""
    settled = documents.read(ports.lake, paths.version(model, move.version, "decision.json"))
    if not settled.exists:
        settle_promotion(model, move.version, move, ports, sentence=sentence)
    elif settled.body.get("revision") == move.revision:
        _announce(settled.body, ports, decided=ports.clock.now())
    else:
        say_move(model, move, sentence, ports, timestamp(ports.clock.now()))


def settle_refusal(
    model: str,
    version: str,
    ports: Promote,
    *,
    by: str,
    sentence: str,
    verdict: Verdict | None = None,
    action: str = "not_promoted",
) -> str:
    """Record that the champion stays. `verdict` is what policy said, where it was asked. First the
    version's canary or shadow is taken out: whoever lets it serve swaps the same manifest. Raises
    AliasMoved."""
    manifest = read_manifest(model, lake=ports.lake)
    running = manifest.beside if manifest else None
    if manifest and running and running.version == version and running.kind != "experiment":
        take_out(manifest, ports, by=by, reason=sentence, how=action)
    body = {
        "model": model,
        "version": version,
        "action": action,
        "by": by,
        "at": timestamp(ports.clock.now()),
        "sentence": sentence,
        "serving": manifest.version if manifest else None,
        **_policy(model, version, verdict, ports, refused=by == "policy"),
    }
    return _settle(body, ports)


def settle_promotion(
    model: str,
    version: str,
    move: Move,
    ports: Promote,
    *,
    sentence: str,
    verdict: Verdict | None = None,
) -> str:
    """Record that the champion moved."""
    body = {
        "model": model,
        "version": version,
        "action": "promoted",
        "by": move.by,
        "at": move.at,
        "sentence": sentence or move.reason or "Promoted; the facts are in comparison.json.",
        **_policy(model, version, verdict, ports),
        "previous": move.previous,
        "revision": move.revision,
    }
    return _settle(body, ports)


def _policy(
    model: str,
    version: str,
    verdict: Verdict | None,
    ports: Promote,
    *,
    refused: bool = False,
) -> dict[str, Any]:
    """All rules, and what the gate's alone would have done: a person, or a canary, may have decided
    otherwise."""
    verdict = verdict or judge_as_compared(model, version, lake=ports.lake)
    if verdict is None:
        return {"rules": []}
    found = verdict.as_dict()
    tried = canaries.rule_of(model, version, lake=ports.lake)
    if tried is not None and refused and tried.verdict == "broken":
        found["rules"] = [{**rule, "decides": False} for rule in found["rules"]]
        tried = replace(tried, decides=True)
    return {
        "rules": [*found["rules"], *([tried.as_dict()] if tried else [])],
        "policy": {"action": found["action"], "sentence": found["sentence"]},
    }


def _settle(body: dict[str, Any], ports: Promote) -> str:
    name = paths.version(body["model"], body["version"], "decision.json")
    documents.create(ports.lake, name, body)
    return _announce(documents.require(ports.lake, name), ports)


def _announce(body: Mapping[str, Any], ports: Promote, *, decided: datetime | None = None) -> str:
    """Publish and note a settled decision; the note is the last step. `decided` is when a person
    wanted the same once more."""
    model, version, action = body["model"], body["version"], str(body["action"])
    _write_letter(body, ports)
    _close_question(body, ports)
    facts = {"version": version, "by": body["by"], "sentence": body["sentence"]}
    at = timestamp(decided) if decided else body["at"]
    if action == "promoted":
        supersede(model, version, parse_time(body["at"]), ports)
        move = Move(body["revision"], version, body["previous"], body["by"], body["at"], "")
        say_move(model, move, body["sentence"], ports, at)
        facts["previous"] = body["previous"]
    elif action == "not_promoted":
        serves = body.get("serving", "unknown") is not None
        ports.say(
            ModelNotPromoted(model=model, run_id=version, **facts, decided_at=at, serves=serves)
        )
    elif action == "expired":
        ports.say(_expired(model, version, body["sentence"]))
    if "serving" in body:
        facts["serving"] = body["serving"]
    ports.note(model, version, NOTES[action], **facts)
    return action


def _write_letter(body: Mapping[str, Any], ports: Promote) -> None:
    """decision.md, for people who look beside the card; the same decision gives the same text."""
    ports.lake.write(
        paths.version(body["model"], body["version"], "decision.md"),
        letter.markdown(body).encode(),
        content_type="text/markdown; charset=utf-8",
    )


def _expired(model: str, version: str, why: str) -> AutomationNoted:
    return AutomationNoted(
        model=model,
        source="promote",
        subject=f"approval-{version}",
        sentence=f"The approval of {version} expired: {why}. To promote it after all: "
        f'millrace versions promote {model} {version} --reason "..."',
    )


def _close_question(body: Mapping[str, Any], ports: Promote) -> None:
    """A version that was decided some other way waits for nobody."""
    approval = approvals.find(body["model"], body["version"], lake=ports.lake)
    if approval and approval.pending:
        action = "promote" if body["action"] == "promoted" else "decline"
        reason = str(body["sentence"])
        approvals.decide(
            approval, action, by=body["by"], reason=reason, lake=ports.lake, clock=ports.clock
        )


def supersede(model: str, version: str, since: datetime, ports: Promote) -> None:
    """A newer question, or a newer champion, ends the pending questions about older versions.
    Who was asked after it (`since`) was asked in spite of it: a repeat ends no such question."""
    by, why = "policy", f"{version} is newer"
    for approval in approvals.every(model, lake=ports.lake):
        older = approval.spec_generation is None and approval.version < version
        if older and approval.pending and parse_time(approval.requested_at) <= since:
            decided = approvals.decide(
                approval, "superseded", by=by, reason=why, lake=ports.lake, clock=ports.clock
            )
            # A person may have answered in the same moment: then the answer is carried out.
            if (decided.decision or {}).get("action") == "superseded":
                settle_refusal(
                    model,
                    approval.version,
                    ports,
                    by=by,
                    sentence=why,
                    action="superseded",
                )
