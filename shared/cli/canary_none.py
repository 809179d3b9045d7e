"""Why a model has no canary, for whoever looks for one."""

from __future__ import annotations

from shared import documents, paths
from shared.cli.console import shown_command
from shared.cli.contexts import Context
from shared.cli.named import shown
from shared.manifests import Manifest
from shared.spec.registry import find_spec
from shared.usecases.beside.canarying import too_few
from shared.versions import version_ids


def why_none(context: Context, model: str, manifest: Manifest | None) -> str:
    """In sentences, by what the lake says now."""
    lake = context.lake
    spec = find_spec(model, lake=lake)
    canary = spec.spec.serving.canary if spec is not None else None
    if canary is None:
        return "Its spec asks for none: a promotion begins one where it has serving: {canary: {}}."
    versions = version_ids(model, lake=lake)
    if not versions:
        return "It has no version yet."
    last = versions[0]
    named = shown(model, last, lake)
    decision = documents.read(lake, paths.version(model, last, "decision.json")).body
    if manifest is None or last != manifest.version:
        if not decision:
            look = shown_command("why", last, context=context.name)
            return f"A promotion begins one, and {named}, the latest, is not decided; see {look}"
        return (
            f"A promotion begins one, and {named}, the latest, was not promoted: "
            f"{decision.get('sentence', '')}"
        )
    if manifest.replaced is None:
        return f"{named} is the first champion: there was none that it could come in beside."
    few = too_few(canary, manifest, context.clock.now(), lake)
    now = f" As things are, the next one has none either: {few}." if few else ""
    return f"{named} was promoted at once.{now}"
