"""The servers that `predict.py` sets side by side: how each is started, asked and watched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from infra import bundle, topology
from infra.local.addresses import service_env
from infra.local.children import machine_env
from infra.local.hosting import free_port
from tests.bench import predict_load
from tests.bench.predict_load import Load
from tests.bench.predict_model import MODEL, World
from tests.support.local import descendants

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 90.0
HOST = "127.0.0.1"
ECHO, FASTAPI = "Flask echo", "FastAPI + joblib"
MLFLOW, MLFLOW_PACKAGE = "mlflow models serve", "mlflow, our package"
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 1024 / 1024
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
# One thread per request for everybody: more makes XGBoost slower on two cores.
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident MiB of the largest process and of all, shared pages counted once (PSS)."""

    largest: float
    all: float


@dataclass(frozen=True, slots=True)
class Kind:
    """A server. `scores` reads them out of an answer; None where there are none to read."""

    name: str
    command: Callable[[int], Sequence[str]]
    folder: Path
    env: Mapping[str, str]
    path: str
    body: Callable[[int], bytes]
    scores: Callable[[Any], list[float]] | None


@dataclass(slots=True)
class Server:
    """One that runs. `cold_seconds` went from its start to its first right answer."""

    kind: Kind
    world: World
    process: subprocess.Popen[bytes]
    port: int
    log: IO[bytes]
    cold_seconds: float = 0.0
    checked: int = field(default=0)

    def ask(self, rows: int, connections: int, seconds: float) -> tuple[Load, float]:
        """And the server's own CPU milliseconds per request. Raises RuntimeError for an answer
        that is not 200 and right."""
        before, body = self.cpu_seconds(), self.kind.body(rows)
        load = predict_load.run(self.port, self.kind.path, body, connections, seconds)
        spent = self.cpu_seconds() - before
        if load.failed:
            raise RuntimeError(f"{self.kind.name}: {load.failed} of {load.requests} failed")
        for found in load.bodies:
            self._check(found, rows)
        return load, spent / max(load.requests + load.late, 1) * 1e3

    def _check(self, body: str, rows: int) -> None:
        if self.kind.scores is None:
            right = body.encode() == self.kind.body(rows)
        else:
            scores = self.kind.scores(json.loads(body))
            right = len(scores) == rows and self.world.are_right(scores)
        if not right:
            raise RuntimeError(f"{self.kind.name} answers {rows} rows wrongly: {body[:500]}")
        self.checked += 1

    def first_answer(self, started: float) -> None:
        while self.process.poll() is None and time.perf_counter() - started < PATIENCE_SECONDS:
            try:
                load = predict_load.ask(self.port, self.kind.path, self.kind.body(1), 1, 0.0)
            except OSError:
                time.sleep(0.002)
                continue
            if not load.failed:
                self.cold_seconds = time.perf_counter() - started
                self._check(load.bodies[0], 1)
                return
        self.log.seek(0)
        said = self.log.read().decode(errors="replace")[-3000:]
        raise RuntimeError(f"{self.kind.name} does not answer:\n{said}")

    def cpu_seconds(self) -> float:
        """Of all its processes."""
        fields = [_stat(pid) for pid in descendants(self.process.pid)]
        return sum(int(found[11]) + int(found[12]) for found in fields if found) * _TICK_SECONDS

    def memory(self) -> Memory:
        pids = descendants(self.process.pid)
        resident = [int(found[21]) * _PAGE_MIB for found in map(_stat, pids) if found]
        return Memory(max(resident), sum(map(_proportional_mib, pids)))

    def first_of(self, path: str) -> float:
        """Seconds that one request of one row to this path takes. Raises RuntimeError."""
        load = predict_load.ask(self.port, path, self.kind.body(1), 1, 0.0)
        if load.failed:
            raise RuntimeError(f"{path} answers {load.bodies}")
        self._check(load.bodies[0], 1)
        return load.seconds


@contextmanager
def running(kind: Kind, world: World) -> Iterator[Server]:
    """A server that answered once, until the block ends."""
    port = free_port(HOST)
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            list(kind.command(port)),
            cwd=kind.folder,
            env={**machine_env(), **_ONE_THREAD, **service_env(kind.env, "bench", HOST, port)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            server = Server(kind, world, process, port, log)
            server.first_answer(started)
            yield server
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def ours_by(log: str) -> str:
    """The predictor's name in the tables, by the mode of its log."""
    return f"predictor, log {log}"


def ours(name: str, bundled: Path, env: Mapping[str, str], world: World, pinned: str) -> Kind:
    """The predictor as it is deployed: the command of topology.yaml over the deployed bundle."""
    command = topology.load().services["predict"].command
    return Kind(
        name,
        lambda port: command,
        bundled,
        {**env, "PYTHONPATH": str(bundled), **({"MILLRACE_MODEL": pinned} if pinned else {})},
        f"/models/{pinned or MODEL}/predict",
        world.instances,
        lambda body: [row["score"] for row in body["predictions"]],
    )


def bundled(root: Path) -> Path:
    """The predictor's bundle; the echo runs under the gunicorn configuration in it."""
    return bundle.build("predict", "functions", root)


def echo(bundled: Path, world: World) -> Kind:
    command = list(topology.load().services["predict"].command)
    command[-1] = "tests.bench.peer_echo:app"
    path = os.pathsep.join([str(bundled), str(ROOT)])
    return Kind(
        ECHO, lambda port: command, bundled, {"PYTHONPATH": path}, "/predict", world.instances, None
    )


def fastapi(_: Path, world: World) -> Kind:
    def command(port: int) -> list[str]:
        app = ["tests.bench.peer_fastapi:app", "--host", HOST, "--port", str(port)]
        return [sys.executable, "-m", "uvicorn", *app, "--no-access-log"]

    env = {"PYTHONPATH": str(ROOT), "BENCH_PIPELINE": str(world.pipeline)}
    return Kind(
        FASTAPI,
        command,
        world.pipeline.parent,
        env,
        "/predict",
        world.instances,
        lambda body: [row["score"] for row in body["predictions"]],
    )


def mlflow(_: Path, world: World) -> Kind:
    """The pipeline as a team without us serves it."""
    return _mlflow(MLFLOW, world.plain, world.plain_split)


def mlflow_package(_: Path, world: World) -> Kind:
    """The version that our training logs: MLflow around our own engine."""
    return _mlflow(MLFLOW_PACKAGE, world.mlflow, world.dataframe_split)


def _mlflow(name: str, model: Path, body: Callable[[int], bytes]) -> Kind:
    def command(port: int) -> list[str]:
        where = ["-m", str(model), "-h", HOST, "-p", str(port)]
        return [sys.executable, "-m", "mlflow", "models", "serve", *where, "--env-manager", "local"]

    return Kind(
        name,
        command,
        model.parent,
        {"MLFLOW_DISABLE_TELEMETRY": "true"},
        "/invocations",
        body,
        lambda body: [row[1] for row in body["predictions"]],
    )


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the third on; none for a process that ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _proportional_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
