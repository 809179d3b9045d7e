"""What every `ports.JobRunner` promises: starts are seen again, with their environment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from infra.local import run_server
from infra.local.run_execution import JobConfig
from shared.adapters.memory import Engine, MemoryJobs
from shared.adapters.names import wire_job
from shared.adapters.rest import Http, Retries, UnexpectedAnswer
from shared.adapters.rest_run import RestJobRunner
from shared.adapters.system_clock import SystemClock
from shared.errors import ServiceUnavailable
from shared.ports import Execution, ExecutionState, JobRunner
from tests.contract.faulty import Fault, faulty
from tests.contract.stores import config

JOB = "train-s"
MAIN = """
import os, sys
sys.exit(int(os.environ["EXIT"]))
"""


@dataclass(frozen=True)
class Machine:
    """`end` brings an execution to its end, where it does not come by itself."""

    runner: JobRunner
    engine: Engine
    end: Callable[[str, ExecutionState], None]


@pytest.fixture(params=["memory", "rest"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    engine = Engine(SystemClock())
    if request.param == "memory":
        jobs = MemoryJobs(engine.executions)
        yield Machine(jobs, engine, jobs.end)
    else:
        server = run_server.serve(engine, [_job(tmp_path)])
        yield Machine(RestJobRunner(config(run=server.url)), engine, lambda _name, _state: None)
        server.close()
    engine.close()


def _job(folder: Path) -> JobConfig:
    (folder / "main.py").write_text(MAIN)
    return JobConfig(wire_job(JOB), lambda: folder, max_retries=0, env={"OF_THE_JOB": "1"})


def _ended(runner: JobRunner, name: str) -> Execution:
    """The execution once it has ended; a real process takes its time."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for execution in runner.executions(JOB):
            if execution.name == name and execution.state != "running":
                return execution
        time.sleep(0.05)
    raise AssertionError(f"{name} does not end")


def test_execution_carries_its_environment(machine: Machine) -> None:
    """What `run` was given is found in `executions`: that is how a start is recognised."""
    env = {"RUN_ID": "20260101T000000-0123abcd", "ATTEMPT": "1", "EXIT": "0", "EMPTY": ""}
    name = machine.runner.run(JOB, env=env, tasks=2)
    found = {execution.name: execution for execution in machine.runner.executions(JOB)}[name]
    assert (found.job, found.task_count) == (JOB, 2)
    assert env.items() <= found.env.items()
    assert "/" not in name
    assert found.created.tzinfo is not None


@pytest.mark.parametrize(("exit_code", "state"), [("0", "succeeded"), ("3", "failed")])
def test_ends_are_seen(machine: Machine, exit_code: str, state: ExecutionState) -> None:
    """An execution that ended says how."""
    name = machine.runner.run(JOB, env={"EXIT": exit_code})
    machine.end(name, state)
    assert _ended(machine.runner, name).state == state


def test_newest_first_over_many_pages(machine: Machine) -> None:
    """All executions come, the newest first, running and ended ones."""
    names = []
    for number in range(230):
        created = machine.engine.executions.create(wire_job(JOB), {"RUN_ID": str(number)})
        names.append(created.name)
        if number % 2:
            machine.engine.executions.end(created.name, "succeeded")
    found = list(machine.runner.executions(JOB))
    assert [execution.name for execution in found] == names[::-1]
    assert [execution.env["RUN_ID"] for execution in found[:2]] == ["229", "228"]
    assert [execution.state for execution in found[:2]] == ["succeeded", "running"]


def test_no_executions(machine: Machine) -> None:
    """A job that never ran has none."""
    assert list(machine.runner.executions(JOB)) == []


def test_lost_answer_starts_nothing_twice(tmp_path: Path) -> None:
    """`run` has no idempotency token: with a lost answer it fails, and the execution is there to
    be found; refused with 429, or never connected, it tries again."""
    engine = Engine(SystemClock())
    server = run_server.serve(engine, [_job(tmp_path)])
    with faulty(server.url) as proxy:
        settings = config(run=proxy.url)
        http = Http(settings, retries=Retries(sleep=lambda _: None))
        runner = RestJobRunner(settings, http)
        for fault in (Fault(lose=True), Fault(status=503)):
            proxy.plan("POST", ":run", fault)
            with pytest.raises(ServiceUnavailable):
                runner.run(JOB, env={"RUN_ID": "r", "EXIT": "0"})
        assert [execution.env["RUN_ID"] for execution in runner.executions(JOB)] == ["r"]
        proxy.plan("POST", ":run", Fault(status=429))
        runner.run(JOB, env={"RUN_ID": "second", "EXIT": "0"})
        proxy.plan("GET", "/executions", Fault(lose=True), Fault(status=500))
        assert len(list(runner.executions(JOB))) == 2
        with pytest.raises(UnexpectedAnswer, match="404"):
            runner.run("nothing-s", env={})
    server.close()
    engine.close()


def test_only_files_to_be_scored_are_shared(machine: Machine) -> None:
    """By one task at least, by more where the file is larger; a training is one task's work."""
    tasks_for = machine.runner.tasks_for
    assert tasks_for("train-l", 1 << 40) == tasks_for("score-s", 0) == tasks_for("score-s", 1) == 1
    assert tasks_for("score-s", 1 << 40) >= tasks_for("score-s", 1 << 30) >= 1


def test_as_many_tasks_share_a_file_as_the_topology_allows() -> None:
    """One for so many MiB, and never more than are allowed."""
    settings = replace(config("http://127.0.0.1:1"), score_task_mib=1, score_max_tasks=3)
    runner = RestJobRunner(settings)
    sizes = (1 << 20, (1 << 20) + 1, 9 << 20)
    assert [runner.tasks_for("score-m", size) for size in sizes] == [1, 2, 3]
