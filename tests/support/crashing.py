"""Ports that die at a chosen call: the process is gone, before or after the call took effect."""

from __future__ import annotations

from typing import Any


class Crash(BaseException):
    """The machine is gone. No handler of ours may catch it."""


class Fuse:
    """Counts port calls of a process and blows at call number `at` (from 0)."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.at, self.after = at, after
        self.calls = 0
        self.trail: list[str] = []

    @property
    def blown(self) -> bool:
        return self.calls > self.at

    def wrap(self, name: str, port: Any) -> Any:
        return _Crashing(name, port, self)


class _Crashing:
    def __init__(self, name: str, port: Any, fuse: Fuse) -> None:
        self._name, self._port, self._fuse = name, port, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            fuse = self._fuse
            number, fuse.calls = fuse.calls, fuse.calls + 1
            fuse.trail.append(f"{self._name}.{name}")
            if number == fuse.at and not fuse.after:
                raise Crash(f"before call {number}, {self._name}.{name}")
            result = found(*args, **kwargs)
            if number == fuse.at:
                raise Crash(f"after call {number}, {self._name}.{name}")
            return result

        return call
