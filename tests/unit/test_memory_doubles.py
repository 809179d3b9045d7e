"""Executions, the registry and the chat channel in memory."""

from __future__ import annotations

import pytest

from shared.adapters.memory import (
    Engine,
    FixedClock,
    MemoryJobs,
    MemoryMessenger,
    MemoryRegistry,
)
from shared.errors import ServiceUnavailable, TrackingUnavailable
from shared.ports import VersionFacts


def test_executions_run_until_they_are_ended() -> None:
    """The test decides how an execution ends, and only the first end counts."""
    jobs = MemoryJobs(Engine(FixedClock()).executions)
    first = jobs.run("train-s", env={"RUN_ID": "1"})
    second = jobs.run("train-s", env={"RUN_ID": "2"}, tasks=3)
    jobs.run("score-s", env={})
    assert [(item.name, item.state) for item in jobs.executions("train-s")] == [
        (second, "running"),
        (first, "running"),
    ]
    jobs.end(first, "failed")
    jobs.end(first, "succeeded")
    newest, oldest = jobs.executions("train-s")
    assert (oldest.state, newest.state, newest.task_count) == ("failed", "running", 3)
    assert newest.env == {"RUN_ID": "2"}


def test_more_executions_than_a_page() -> None:
    """All of them come, newest first."""
    jobs = MemoryJobs(Engine(FixedClock()).executions)
    names = [jobs.run("train-s", env={}) for _ in range(120)]
    assert [item.name for item in jobs.executions("train-s")] == names[::-1]


def test_running_executions_fail_with_their_machine() -> None:
    """What ran when the machine died is reported as failed, what had ended keeps its end."""
    executions = Engine(FixedClock()).executions
    jobs = MemoryJobs(executions)
    done, lost = jobs.run("train-s", env={}), jobs.run("train-s", env={})
    jobs.end(done, "succeeded")
    assert executions.fail_running("power cut") == [lost]
    assert executions.get(lost).message == "power cut"
    assert [item.state for item in jobs.executions("train-s")] == ["failed", "succeeded"]


def test_registry_registers_once() -> None:
    """A repeat finds the first registration, and aliases lead back to our version ids."""
    registry = MemoryRegistry()
    first = registry.register("m", "v1", VersionFacts("run-1"))
    assert registry.register("m", "v1", VersionFacts("run-9")) == first
    second = registry.register("m", "v2", VersionFacts())
    assert (first.registry_version, second.registry_version) == ("1", "2")
    assert registry.alias("m", "champion") is None
    registry.set_alias("m", "champion", second)
    assert registry.alias("m", "champion") == "v2"
    assert registry.find("m", "v3") is None
    registry.failing = True
    with pytest.raises(TrackingUnavailable):
        registry.find("m", "v1")


def test_messenger_keeps_what_was_said() -> None:
    """And fails like Slack when told to."""
    messenger = MemoryMessenger()
    messenger.post({"text": "hello"})
    messenger.failing = True
    with pytest.raises(ServiceUnavailable):
        messenger.post({"text": "lost"})
    assert messenger.posted == [{"text": "hello"}]
