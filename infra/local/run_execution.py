"""Runs executions of jobs: N tasks as parallel subprocesses, with timeout and retries."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.children import TERM_SECONDS, Children, Closed
from infra.local.pids import kill_group
from shared.adapters.memory.executions import Executions, StoredExecution


@dataclass(frozen=True, slots=True)
class JobConfig:
    """A job as it is deployed. `folder` gives the bundle when it is needed; `env` is the job's
    own part of the environment."""

    name: str
    folder: Callable[[], Path]
    command: tuple[str, ...] = (sys.executable, "main.py")
    timeout_seconds: int = 600
    max_retries: int = 3
    cpu: str = "1"
    memory: str = "512Mi"
    env: Mapping[str, str] = field(default_factory=dict)


class ExecutionRunner:
    """One thread per execution and per task; at most `parallel` task processes at a time."""

    def __init__(
        self, executions: Executions, children: Children, logs: Path, parallel: int = 4
    ) -> None:
        self._executions, self._children, self._logs = executions, children, logs
        self._slots = threading.BoundedSemaphore(parallel)
        self._lock = threading.Lock()
        self._cancelled: set[str] = set()
        self._processes: dict[str, set[subprocess.Popen[bytes]]] = {}
        self._threads: set[threading.Thread] = set()
        self._stopping = False

    def start(self, job: JobConfig, execution: StoredExecution, args: tuple[str, ...] = ()) -> None:
        """Returns at once; the state is in `Executions`."""
        thread = threading.Thread(target=self._run, args=(job, execution, args), daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def cancel(self, name: str) -> None:
        """SIGTERM to its tasks, SIGKILL ten seconds later; no retries."""
        with self._lock:
            self._cancelled.add(name)
            processes = list(self._processes.get(name, ()))
        for process in processes:
            self._stop_soon(process)

    def close(self) -> None:
        """Stop all executions; they are reported as failed."""
        with self._lock:
            self._stopping = True
            names, threads = list(self._processes), list(self._threads)
        for name in names:
            self.cancel(name)
        for thread in threads:
            thread.join(TERM_SECONDS + 5)

    def _run(self, job: JobConfig, execution: StoredExecution, args: tuple[str, ...]) -> None:
        self._executions.started(execution.name)
        results: list[bool] = []
        tasks = [
            threading.Thread(
                target=lambda index=index: results.append(self._task(job, execution, args, index)),
                daemon=True,
            )
            for index in range(execution.task_count)
        ]
        for task in tasks:
            task.start()
        for task in tasks:
            task.join()
        failed = execution.task_count - sum(results)
        message = f"{failed} of {execution.task_count} tasks failed" if failed else ""
        self._executions.end(execution.name, "failed" if failed else "succeeded", message)
        with self._lock:
            self._processes.pop(execution.name, None)
            self._threads.discard(threading.current_thread())

    def _task(
        self, job: JobConfig, execution: StoredExecution, args: tuple[str, ...], index: int
    ) -> bool:
        name = execution.name
        for attempt in range(job.max_retries + 1):
            with self._slots:
                if self._is_cancelled(name):
                    break
                self._executions.count(name, running=1, retried=1 if attempt else 0)
                code = self._attempt(job, execution, args, (index, attempt))
            if code == 0:
                self._executions.count(name, running=-1, succeeded=1)
                return True
            self._executions.count(name, running=-1)
        self._executions.count(name, failed=1)
        return False

    def _attempt(
        self,
        job: JobConfig,
        execution: StoredExecution,
        args: tuple[str, ...],
        at: tuple[int, int],
    ) -> int:
        folder = job.folder()
        try:
            process = self._children.spawn(
                [*job.command, *args],
                cwd=folder,
                env={
                    **job.env,
                    **execution.env,
                    "PYTHONPATH": str(folder),
                    "CLOUD_RUN_JOB": execution.job,
                    "CLOUD_RUN_EXECUTION": execution.name,
                    "CLOUD_RUN_TASK_INDEX": str(at[0]),
                    "CLOUD_RUN_TASK_ATTEMPT": str(at[1]),
                    "CLOUD_RUN_TASK_COUNT": str(execution.task_count),
                },
                log=self._logs / f"{execution.name}-{at[0]}-{at[1]}.log",
            )
        except Closed:
            return 1
        with self._lock:
            self._processes.setdefault(execution.name, set()).add(process)
        if self._is_cancelled(execution.name):  # while it was being started
            self._stop_soon(process)
        timer = threading.Timer(execution.timeout_seconds, self._stop_soon, (process,))
        timer.daemon = True
        timer.start()
        code = self._children.wait(process)
        timer.cancel()
        with self._lock:
            self._processes[execution.name].discard(process)
        return code

    def _is_cancelled(self, name: str) -> bool:
        with self._lock:
            return self._stopping or name in self._cancelled

    def _stop_soon(self, process: subprocess.Popen[bytes]) -> None:
        self._children.terminate(process)
        timer = threading.Timer(TERM_SECONDS, self._kill, (process,))
        timer.daemon = True
        timer.start()

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        if process.returncode is None:
            kill_group(process.pid, signal.SIGKILL)
