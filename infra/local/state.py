"""What a running stack leaves on disk for others: who holds the directory, and where it listens.

`stack.json` is there while it runs; `ports.json` stays, so that the next start takes the same
ports if they are still free.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from infra.local import pids
from infra.local.addresses import Addresses

_FILE = "stack.json"
_PORTS = "ports.json"


class AlreadyRunning(RuntimeError):
    """Another stack holds this state directory."""


@dataclass(frozen=True, slots=True)
class Running:
    """A stack that runs now, perhaps in another process. `env` leads a client to it, `urls` are
    base addresses by name: predict, mlflow, slack, and every function."""

    pid: int
    addresses: Addresses
    env: Mapping[str, str]
    urls: Mapping[str, str]


class Hold:
    """The state directory is ours until `release`, or until this process ends in any way."""

    def __init__(self, directory: Path) -> None:
        """Raises AlreadyRunning."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._file: IO[str] = (directory / "lock").open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            other = find(directory)
            who = f"process {other.pid}" if other else "another process"
            raise AlreadyRunning(
                f"A stack already runs on {directory} ({who}). Use it, or stop it with"
                " `./millrace down`."
            ) from error

    def announce(
        self, addresses: Addresses, env: Mapping[str, str], urls: Mapping[str, str]
    ) -> None:
        """Write stack.json; from now on `find` sees this stack."""
        body = {
            "pid": os.getpid(),
            "started": pids.start_time(os.getpid()),
            "addresses": asdict(addresses),
            "env": dict(env),
            "urls": dict(urls),
        }
        _write(self._directory / _FILE, body)

    def release(self) -> None:
        (self._directory / _FILE).unlink(missing_ok=True)
        self._file.close()


def find(directory: Path) -> Running | None:
    """The stack that runs on this state directory, if one does."""
    try:
        body = json.loads((directory / _FILE).read_text())
        if pids.start_time(body["pid"]) != body["started"]:
            return None
        return Running(body["pid"], Addresses(**body["addresses"]), body["env"], body["urls"])
    except (OSError, ValueError, KeyError, TypeError):  # none, or of another release
        return None


def read_ports(directory: Path) -> dict[str, int]:
    """Those of the last stack here."""
    try:
        return {
            name: int(port) for name, port in json.loads((directory / _PORTS).read_text()).items()
        }
    except (OSError, ValueError, AttributeError):
        return {}


def write_ports(directory: Path, ports: Mapping[str, int]) -> None:
    _write(directory / _PORTS, dict(ports))


def _write(file: Path, body: Mapping[str, object]) -> None:
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(body, indent=1))
    draft.replace(file)
