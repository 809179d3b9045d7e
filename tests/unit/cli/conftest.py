"""The command line on the memory cloud: real commands, real doors, no network."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from infra.local.addresses import Addresses
from shared.cli import contexts, following, installations
from shared.cli.contexts import Context
from shared.cli.main import cli
from shared.ports import ObjectInfo
from shared.wiring import Wiring
from tests.support.system import CONFIG, System

NOWHERE = "http://127.0.0.1:9"


class BusyInbox:
    """The inbox, with a system behind it that does its work at every write."""

    def __init__(self, system: System, work: Callable[[], None]) -> None:
        self._system, self._work = system, work

    def __getattr__(self, name: str) -> Any:
        return getattr(self._system.inbox, name)

    def upload(self, name: str, path: Path, **more: Any) -> ObjectInfo:
        info = self._system.inbox.upload(name, path, **more)
        self._work()
        return info

    def write(self, name: str, data: bytes, **more: Any) -> ObjectInfo:
        info = self._system.inbox.write(name, data, **more)
        self._work()
        return info


@dataclass
class Shell:
    """Types commands. `comparison` is what the next training's comparison says."""

    system: System
    comparison: dict[str, Any] = field(default_factory=dict)
    trains: bool = True

    def work(self) -> None:
        """Deliver and train; the doors' log lines are not what the command prints."""
        with redirect_stdout(io.StringIO()):
            self.system.drain()
            if self.trains:
                self.system.clock.advance(1)  # histories are ordered by time
                self.system.train(**self.comparison)
                self.system.clock.advance(1)
                self.system.drain()

    def __call__(self, *words: str, ask: str | None = None) -> Result:
        return CliRunner().invoke(cli, list(words), input=ask)


def context_of(system: System, work: Callable[[], None], state: Path) -> Context:
    addresses = Addresses(*[NOWHERE] * len(Addresses.__dataclass_fields__))
    context = Context("local", state, {}, addresses)
    wiring = Wiring(CONFIG)
    ports: Mapping[str, Any] = {**system.ports, "inbox": BusyInbox(system, work)}
    wiring.__dict__.update(ports)  # stands where cached properties would
    config = replace(CONFIG, predict_url=NOWHERE, promote_url=NOWHERE)
    context.__dict__.update({"config": config, "wiring": wiring})
    return context


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shell:
    shell = Shell(System())
    monkeypatch.setattr(installations, "HOME", tmp_path / ".millrace")
    context = context_of(shell.system, shell.work, tmp_path)
    monkeypatch.setattr(contexts, "load", lambda name: context)
    monkeypatch.setattr(following, "POLL_SECONDS", 0.01)
    return shell
