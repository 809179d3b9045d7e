"""The map of the system keeps the promises that Google's limits and our order of times ask for."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import pytest

from infra import access, topology
from infra.topology import BadTopology, Topology
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
    for party in [*found.parties.values(), *found.people.values()]:
        assert set(party.publishes) <= set(found.topics)
        for operation in access.WORDS:
            for place in access.places(party, operation):
                assert place.partition("/")[0] in found.buckets, (party.name, place)
        assert set(party.calls) <= {*found.functions, *found.services, *found.externals, "*"}
    for function in found.functions.values():
        assert set(function.runs) <= set(found.jobs)


def test_names_mean_one_thing(found: Topology) -> None:
    """A caller's name says who it is, a callee's what it is."""
    kinds = (found.functions, found.services, found.jobs, found.externals)
    names = [name for kind in kinds for name in kind]
    assert len(names) == len(set(names))
    assert not [name for name in names if name.startswith(access.PUSH)]


def test_a_place_stands_once(found: Topology) -> None:
    """Under its strongest word, since that includes the others; and nothing lies in a place that
    its party has anyway, for then one of the two says nothing."""
    for party in [*found.parties.values(), *found.people.values()]:
        every = [*party.reads, *party.creates, *party.changes]
        inside = [(a, b) for a in every for b in every if a != b and a.startswith(b)]
        inside += [(a, b) for a in party.lists for b in party.lists if a != b and a.startswith(b)]
        assert len(every) == len(set(every)), party.name
        assert inside == [], party.name


def test_prefixes_that_exist(found: Topology) -> None:
    """A right on a prefix of the lake that nobody knows would be a slip of the pen."""
    lake = found.buckets["lake"]
    known = tuple(f"lake/{prefix}" for prefix in (*lake.retention, *lake.kept))
    for party in [*found.parties.values(), *found.people.values()]:
        for place in (*party.reads, *party.lists, *party.creates, *party.changes):
            whole = place in ("lake/", "inbox/", "inbox/_specs/")
            assert whole or place.startswith(known), (party.name, place)


def test_who_drops_data_changes_no_policy(found: Topology) -> None:
    """Specs have writers of their own, and nobody who only drops files is one."""
    droppers, writers = found.people["droppers"], found.people["spec-writers"]
    assert access.allows(droppers, "create", "inbox", "adult/train/a.csv")
    assert access.allows(droppers, "change", "inbox", "adult/train/a.csv")
    assert not access.allows(droppers, "create", "inbox", "_specs/adult.yaml")
    assert access.allows(writers, "change", "inbox", "_specs/adult.yaml")
    assert not access.allows(writers, "create", "inbox", "adult/train/a.csv")


def test_people_write_only_where_they_talk_to_the_system(found: Topology) -> None:
    """What the system knows is changed by its own parts, and a decision goes through promote; but
    for who erases a person, and that changes neither who serves nor how it came to."""
    for people in found.people.values():
        written = access.places(people, "create")
        if people.name != "erasers":
            assert all(place.startswith(("inbox/", "lake/dead-letters/")) for place in written)
        for prefix in ("serving/", "models/", "specs/", "approvals/", "moves/", "lanes/"):
            assert not access.allows(people, "create", "lake", prefix), people.name


def test_what_happened_stays(found: Topology) -> None:
    """The audit trail and the marks of what was told can be added to, and changed by nobody; what
    versions and runs rest on neither, but by who erases a person."""
    everybody = [*found.parties.values(), *found.people.values()]
    for party in everybody:
        for place in ("moves/", "told/", "numbers/", "comparisons/"):
            assert not access.allows(party, "change", "lake", place), (party.name, place)
    for place in ("features/", "inputs/"):
        who = [party.name for party in everybody if access.allows(party, "change", "lake", place)]
        assert who == ["erasers"]


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


def test_subscriptions_are_called_after_both_ends(found: Topology) -> None:
    """A subscription cannot change its topic, and Terraform replaces it under another name only."""
    for item in found.subscriptions.values():
        if item.push:
            assert item.name == f"{item.push}-{item.topic}"
        else:
            assert item.export is not None
            assert item.name == f"{item.topic}-{item.export.bucket}"


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
                written = access.places(found.functions[item.push], "create")
                assert not [place for place in written if place.startswith(bucket.name + "/")]


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
        ('"lake/models/"', '"/models/"', "/models/"),
        ('"lake/models/"', '"lake"', "'lake' does not match"),
        ("    creates: [", "    writes: [", "writes"),
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
