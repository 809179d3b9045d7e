"""A chat channel and a model registry that keep everything in memory."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping

from shared.errors import ServiceUnavailable, TrackingUnavailable
from shared.ports import TrackedVersion


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

    def __init__(self) -> None:
        self.failing = False
        self._versions: dict[tuple[str, str], TrackedVersion] = {}
        self._aliases: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    def find(self, model: str, version: str) -> TrackedVersion | None:
        self._up()
        return self._versions.get((model, version))

    def register(self, model: str, version: str, tracking_run_id: str | None) -> TrackedVersion:
        self._up()
        with self._lock:
            known = self._versions.get((model, version))
            if known is None:
                number = 1 + sum(name == model for name, _ in self._versions)
                known = TrackedVersion(str(number), tracking_run_id or "")
                self._versions[model, version] = known
            return known

    def alias(self, model: str, alias: str) -> str | None:
        self._up()
        number = self._aliases.get((model, alias))
        found = [
            version
            for (name, version), tracked in self._versions.items()
            if name == model and tracked.registry_version == number
        ]
        return found[0] if found else None

    def set_alias(self, model: str, alias: str, version: TrackedVersion) -> None:
        self._up()
        with self._lock:
            self._aliases[model, alias] = version.registry_version

    def _up(self) -> None:
        if self.failing:
            raise TrackingUnavailable("the tracking server does not answer")
