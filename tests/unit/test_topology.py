"""The map of the system keeps the promises that Google's limits and our order of times ask for."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import pytest

from infra import topology
from infra.topology import BadTopology, Function, Job, Service, Topology
from shared import decoding
from shared.adapters.memory.filters import MAX_BYTES, parse
from shared.adapters.names import wire_job, wire_topic

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=[False, True], ids=["cloud", "local"])
def found(request: pytest.FixtureRequest) -> Topology:
    return topology.load(local=request.param)


def test_order_of_times(found: Topology) -> None:
    """A function gives up before its message comes again, and that before its claim expires."""
    for function in found.functions.values():
        deadlines = [item.ack_deadline_seconds for item in found.received_by(function.name)]
        assert function.timeout_seconds < min(deadlines), function.name
        assert max(deadlines) < function.claim_seconds, function.name


def test_an_export_writes_before_its_lines_come_again(found: Topology) -> None:
    """A batch is collected for at most the ack deadline."""
    for item in found.subscriptions.values():
        if item.export:
            assert item.export.max_seconds <= item.ack_deadline_seconds


def test_filters_are_ours_and_googles(found: Topology) -> None:
    """Every filter parses and fits Google's limit."""
    for item in found.subscriptions.values():
        parse(item.filter)
        assert len(item.filter.encode()) <= MAX_BYTES


def test_filters_name_messages_that_exist(found: Topology) -> None:
    """A filter on a type nobody publishes on that topic would wait for ever."""
    for item in found.subscriptions.values():
        for kind in re.findall(r'attributes\.type = "(\w+)"', item.filter):
            assert decoding.TYPES[kind].topic == item.topic, item.name


def test_every_message_reaches_somebody(found: Topology) -> None:
    """No message type is published into the void."""
    for kind, event in decoding.TYPES.items():
        readers = [
            item.name
            for item in found.subscriptions.values()
            if item.topic == event.topic and parse(item.filter)({"type": kind})
        ]
        assert readers, kind


def test_references_lead_somewhere(found: Topology) -> None:
    """Pushes name functions; topics, buckets and jobs that are mentioned exist."""
    for item in found.subscriptions.values():
        assert item.topic in found.topics
        assert item.push is None or item.push in found.functions
        assert item.export is None or item.export.bucket in found.buckets
    for schedule in found.schedules.values():
        assert schedule.topic in found.topics
        assert decoding.TYPES[schedule.message].topic == schedule.topic
    for bucket in found.buckets.values():
        assert bucket.notify_topic is None or bucket.notify_topic in found.topics
    users: list[Function | Service | Job] = [
        *found.functions.values(),
        *found.services.values(),
        *found.jobs.values(),
    ]
    for user in users:
        assert set(user.publishes) <= set(found.topics)
        assert {*user.reads, *user.writes} <= set(found.buckets)
    for function in found.functions.values():
        assert set(function.runs) <= set(found.jobs)


def test_every_function_is_called_and_written(found: Topology) -> None:
    """A function without a subscription would never run, one without a folder cannot."""
    for name in found.functions:
        assert found.received_by(name), name
        assert (ROOT / "functions" / name).is_dir(), name
    for name in found.services:
        assert (ROOT / "functions" / name).is_dir(), name
    for name in found.jobs:
        assert (ROOT / "jobs" / name).is_dir(), name


def test_push_subscriptions_start_with_their_function(found: Topology) -> None:
    """A dead letter finds its way back by the name of the subscription it came from."""
    for item in found.subscriptions.values():
        if item.push:
            assert item.name.startswith(item.push + "-")


def test_dead_letters_end_somewhere(found: Topology) -> None:
    """Their own subscription has no dead letter topic and keeps them as long as Google allows."""
    last = [item for item in found.subscriptions.values() if item.topic == "dead-letters"]
    assert [(item.dead_letter, item.retention_days) for item in last] == [(False, 31)]
    assert all(item.dead_letter for item in found.subscriptions.values() if item not in last)


def test_no_function_triggers_itself(found: Topology) -> None:
    """Who is woken by a bucket does not write to it."""
    for bucket in found.buckets.values():
        for item in found.subscriptions.values():
            if bucket.notify_topic == item.topic and item.push:
                assert bucket.name not in found.functions[item.push].writes


def test_google_name_rules(found: Topology) -> None:
    """Service accounts, topics, subscriptions, functions and jobs get names Google takes."""
    everyone = chain(found.functions, found.services, found.jobs)
    for name in everyone:
        account = f"mr-{name}"
        assert 6 <= len(account) <= 30
        assert re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]", account)
    for name in chain(map(wire_topic, found.topics), found.subscriptions):
        assert 3 <= len(name) <= 255
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9._~+%-]+", name)
        assert not name.startswith("goog")
    for job in found.jobs.values():
        for size in job.sizes:
            # An execution adds a hyphen and five characters.
            assert len(wire_job(f"{job.name}-{size}")) + 6 < 63


def test_local_values_win() -> None:
    """The local block replaces a default, a `local_*` key an entry's own value, and nothing else
    moves."""
    cloud, local = topology.load(), topology.load(local=True)
    assert (cloud.claim_seconds, local.claim_seconds) == (90, 30)
    assert cloud.functions["intake"].timeout_seconds == 30
    assert local.functions["intake"].timeout_seconds == 20
    assert local.functions["monitor"].timeout_seconds == 120
    assert local.functions["monitor"].memory == cloud.functions["monitor"].memory
    assert local.services["predict"].timeout_seconds == cloud.services["predict"].timeout_seconds
    export = local.subscriptions["predictions-lake"].export
    assert export is not None
    assert export.max_seconds == 2


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("    versioning: true", "    versionning: true", "versionning"),
        ('    push: "intake"', '    pull: "intake"', "pull"),
        ("  claim_seconds: 90", "  claim_seconds: yes", "must be a quoted string"),
        ("  claim_seconds: 90", "  claim_seconds: 090", "must be a quoted string"),
        ('    push: "intake"', "    push: intake", "must be a quoted string"),
        ("  claim_seconds: 90", "  claim_seconds: &x 90", "anchors"),
        ("  claim_seconds: 90", "  claim_seconds: 90\n  claim_seconds: 91", "twice"),
        ("  uploads: {}", "  Uploads: {}", "Uploads"),
        ("version: 1", "version: [", "no YAML"),
    ],
)
def test_mistakes_are_refused(tmp_path: Path, old: str, new: str, hint: str) -> None:
    """A key nobody reads and YAML that Terraform reads differently do not go unnoticed."""
    text = topology.FILE.read_text()
    assert old in text
    broken = tmp_path / "topology.yaml"
    broken.write_text(text.replace(old, new, 1))
    with pytest.raises(BadTopology, match=re.escape(hint)):
        topology.load(file=broken)
