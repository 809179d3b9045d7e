"""Contexts: which installation a command speaks to, and its ports.

A local stack describes itself in `.millrace/<context>/stack.json` while it runs; a command takes
addresses and settings from there and never guesses them.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import click

from infra.local.addresses import Addresses
from infra.local.state import find
from shared.cli.console import say
from shared.config import Config
from shared.ports import Bucket, Clock, Publisher
from shared.wiring import Wiring

ROOT = Path(__file__).resolve().parents[2]
LOCAL_CONTEXTS = ("local", "demo")


class NotRunning(click.ClickException):
    """A command needs a stack that does not run."""


@dataclass(frozen=True)
class Context:
    """One installation, with the environment that leads a client to it."""

    name: str
    state: Path
    env: Mapping[str, str]
    addresses: Addresses

    @cached_property
    def config(self) -> Config:
        return Config.from_env(self.env)

    @cached_property
    def wiring(self) -> Wiring:
        return Wiring(self.config, clients="google")

    @property
    def inbox(self) -> Bucket:
        return self.wiring.inbox

    @property
    def lake(self) -> Bucket:
        return self.wiring.lake

    @property
    def publisher(self) -> Publisher:
        return self.wiring.publisher

    @property
    def clock(self) -> Clock:
        return self.wiring.clock

    @property
    def user(self) -> str:
        return getpass.getuser()

    def function(self, name: str) -> str:
        """Where a function answers."""
        return self.addresses.function(name)

    def announce(self, what: str) -> None:
        """Every changing command says first where it changes something."""
        say(f"context {self.name} (bucket {self.config.inbox}): {what}", err=True)


def state_folder(name: str) -> Path:
    """Where a local context keeps its data. Raises ClickException for an unknown name."""
    if name not in LOCAL_CONTEXTS:
        raise click.ClickException(
            f"there is no context {name!r}; known here: {', '.join(LOCAL_CONTEXTS)}"
        )
    return ROOT / ".millrace" / name


def start_command(name: str) -> str:
    return "make up" if name == "local" else f"./millrace --context {name} up"


def load(name: str) -> Context:
    """The running installation of that name. Raises NotRunning."""
    context = running(name)
    if context is None:
        raise NotRunning(f"the {name} stack is not running; start it with: {start_command(name)}")
    return context


def running(name: str) -> Context | None:
    """As `load`, None when it does not run."""
    state = state_folder(name)
    found = find(state)
    return of_stack(name, state, found.addresses, found.env) if found else None


def of_stack(name: str, state: Path, addresses: Addresses, env: Mapping[str, str]) -> Context:
    """The context of a local stack that says it is there."""
    if env.get(
        "NO_PROXY"
    ):  # a proxy on the way to this machine's own ports would only break things
        os.environ["NO_PROXY"] = ",".join(
            part for part in (os.environ.get("NO_PROXY"), env["NO_PROXY"]) if part
        )
    return Context(name, state, env, addresses)


pass_name = click.pass_obj
