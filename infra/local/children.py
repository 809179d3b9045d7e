"""Subprocesses of the stack: started in their own groups, listed on disk, stopped in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from infra.local import pids

ROOT = Path(__file__).resolve().parents[2]
TERM_SECONDS = 10.0  # Cloud Run's patience between SIGTERM and SIGKILL

# What a child needs from the machine; everything else comes from the stack. Credentials of the
# person who started it stay outside.
_PASSED_ON = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
    *("SYSTEMROOT", "USER"),
)


class Closed(OSError):
    """Nothing can be started any more: the stack is stopping."""


class Children:
    """Thread-safe. `close` stops whatever still runs, and nothing starts after it."""

    def __init__(self, directory: Path) -> None:
        # A list per stack process: the watcher of a killed stack must not read its successor's.
        lists = directory / "processes"
        lists.mkdir(parents=True, exist_ok=True)
        self._run = directory / "run"
        self._run.mkdir(mode=0o700, exist_ok=True)
        self._lock = threading.Lock()
        self._closed = False
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._started: dict[int, str] = {}
        self.leftovers = [pid for file in lists.glob("*.json") for pid in pids.kill_listed(file)]
        self.leftovers += pids.kill_marked(f"{directory.resolve()}|")
        life = uuid.uuid4().hex
        self._mark = f"{directory.resolve()}|{life}"
        self._file = lists / f"{life}.json"
        self._watcher = self._start_watcher()

    def _start_watcher(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "infra.local.watcher", str(self._file), self._mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd=ROOT,
            env=machine_env() | {"PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )

    def spawn(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path
    ) -> subprocess.Popen[bytes]:
        """Start it with exactly `env` on top of the machine's own; output is appended to `log`.
        Raises Closed, and OSError for a program that is not there."""
        log.parent.mkdir(parents=True, exist_ok=True)
        # Under the lock, so that `close` sees every process that was ever started.
        with self._lock, log.open("ab") as output:
            if self._closed:
                raise Closed("the stack is stopping")
            process = self._popen(command, cwd, self._env(env), output)
            self._running[process.pid] = process
            self._started[process.pid] = pids.start_time(process.pid)
            pids.write(self._file, self._started)
        return process

    def _env(self, env: Mapping[str, str]) -> dict[str, str]:
        # gunicorn puts a control socket there, else into the person's home.
        own = {"XDG_RUNTIME_DIR": str(self._run), pids.MARK: self._mark}
        return machine_env() | own | dict(env)

    @staticmethod
    def _popen(
        command: Sequence[str], cwd: Path, env: Mapping[str, str], output: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            list(command),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """Until it ends; what it left in its group is killed, and it is off the list."""
        code = process.wait()
        pids.kill_group(process.pid, signal.SIGKILL)
        with self._lock:
            if self._running.pop(process.pid, None):
                self._started.pop(process.pid, None)
                pids.write(self._file, self._started)
        return code

    def stop(self, process: subprocess.Popen[bytes], seconds: float = TERM_SECONDS) -> int:
        """SIGTERM, then after `seconds` SIGKILL to the whole group."""
        timer = threading.Timer(seconds, pids.kill_group, (process.pid, signal.SIGKILL))
        timer.start()
        self.terminate(process)
        code = self.wait(process)
        timer.cancel()
        return code

    @staticmethod
    def terminate(process: subprocess.Popen[bytes]) -> None:
        """SIGTERM to the process itself, as a container's first process gets it."""
        if process.returncode is None:
            try:
                os.kill(process.pid, signal.SIGTERM)
            except ProcessLookupError:
                return

    def close(self, seconds: float = 5.0) -> None:
        """Stop everything that still runs, all at the same time. Tasks of jobs had their ten
        seconds before; for the rest five are enough, messages come again."""
        with self._lock:
            self._closed = True
            running = list(self._running.values())
        for process in running:
            self.terminate(process)
        for process in running:
            self.stop(process, seconds)
        if self._watcher.stdin:
            self._watcher.stdin.close()
        self._watcher.wait()
        self._file.unlink(missing_ok=True)


def machine_env() -> dict[str, str]:
    """The part of our own environment that children inherit."""
    found = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # Commands like gunicorn are those beside our Python, activated or not.
    found["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), found.get("PATH", "")])
    return found | {"NO_PROXY": "127.0.0.1,localhost", "PYTHONUNBUFFERED": "1"}
