"""The serving manifest: which version of a model answers. One object per model, only swapped.

`moves` remembers every recent move with its revision, so that a repeat of a promotion recognises
itself even after the champion has moved on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared import documents, paths
from shared.documents import timestamp
from shared.errors import AliasMoved, PreconditionFailed
from shared.ports import Bucket, Clock

KEPT_MOVES = 50
ROLLBACK = "rollback:"


@dataclass(frozen=True, slots=True)
class Move:
    """One change of the champion. `cause` identifies what asked for it."""

    revision: int
    version: str
    previous: str | None
    by: str
    at: str
    cause: str

    @property
    def is_rollback(self) -> bool:
        return self.cause.startswith(ROLLBACK)


@dataclass(frozen=True, slots=True)
class Manifest:
    """`package` is a folder in the lake, `files` its names with SHA-256."""

    model: str
    revision: int
    version: str
    package: str
    sha256: str
    files: Mapping[str, str]
    previous: str | None
    pinned: bool
    log: str
    promoted_at: str
    by: str
    moves: tuple[Move, ...] = ()
    generation: int = field(default=0, compare=False)

    def move_to(self, version: str) -> Move | None:
        """The first of the recent moves that made this version the champion."""
        return next((move for move in self.moves if move.version == version), None)

    @property
    def replaced(self) -> str | None:
        """The version that the champion replaced when it was promoted: where a rollback leads.
        Rollbacks themselves do not count, so rolling back twice never brings back what was left."""
        return next(
            (
                move.previous
                for move in reversed(self.moves)
                if move.version == self.version and not move.is_rollback
            ),
            None,
        )


def parse_manifest(body: Mapping[str, Any], generation: int) -> Manifest:
    champion = body["champion"]
    return Manifest(
        model=body["model"],
        revision=body["revision"],
        version=champion["version"],
        package=champion["package"],
        sha256=champion["sha256"],
        files=champion["files"],
        previous=body["previous"],
        pinned=body["pinned"],
        log=body["log"],
        promoted_at=body["promoted_at"],
        by=body["by"],
        moves=tuple(Move(**move) for move in body["moves"]),
        generation=generation,
    )


def read_manifest(model: str, *, lake: Bucket) -> Manifest | None:
    """None while the model has no champion."""
    found = documents.read(lake, paths.manifest(model))
    return parse_manifest(found.body, found.generation) if found.exists else None


def served_models(*, lake: Bucket) -> list[str]:
    """Names of all models with a champion."""
    return [
        info.name.removeprefix("serving/").removesuffix(".json") for info in lake.list("serving/")
    ]


def move_champion(
    current: Manifest | None,
    version: Mapping[str, Any],
    *,
    by: str,
    cause: str,
    log: str,
    pinned: bool,
    lake: Bucket,
    clock: Clock,
) -> Move:
    """Swap the champion for `version` (a version.json body), against exactly `current`.
    Raises AliasMoved when the manifest is not the one that was read."""
    model, version_id = version["model"], version["version"]
    previous = current.version if current else None
    revision = current.revision + 1 if current else 1
    now = timestamp(clock.now())
    move = Move(revision, version_id, previous, by, now, cause)
    moves = [*(current.moves if current else ()), move][-KEPT_MOVES:]
    package = version["package"]
    body = {
        "model": model,
        "revision": revision,
        "champion": {
            "version": version_id,
            "package": paths.package(model, version_id),
            "sha256": package["sha256"],
            "files": package["files"],
            # For people: the predictor finds its snapshots, with their hashes, in the package.
            "features": version.get("features", []),
        },
        "previous": previous,
        "pinned": pinned,
        "log": log,
        "promoted_at": now,
        "by": by,
        "moves": [
            {name: getattr(item, name) for name in Move.__dataclass_fields__} for item in moves
        ],
    }
    _swap(model, body, current.generation if current else 0, lake)
    return move


def set_pinned(current: Manifest, pinned: bool, *, lake: Bucket) -> None:
    """Hold automation, or let it go on. Raises AliasMoved."""
    found = documents.read(lake, paths.manifest(current.model))
    if found.generation != current.generation:
        raise AliasMoved(f"the champion of {current.model} moved")
    _swap(current.model, {**found.body, "pinned": pinned}, current.generation, lake)


def _swap(model: str, body: Mapping[str, Any], generation: int, lake: Bucket) -> None:
    try:
        documents.swap(lake, paths.manifest(model), body, generation=generation)
    except PreconditionFailed as error:
        raise AliasMoved(f"the champion of {model} moved while this was decided") from error
