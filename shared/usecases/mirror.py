"""MLflow mirrors what the lake says: versions registered, aliases `champion` and `challenger`.

    mirror/<model>.json   the champions that mirror wrote last, or was about to write

An alias that is neither what mirror wrote nor what the manifest says was moved by hand: that
becomes a PromotionRequested, once per move, never silently undone and never silently followed.
"""

from __future__ import annotations

from shared import documents, paths
from shared.errors import TrackingUnavailable
from shared.events import AutomationNoted, PromotionRequested, publish
from shared.manifests import Manifest, read_manifest, served_models
from shared.ports import Bucket, Clock, Publisher, Registry, TrackedVersion


def mirror_challenger(model: str, version: str, *, registry: Registry | None, lake: Bucket) -> str:
    """Register a trained version and call it challenger. Raises TrackingUnavailable."""
    if registry is None:
        return "no tracking server"
    tracked = _ensure(model, version, registry, lake)
    newest = registry.alias(model, "challenger")
    if newest and newest > version:  # version ids begin with their time
        return "a newer one is challenger"
    registry.set_alias(model, "challenger", tracked)
    return "challenger"


def mirror_champion(model: str, *, registry: Registry | None, lake: Bucket) -> str:
    """Point MLflow's champion at the manifest's, whatever order events came in. Raises
    TrackingUnavailable."""
    manifest = read_manifest(model, lake=lake)
    if registry is None or manifest is None:
        return "nothing to mirror"
    version = _ensure(model, manifest.version, registry, lake)
    # Remembered before it is written: what a crash leaves behind must not look like a person's.
    _remember(model, [*_remembered(model, lake)[-1:], manifest.version], lake)
    registry.set_alias(model, "champion", version)
    if read_manifest(model, lake=lake) != manifest:
        return mirror_champion(model, registry=registry, lake=lake)
    _remember(model, [manifest.version], lake)
    return "champion"


def look_for_moved_aliases(
    *, registry: Registry | None, lake: Bucket, publisher: Publisher, clock: Clock
) -> int:
    """Compare MLflow's champions with ours; how many differ comes back. A server that is down is
    looked at again at the next sweep."""
    if registry is None:
        return 0
    moved = 0
    for model in served_models(lake=lake):
        manifest = read_manifest(model, lake=lake)
        try:
            alias = registry.alias(model, "champion")
            if manifest is None or alias == manifest.version:
                continue
            if alias is None or alias in _remembered(model, lake):
                mirror_champion(model, registry=registry, lake=lake)
                continue
        except TrackingUnavailable:
            return moved
        moved += _report_move(model, alias, manifest, lake=lake, publisher=publisher, clock=clock)
    return moved


def _report_move(
    model: str,
    alias: str,
    manifest: Manifest,
    *,
    lake: Bucket,
    publisher: Publisher,
    clock: Clock,
) -> int:
    event = PromotionRequested(
        model=model, version=alias, instead_of=manifest.version, by="an alias moved in MLflow"
    )
    seen = paths.mirror_seen(model, event.id)
    if documents.read(lake, seen).exists:
        return 0
    publish(event, publisher=publisher, clock=clock)
    sentence = (
        f"Somebody moved the champion alias of {model} in MLflow to {alias}. "
        f"{manifest.version} keeps serving; the request goes through the gate."
    )
    note = AutomationNoted(model=model, source="mirror", subject=event.id, sentence=sentence)
    publish(note, publisher=publisher, clock=clock)
    documents.create(lake, seen, {"event": event.id})
    return 1


def _ensure(model: str, version: str, registry: Registry, lake: Bucket) -> TrackedVersion:
    found = registry.find(model, version)
    if found is not None:
        return found
    body = documents.require(lake, paths.version(model, version, "version.json"))
    return registry.register(model, version, body.get("tracking_run_id"))


def _remember(model: str, versions: list[str], lake: Bucket) -> None:
    body = documents.dumps({"champions": versions})
    lake.write(paths.mirror(model), body, content_type="application/json")


def _remembered(model: str, lake: Bucket) -> list[str]:
    found: list[str] = documents.read(lake, paths.mirror(model)).body.get("champions", [])
    return found
