"""A chat channel and a model registry that keep everything in memory."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping

from shared.errors import ServiceUnavailable, TrackingUnavailable
from shared.ports import TrackedVersion, VersionFacts


class MemoryMessenger:
    """Implements `ports.Messenger`. `failing = True` makes it a Slack that is down."""

    def __init__(self) -> None:
        self.posted: list[Mapping[str, object]] = []
        self.failing = False
        self._lock = threading.Lock()

    def post(self, message: Mapping[str, object]) -> None:
        if self.failing:
            raise ServiceUnavailable("the chat service does not answer")
        with self._lock:
            self.posted.append(copy.deepcopy(dict(message)))


class MemoryRegistry:
    """Implements `ports.Registry`. `failing = True` makes it a server that is down."""

    def __init__(self, title: str = "MLflow") -> None:
        self.title = title
        self.failing = False
        self.facts: dict[tuple[str, str], VersionFacts] = {}
        self.descriptions: dict[tuple[str, str], str] = {}
        self._versions: dict[tuple[str, str], TrackedVersion] = {}
        self._aliases: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    def find(self, model: str, version: str) -> TrackedVersion | None:
        self._up()
        return self._versions.get((model, version))

    def register(self, model: str, version: str, facts: VersionFacts) -> TrackedVersion:
        self._up()
        with self._lock:
            known = self._versions.get((model, version))
            if known is None:
                number = 1 + sum(name == model for name, _ in self._versions)
                known = TrackedVersion(str(number), facts.tracking_run_id or "")
                self._versions[model, version] = known
                self.facts[model, version] = facts
                self.descriptions[model, str(number)] = facts.description
            return known

    def describe(self, model: str, version: TrackedVersion, description: str) -> None:
        self._up()
        with self._lock:
            self.descriptions[model, version.registry_version] = description

    def alias(self, model: str, alias: str) -> str | None:
        self._up()
        number = self._aliases.get((model, alias))
        found = [
            version
            for (name, version), tracked in self._versions.items()
            if name == model and tracked.registry_version == number
        ]
        return found[0] if found else number and f"#{number}"

    def set_alias(self, model: str, alias: str, version: TrackedVersion) -> None:
        self._up()
        with self._lock:
            self._aliases[model, alias] = version.registry_version

    def _up(self) -> None:
        if self.failing:
            raise TrackingUnavailable("the tracking server does not answer")
