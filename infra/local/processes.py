"""How each kind of process is started: functions, the predictor, the tracking server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from infra.local.addresses import function_env, service_env
from infra.local.children import ROOT
from infra.local.hosting import Launch
from infra.topology import Function, Service

Env = Callable[[], Mapping[str, str]]


def function_launch(
    function: Function, bundle: Callable[[], Path], env: Env, host: str, logs: Path
) -> Launch:
    """As the platform runs it: functions-framework in front of `main` in main.py."""

    def command(port: int) -> list[str]:
        return [
            *("functions-framework", "--target=main", "--source=main.py"),
            *("--signature-type=http", f"--host={host}", f"--port={port}"),
        ]

    return Launch(
        command=command,
        env=lambda port: function_env(env(), function) | {"PORT": str(port)},
        folder=bundle,
        log=logs / "functions" / f"{function.name}.log",
        timeout_seconds=function.timeout_seconds,
        concurrency=function.concurrency,
    )


def service_launch(
    service: Service, bundle: Callable[[], Path], env: Env, host: str, logs: Path
) -> Launch:
    """Its command from the topology, in its bundle, with PORT."""
    return Launch(
        command=lambda _port: service.command,
        env=lambda at: service_env(env(), service.name, host, at),
        folder=bundle,
        log=logs / "services" / f"{service.name}.log",
        timeout_seconds=service.timeout_seconds,
        concurrency=service.concurrency,
    )


def mlflow_launch(state: Path, host: str, port: int, logs: Path) -> Launch:
    """One process, one worker, SQLite; artifacts are proxied, so clients need no file access."""
    folder = state / "mlflow"

    def home() -> Path:
        (folder / "artifacts").mkdir(parents=True, exist_ok=True)
        return folder

    def command(at: int) -> list[str]:
        module = [sys.executable, "-P", "-m", "infra.local.mlflow_server"]
        return [*module, host, str(at), str(folder / "mlflow.db"), str(folder / "artifacts")]

    env = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "OMP_NUM_THREADS": "1",
    }
    return Launch(
        command=command,
        env=lambda _port: env,
        folder=home,
        python_path=ROOT,
        log=logs / "services" / "mlflow.log",
        timeout_seconds=120,
        concurrency=64,
        port=port,
    )
