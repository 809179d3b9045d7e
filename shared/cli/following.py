"""Follow an upload: find its run by the claim on it, read its history until it ends.

The claim's key is the natural identity of an upload, gs://<bucket>/<object>#<generation>, so the
command line needs nobody to tell it the run id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import click

from shared import claims, documents, paths, runs
from shared.cli import contexts, words
from shared.cli.console import shown_command
from shared.lane import read_lane
from shared.ports import Bucket

POLL_SECONDS = 0.4
INTAKE_SECONDS = 60.0
SUCCESS, REFUSED, WAITING, TIMED_OUT = 0, 2, 3, 4


class StackStopped(click.ClickException):
    """The stack no longer answers while a run is followed; the run itself is not lost."""

    exit_code = TIMED_OUT

    def __init__(self, context: str, model: str, run_id: str | None) -> None:
        look = ("why", run_id) if run_id else ("status", model)
        start = contexts.start_command(context)
        here = context in contexts.LOCAL_CONTEXTS
        what = f"the stack stopped; the run goes on after `{start}`"
        if not here:
            what = "Google Cloud does not answer; the run goes on without us"
        super().__init__(f"{what}; {shown_command(*look, context=context)}")


@dataclass(frozen=True, slots=True)
class Followed:
    """Where following ended. `exit_code`: 0 success, 2 refused, 3 awaiting a person or a turn,
    4 timeout."""

    model: str
    run_id: str
    state: str
    exit_code: int
    facts: dict[str, Any] = field(default_factory=dict)
    events: tuple[dict[str, Any], ...] = ()


def run_of(source: str, *, lake: Bucket) -> str | None:
    """The run id that intake gave an upload, None before intake has seen it."""
    claim = claims.peek(paths.claim(source), lake=lake)
    return claim.run_id if claim else None


def wait_for_run(source: str, *, lake: Bucket, seconds: float) -> str | None:
    """As `run_of`, after waiting for it; None when nobody claimed the upload in time."""
    end = time.monotonic() + seconds
    while (found := run_of(source, lake=lake)) is None and time.monotonic() < end:
        time.sleep(POLL_SECONDS / 2)
    return found


def follow(
    model: str,
    run_id: str,
    *,
    lake: Bucket,
    seconds: float,
    on_event: Callable[[dict[str, Any]], None] = lambda _: None,
    until: frozenset[str] = frozenset(),
) -> Followed:
    """Watch a run until it is terminal, needs a person, has a transition named in `until`, or
    `seconds` are over."""
    end = time.monotonic() + seconds
    history = History(model, run_id, lake)
    while True:
        for event in history.news():
            on_event(event)
        ended = _ended(model, run_id, history, lake, until)
        if ended is not None:
            return ended
        if time.monotonic() > end:
            state = history.state
            code = WAITING if state.state in words.TURNS else TIMED_OUT
            return Followed(model, run_id, state.state, code, state.facts, tuple(history.events))
        time.sleep(POLL_SECONDS)


class History:
    """The transitions of a run, each read once."""

    def __init__(self, model: str, run_id: str, lake: Bucket) -> None:
        self._prefix = paths.run_event(model, run_id, "").removesuffix(".json")
        self._lake = lake
        self._seen: set[str] = set()
        self.events: list[dict[str, Any]] = []

    def news(self) -> Iterator[dict[str, Any]]:
        """Transitions that came since the last call, oldest first."""
        names = [info.name for info in self._lake.list(self._prefix) if info.name not in self._seen]
        found = [documents.require(self._lake, name) for name in names]
        self._seen.update(names)
        found.sort(key=lambda event: str(event["at"]))
        self.events = sorted(
            [*self.events, *found], key=lambda e: (str(e["at"]), e["name"] in runs.TERMINAL)
        )
        yield from found

    @property
    def state(self) -> runs.RunState:
        return runs.fold(self.events)


def _ended(
    model: str, run_id: str, history: History, lake: Bucket, until: frozenset[str]
) -> Followed | None:
    state = history.state
    reached = until & {str(event["name"]) for event in history.events}
    if state.terminal or reached:
        good = state.state in words.GOOD and not words.nothing_scored(state.facts)
        code = SUCCESS if good or reached else REFUSED
    elif state.state in ("awaiting_approval", "in_canary") or _nobody_will_train(
        model, state.state, lake
    ):
        code = WAITING
    else:
        return None
    return Followed(model, run_id, state.state, code, state.facts, tuple(history.events))


def _nobody_will_train(model: str, state: str, lake: Bucket) -> bool:
    """A score run waits for a champion and no training is on its way."""
    if state != "waiting_for_champion":
        return False
    lane, _ = read_lane(model, lake=lake)
    return lane.train is None and all(item.kind != "train" for item in lane.waiting)
