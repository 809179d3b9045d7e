"""The predictor's door: what callers get, whatever they send and whatever breaks behind it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from shared.serving.loaded_model import LoadedModel
from shared.serving.protocols.refusing import MAX_BODY_BYTES
from tests.support.predictor import RECORD, World
from tests.unit.serving.models import binary_package, regression_package, serve


@pytest.fixture
def world() -> World:
    found = World()
    serve(binary_package(), found.lake.bucket)
    return found


# --- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [RECORD, [RECORD], {"instances": [RECORD]}])
@pytest.mark.parametrize("path", ["/models/adult/predict", "/predict", "/predict?model=adult"])
def test_all_forms_and_addresses_give_one_answer(world: World, body: Any, path: str) -> None:
    """A record, a list and `instances`, by name or as the only model: the same prediction."""
    expected = LoadedModel(binary_package()).predict_records([RECORD])
    status, answer = world.ask(body, path)
    assert status == 200
    (prediction,) = answer["predictions"]
    assert uuid.UUID(prediction.pop("prediction_id")).version == 7
    assert prediction == {
        "score": expected.score[0],
        "label": expected.label and expected.label[0],
        "model_version": "v1",
    }
    assert answer["model_version"] == "v1"


def test_callers_ids_come_back(world: World) -> None:
    """A caller names a row in the record, or a request in the header."""
    _, answer = world.ask([{**RECORD, "prediction_id": "a-1"}, {**RECORD, "prediction_id": 7}])
    assert [row["prediction_id"] for row in answer["predictions"]] == ["a-1", "7"]
    headers = {"X-Prediction-Id": "req"}
    _, answer = world.ask(RECORD, headers=headers)
    assert answer["predictions"][0]["prediction_id"] == "req"
    _, answer = world.ask([RECORD, RECORD], headers=headers)
    assert [row["prediction_id"] for row in answer["predictions"]] == ["req-0", "req-1"]


def test_regression_and_several_models(world: World) -> None:
    """One service answers for all models; without a name it asks for one."""
    serve(regression_package(), world.lake.bucket)
    status, answer = world.ask(RECORD, "/models/houses/predict")
    assert status == 200
    assert answer["predictions"][0]["label"] is None
    status, answer = world.ask(RECORD, "/predict")
    assert status == 400
    assert answer["error"]["models"] == ["adult", "houses"]


def test_a_pinned_model_is_the_only_one() -> None:
    """MILLRACE_MODEL makes an installation's predictor a predictor of one model."""
    world = World(pinned=lambda: "houses")
    serve(binary_package(), world.lake.bucket)
    serve(regression_package(), world.lake.bucket)
    assert world.ask(RECORD, "/predict")[0] == 200
    status, answer = world.ask(RECORD, "/models/adult/predict")
    assert (status, answer["error"]["models"]) == (404, ["houses"])


def test_models_describe_themselves(world: World) -> None:
    """What is served, its schema, and an example that can be sent as it stands."""
    assert world.client.get("/models").get_json() == {"models": ["adult"]}
    about = world.client.get("/models/adult").get_json()
    assert about["version"] == "v1"
    assert [feature["name"] for feature in about["features"]] == ["age", "gain", "city", "grade"]
    status, _ = world.ask(about["example"]["body"], about["example"]["path"])
    assert status == 200


def test_health_and_metrics(world: World) -> None:
    """Probes answer, and requests are counted by model and status."""
    world.ask(RECORD)
    world.ask({"age": "x"})
    assert world.client.get("/healthz").status_code == 200
    assert world.client.get("/ready").get_json()["loaded"] == ["adult"]
    text = world.client.get("/metrics").get_data(as_text=True)
    assert 'millrace_requests_total{model="adult",protocol="native",status="200"} 1' in text
    assert 'millrace_requests_total{model="adult",protocol="native",status="422"} 1' in text
    assert 'millrace_request_seconds_bucket{model="adult",version="v1",le="+Inf"} 2' in text
    assert 'millrace_model_info{model="adult",version="v1"} 1' in text


# --- refusals ------------------------------------------------------------------------------------

JSON = "application/json"


@pytest.mark.parametrize(
    ("data", "content_type", "status", "code"),
    [
        (b"", JSON, 400, "malformed_json"),
        (b"{", JSON, 400, "malformed_json"),
        (b"\xff\xfe\x00", JSON, 400, "malformed_json"),
        (b"[" + b"0," * 200_000 + b"0]", JSON, 413, "too_many_records"),
        (b"[" * 100_000, JSON, 400, "malformed_json"),
        (b'{"age": ' + b"9" * 5000 + b"}", JSON, 400, "malformed_json"),
        (b"[]", JSON, 400, "malformed_request"),
        (b"3", JSON, 400, "malformed_request"),
        (b"null", JSON, 400, "malformed_request"),
        (b'{"instances": []}', JSON, 400, "malformed_request"),
        (b'{"instances": 3}', JSON, 422, "invalid_instances"),
        (b"[1, null]", JSON, 422, "invalid_instances"),
        (b"{}", JSON, 422, "invalid_instances"),
        (b'{"age": 1e999}', JSON, 422, "invalid_instances"),
        (b'{"age": -1}', JSON, 422, "invalid_instances"),
        (b'{"age": 1, "prediction_id": []}', JSON, 422, "invalid_instances"),
        (b"age=3", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"{}", "", 415, "unsupported_media_type"),
        (b" " * (MAX_BODY_BYTES + 1), JSON, 413, "request_entity_too_large"),
    ],
)
def test_garbage_gets_a_reason(
    world: World, data: bytes, content_type: str, status: int, code: str
) -> None:
    """Whatever is sent, the answer is JSON, says what was expected, and is no server error."""
    response = world.client.post("/models/adult/predict", data=data, content_type=content_type)
    error = response.get_json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert len(error["message"]) > 10
    assert "Traceback" not in response.get_data(as_text=True)


def test_problems_name_row_column_value_and_rule(world: World) -> None:
    """A refused batch says which cells to mend; none of it was predicted."""
    serve(binary_package(), world.lake.bucket, log="sync")
    status, answer = world.ask([RECORD, {**RECORD, "age": "old", "city": {}}])
    assert status == 422
    assert answer["error"]["problems"] == [
        {"row": 1, "column": "age", "value": "old", "rule": "must be a number"},
        {"row": 1, "column": "city", "value": "{}", "rule": "must be a text, got an object"},
    ]
    assert [line["score"] for line in world.log_lines()] == [None]


@pytest.mark.parametrize("name", ["nosuch", "Adult", "..%2f..", "a%00b", "x" * 500])
def test_unknown_models_name_the_known_ones(world: World, name: str) -> None:
    """A wrong name gets the right ones, and leaves nothing behind in memory."""
    response = world.client.post(f"/models/{name}/predict", json=RECORD)
    assert response.status_code == 404
    world.ask(RECORD)
    assert len(world.app.extensions["millrace"].models._entries) <= 1
    status, answer = world.ask(RECORD, "/models/nosuch/predict")
    assert (status, answer["error"]["models"]) == (404, ["adult"])


def test_no_model_at_all() -> None:
    """An empty installation says so, and is ready for its first model."""
    world = World()
    assert world.ask(RECORD, "/predict")[0] == 404
    assert world.client.get("/ready").status_code == 200
    serve(binary_package(), world.lake.bucket)
    world.seconds.now += 2
    assert world.ask(RECORD, "/predict")[0] == 200


def test_wrong_method_and_address(world: World) -> None:
    """Also what no route knows answers in JSON."""
    assert world.client.get("/models/adult/predict").get_json()["error"]["code"]
    assert world.client.get("/nowhere").get_json()["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"age": ' + b"9" * 5000 + b"}", "a number of more digits"),
        (b'{"city": "K\xf6ln"}', "not UTF-8"),
        (b'{"age": 1,}', "line 1 column"),
    ],
)
def test_malformed_json_is_told_in_words(world: World, body: bytes, words: str) -> None:
    """What is wrong with the body, nothing about the program that read it."""
    response = world.client.post("/predict", data=body, content_type=JSON)
    message = response.get_json()["error"]["message"]
    assert words in message
    assert "sys." not in message
    assert "codec" not in message
