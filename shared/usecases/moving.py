"""The one way to move a champion: by the spec in force, with what ran beside it on record first."""

from __future__ import annotations

from shared import documents, paths
from shared.beside import canaries, experiments
from shared.manifests import Manifest, move_champion
from shared.moves import DECISION, Move
from shared.spec.registry import read_spec
from shared.usecases.promoting import Promote


def move_to(
    model: str,
    version: str,
    manifest: Manifest | None,
    ports: Promote,
    *,
    by: str,
    cause: str,
    reason: str,
    pin: bool = False,
) -> Move:
    """Swap the champion against exactly `manifest`; a pin stays until somebody unpins. Raises
    AliasMoved, ObjectNotFound."""
    body = documents.require(ports.lake, paths.version(model, version, "version.json"))
    serving = read_spec(model, lake=ports.lake).spec.serving
    _keep_running(manifest, ports)
    return move_champion(
        manifest,
        body,
        by=by,
        cause=cause,
        log=serving.log,
        unknown_fields=serving.unknown_fields,
        coerce=serving.coerce,
        redact=serving.redact,
        log_sample=serving.log_sample,
        pinned=pin or bool(manifest and manifest.pinned),
        reason=reason,
        lake=ports.lake,
        clock=ports.clock,
    )


def decided(version: str) -> str:
    """The cause of the one move that settling a version's own decision makes."""
    return f"{DECISION}{version}"


def _keep_running(manifest: Manifest | None, ports: Promote) -> None:
    """What ran beside the champion is on record, whatever happens then."""
    if manifest is None or manifest.beside is None:
        return
    if manifest.beside.kind == "experiment":
        experiments.keep(manifest.model, manifest.beside, lake=ports.lake)
    elif manifest.beside.kind == "canary":
        canaries.keep(manifest.model, manifest.beside, lake=ports.lake)
