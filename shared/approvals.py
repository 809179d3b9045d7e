"""Approvals: versions that wait for a person. One object per version, decided by a swap.

    approvals/<model>/<version>.json
        {model, version, against, turn, sentence, requested_at, expires_at, decision: null | {...}}

`against` is the champion of that time and `turn` the revision that made it serve; a decision has
the `turn` of its own time. Approvals of before have neither turn. `canary` is there when the
question is how a canary of that id is to end: then `turn` is the revision of its last step.

A spec whose protected keys changed waits in the same way: `version` is then `spec-<generation>`
and `against` the generation that it would replace.

`decision.action` is approve, decline, superseded, expired, or promote when a person moved the
champion past the question; the first decision stays. What a decision leads to is carried out
afterwards and can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared import documents, paths
from shared.documents import timestamp
from shared.errors import PreconditionFailed
from shared.events import ApprovalRequested, parse_time
from shared.ports import Bucket, Clock


@dataclass(frozen=True, slots=True)
class Approval:
    model: str
    version: str
    against: str | None
    sentence: str
    requested_at: str
    expires_at: datetime
    decision: dict[str, Any] | None
    generation: int
    turn: int | None = None
    canary: str | None = None

    @property
    def pending(self) -> bool:
        return self.decision is None

    @property
    def spec_generation(self) -> int | None:
        """The spec that waits, None where a version does."""
        return paths.generation_asked(self.version)

    def holds_against(self, champion: str | None, turn: int) -> bool:
        """True for an answer that was given about this champion, in this turn of it."""
        answered = (self.decision or {}).get("turn")
        return self.against == champion and answered in (None, turn)

    def message(self, facts: Sequence[str] = ()) -> ApprovalRequested:
        """What asks people. A version's run has its id; a spec's question stands for itself."""
        return ApprovalRequested(
            model=self.model,
            run_id=self.version,
            version=self.version,
            against=self.against,
            turn=self.turn,
            sentence=self.sentence,
            facts=list(facts),
        )


def ask(
    model: str,
    version: str,
    against: str | None,
    sentence: str,
    expires: timedelta,
    *,
    turn: int,
    canary: str | None = None,
    lake: Bucket,
    clock: Clock,
) -> Approval:
    """Ask once; a repeat finds the first question (and maybe its answer). A question that is open,
    or was approved, against a champion of before is asked anew; who comes late with such a champion
    changes nothing."""
    now = clock.now()
    body = {
        "model": model,
        "version": version,
        "against": against,
        "turn": turn,
        "sentence": sentence,
        "requested_at": timestamp(now),
        "expires_at": timestamp(now + expires),
        "decision": None,
        **({"canary": canary} if canary else {}),
    }
    name = paths.approval(model, version)
    if documents.create(lake, name, body):
        return _parse(body, documents.read(lake, name).generation)
    found = documents.read(lake, name)
    there = _parse(found.body, found.generation)
    later = there.turn is None or turn > there.turn
    open_still = there.pending or (there.decision or {})["action"] == "approve"
    another = canary is not None and there.canary != canary
    if later and open_still and (another or not there.holds_against(against, turn)):
        return _parse(body, documents.swap(lake, name, body, generation=found.generation))
    return there


def find(model: str, version: str, *, lake: Bucket) -> Approval | None:
    found = documents.read(lake, paths.approval(model, version))
    return _parse(found.body, found.generation) if found.exists else None


def every(model: str = "", *, lake: Bucket) -> Iterator[Approval]:
    """All approvals, of one model or of all, in name order."""
    prefix = f"approvals/{model}/" if model else "approvals/"
    for info in lake.list(prefix):
        found = documents.read(lake, info.name)
        if found.exists:
            yield _parse(found.body, found.generation)


def decide(
    approval: Approval,
    action: str,
    *,
    by: str,
    reason: str,
    turn: int | None = None,
    lake: Bucket,
    clock: Clock,
) -> Approval:
    """Record a decision; the one in force comes back, which may be somebody else's. `turn` is the
    champion's that the person knew of."""
    name = paths.approval(approval.model, approval.version)
    found = documents.read(lake, name)
    if found.body.get("decision") is None and found.generation == approval.generation:
        at = timestamp(clock.now())
        decision = {"action": action, "by": by, "reason": reason, "at": at, "turn": turn}
        body = {**found.body, "decision": decision}
        try:
            return _parse(body, documents.swap(lake, name, body, generation=found.generation))
        except PreconditionFailed:
            found = documents.read(lake, name)
    return _parse(found.body, found.generation)


def _parse(body: dict[str, Any], generation: int) -> Approval:
    return Approval(
        model=body["model"],
        version=body["version"],
        against=body["against"],
        sentence=body["sentence"],
        requested_at=body["requested_at"],
        expires_at=parse_time(body["expires_at"]),
        decision=body["decision"],
        generation=generation,
        turn=body.get("turn"),
        canary=body.get("canary"),
    )
