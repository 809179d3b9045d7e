"""Terraform's reading of infra/topology.yaml is Python's."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from infra import topology
from shared.adapters.names import wire_job, wire_topic
from tests.support import terraform


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return terraform.outputs(tmp_path_factory.mktemp("topology"))


def plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


KINDS = ("buckets", "functions", "services", "jobs", "subscriptions", "schedules")


@pytest.mark.parametrize("kind", KINDS)
def test_terraform_reads_what_python_reads(found: dict[str, Any], kind: str) -> None:
    """Every entry of a kind has the same fields with the same values, defaults filled in."""
    expected = asdict(topology.load())[kind]
    assert found[kind] == plain(expected)


def test_the_rest_is_the_same(found: dict[str, Any]) -> None:
    """Topics and the times that are everybody's."""
    expected = topology.load()
    assert sorted(found["topics"]) == sorted(expected.topics)
    assert found["claim_seconds"] == expected.claim_seconds
    assert found["spec_wait_seconds"] == expected.spec_wait_seconds


def test_a_job_is_deployed_once_per_size(found: dict[str, Any]) -> None:
    """With the job's times and the size's cpu and memory."""
    jobs = topology.load().jobs
    expected = {
        f"{job.name}-{size}": (job.timeout_seconds, job.max_retries, each.cpu, each.memory)
        for job in jobs.values()
        for size, each in job.sizes.items()
    }
    assert expected == {
        name: (job["timeout_seconds"], job["max_retries"], job["cpu"], job["memory"])
        for name, job in found["deployed_jobs"].items()
    }


def test_names_on_the_wire(found: dict[str, Any]) -> None:
    """Topics and jobs are called what the code calls them."""
    assert found["topic_names"] == {name: wire_topic(name) for name in topology.load().topics}
    assert found["job_names"] == {name: wire_job(name) for name in found["deployed_jobs"]}


def test_local_values_end_in_the_module(found: dict[str, Any], tmp_path: Path) -> None:
    """What is for one machine changes nothing in the cloud."""
    text = topology.FILE.read_text(encoding="utf-8")
    changed = text.replace("local_timeout_seconds: 120", "local_timeout_seconds: 1")
    changed = changed.replace("    ack_deadline_seconds: 25\n", "    ack_deadline_seconds: 11\n")
    assert changed.count("\n") == text.count("\n")
    assert changed != text
    assert terraform.outputs(tmp_path, changed) == found
