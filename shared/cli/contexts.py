"""Contexts: which installation a command speaks to, and its ports.

A local stack describes itself in `.millrace/<context>/stack.json` while it runs; an installation on
Google Cloud is described by its file (`shared.cli.installations`). A command takes addresses and
settings from there and never guesses them.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import click

from infra.local.addresses import Addresses
from infra.local.state import find
from shared.cli import identity, installations
from shared.cli.console import say, shown_command
from shared.cli.installations import Installation
from shared.config import Config
from shared.ports import Bucket, Clock, Publisher
from shared.wiring import Wiring

LOCAL_CONTEXTS = installations.LOCAL


class NotRunning(click.ClickException):
    """A command needs a stack that does not run."""


class LocalOnly(click.ClickException):
    """A command makes sense for a stack on this machine only."""


class NoCredentials(click.ClickException):
    """Google's clients find no credentials."""


@dataclass(frozen=True)
class Context:
    """One installation, with the environment that leads a client to it. `addresses` are those of a
    stack on this machine, `installation` is one on Google Cloud; one of them is there."""

    name: str
    state: Path
    env: Mapping[str, str]
    addresses: Addresses | None
    installation: Installation | None = None

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

    @cached_property
    def user(self) -> str:
        """Who decides, as promote would record it."""
        if self.installation is None:
            return getpass.getuser()
        return identity.email_of(self._token(self.config.promote_url)) or "somebody"

    @property
    def local(self) -> Addresses:
        """Raises LocalOnly for an installation."""
        if self.addresses is None:
            raise local_only(self.name)
        return self.addresses

    def function(self, name: str) -> str:
        """Where a function answers."""
        if self.installation is not None:
            return self.installation.function(name)
        return self.local.function(name)

    def authorization(self, url: str) -> dict[str, str]:
        """Headers that say who asks the service at `url`. Raises NoIdentity."""
        if self.installation is None:
            return {"X-Millrace-User": self.user}
        return {"Authorization": f"Bearer {self._token(url)}"}

    def _token(self, url: str) -> str:
        impersonate = self.installation.impersonate if self.installation else ""
        return identity.id_token(identity.audience_of(url), impersonate)

    def announce(self, what: str) -> None:
        """Every changing command says first where it changes something."""
        say(f"context {self.name} ({self._where()}): {what}", err=True)

    def _where(self) -> str:
        if self.installation is None:
            return f"bucket {self.config.inbox}"
        there = self.installation
        other = [key for key in installations.ENDPOINTS[:2] if self.env.get(key)]
        return ", ".join(
            [
                there.environment,
                f"project {there.project}",
                f"bucket {there.inbox}",
                *(f"{key}={self.env[key]}" for key in other),
            ]
        )

    def agree(self, model: str) -> None:
        """Production asks for the model's name (or, where a command is about no model, its own).
        Call it after `announce`, right before something is changed. Raises ClickException."""
        if self.installation is None or not self.installation.production:
            return
        wanted, given = model or self.name, confirmed()
        if given == wanted:
            return
        if given:
            raise click.ClickException(
                f"--confirm says {given!r}, but this is about {wanted!r}; nothing was changed"
            )
        if not sys.stdin.isatty():
            again = f"{shown_command(context=self.name)} --confirm {wanted} ..."
            raise click.ClickException(
                f"{self.name} is production and nobody is there to answer; in a script: {again}"
            )
        what = "the model's name" if model else "the context's name"
        if click.prompt(f"Production. Type {what} to go on", default="", err=True) != wanted:
            raise click.ClickException(f"that is not {wanted!r}; nothing was changed")


def confirmed() -> str:
    """What --confirm says on the command line."""
    here = click.get_current_context(silent=True)
    return str(here.find_root().params.get("confirm") or "") if here else ""


def state_folder(name: str) -> Path:
    """Where a local context keeps its data. Raises LocalOnly, or ClickException for an unknown
    name."""
    if name in installations.known():
        raise local_only(name)
    if name not in LOCAL_CONTEXTS:
        raise unknown_context(name)
    return installations.HOME / name


def local_only(name: str) -> LocalOnly:
    here = click.get_current_context(silent=True)
    command = here.info_name if here else "this"
    return LocalOnly(
        f"`{command}` is for a stack on this machine, and {name} is an installation on Google "
        "Cloud. For the local stack: --context local"
    )


def unknown_context(name: str) -> click.ClickException:
    names = [*LOCAL_CONTEXTS, *installations.known()]
    return click.ClickException(
        f"there is no context {name!r}; known here: {', '.join(names)}. An installation that is "
        f"not known yet: ./millrace context add {name} --project ID --region REGION "
        f"--environment {'|'.join(installations.ENVIRONMENTS)}"
    )


def start_command(name: str) -> str:
    return "make up" if name == "local" else f"./millrace --context {name} up"


def load(name: str) -> Context:
    """The installation or the running stack of that name. Raises NotRunning, NoCredentials."""
    if name not in LOCAL_CONTEXTS:
        return of_installation(name)
    context = running(name)
    if context is None:
        raise NotRunning(f"the {name} stack is not running; start it with: {start_command(name)}")
    return context


def of_installation(name: str) -> Context:
    """Raises NoCredentials, BadContext, ClickException for an unknown name."""
    found = installations.find(name)
    if found is None:
        raise unknown_context(name)
    env = found.env(os.environ)
    context = Context(name, installations.HOME / name, env, None, found)
    os.environ.setdefault("GOOGLE_CLOUD_PROJECT", found.project)  # else Google's clients wonder
    trouble = context.wiring.missing_credentials()
    if trouble:
        raise NoCredentials(
            f"no credentials for Google Cloud ({trouble}). Log in with: "
            "gcloud auth application-default login"
        )
    return context


def running(name: str) -> Context | None:
    """The stack of that name on this machine, None when it does not run."""
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
