"""What holds in each protocol: fields nobody knows, limits of size, names of requests."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from shared import documents, paths
from shared.serving.protocols.refusing import MAX_BODY_BYTES
from tests.support.predictor import OTHER, RECORD, World

V2 = "/v2/models/adult/infer"


def change_policy(world: World, **changes: str) -> None:
    found = documents.read(world.lake.bucket, paths.manifest("adult"))
    documents.swap(
        world.lake.bucket,
        paths.manifest("adult"),
        {**found.body, **changes},
        generation=found.generation,
    )
    world.seconds.now += 2


ALL = {
    "/predict": [{**RECORD, "aeg": 3}],
    "/invocations": {"inputs": [{**RECORD, "aeg": 3}]},
    V2: {
        "inputs": [
            *(
                {"name": name, "datatype": "BYTES", "shape": [1], "data": [str(value)]}
                for name, value in RECORD.items()
            ),
            {"name": "aeg", "datatype": "FP64", "shape": [1], "data": [3]},
        ]
    },
}


@pytest.mark.parametrize("path", ALL)
def test_unknown_fields_are_named_once_and_counted(world: World, path: str) -> None:
    """A header names them in every protocol; rows that have any are counted."""
    response = world.client.post(path, json=ALL[path])
    assert response.status_code == 200
    assert response.headers["X-Millrace-Unknown-Fields"] == "aeg"
    text = world.client.get("/metrics").get_data(as_text=True)
    assert 'millrace_unknown_fields_total{model="adult"} 1' in text


def test_a_slip_of_the_pen_is_a_warning(world: World) -> None:
    """An optional feature that is nearly there is probably meant."""
    record = {"age": 39, "Gian": 3, "city": "Köln", "grade": 1, "ünknown\n": 1}
    response = world.client.post("/predict", json=[record, RECORD])
    (warning,) = response.get_json()["warnings"]
    assert (warning["field"], warning["did_you_mean"]) == ("Gian", "gain")
    header = response.headers["X-Millrace-Unknown-Fields"]
    assert header == "Gian (is it gain?), %C3%BCnknown%0A"


@pytest.mark.parametrize("path", ALL)
def test_unknown_fields_are_refused_or_not_looked_at_as_declared(world: World, path: str) -> None:
    """`refuse` names row, column and value; `ignore` is silent."""
    change_policy(world, unknown_fields="refuse")
    status, answer = world.ask(ALL[path], path)
    problems = answer["problems"] if path == V2 else answer["error"]["problems"]
    assert status == 422
    assert problems == [
        {"row": 0, "column": "aeg", "value": 3, "rule": "is no field of this model"}
    ]
    change_policy(world, unknown_fields="ignore")
    response = world.client.post(path, json=ALL[path])
    assert response.status_code == 200
    assert "X-Millrace-Unknown-Fields" not in response.headers


def test_strict_coercion_takes_values_as_they_are(world: World) -> None:
    """A text is no number and a number no text; missing stays missing. Lenient takes both."""
    record = {"age": "39", "gain": "?", "city": "Köln", "grade": 1}
    assert world.ask(record)[0] == 200
    change_policy(world, coerce="strict")
    status, answer = world.ask([record, {**RECORD, "grade": "1"}])
    assert status == 422
    assert [(item["row"], item["column"]) for item in answer["error"]["problems"]] == [
        (0, "age"),
        (0, "grade"),
    ]
    assert world.ask({"age": None, "gain": float("nan"), "city": None, "grade": "1"})[0] == 200


def test_all_that_refuses_a_request_is_told_at_once(world: World) -> None:
    """Policies, ids and cells hide nothing of each other; what is wrong twice is told once."""
    change_policy(world, coerce="strict", unknown_fields="refuse")
    rows = [{**RECORD, "grade": "1", "prediction_id": ""}, {**RECORD, "age": "x"}, RECORD]
    rows += [{**RECORD, "grade": "1", "aeg": 3, "prediction_id": "y" * 129}, {**RECORD, "city": []}]
    status, answer = world.ask(rows)
    found = [(item["row"], item["column"]) for item in answer["error"]["problems"]]
    grades = [(row, "grade") for row in (1, 2, 4) if type(RECORD["grade"]) is not str]
    expected = [(0, "prediction_id"), (1, "age"), (3, "aeg"), (3, "prediction_id"), (4, "city")]
    assert (status, sorted(found)) == (422, sorted(expected + grades))


def test_values_that_training_did_not_see_are_answered_and_counted(world: World) -> None:
    """Categories without a level, by column; one row and many rows count alike."""
    for body in ({**RECORD, "city": "Atlantis"}, [RECORD, {**RECORD, "city": "Mu", "grade": "9"}]):
        assert world.ask(body)[0] == 200
    text = world.client.get("/metrics").get_data(as_text=True)
    assert 'millrace_unseen_categories_total{model="adult",column="city"} 2' in text
    assert 'millrace_unseen_categories_total{model="adult",column="grade"} 1' in text


@pytest.mark.parametrize("path", ["/predict", "/invocations", V2])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_that_are_too_large(world: World, path: str, chunked: bool) -> None:
    """Announced or not, in the protocol's shape; none is cut and answered in part."""
    rows = b"age\n" + b"39\n" * (MAX_BODY_BYTES // 3)
    response = world.client.post(
        path,
        content_type="text/csv" if path == "/invocations" else "application/json",
        environ_overrides={
            "wsgi.input": io.BytesIO(rows),
            "wsgi.input_terminated": True,
            "CONTENT_LENGTH": "" if chunked else str(len(rows)),
        },
    )
    assert response.status_code == 413
    answer = response.get_json()
    assert "fewer rows" in (answer["error"] if path == V2 else answer["error"]["message"])
    assert ("error_code" in answer) == (path == "/invocations")


@pytest.mark.parametrize("path", ["/predict", "/invocations", V2])
def test_compressed_bodies_are_refused(world: World, path: str) -> None:
    """They may unpack to anything; the answer says what is accepted."""
    import gzip

    body = gzip.compress(json.dumps([RECORD]).encode())
    response = world.client.post(
        path, data=body, content_type="application/json", headers={"Content-Encoding": "gzip"}
    )
    assert response.status_code == 415
    assert response.headers["Accept-Encoding"] == "identity"


def test_large_requests_wait_for_their_turn(world: World) -> None:
    """Beside another large one a request is turned away for a moment; small ones pass."""
    load = world.app.extensions["millrace"].load
    other = b" " * (load._limit - 1)
    load.enter(other)
    body = json.dumps([RECORD] * 10_000).encode()
    response = world.client.post("/predict", data=body, content_type="application/json")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "1")
    assert world.ask(RECORD)[0] == 200
    load.leave(len(other))
    response = world.client.post("/predict", data=body, content_type="application/json")
    assert response.status_code == 200
    assert load._bytes == 0


def test_many_short_rows_are_a_large_request(world: World) -> None:
    """What they become is what memory has to hold: alone they are answered, beside another large
    request they are turned away for a moment."""
    load = world.app.extensions["millrace"].load
    body = json.dumps([{"age": 39}] * 50_000).encode()
    other = b" " * (load._limit - 2 * len(body))
    load.enter(other)
    response = world.client.post("/predict", data=body, content_type="application/json")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "1")
    assert load._bytes == len(other)
    load.leave(len(other))
    response = world.client.post("/predict", data=body, content_type="application/json")
    assert (response.status_code, len(response.get_json()["predictions"])) == (200, 50_000)
    assert load._bytes == 0


def test_only_some_of_an_answer(world: World, expected: Any) -> None:
    """`parameters.output` on our own route."""
    body = {"instances": [RECORD, OTHER], "parameters": {"output": "label"}}
    response = world.client.post("/predict", json=body, headers={"X-Prediction-Id": "mine"})
    assert response.get_json() == {"predictions": expected.label, "model_version": "v1"}
    assert response.headers["X-Prediction-Id"] == "mine"  # with -0 and -1 the ids of the rows
    assert [line["prediction_id"] for line in world.log_lines()] == ["mine-0", "mine-1"]
    status, answer = world.ask({**body, "parameters": {"output": "all"}})
    assert (status, answer["error"]["code"]) == (400, "unknown_output")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", RECORD),
        ("/invocations", {"inputs": [RECORD]}),
        (V2, {"inputs": [{"name": "age", "shape": [1], "datatype": "INT64", "data": [39]}]}),
    ],
)
def test_a_name_for_the_request_is_empty_or_short(world: World, path: str, body: Any) -> None:
    """An empty header is none; one that no id may be is refused, also where rows bring their
    own."""
    assert world.client.post(path, json=body, headers={"X-Prediction-Id": ""}).status_code == 200
    body = {**body, "id": "mine"} if path == V2 else body
    found = world.client.post(path, json=body, headers={"X-Prediction-Id": "x" * 129})
    assert found.status_code == 400
    assert "129 characters" in found.get_data(as_text=True)


def test_a_name_for_the_request_is_utf_8(world: World) -> None:
    """As clients send it, so that labels find it; other bytes are a name all the same."""
    for sent, name in (("Käse-日本".encode(), "Käse-日本"), (b"K\xe4se", "Käse")):
        headers = {"X-Prediction-Id": sent.decode("latin-1")}
        assert world.client.post("/predict", json=RECORD, headers=headers).status_code == 200
        assert world.log_lines()[-1]["prediction_id"] == name
