"""The predictor under the command of topology.yaml, as a process that may be watched and killed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from infra import topology
from infra.local.addresses import service_env
from infra.local.children import machine_env
from infra.local.hosting import free_port
from tests.support.local import descendants

HOST = "127.0.0.1"
PATIENCE_SECONDS = 60.0


@dataclass(slots=True)
class Predicting:
    """A server that answered once. `log` has everything that it said."""

    process: subprocess.Popen[bytes]
    port: int
    log: IO[bytes]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def ask(
        self, path: str, body: Any = None, *, seconds: float = PATIENCE_SECONDS
    ) -> tuple[int, Any]:
        """Status and JSON (or text) of one request on a connection of its own."""
        line = http.client.HTTPConnection(HOST, self.port, timeout=seconds)
        try:
            headers = {"Content-Type": "application/json", "Connection": "close"}
            method = "GET" if body is None else "POST"
            line.request(method, path, None if body is None else json.dumps(body), headers)
            response = line.getresponse()
            data = response.read()
            is_json = response.getheader("Content-Type") == "application/json"
            return response.status, json.loads(data) if is_json else data.decode()
        finally:
            line.close()

    def resident_mib(self) -> float:
        """Of the process that serves, the largest of all."""
        return max(map(_resident_mib, descendants(self.process.pid)))

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def end(self, number: int = signal.SIGTERM) -> float:
        """Signal the server alone, as a container gets it; seconds until it has ended."""
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(PATIENCE_SECONDS)
        return time.monotonic() - started

    def kill(self) -> None:
        """Everything at once, as the platform does it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def predicting(folder: Path, env: Mapping[str, str], log: Path) -> Iterator[Predicting]:
    """The predictor of that bundle, killed when the block ends if it still runs."""
    port = free_port(HOST)
    with log.open("w+b") as said:
        process = subprocess.Popen(
            list(topology.load().services["predict"].command),
            cwd=folder,
            env={
                **machine_env(),
                **service_env(env, "predict", HOST, port),
                "PYTHONPATH": str(folder),
            },
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        found = Predicting(process, port, said)
        try:
            _wait(found)
            yield found
        finally:
            if process.poll() is None:
                found.kill()


def _wait(found: Predicting) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while found.process.poll() is None and time.monotonic() < end:
        try:
            if found.ask("/healthz")[0] == 200:
                return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError(f"the predictor does not answer:\n{found.said()[-3000:]}")


def _resident_mib(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:  # it just ended
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024
