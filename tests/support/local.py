"""A local stack as a process of its own, which a test may kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.state import find
from shared.config import Config
from shared.wiring import Wiring

START_SECONDS = 60.0
UP = """
import sys
from pathlib import Path
from infra.local.stack import Options, Stack
with Stack(Path(sys.argv[1]), Options(mlflow=sys.argv[2] == "mlflow")) as stack:
    stack.run_until_signalled()
"""
ROOT = Path(__file__).resolve().parents[2]


def start(state: Path, *, mlflow: bool) -> tuple[subprocess.Popen[bytes], Wiring]:
    """Start a stack on this directory; its process and a client of it."""
    command = [sys.executable, "-c", UP, str(state), "mlflow" if mlflow else "off"]
    with (state.parent / f"{state.name}.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, start_new_session=True, stdout=log, stderr=log
        )
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        found = find(state)
        if found and found.pid == process.pid:
            return process, Wiring(Config.from_env(found.env), clients="google")
        time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"the stack did not start; see {state}.log")


@contextmanager
def started(state: Path, *, mlflow: bool = False) -> Iterator[Wiring]:
    """A stack for the length of a block."""
    process, wiring = start(state, mlflow=mlflow)
    try:
        yield wiring
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def kill_everything(process: subprocess.Popen[bytes]) -> list[int]:
    """SIGKILL to the stack and to every process it started; their ids."""
    victims = descendants(process.pid)
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()
    return victims


def descendants(root: int) -> list[int]:
    """Every living process below `root`, and itself (Linux)."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found
