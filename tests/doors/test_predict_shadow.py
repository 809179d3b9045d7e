"""The predictor while a shadow runs: it scores, it is logged, and no caller can tell."""

from __future__ import annotations

from typing import Any

import pytest

from shared.predicted import online_lines
from shared.serving.assigning import key_text, takes, unit_of
from tests.support.beside import fall_ill, put, raises
from tests.support.predictor import RECORD, World
from tests.unit.serving.models import binary_package, serve

V2 = binary_package("v2", shift=3.0)


def new_world(log: str = "sync") -> World:
    found = World()
    serve(binary_package(), found.lake.bucket, log=log)
    return found


def rows(count: int) -> list[dict[str, Any]]:
    return [{**RECORD, "city": f"town {row}", "prediction_id": f"p{row}"} for row in range(count)]


@pytest.mark.parametrize("log", ["sync", "off"])
def test_callers_get_what_they_would_get_without_it(log: str) -> None:
    """Body and headers, whether the shadow is well or not, logged or not."""
    world, plain = new_world(log), new_world(log)
    put(world, V2, "shadow", share=1.0)
    for ill in (False, True):
        if ill:
            fall_ill(world, raises)
        for path, body in (("/predict", rows(9)), ("/invocations", {"inputs": rows(9)})):
            mine, theirs = (
                found.client.post(path, json=body, headers={"X-Prediction-Id": "mine"})
                for found in (world, plain)
            )
            assert mine.data == theirs.data
            assert sorted(mine.headers) == sorted(theirs.headers)


def test_the_log_has_both_answers_of_the_sampled_rows() -> None:
    """The line is the champion's, with its version and its score; what the shadow said stands in
    its mark. Rows that are not in the sample have none."""
    world = new_world()
    shadow = put(world, V2, "shadow", share=0.3)
    _, answer = world.ask(rows(60))
    sampled = 0
    for line, said in zip(world.log_lines(), answer["predictions"], strict=True):
        taken = takes(unit_of(shadow.id, key_text(line["instance"]["city"])), 0.3)
        assert ("shadow" in line) == taken
        assert (line["version"], line["score"]) == ("v1", said["score"])
        if taken:
            sampled += 1
            mark = line["shadow"]
            assert (mark["arm"], mark["left_out"]) == ("shadow", None)
            assert mark["champion"] == {"score": said["score"], "label": said["label"]}
            assert mark["challenger"]["score"] > said["score"]
    assert 5 < sampled < 35
    text = world.client.get("/metrics").get_data(as_text=True)
    about = 'model="adult",version="v2",kind="shadow"'
    assert f"millrace_compared_rows_total{{{about}}} {sampled}" in text
    assert 'millrace_rows_total{model="adult",version="v1"} 60' in text
    assert 'millrace_rows_total{model="adult",version="v2"}' not in text


def test_readers_of_the_log_take_no_shadow_for_an_answer() -> None:
    """Whoever reads answers finds the champion's alone."""
    world = new_world()
    put(world, V2, "shadow", share=1.0)
    world.ask(rows(5))
    lines = b"\n".join(message.data for message in world.cloud.publisher.published)
    world.lake.bucket.write("inference-log/dt=2026-01-05/log", lines)
    now = world.cloud.clock.now()
    found = list(online_lines("adult", now, now.replace(hour=23), lake=world.lake.bucket))
    assert [line.version for line in found] == ["v1"] * 5
    assert {(line.kind, line.by_challenger) for line in found} == {("shadow", False)}
    assert all(line.beside and line.beside["id"] == "c1" for line in found)


def test_a_shadow_cannot_be_asked_by_its_name() -> None:
    """Its version is no version that is served, and the model's page says what it is."""
    world = new_world()
    put(world, V2, "shadow", share=1.0)
    assert world.client.get("/v2/models/adult").get_json()["versions"] == ["v1"]
    status, _ = world.ask({"inputs": []}, "/v2/models/adult/versions/v2/infer")
    assert status == 404
    about = world.client.get("/models/adult").get_json()
    assert (about["version"], about["shadow"]["version"]) == ("v1", "v2")
