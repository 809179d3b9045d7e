"""One process behind a port: started at its first request, restarted when dead, scaled to zero.

A request that finds no process waits for it (a cold start), as on Cloud Run; the caller never sees
a port that is not open yet.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.local.children import Children
from shared.errors import ServiceUnavailable

_START_SECONDS = 60.0
_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "host", "keep-alive"}


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start it: called with the port each time. Python looks for modules in its folder,
    unless `python_path` names another one."""

    command: Callable[[int], Sequence[str]]
    env: Callable[[int], Mapping[str, str]]
    folder: Callable[[], Path]
    log: Path
    timeout_seconds: float
    concurrency: int = 1
    port: int = 0
    python_path: Path | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Hosted:
    """Thread-safe. `cold_starts` counts process starts."""

    def __init__(
        self, launch: Launch, children: Children, *, host: str, idle_seconds: float | None = None
    ) -> None:
        self._launch, self._children, self._host = launch, children, host
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(launch.concurrency)
        self._process: subprocess.Popen[bytes] | None = None
        self._port = launch.port
        self._active = 0
        self._last_used = time.monotonic()
        self._timer: threading.Timer | None = None
        self._closed = False
        self.cold_starts = 0

    def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Forward a request. Raises ServiceUnavailable (it cannot be started, or broke off); an
        answer that takes longer than the function may is 504, as on the platform."""
        with self._slots, self._in_use():
            port = self.ensure()
            connection = http.client.HTTPConnection(
                self._host, port, timeout=self._launch.timeout_seconds
            )
            try:
                kept = {k: v for k, v in headers.items() if k.lower() not in _HOP_BY_HOP}
                connection.request(method, target, body, kept)
                answer = connection.getresponse()
                found = {k: v for k, v in answer.getheaders() if k.lower() not in _HOP_BY_HOP}
                return Answer(answer.status, found, answer.read())
            except TimeoutError:
                return Answer(504, {}, b"the function did not answer in time")
            except (OSError, http.client.HTTPException) as error:
                raise ServiceUnavailable(f"{self._launch.log.stem} broke off: {error}") from error
            finally:
                connection.close()

    def ensure(self) -> int:
        """The port of a process that listens; started if need be. Raises ServiceUnavailable."""
        with self._lock:
            if self._closed:
                raise ServiceUnavailable("the stack is stopping")
            if self._process is None or self._process.poll() is not None:
                self._start()
            return self._port

    def _start(self) -> None:
        if self._process is not None:
            self._children.wait(self._process)  # take the dead one off the list
        launch = self._launch
        self._port = launch.port or free_port(self._host)
        try:
            folder = launch.folder()
            self._process = self._children.spawn(
                launch.command(self._port),
                cwd=folder,
                env={
                    **launch.env(self._port),
                    "PYTHONPATH": str(launch.python_path or folder),
                },
                log=launch.log,
            )
        except OSError as error:  # no such function, or no such program
            raise ServiceUnavailable(f"{launch.log.stem} cannot be started: {error}") from error
        self.cold_starts += 1
        self._wait_for_port(self._process)

    def _wait_for_port(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and not self._closed:
            if process.poll() is not None:
                raise ServiceUnavailable(
                    f"{self._launch.log.stem} ended with {process.returncode} while starting;"
                    f" see {self._launch.log}"
                )
            with socket.socket() as knock:
                if knock.connect_ex((self._host, self._port)) == 0:
                    return
            time.sleep(0.02)  # only while a process starts
        why = "is stopping" if self._closed else f"opened no port in {_START_SECONDS:.0f} s"
        raise ServiceUnavailable(f"{self._launch.log.stem} {why}")

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        with self._lock:
            self._active += 1
        try:
            yield
        finally:
            with self._lock:
                self._active -= 1
                self._last_used = time.monotonic()
                self._watch_idle()

    def _watch_idle(self) -> None:
        if self._idle_seconds is None or self._active or self._closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(self._idle_seconds, self._retire_if_idle)
        self._timer.daemon = True
        self._timer.start()

    def _retire_if_idle(self) -> None:
        idle = time.monotonic() - self._last_used
        if self._idle_seconds is not None and idle >= self._idle_seconds * 0.99:
            self.scale_to_zero()

    def scale_to_zero(self) -> bool:
        """Stop the process unless a request is under way; the next one is a cold start."""
        with self._lock:
            if self._active or self._process is None:
                return False
            process, self._process = self._process, None
            self._children.stop(process)
            return True

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        return self._process

    def close(self) -> None:
        """No more starts. The process itself is stopped with all the others by `Children`."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()


class Keeper:
    """Keeps a hosted process running without a request: started now, again whenever it dies."""

    def __init__(self, hosted: Hosted, children: Children) -> None:
        self._hosted, self._children = hosted, children
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        pause = 1.0
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                self._hosted.ensure()
            except ServiceUnavailable as error:
                if not self._stop.is_set():
                    print(f"local stack: {error}", file=sys.stderr, flush=True)
            process = self._hosted.process
            if process is not None:
                self._children.wait(process)
            # One that keeps dying is started less and less often.
            pause = 1.0 if time.monotonic() - started > 60 else min(pause * 2, 60.0)
            self._stop.wait(pause)

    def close(self) -> None:
        self._stop.set()
        self._hosted.close()


def free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def usable_port(host: str, wanted: int, taken: Collection[int] = ()) -> int:
    """`wanted` if nothing listens there and it is not taken, else any free one."""
    while wanted == 0 or wanted in taken or not _is_free(host, wanted):
        wanted = free_port(host)
    return wanted


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
