"""Registries mirror what the lake says: versions, aliases `champion` and `challenger`.

    mirror/<model>.json, mirror/<model>/<registry>.json   what mirror wrote last, or was about to

An alias that is neither what mirror wrote nor what the manifest says was moved by hand: that
becomes a PromotionRequested, once per move, never silently followed. It stays where it was put
until there is a decision: a promotion, a refusal of the version that it points at, or `versions
promote` of the champion. Then it follows that, and a message says so.

A registry that does not answer holds up no other one: the delivery comes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from shared import documents, paths
from shared.boundary import apart
from shared.errors import TrackingUnavailable, VersionGone
from shared.events import ModelNotPromoted, ModelPromoted, parse_time
from shared.fairness import rotated, turn_of
from shared.manifests import Manifest, read_manifest, served_models
from shared.ports import Registry
from shared.usecases.moved_alias import Mirror, MovedAlias
from shared.usecases.registries import facts_of, register_version, with_each

__all__ = [
    "Mirror",
    "look_for_moved_aliases",
    "mirror_challenger",
    "mirror_promotion",
    "mirror_refusal",
]

# As often as the schedule of infra/topology.yaml says: SweepDue.
EVERY = timedelta(minutes=5)
_CHAMPION, _CHALLENGER = "champion", "challenger"


@dataclass(frozen=True, slots=True)
class _Written:
    """Champions that mirror wrote, or was about to write, and the last manifest it had done."""

    champions: Sequence[str]
    revision: int


def mirror_challenger(model: str, version: str, ports: Mirror) -> str:
    """Register a trained version and call it challenger. Raises TrackingUnavailable."""

    def follow(registry: Registry) -> None:
        tracked = register_version(model, version, registry=registry, lake=ports.lake)
        newest = registry.alias(model, _CHALLENGER)
        # Version ids begin with their time; `#` marks a version that is none of ours.
        if newest is None or newest.startswith("#") or newest <= version:
            registry.set_alias(model, _CHALLENGER, tracked)

    with_each(ports.registries, follow)
    return _CHALLENGER


def mirror_promotion(event: ModelPromoted, said_at: datetime, ports: Mirror) -> str:
    """Point every champion at the manifest's, whatever order events came in, and let the promoted
    version tell its decision. Raises TrackingUnavailable."""
    model, version, decided = event.model, event.version, _decided_at(event, said_at)

    def follow(registry: Registry) -> None:
        _follow(model, registry, ports, decided)
        _describe(model, version, registry, ports)

    with_each(ports.registries, follow)
    return _CHAMPION


def mirror_refusal(event: ModelNotPromoted, said_at: datetime, ports: Mirror) -> str:
    """Let a version tell that it was refused, and take an alias back that was moved to it before.
    Raises TrackingUnavailable."""
    model, version, decided = event.model, event.version, _decided_at(event, said_at)

    def follow(registry: Registry) -> None:
        if registry.alias(model, _CHAMPION) == version:
            _follow(model, registry, ports, decided)
        _describe(model, version, registry, ports)

    with_each(ports.registries, follow)
    return "refused"


def _decided_at(event: ModelPromoted | ModelNotPromoted, said_at: datetime) -> datetime:
    """When it was decided; messages of before only tell when they were said."""
    return parse_time(event.decided_at) if event.decided_at else said_at


def look_for_moved_aliases(ports: Mirror) -> int:
    """Compare the registries' champions with ours; how many newly differ comes back. A registry
    that is down is looked at again at the next sweep; one model's trouble does not keep the others
    waiting, and is raised at the end as Retryable."""
    down: set[str] = set()

    def look(model: str, registry: Registry) -> int:
        if registry.title in down:
            return 0
        try:
            return _look(model, registry, ports)
        except TrackingUnavailable:
            down.add(registry.title)
        except VersionGone as error:
            # Published at each sweep, told once: it is the same message.
            ports.note(model, f"{error.version} in {registry.title} gone", str(error))
        return 0

    models = rotated(served_models(lake=ports.lake), turn_of(ports.clock.now(), EVERY))
    return apart(
        (f"{model} in {registry.title}", partial(look, model, registry))
        for registry in ports.registries
        for model in models
    )


def _look(model: str, registry: Registry, ports: Mirror) -> int:
    manifest = read_manifest(model, lake=ports.lake)
    if manifest is None:
        return 0
    alias = registry.alias(model, _CHAMPION)
    if alias == manifest.version:
        MovedAlias(model, registry, ports).forget()
        return 0
    if _moved_by_hand(alias, manifest, _written(model, registry, ports)):
        return MovedAlias(model, registry, ports).report(str(alias), manifest)
    _follow(model, registry, ports, None)
    return 0


def _follow(model: str, registry: Registry, ports: Mirror, decided: datetime | None) -> None:
    """Point the champion at the manifest's, unless somebody moved it and nothing was decided since.
    `decided` is when that was which this is about, None for a sweep."""
    manifest = read_manifest(model, lake=ports.lake)
    if manifest is None:
        return
    written = _written(model, registry, ports)
    alias, hand = registry.alias(model, _CHAMPION), MovedAlias(model, registry, ports)
    if _moved_by_hand(alias, manifest, written):
        # The champion was moved after mirror had last done its work (a pin is no such decision),
        # or, for a decision that left it where it is, that was taken after the move was seen.
        moved = manifest.turn > written.revision
        if not moved and not hand.seen_before(str(alias), decided):
            hand.report(str(alias), manifest)
            return
        hand.say_taken_back(str(alias), manifest)
    version = register_version(model, manifest.version, registry=registry, lake=ports.lake)
    # Remembered before it is written: what a crash leaves behind must not look like a person's.
    about_to = _Written([*written.champions[-1:], manifest.version], written.revision)
    _remember(model, about_to, registry, ports)
    registry.set_alias(model, _CHAMPION, version)
    if read_manifest(model, lake=ports.lake) != manifest:
        _follow(model, registry, ports, decided)
        return
    _remember(model, _Written([manifest.version], manifest.revision), registry, ports)
    hand.forget()


def _moved_by_hand(alias: str | None, manifest: Manifest, written: _Written) -> bool:
    """Neither ours nor mirror's. One that is not set (a new registry) is simply written."""
    return alias is not None and alias != manifest.version and alias not in written.champions


def _describe(model: str, version: str, registry: Registry, ports: Mirror) -> None:
    tracked = register_version(model, version, registry=registry, lake=ports.lake)
    facts = facts_of(model, version, lake=ports.lake)
    registry.describe(model, tracked, facts.description)


def _remember(model: str, written: _Written, registry: Registry, ports: Mirror) -> None:
    body = {"champions": list(written.champions), "revision": written.revision}
    name = paths.mirror(model, registry.title)
    ports.lake.write(name, documents.dumps(body), content_type="application/json")


def _written(model: str, registry: Registry, ports: Mirror) -> _Written:
    found = documents.read(ports.lake, paths.mirror(model, registry.title)).body
    return _Written(found.get("champions", []), int(found.get("revision", 0)))
