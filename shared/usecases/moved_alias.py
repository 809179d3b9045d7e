"""A champion alias that somebody moved by hand: seen, said once, and forgotten when it agrees.

mirror/<model>/<registry>-moved.json   {to, instead_of, seen_at, said}, while alias and manifest
                                       differ
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared import documents, paths
from shared.errors import ObjectNotFound, PreconditionFailed
from shared.events import AutomationNoted, PromotionRequested, parse_time, publish
from shared.manifests import Manifest
from shared.ports import Bucket, Clock, Publisher, Registry


@dataclass(frozen=True, slots=True)
class Mirror:
    """The registries that follow the lake, and what mirror works with."""

    registries: Sequence[Registry]
    lake: Bucket
    publisher: Publisher
    clock: Clock

    def note(self, model: str, subject: str, sentence: str) -> None:
        event = AutomationNoted(model=model, source="mirror", subject=subject, sentence=sentence)
        publish(event, publisher=self.publisher, clock=self.clock)


@dataclass(frozen=True, slots=True)
class MovedAlias:
    """The champion alias of one model in one registry, as far as people move it."""

    model: str
    registry: Registry
    ports: Mirror

    @property
    def _name(self) -> str:
        return paths.mirror_moved(self.model, self.registry.title)

    def seen_before(self, alias: str, moment: datetime | None) -> bool:
        """True when that move was seen, and before that moment."""
        seen = documents.read(self.ports.lake, self._name).body
        if moment is None or seen.get("to") != alias:
            return False
        return moment > parse_time(seen["seen_at"])

    def report(self, alias: str, manifest: Manifest) -> int:
        """Say once what somebody did: 1 when this is news."""
        lake = self.ports.lake
        found = documents.read(lake, self._name)
        seen, generation = found.body, found.generation
        if (seen.get("to"), seen.get("instead_of")) != (alias, manifest.version):
            now = documents.timestamp(self.ports.clock.now())
            seen = {"to": alias, "instead_of": manifest.version, "seen_at": now, "said": False}
            try:
                generation = documents.swap(lake, self._name, seen, generation=generation)
            except PreconditionFailed:  # another delivery sees it too
                return 0
        elif seen["said"]:
            return 0
        # What a crash left unsaid is said again under the same id.
        self._say(alias, manifest, seen["seen_at"])
        try:
            documents.swap(lake, self._name, {**seen, "said": True}, generation=generation)
        except PreconditionFailed:  # another delivery said it too
            return 0
        return 1

    def say_taken_back(self, alias: str, manifest: Manifest) -> None:
        """Before the alias is written: it follows what was decided, and people read it."""
        seen = documents.read(self.ports.lake, self._name).body
        when = seen.get("seen_at", "unseen until now")
        where, model = self.registry.title, self.model
        self.ports.note(
            model,
            f"champion alias in {where} set back, revision {manifest.revision}, {when}",
            f"The champion alias of {model} in {where}, which somebody had moved to {alias}, "
            f"points at {manifest.version} again: that is what was decided. To serve the other one "
            f'after all: millrace versions promote {model} {alias} --reason "..."',
        )

    def forget(self) -> None:
        """The alias agrees: the next move is news."""
        lake = self.ports.lake
        found = documents.read(lake, self._name)
        if not found.exists:
            return
        try:
            lake.delete(self._name, if_generation=found.generation)
        except (ObjectNotFound, PreconditionFailed):  # another delivery was faster
            return

    def _say(self, alias: str, manifest: Manifest, seen_at: str) -> None:
        where, model, ports = self.registry.title, self.model, self.ports
        event = PromotionRequested(
            model=model,
            version=alias,
            instead_of=manifest.version,
            by=f"an alias moved in {where}",
            where=where,
            seen_at=seen_at,
        )
        put = f"Somebody moved the champion alias of {model} in {where} to {alias}."
        about = paths.version(model, alias, "version.json")
        if alias.startswith("#") or not documents.read(ports.lake, about).exists:
            rest = (
                f"That is no version of ours, so nothing can follow it. {manifest.version} keeps "
                "serving. To set it back: "
                f'millrace versions promote {model} {manifest.version} --reason "..."'
            )
        else:
            publish(event, publisher=ports.publisher, clock=ports.clock)
            rest = (
                f"{manifest.version} keeps serving; the request goes through the gate, and the "
                "alias stays where it is until that is decided."
            )
        ports.note(model, f"champion alias in {where}, {seen_at}", f"{put} {rest}")
