"""A version in the registries that mirror the lake: what they show of it, and registering it once.

Shared by the train job, which registers what it stored, and mirror, which registers what is missing
(a registry that was down, or switched on later).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared import documents, paths
from shared.errors import ObjectNotFound, TrackingUnavailable, VersionGone
from shared.manifests import read_manifest
from shared.moves import Move
from shared.ports import Bucket, Registry, TrackedVersion, VersionFacts


def register_version(
    model: str, version: str, *, registry: Registry, lake: Bucket
) -> TrackedVersion:
    """The version as the registry knows it, registered now if it was not. Raises
    TrackingUnavailable, VersionGone."""
    found = registry.find(model, version)
    if found is not None:
        return found
    return registry.register(model, version, facts_of(model, version, lake=lake))


def facts_of(model: str, version: str, *, lake: Bucket) -> VersionFacts:
    """What the lake says of a version now, as a registry shows it. Raises VersionGone."""
    name = paths.version(model, version, "version.json")
    try:
        about = documents.require(lake, name)
    except ObjectNotFound as error:
        raise VersionGone(model, version, name) from error
    named = {
        "semantic_version": about.get("semantic_version"),
        "task": about.get("task"),
        "candidate": about.get("candidate"),
        "spec_generation": about.get("spec_generation"),
        "package_sha256": about["package"]["sha256"],
        "reproducible": about.get("reproducible"),
    }
    tags = {name: _text(value) for name, value in named.items() if value is not None}
    return VersionFacts(
        tracking_run_id=about.get("tracking_run_id"),
        description=_describe(model, version, about.get("semantic_version"), lake),
        tags=tags,
    )


def _describe(model: str, version: str, number: str | None, lake: Bucket) -> str:
    """What people read first at a registered version: how it was decided, or what it waits with."""
    manifest = read_manifest(model, lake=lake)
    moved = manifest.move_to(version) if manifest else None
    decision = documents.read(lake, paths.version(model, version, "decision.json")).body
    comparison = documents.read(lake, paths.version(model, version, "comparison.json")).body
    sentence = f"{number or version}: {_decided(moved, decision)}"
    facts = [str(comparison.get("sentence", "")), f"How it came about: `millrace why {version}`"]
    return "\n\n".join(filter(None, [sentence, *facts]))


def _decided(moved: Move | None, decision: Mapping[str, Any]) -> str:
    words = {"not_promoted": "not promoted", "superseded": "superseded", "expired": "expired"}
    found = [f"promoted {moved.at[:10]} by {moved.by}."] if moved else []
    if decision.get("action") in words:
        before = "Before that " if moved else ""
        found.append(f"{before}{words[decision['action']]}: {decision['sentence']}")
    elif decision:
        found.append(str(decision["sentence"]))
    return " ".join(found) or "not decided yet."


def with_each(registries: Sequence[Registry], do: Callable[[Registry], object]) -> None:
    """Do it with every registry, whatever becomes of the others. Raises TrackingUnavailable naming
    those in trouble."""
    trouble: list[TrackingUnavailable] = []
    for registry in registries:
        try:
            do(registry)
        except TrackingUnavailable as error:
            trouble.append(error)
    if trouble:
        raise TrackingUnavailable("; ".join(map(str, trouble))) from trouble[0]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
