"""The audit trail: every change of a serving manifest, with who made it, when and why.

    manifest swapped (with the move in its journal) -> moves/<model>/<revision>.json (create-only)

The swap is the moment that counts; the journal in the manifest says what was swapped, and whoever
touches the manifest next copies what a crash kept from being copied. Nothing leaves the journal
before it has its object, so the trail has no gap, however often a process dies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from shared import documents, paths
from shared.beside.second_version import KINDS
from shared.ports import Bucket

ROLLBACK = "rollback:"
DECISION = "decision:"
# Actions that change who serves; all others change how automation may go on.
CHAMPION = frozenset({"promote", "rollback"})
_REASON_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Move:
    """One revision of a manifest. `version` serves afterwards, `previous` served before; `cause`
    identifies what asked for it, `reason` says why in words. `pinned` is how it is afterwards.
    `beside` is the id of a second version's trial that began, went on or ended, `challenger` that
    version, and `share` what it gets, or got until then. Stored under the trial's kind."""

    revision: int
    version: str
    previous: str | None
    by: str
    at: str
    cause: str
    action: str = "promote"
    reason: str = ""
    semantic_version: str | None = None
    pinned: bool | None = None
    beside: str | None = None
    challenger: str | None = None
    share: float | None = None

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Move:
        """A move as it was stored, by this code, older or newer code."""
        known = {name: body[name] for name in cls.__dataclass_fields__ if name in body}
        about = next((body[kind] for kind in KINDS if kind in body), None)
        move = cls(**{"beside": about, **known})
        if "action" in body or not move.cause.startswith(ROLLBACK):
            return move
        return cls(**{**known, "action": "rollback"})

    @property
    def name(self) -> str:
        """The version as people read it: `1.2.0 (20260105T090000-0a1b2c3d)`."""
        return (
            f"{self.semantic_version} ({self.version})" if self.semantic_version else self.version
        )

    @property
    def kind(self) -> str | None:
        """What kind of second version it is about, None for no such move."""
        return self.action.partition("-")[0] if self.beside else None

    @property
    def is_rollback(self) -> bool:
        return self.action == "rollback"

    @property
    def moves_champion(self) -> bool:
        return self.action in CHAMPION

    def to_json(self) -> dict[str, Any]:
        body = {**asdict(self), "reason": self.reason[:_REASON_CHARACTERS]}
        about = {name: body.pop(name) for name in ("beside", "challenger", "share")}
        if self.kind is None:
            return body
        del about["beside"]
        return {**body, self.kind: self.beside, **about}


def rests_on(model: str, move: Move) -> list[str]:
    """The objects that hold the decision behind a move; a person's own word has none."""
    if move.beside and move.kind == "experiment":
        return [paths.experiment(model, move.beside)]
    if move.beside and move.kind == "canary":
        return [paths.canary(model, move.beside)]
    if not move.cause.startswith(DECISION):
        return []
    names = [paths.version(model, move.version, "decision.json")]
    return names if move.by == "policy" else [*names, paths.approval(model, move.version)]


def keep(model: str, journal: Iterable[Move], *, lake: Bucket) -> int:
    """Give every move of a journal its object; how many were missing comes back. In the order of
    revisions, so that one that is there stands for all before it."""
    missing: list[Move] = []
    for move in sorted(journal, key=lambda item: -item.revision):
        if documents.read(lake, paths.move(model, move.revision)).exists:
            break
        missing.append(move)
    for move in reversed(missing):
        body = {"model": model, **move.to_json(), "rests_on": rests_on(model, move)}
        documents.create(lake, paths.move(model, move.revision), body)
    return len(missing)


def trail(model: str, journal: Iterable[Move], *, lake: Bucket) -> list[Move]:
    """Every move there ever was, oldest first: the objects, and what the journal holds beyond."""
    folder = paths.moves(model)
    found = [Move.of(documents.require(lake, info.name)) for info in lake.list(folder)]
    there = {move.revision for move in found}
    found += [move for move in journal if move.revision not in there]
    return sorted(found, key=lambda move: move.revision)
