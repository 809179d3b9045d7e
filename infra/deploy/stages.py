"""Stages of a deployment, one after the other: each looks before it does something, so that all of
them can be run again after any interruption, and a plan is the looks alone.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from infra.deploy.deployment import Deployment
from infra.deploy.tools import StepFailed

# `off`: not wanted here, so there is nothing to do.
State = Literal["done", "to do", "unknown", "off"]


@dataclass(frozen=True, slots=True)
class Look:
    """What a stage found: `commands` are those it would run, `notes` what else there is to say."""

    state: State
    commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Stage(Protocol):
    """`title` says what is there once it is done, `help` what to do when it fails."""

    key: str
    title: str
    help: str

    def look(self, deployment: Deployment) -> Look:
        """Change nothing. Never raises for what cannot be looked up: that is `unknown`."""

    def apply(self, deployment: Deployment) -> None:
        """Bring it about; what is there already stays. Raises StepFailed."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A stage as a plan shows it."""

    number: int
    key: str
    title: str
    look: Look

    def to_json(self) -> dict[str, Any]:
        return {
            "stage": self.key,
            "title": self.title,
            "state": self.look.state,
            "commands": list(self.look.commands),
            "notes": list(self.look.notes),
        }

    def unsure(self) -> Planned:
        """As it is shown where nobody could look whether there is anything to do."""
        return replace(self, look=replace(self.look, state="unknown"))


@dataclass
class Progress:
    """What an apply did, by stage."""

    done: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)


def plan(stages: Sequence[Stage], deployment: Deployment) -> list[Planned]:
    """What every stage would do."""
    return [
        Planned(number, stage.key, stage.title, stage.look(deployment))
        for number, stage in enumerate(stages)
    ]


def apply(stages: Sequence[Stage], deployment: Deployment, again: str = "") -> Progress:
    """Go through the stages; what is done is passed by. Raises StepFailed naming the stage, after
    which the same call (`again`) goes on where this one ended."""
    with held(deployment.folder):
        return _apply(stages, deployment, again)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Nobody else deploys it from this disk meanwhile; between machines Terraform's lock does that.
    Raises StepFailed."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StepFailed(f"it is being deployed from here already ({folder})") from error
        yield


def _apply(stages: Sequence[Stage], deployment: Deployment, again: str) -> Progress:
    progress = Progress()
    tell = deployment.tools.tell
    for number, stage in enumerate(stages):
        tell(f"[{number}/{len(stages) - 1}] {stage.title}")
        look = stage.look(deployment)
        for note in look.notes:
            tell(f"  {note}")
        if look.state in ("done", "off"):
            tell("  there already" if look.state == "done" else "  not wanted")
            progress.there.append(stage.key)
            continue
        try:
            stage.apply(deployment)
        except StepFailed as error:
            raise StepFailed(
                f"stage {stage.key} failed: {error}\n  {stage.help}\n"
                f"  What was done stays; go on with: {again or deployment.again('--apply')}"
            ) from error
        progress.done.append(stage.key)
    return progress
