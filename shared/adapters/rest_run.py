"""`ports.JobRunner` on Cloud Run's v2 REST API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from shared.adapters.names import wire_job
from shared.adapters.rest import Http
from shared.config import Config
from shared.ports import Execution, ExecutionState

_PAGE = 100


class RestJobRunner:
    """Implements `ports.JobRunner`. `job` is `<job>-<size>`, as in `train-s`."""

    def __init__(self, config: Config, http: Http | None = None) -> None:
        self._http = http or Http(config)
        self._task_bytes = config.score_task_mib << 20
        self._max_tasks = config.score_max_tasks
        self._jobs = (
            f"{config.run_endpoint}/v2/projects/{config.project}/locations/{config.region}/jobs"
        )

    def tasks_for(self, job: str, size_bytes: int) -> int:
        if not job.startswith("score-"):
            return 1
        return max(1, min(-(-size_bytes // self._task_bytes), self._max_tasks))

    def run(self, job: str, *, env: Mapping[str, str], tasks: int = 1) -> str:
        overrides = {
            "containerOverrides": [
                {"env": [{"name": name, "value": value} for name, value in env.items()]}
            ],
            "taskCount": tasks,
        }
        answer = self._http.request(
            "POST",
            f"{self._jobs}/{wire_job(job)}:run",
            headers={"Content-Type": "application/json"},
            body=json.dumps({"overrides": overrides}).encode(),
            # There is no idempotency token: after a lost answer only `executions` knows whether
            # the job runs, so the caller looks there before it asks again.
            repeatable=False,
        )
        return _short(answer.json()["metadata"]["name"])

    def executions(self, job: str) -> Iterator[Execution]:
        # The API promises no order, and at most 1,000 ended ones are kept: read all, then sort.
        found = [_execution(job, resource) for resource in self._resources(job)]
        return iter(sorted(found, key=lambda execution: execution.created, reverse=True))

    def _resources(self, job: str) -> Iterator[dict[str, Any]]:
        token: str | None = None
        while True:
            page = self._http.request(
                "GET",
                f"{self._jobs}/{wire_job(job)}/executions",
                query={"pageSize": _PAGE, "pageToken": token},
                repeatable=True,
            ).json()
            yield from page.get("executions", ())
            token = page.get("nextPageToken")
            if not token:
                return


def _execution(job: str, resource: Mapping[str, Any]) -> Execution:
    containers = resource.get("template", {}).get("containers", ())
    return Execution(
        name=_short(resource["name"]),
        job=job,
        state=_state(resource),
        env={
            variable["name"]: variable.get("value", "")
            for container in containers
            for variable in container.get("env", ())
            if "valueSource" not in variable  # a secret: its value is not in the answer
        },
        created=datetime.fromisoformat(resource["createTime"]),
        task_count=int(resource.get("taskCount", 1)),
    )


def _state(resource: Mapping[str, Any]) -> ExecutionState:
    """An execution without a completion time runs, or waits to. Counts of zero are left out."""
    if not resource.get("completionTime"):
        return "running"
    conditions = resource.get("conditions", ())
    failed = any(
        condition.get("type") == "Completed" and condition.get("state") == "CONDITION_FAILED"
        for condition in conditions
    )
    if failed or resource.get("failedCount") or resource.get("cancelledCount"):
        return "failed"
    return "succeeded"


def _short(full_name: str) -> str:
    return full_name.rsplit("/", 1)[-1]
