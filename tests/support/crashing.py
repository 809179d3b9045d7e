"""Ports that die at a chosen call: the process is gone, before or after the call took effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shared.config import Config
from tests.support.promises import check_promises
from tests.support.system import CONFIG, EVERY_FUNCTION, System

READS = {"stat", "read", "read_if_changed", "list", "folders", "executions", "find", "alias"}
READS |= {"tasks_for", "open_reader", "download", "generations"}
# Of MLflow's client.
READS |= {"get_experiment_by_name", "get_run", "search_runs", "search_model_versions"}


class Crash(BaseException):
    """The machine is gone. No handler of ours may catch it."""


class Fuse:
    """Counts port calls of a process while it is armed and blows at call number `at` (from 0).
    `reads=False` leaves those out that change nothing: dying at one of them leaves the same behind
    as dying after the change before it."""

    def __init__(self, at: int, *, after: bool, armed: bool = True, reads: bool = True) -> None:
        self.at, self.after, self.armed, self.reads = at, after, armed, reads
        self.calls = 0
        self.trail: list[str] = []

    @property
    def blown(self) -> bool:
        return self.calls > self.at

    @property
    def where(self) -> str:
        when = "after" if self.after else "before"
        return f"crash {when} call {self.at}: {self.trail[self.at] if self.blown else 'none'}"

    def wrap(self, name: str, port: Any) -> Any:
        return _Crashing(name, port, self)


class _Crashing:
    def __init__(self, name: str, port: Any, fuse: Fuse) -> None:
        self._name, self._port, self._fuse = name, port, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        fuse = self._fuse
        if not callable(found) or not fuse.armed or (name in READS and not fuse.reads):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            number, fuse.calls = fuse.calls, fuse.calls + 1
            fuse.trail.append(f"{self._name}.{name} {args[0] if args else ''}")
            if number == fuse.at and not fuse.after:
                raise Crash(f"before call {number}, {self._name}.{name}")
            result = found(*args, **kwargs)
            if number == fuse.at:
                raise Crash(f"after call {number}, {self._name}.{name}")
            return result

        return call


class Story:
    """A system that is driven step by step; whatever step its processes die in is delivered
    again to new ones, as the platform would, and a person whose request died asks again."""

    def __init__(self, fuse: Fuse, config: Config = CONFIG) -> None:
        self.fuse = fuse
        self.system = System(fuse.wrap, EVERY_FUNCTION, config)

    def arm(self) -> None:
        """From here on calls count."""
        self.fuse.armed = True

    def drain(self) -> None:
        self._survive(lambda: self.system.drain(advance=True))

    def tick(self) -> None:
        self._survive(self.system.tick)

    def decide(self, **body: Any) -> tuple[dict[str, Any], int]:
        """The answer that the person got in the end."""
        try:
            return self.system.decide(**body)
        except Crash:
            self._revive()
            return self.system.decide(**body)

    def check(self, *sources: str) -> None:
        """The promises; a message is posted twice only by a crash between the service's yes and
        the completed claim."""
        fuse = self.fuse
        doubles = fuse.blown and fuse.trail[fuse.at].startswith("lake.write claims/notify/")
        check_promises(self.system, *sources, posted_twice=int(doubles))

    def _survive(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Crash:
            self._revive()

    def _revive(self) -> None:
        self.fuse.armed = False
        self.system.fresh_doors()
        self.system.drain(advance=True)
        self.system.tick()
        self.system.drain(advance=True)


def crash_everywhere(
    tell: Callable[[Story], None],
    *,
    after: bool,
    reads: bool = False,
    config: Config = CONFIG,
) -> int:
    """Tell a story again and again, each time dying at the next port call after `arm`, until it
    ends without a crash. How many crashes there were comes back."""
    at = 0
    while True:
        story = Story(Fuse(at, after=after, armed=False, reads=reads), config)
        try:
            tell(story)
        except BaseException as error:
            error.add_note(story.fuse.where)
            raise
        if not story.fuse.blown:
            return at
        at += 1
