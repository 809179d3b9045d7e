"""Cloud Run's Jobs API v2 over REST: run, executions get and list, cancel, operations."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from infra.local.children import Children
from infra.local.run_execution import ExecutionRunner, JobConfig
from infra.local.run_wire import execution_json, job_json, operation_json, overrides_from
from infra.local.web import HttpError, HttpServer, Request, Response, Routes, json_response
from shared.adapters.memory.cloud import Engine
from shared.adapters.memory.executions import Executions, NoSuchExecution, StoredExecution

_MAX_PAGE = 100
_PARENT = r"/v2/(projects/[^/]+/locations/[^/]+)"


class RunServer:
    """`url` is the base URL without a trailing slash; `close` stops what runs."""

    def __init__(
        self, http: HttpServer, runner: ExecutionRunner, children: Children | None
    ) -> None:
        self._http, self._runner, self._children = http, runner, children
        self.url = http.url

    def close(self) -> None:
        self._http.close()
        self._runner.close()
        if self._children:
            self._children.close()


def serve(
    engine: Engine,
    jobs: Iterable[JobConfig] = (),
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    children: Children | None = None,
    logs: Path | None = None,
    parallel: int = 4,
) -> RunServer:
    """Start the server. Executions that were running in this engine are reported as failed first:
    whoever ran them is gone. At most `parallel` task processes run at a time. Without `children`
    it keeps its own, in a temporary directory."""
    engine.executions.fail_running("the machine that ran this execution went away")
    scratch = Path(tempfile.mkdtemp(prefix="run-")) if children is None or logs is None else None
    own = Children(scratch) if scratch and children is None else None
    used = children or own
    folder = logs or scratch
    if used is None or folder is None:
        raise ValueError("unreachable: one of children and scratch is set")
    runner = ExecutionRunner(engine.executions, used, folder, parallel)
    api = _Api(engine.executions, {job.name: job for job in jobs}, runner)
    return RunServer(HttpServer(_app(api), host, port), runner, own)


def _app(api: _Api) -> Callable[[Request], Response]:
    routes = Routes()
    job = _PARENT + r"/jobs/([^/:]+)"
    execution = job + r"/executions/([^/:]+)"
    routes.add("POST", job + ":run", api.run)
    routes.add("GET", _PARENT + "/jobs", api.jobs)
    routes.add("GET", job, api.job)
    routes.add("GET", job + "/executions", api.executions)
    routes.add("GET", execution, api.execution)
    routes.add("POST", execution + ":cancel", api.cancel)
    routes.add("GET", _PARENT + r"/operations/([^/]+)", api.operation)

    def answer(request: Request) -> Response:
        try:
            return routes(request)
        except NoSuchExecution as error:
            raise HttpError(404, str(error), reason="notFound") from error

    return answer


class _Api:
    def __init__(
        self, executions: Executions, jobs: dict[str, JobConfig], runner: ExecutionRunner
    ) -> None:
        self._executions, self._jobs, self._runner = executions, jobs, runner

    def run(self, request: Request, parent: str, job: str) -> Response:
        config = self._config(job)
        wanted = overrides_from(request.json())
        execution = self._executions.create(
            job,
            wanted.env,
            tasks=wanted.tasks,
            timeout_seconds=wanted.timeout_seconds or config.timeout_seconds,
        )
        self._runner.start(config, execution, wanted.args)
        return json_response(operation_json(parent, execution, config))

    def jobs(self, _request: Request, parent: str) -> Response:
        return json_response({"jobs": [self._job(parent, name) for name in sorted(self._jobs)]})

    def job(self, _request: Request, parent: str, name: str) -> Response:
        return json_response(self._job(parent, name))

    def _job(self, parent: str, name: str) -> dict[str, object]:
        latest = self._executions.page(name, limit=1)
        return job_json(parent, self._config(name), latest[0] if latest else None)

    def executions(self, request: Request, parent: str, job: str) -> Response:
        config = self._config(job)
        token = request.query.get("pageToken")
        size = min(int(request.query.get("pageSize") or _MAX_PAGE), _MAX_PAGE)
        page = self._executions.page(job, before=int(token) if token else None, limit=size + 1)
        body: dict[str, object] = {
            "executions": [execution_json(parent, item, config) for item in page[:size]]
        }
        if len(page) > size:
            body["nextPageToken"] = str(page[size - 1].number)
        return json_response(body)

    def execution(self, _request: Request, parent: str, job: str, name: str) -> Response:
        return json_response(execution_json(parent, self._of_job(job, name), self._config(job)))

    def cancel(self, _request: Request, parent: str, job: str, name: str) -> Response:
        found = self._of_job(job, name)
        self._runner.cancel(name)
        return json_response(operation_json(parent, found, self._config(job)))

    def operation(self, _request: Request, parent: str, name: str) -> Response:
        found = self._executions.get(name)
        return json_response(operation_json(parent, found, self._config(found.job)))

    def _of_job(self, job: str, name: str) -> StoredExecution:
        self._config(job)
        found = self._executions.get(name)
        if found.job != job:
            raise NoSuchExecution(f"execution {name} does not exist in job {job}")
        return found

    def _config(self, job: str) -> JobConfig:
        if job not in self._jobs:
            raise HttpError(404, f"job {job} does not exist", reason="notFound")
        return self._jobs[job]
