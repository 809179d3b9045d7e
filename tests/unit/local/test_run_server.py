"""The Cloud Run Jobs stand-in: real subprocesses behind the v2 API, through Google's own client."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core import exceptions as api
from google.auth.credentials import AnonymousCredentials

from infra.local import run_server
from infra.local.children import Children
from infra.local.run_execution import JobConfig
from infra.local.run_server import RunServer
from shared.adapters.memory import Engine
from shared.adapters.system_clock import SystemClock

# By name: mypy cannot see typed and untyped halves of the google.cloud namespace in one run.
run_v2: Any = import_module("google.cloud.run_v2")
services = "google.cloud.run_v2.services"
ExecutionsRestTransport: Any = import_module(
    f"{services}.executions.transports"
).ExecutionsRestTransport
JobsRestTransport: Any = import_module(f"{services}.jobs.transports").JobsRestTransport

JOB = "projects/p/locations/l/jobs/millrace-train-s"
PATIENCE_SECONDS = 20.0
TASK = """
import os, pathlib, signal, sys, time
where = pathlib.Path(os.environ["OUT"])
index, attempt = os.environ["CLOUD_RUN_TASK_INDEX"], os.environ["CLOUD_RUN_TASK_ATTEMPT"]
(where / f"{index}-{attempt}").write_text(repr(dict(os.environ)))
mode = os.environ["MODE"]
def term(number, frame):
    (where / "terminated").write_text("")
    sys.exit(1)
if mode == "polite":
    signal.signal(signal.SIGTERM, term)
if mode in ("polite", "long"):
    (where / "draft").write_text(str(os.getpid()))
    (where / "draft").rename(where / "ready")
    time.sleep(60)
sys.exit({"fail": 1, "flaky": int(attempt == "0")}.get(mode, 0))
"""


@dataclass
class Run:
    server: RunServer
    engine: Engine
    out: Path
    jobs: Any
    executions: Any

    def start(self, mode: str, tasks: int = 1, timeout: int | None = None) -> str:
        override = run_v2.RunJobRequest.Overrides.ContainerOverride(
            env=[run_v2.EnvVar(name="MODE", value=mode)]
        )
        overrides = run_v2.RunJobRequest.Overrides(
            container_overrides=[override],
            task_count=tasks,
            timeout={"seconds": timeout} if timeout else None,
        )
        request = run_v2.RunJobRequest(name=JOB, overrides=overrides)
        return str(self.jobs.run_job(request=request).metadata.name)

    def end(self, name: str) -> Any:
        limit = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < limit:
            found = self.executions.get_execution(name=name)
            if found.completion_time:
                return found
            time.sleep(0.02)
        raise AssertionError(f"{name} does not end")

    def wait_for(self, file: str) -> Path:
        limit = time.monotonic() + PATIENCE_SECONDS
        while not (self.out / file).exists():
            assert time.monotonic() < limit
            time.sleep(0.01)
        return self.out / file


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    bundle, out = tmp_path / "bundle", tmp_path / "out"
    bundle.mkdir()
    out.mkdir()
    (bundle / "main.py").write_text(TASK)
    engine, children = Engine(SystemClock()), Children(tmp_path / "state")
    job = JobConfig(
        "millrace-train-s", lambda: bundle, max_retries=1, env={"OUT": str(out), "MODE": "ok"}
    )
    server = run_server.serve(engine, [job], children=children, logs=tmp_path / "logs")
    host = server.url.removeprefix("http://")
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    with (
        run_v2.JobsClient(
            transport=JobsRestTransport(host=host, url_scheme="http", credentials=credentials)
        ) as jobs,
        run_v2.ExecutionsClient(
            transport=ExecutionsRestTransport(host=host, url_scheme="http", credentials=credentials)
        ) as executions,
    ):
        yield Run(server, engine, out, jobs, executions)
    server.close()
    children.close()
    engine.close()


def test_tasks_get_the_platforms_variables(run: Run) -> None:
    """Every task has its index, attempt, count, job and execution, and the overrides win."""
    name = run.start("override", tasks=3)
    ended = run.end(name)
    assert (ended.succeeded_count, ended.failed_count, ended.task_count) == (3, 0, 3)
    for index in range(3):
        env = eval((run.out / f"{index}-0").read_text())  # noqa: S307 - our own repr
        assert env["CLOUD_RUN_TASK_COUNT"] == "3"
        assert env["CLOUD_RUN_JOB"] == "millrace-train-s"
        assert env["CLOUD_RUN_EXECUTION"] == name.rpartition("/")[2]
        assert env["MODE"] == "override"
    shown = {item.name: item.value for item in ended.template.containers[0].env}
    assert shown["MODE"] == "override"
    assert ended.conditions[0].state == run_v2.Condition.State.CONDITION_SUCCEEDED


def test_retries(run: Run) -> None:
    """A failed attempt is repeated with the next attempt number, as often as the job says."""
    ended = run.end(run.start("flaky"))
    assert (ended.succeeded_count, ended.retried_count) == (1, 1)
    ended = run.end(run.start("fail", tasks=2))
    assert (ended.succeeded_count, ended.failed_count, ended.retried_count) == (0, 2, 2)
    assert ended.conditions[0].state == run_v2.Condition.State.CONDITION_FAILED


def test_timeout_is_per_attempt(run: Run) -> None:
    """A task that takes too long is stopped, politely first."""
    started = time.monotonic()
    ended = run.end(run.start("polite", timeout=1))
    assert (ended.failed_count, ended.retried_count) == (1, 1)
    assert (run.out / "terminated").exists()
    assert 1.5 < time.monotonic() - started < 10


def test_cancel(run: Run) -> None:
    """A cancelled execution ends as failed, without another attempt."""
    name = run.start("polite")
    run.wait_for("ready")
    run.executions.cancel_execution(name=name)
    ended = run.end(name)
    assert (ended.failed_count, ended.retried_count) == (1, 0)


def test_listing_is_newest_first(run: Run) -> None:
    """In pages, with everything a lane needs to adopt an execution."""
    names = [run.start("ok") for _ in range(3)]
    for name in names:
        run.end(name)
    request = run_v2.ListExecutionsRequest(parent=JOB, page_size=2)
    assert [item.name for item in run.executions.list_executions(request)] == names[::-1]
    assert run.jobs.get_job(name=JOB).template.template.max_retries == 1


@pytest.mark.parametrize(
    "body",
    [
        {"overrides": {"containerOverrides": [{"env": [{"name": "CLOUD_RUN_JOB", "value": "x"}]}]}},
        {"overrides": {"taskCount": 20_000}},
        {"overrides": {"timeout": "1 hour"}},
        {"overrides": {"memory": "32Gi"}},
        {"validateOnly": True},
    ],
)
def test_what_google_refuses_or_we_do_not_know(run: Run, body: dict[str, object]) -> None:
    """Overrides carry environment, arguments, task count and timeout, nothing else."""
    url = f"{run.server.url}/v2/{JOB}"
    assert requests.post(f"{url}:run", json=body, timeout=5).status_code == 400
    assert requests.get(f"{url}/executions", timeout=5).json() == {"executions": []}


def test_unknown_names(run: Run) -> None:
    """Jobs come from the topology, executions from runs."""
    with pytest.raises(api.NotFound):
        run.jobs.run_job(name=JOB.replace("train", "paint"))
    with pytest.raises(api.NotFound):
        run.executions.get_execution(name=f"{JOB}/executions/none")


def test_a_lost_machine_fails_its_executions(run: Run) -> None:
    """The next server on the same engine reports what was running as failed."""
    name = run.start("long")
    pid = int(run.wait_for("ready").read_text())
    second = run_server.serve(run.engine, [JobConfig("millrace-train-s", lambda: run.out)])
    found = requests.get(f"{second.url}/v2/{name}", timeout=5).json()
    second.close()
    assert found["conditions"][0]["state"] == "CONDITION_FAILED"
    os.kill(pid, signal.SIGKILL)
