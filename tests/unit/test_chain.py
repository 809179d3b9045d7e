"""The main chain on the memory cloud, through the real doors: upload to promotion."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared import documents, paths
from shared.events import parse_time
from tests.support.crashing import Story, crash_everywhere
from tests.support.system import CSV, SPEC, System


def test_a_drop_becomes_one_promoted_version() -> None:
    """A spec and a training file, dropped together, end as the champion."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    source = system.drop("m/train/a.csv", CSV)
    system.drain()
    system.train()
    system.drain()
    assert system.state(source) == "promoted"
    assert system.champion() == system.claim(source)["run_id"]
    assert len(system.published("ModelPromoted")) == 1


def test_data_before_its_spec_waits_and_is_released() -> None:
    """A file whose spec is not known waits visibly and runs once the spec is registered."""
    system = System()
    source = system.drop("m/train/a.csv", CSV)
    system.drain()
    assert system.state(source) == "waiting_for_spec"
    system.drop("_specs/m.yaml", SPEC)
    system.drain()
    assert system.state(source) == "running"
    assert list(system.lake.list("waiting/")) == []
    assert len(system.running()) == 1


def test_data_for_an_unknown_model_is_refused_after_waiting() -> None:
    """Nobody registered the model in time: the refusal names the models that exist."""
    system = System()
    system.drop("_specs/other.yaml", SPEC)
    source = system.drop("m/train/a.csv", CSV)
    system.drain()
    system.clock.advance(700)
    system.tick()
    assert system.state(source) == "rejected"
    refusal = system.published("DataRejected")[0]
    assert refusal["reason"] == "UnknownModel"
    assert "other" in refusal["message"]
    assert "600 seconds" in refusal["message"]


def test_who_waits_for_a_spec_is_told_until_when() -> None:
    """The deadline is part of the run's history, counted from when the wait began."""
    system = System()
    source = system.drop("m/score/a.csv", CSV)
    began = system.clock.now()
    system.drain()
    run_id = system.claim(source)["run_id"]
    noted = documents.require(system.lake, paths.run_event("m", run_id, "waiting-spec"))
    until = parse_time(noted["facts"]["until"])
    assert 600 <= (until - began).total_seconds() < 660


def test_a_hundred_duplicates_of_one_upload_make_one_run() -> None:
    """Pub/Sub may deliver a finalize event any number of times; the run is one."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    source = system.drop("m/train/a.csv", CSV)
    info = system.inbox.stat("m/train/a.csv")
    body = documents.dumps(
        {
            "bucket": "inbox",
            "name": info.name,
            "generation": str(info.generation),
            "size": str(info.size_bytes),
            "md5Hash": info.md5,
            "crc32c": info.crc32c,
            "timeCreated": info.created.isoformat(),
        }
    )
    for _ in range(100):
        system.publisher.publish("uploads", body, {"eventType": "OBJECT_FINALIZE"})
    system.drain()
    train_runs = [
        run_id
        for run_id in system.run_ids()
        if documents.read(system.lake, paths.run_request("m", run_id)).exists
    ]
    assert train_runs == [system.claim(source)["run_id"]]
    assert len(list(system.jobs.executions("train-s"))) == 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_any_port_call_changes_nothing_in_the_end(after: bool) -> None:
    """Kill the functions at every single port call between upload and promotion: the retry ends
    with one run, one execution per attempt, one decision and one move of the manifest."""

    def tell(story: Story) -> None:
        story.arm()
        system = story.system
        spec = system.drop("_specs/m.yaml", SPEC)
        source = system.drop("m/train/a.csv", CSV)
        story.drain()
        system.train()
        story.drain()
        story.check(spec, source)
        run_id = system.claim(source)["run_id"]
        assert system.champion() == run_id
        assert system.state(source) == "promoted"
        manifest = documents.require(system.lake, paths.manifest("m"))
        assert [move["version"] for move in manifest["moves"]] == [run_id]
        started = [item.env["ATTEMPT"] for item in system.jobs.executions("train-s")]
        assert started == ["1"]
        promoted = {item["id"] for item in system.published("ModelPromoted")}
        assert promoted == {f"ModelPromoted:m:{run_id}:1"}

    assert (
        crash_everywhere(tell, after=after, reads=True) > 50
    )  # it really walked through the chain


def test_a_hundred_concurrent_deliveries_of_one_upload_make_one_run() -> None:
    """A hundred threads push the same finalize event at the same moment; the losers are told to
    come again, and in the end there is one run and one execution."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    system.drain()
    source = system.drop("m/train/a.csv", CSV)
    bodies: list[bytes] = []

    def keep(body: dict[str, Any]) -> int:
        bodies.append(json.dumps(body).encode())
        return 204

    system.cloud.drain({"intake": keep})
    (body,) = bodies
    with ThreadPoolExecutor(100) as pool:
        statuses = list(pool.map(lambda _: system.post("intake", body)[1], range(100)))
    assert set(statuses) <= {204, 503}
    assert system.post("intake", body)[1] == 204
    system.drain()
    assert len(system.published("TrainingRequested")) == 1
    assert len(list(system.jobs.executions("train-s"))) == 1
    assert system.state(source) == "running"
