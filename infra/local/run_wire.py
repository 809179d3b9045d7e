"""Cloud Run's v2 JSON: jobs, executions and operations, as the API shows them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from infra.local.run_execution import JobConfig
from infra.local.web import HttpError
from shared.adapters.memory.clock import rfc3339
from shared.adapters.memory.executions import StoredExecution

_EXECUTION_TYPE = "type.googleapis.com/google.cloud.run.v2.Execution"
_STATES = {
    "running": "CONDITION_RECONCILING",
    "succeeded": "CONDITION_SUCCEEDED",
    "failed": "CONDITION_FAILED",
}


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a run request may change: environment (merged), arguments (replaced), tasks, timeout."""

    env: Mapping[str, str] = field(default_factory=dict)
    args: tuple[str, ...] = ()
    tasks: int = 1
    timeout_seconds: int | None = None


def overrides_from(body: Mapping[str, Any]) -> Overrides:
    """Raises HttpError 400 for what a job does not allow or this stand-in does not know."""
    _only(body, {"overrides", "etag"}, "a run request")
    wanted = body.get("overrides") or {}
    _only(wanted, {"containerOverrides", "taskCount", "timeout"}, "overrides")
    containers = wanted.get("containerOverrides") or []
    if len(containers) > 1:
        raise HttpError(400, "our jobs have one container")
    container = containers[0] if containers else {}
    _only(container, {"name", "args", "env", "clearArgs"}, "a container override")
    env = {item["name"]: str(item.get("value", "")) for item in container.get("env") or []}
    reserved = [name for name in env if name.startswith("CLOUD_RUN_") or not name]
    if reserved:
        raise HttpError(400, f"reserved environment names cannot be set: {', '.join(reserved)}")
    tasks = int(wanted.get("taskCount") or 1)
    if not 1 <= tasks <= 10_000:
        raise HttpError(400, f"taskCount is {tasks}, expected 1 to 10000")
    timeout = _seconds(wanted["timeout"]) if wanted.get("timeout") else None
    return Overrides(env, tuple(container.get("args") or ()), tasks, timeout)


def execution_json(parent: str, execution: StoredExecution, job: JobConfig) -> dict[str, Any]:
    """`parent` is `projects/P/locations/L`. As in proto3's JSON, zeros are absent."""
    counts = {
        "runningCount": execution.running,
        "succeededCount": execution.succeeded,
        "failedCount": execution.failed,
        "retriedCount": execution.retried,
    }
    times = {
        "startTime": execution.started,
        "completionTime": execution.completed,
    }
    name = f"{parent}/jobs/{execution.job}/executions/{execution.name}"
    return {
        "name": name,
        "uid": f"{execution.number:08x}-0000-4000-8000-000000000000",
        "generation": "1",
        "createTime": rfc3339(execution.created),
        **{key: rfc3339(value) for key, value in times.items() if value},
        "updateTime": rfc3339(execution.completed or execution.started or execution.created),
        "launchStage": "GA",
        "job": execution.job,
        "parallelism": execution.task_count,
        "taskCount": execution.task_count,
        "template": template_json(job, execution.env, execution.timeout_seconds),
        "reconciling": execution.state == "running",
        "conditions": _conditions(execution),
        "observedGeneration": "1",
        **{key: value for key, value in counts.items() if value},
        "etag": f'"{execution.number}-{execution.state}"',
    }


def template_json(job: JobConfig, env: Mapping[str, str], timeout: int) -> dict[str, Any]:
    container = {
        "image": f"local/{job.name}",
        "command": list(job.command),
        "env": [{"name": name, "value": value} for name, value in {**job.env, **env}.items()],
        "resources": {"limits": {"cpu": job.cpu, "memory": job.memory}},
    }
    return {"containers": [container], "maxRetries": job.max_retries, "timeout": f"{timeout}s"}


def job_json(parent: str, job: JobConfig, latest: StoredExecution | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": f"{parent}/jobs/{job.name}",
        "generation": "1",
        "launchStage": "GA",
        "template": {"taskCount": 1, "template": template_json(job, {}, job.timeout_seconds)},
        "terminalCondition": {"type": "Ready", "state": "CONDITION_SUCCEEDED"},
    }
    if latest:
        found["latestCreatedExecution"] = {
            "name": latest.name,
            "createTime": rfc3339(latest.created),
        }
    return found


def operation_json(parent: str, execution: StoredExecution, job: JobConfig) -> dict[str, Any]:
    """The long-running operation behind a run request."""
    body = {"@type": _EXECUTION_TYPE} | execution_json(parent, execution, job)
    found: dict[str, Any] = {"name": f"{parent}/operations/{execution.name}", "metadata": body}
    if execution.state == "running":
        return found
    if execution.state == "failed":
        return found | {"done": True, "error": {"code": 2, "message": execution.message}}
    return found | {"done": True, "response": body}


def _conditions(execution: StoredExecution) -> list[dict[str, Any]]:
    completed: dict[str, Any] = {
        "type": "Completed",
        "state": _STATES[execution.state],
        "lastTransitionTime": rfc3339(execution.completed or execution.created),
    }
    if execution.message:
        completed |= {"message": execution.message, "executionReason": "NON_ZERO_EXIT_CODE"}
    return [
        completed,
        _true("ResourcesAvailable", execution.created),
        *([_true("Started", execution.started)] if execution.started else []),
        _true("ContainerReady", execution.created),
    ]


def _true(name: str, at: datetime) -> dict[str, Any]:
    return {"type": name, "state": "CONDITION_SUCCEEDED", "lastTransitionTime": rfc3339(at)}


def _seconds(text: str) -> int:
    match = re.fullmatch(r"(\d+)(?:\.\d+)?s", str(text))
    if match is None:
        raise HttpError(400, f"{text!r} is no duration; write 3600s")
    return int(match[1])


def _only(body: Mapping[str, Any], known: set[str], what: str) -> None:
    unknown = sorted(set(body) - known)
    if unknown:
        raise HttpError(400, f"{what} of this stand-in does not know {', '.join(unknown)}")
