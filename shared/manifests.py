"""The serving manifest: which version of a model answers. One object per model, only swapped.

`moves` remembers the recent moves of the champion with their revisions, so that a repeat of a
promotion recognises itself even after the champion has moved on; `policies` what people said about
automation in between (pin, unpin) and what became of second versions. Together they are the
journal, which `shared.moves` keeps for good. `beside` is a second version
(`shared.beside.second_version`); it ends with every move of the champion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared import documents, paths
from shared.beside.second_version import SecondVersion, second_of
from shared.documents import timestamp
from shared.errors import AliasMoved, NotAllowed, PreconditionFailed
from shared.moves import ROLLBACK, Move, keep
from shared.ports import Bucket, Clock

KEPT_MOVES = 50


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
    beside: SecondVersion | None = None
    generation: int = field(default=0, compare=False)
    semantic_version: str | None = None
    policies: tuple[Move, ...] = ()
    unknown_fields: str = "count"
    coerce: str = "lenient"
    redact: tuple[str, ...] = ()
    log_sample: float = 1.0

    @property
    def journal(self) -> tuple[Move, ...]:
        """All recent moves, in no order."""
        return (*self.moves, *self.policies)

    @property
    def experiment(self) -> SecondVersion | None:
        """The second version, where it is one of an experiment."""
        return self.beside if self.beside and self.beside.kind == "experiment" else None

    @property
    def turn(self) -> int:
        """The revision that made this champion serve: tells one turn of it from another."""
        return self.moves[-1].revision

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
        moves=tuple(map(Move.of, body["moves"])),
        beside=second_of(body),
        generation=generation,
        semantic_version=champion.get("semantic_version"),
        policies=tuple(map(Move.of, body.get("policies", ()))),
        unknown_fields=body.get("unknown_fields", "count"),
        coerce=body.get("coerce", "lenient"),
        redact=tuple(body.get("redact", ())),
        log_sample=body.get("log_sample", 1.0),
    )


def turn_of(manifest: Manifest | None) -> int:
    """The champion's turn, 0 where there is none."""
    return manifest.turn if manifest else 0


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
    reason: str = "",
    lake: Bucket,
    clock: Clock,
    unknown_fields: str = "count",
    coerce: str = "lenient",
    redact: Sequence[str] = (),
    log_sample: float = 1.0,
) -> Move:
    """Swap the champion for `version` (a version.json body), against exactly `current`,
    which ends what runs beside the former champion. Raises AliasMoved when the manifest is
    not the one that was read."""
    model, version_id = version["model"], version["version"]
    move = Move(
        revision=current.revision + 1 if current else 1,
        version=version_id,
        previous=current.version if current else None,
        by=by,
        at=timestamp(clock.now()),
        cause=cause,
        action="rollback" if cause.startswith(ROLLBACK) else "promote",
        reason=reason,
        semantic_version=version.get("semantic_version"),
        pinned=pinned,
    )
    body = {
        "model": model,
        "revision": move.revision,
        "champion": package_of(version),
        "previous": move.previous,
        "pinned": pinned,
        "log": log,
        "unknown_fields": unknown_fields,
        "coerce": coerce,
        "redact": list(redact),
        "log_sample": log_sample,
        "promoted_at": move.at,
        "by": by,
        "moves": _kept(current.moves if current else (), move),
        "policies": _kept(current.policies if current else ()),
    }
    _swap(model, current, body, move, lake)
    return move


def package_of(version: Mapping[str, Any]) -> dict[str, Any]:
    """What the predictor needs to load a version (a version.json body)."""
    model, version_id, package = version["model"], version["version"], version["package"]
    return {
        "version": version_id,
        "semantic_version": version.get("semantic_version"),
        "package": paths.package(model, version_id),
        "sha256": package["sha256"],
        "files": package["files"],
        # For people: the predictor finds its snapshots, with their hashes, in the package.
        "features": version.get("features", []),
    }


def set_pinned(
    current: Manifest, pinned: bool, *, by: str, reason: str, lake: Bucket, clock: Clock
) -> Move:
    """Hold automation, or let it go on. Raises AliasMoved."""
    action = "pin" if pinned else "unpin"
    return change_policy(
        current, action, {"pinned": pinned}, by=by, reason=reason, lake=lake, clock=clock
    )


def change_policy(
    current: Manifest,
    action: str,
    changes: Mapping[str, Any],
    *,
    by: str,
    reason: str,
    lake: Bucket,
    clock: Clock,
    about: SecondVersion | None = None,
    how: str = "",
) -> Move:
    """Change keys of the manifest while the champion stays, as one more move of the journal; `how`
    goes into its cause. Raises AliasMoved when the manifest is not the one that was read."""
    found = documents.read(lake, paths.manifest(current.model))
    if found.generation != current.generation:
        raise AliasMoved(f"the champion of {current.model} moved")
    move = Move(
        revision=current.revision + 1,
        version=current.version,
        previous=current.version,
        by=by,
        at=timestamp(clock.now()),
        cause=f"{action}:{current.revision}" + (f":{how}" if how else ""),
        action=action,
        reason=reason,
        semantic_version=current.semantic_version,
        pinned=bool(changes.get("pinned", current.pinned)),
        beside=about.id if about else None,
        challenger=about.version if about else None,
        share=about.share if about else None,
    )
    more = {"revision": move.revision, "policies": _kept(current.policies, move)}
    body = {**found.body, **changes, **more}
    if "beside" in changes:
        body.pop("experiment", None)  # its name in older manifests
    _swap(current.model, current, body, move, lake)
    return move


def set_beside(
    current: Manifest,
    second: SecondVersion | None,
    *,
    by: str,
    reason: str,
    lake: Bucket,
    clock: Clock,
    how: str = "",
) -> Move:
    """Begin a second version, take the one that runs to another step (the same id), or end it,
    which may say `how`. Raises AliasMoved, and NotAllowed while another one runs."""
    running = current.beside
    about = second or running
    if about is None:
        raise NotAllowed(f"nothing runs beside the champion of {current.model}")
    if second and running and second.id != running.id:
        raise NotAllowed(f"{running.kind} {running.id} of {current.model} runs already")
    what = "stop" if second is None else "step" if running else "start"
    return change_policy(
        current,
        f"{about.kind}-{what}",
        {"beside": second.to_json() if second else None},
        by=by,
        reason=reason,
        lake=lake,
        clock=clock,
        about=about,
        how=how,
    )


def _kept(moves: tuple[Move, ...], *more: Move) -> list[dict[str, Any]]:
    return [move.to_json() for move in (*moves, *more)[-KEPT_MOVES:]]


def _swap(
    model: str, current: Manifest | None, body: Mapping[str, Any], move: Move, lake: Bucket
) -> None:
    """The swap, and the audit objects around it: what falls out of the journal has its own."""
    keep(model, current.journal if current else (), lake=lake)
    generation = current.generation if current else 0
    try:
        documents.swap(lake, paths.manifest(model), body, generation=generation)
    except PreconditionFailed as error:
        raise AliasMoved(f"the champion of {model} moved while this was decided") from error
    keep(model, (move,), lake=lake)
