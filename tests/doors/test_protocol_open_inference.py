"""The Open Inference Protocol v2: bodies as its specification has them, written out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shared.serving.describing import VERSION
from shared.serving.encoder import Encoder
from shared.serving.loaded_model import LoadedModel
from shared.serving.package import linear_engine
from tests.support.predictor import RECORD, World
from tests.unit.serving.models import binary_package, regression_package, serve
from tests.unit.serving.test_deriving import DERIVING, RECORDS

V2 = "/v2/models/adult/infer"


def tensor(name: str, datatype: str, data: list[Any], shape: list[int] | None = None) -> Any:
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}


COLUMNS = [
    tensor("age", "FP64", [39, None]),
    tensor("gain", "FP32", [0, 12.5], [2, 1]),
    tensor("city", "BYTES", [["Köln"], ["nowhere"]], [2, 1]),
    tensor("grade", "INT64", [1, 2]),
]


def outputs(answer: dict[str, Any]) -> dict[str, list[Any]]:
    return {output["name"]: output["data"] for output in answer["outputs"]}


def test_v2_takes_a_tensor_a_column(world: World, expected: Any) -> None:
    """Columns of several types, flat or nested, in any order; the request's id comes back."""
    body = {"id": "42", "inputs": COLUMNS[::-1]}
    status, answer = world.ask(body, V2)
    assert status == 200
    assert {key: answer[key] for key in ("model_name", "model_version", "id")} == {
        "model_name": "adult",
        "model_version": "v1",
        "id": "42",
    }
    shapes = {output["name"]: (output["datatype"], output["shape"]) for output in answer["outputs"]}
    assert shapes == {
        "score": ("FP64", [2]),
        "label": ("BYTES", [2]),
        "probabilities": ("FP64", [2, 2]),
        "prediction_id": ("BYTES", [2]),
        "model_version": ("BYTES", [2]),
    }
    found = outputs(answer)
    assert found["score"] == expected.score.tolist()
    assert found["label"] == expected.label
    assert found["probabilities"][1::2] == expected.score.tolist()
    assert found["prediction_id"] == ["42-0", "42-1"]
    assert [line["prediction_id"] for line in world.log_lines()] == ["42-0", "42-1"]


def test_v2_takes_one_matrix(world: World) -> None:
    """All columns in the order of the metadata, or in an order that the parameters name."""
    rows = [["39", "0", "Köln", "1"], ["44", "1", "Köln", "1"]]
    score = LoadedModel(binary_package()).predict_records(
        [dict(zip(RECORD, row, strict=True)) for row in rows]
    )
    _, answer = world.ask({"inputs": [tensor("x", "BYTES", rows, [2, 4])]}, V2)
    assert outputs(answer)["score"] == score.score.tolist()
    flat = [value for row in rows for value in row[::-1]]
    matrix = {**tensor("x", "BYTES", flat, [2, 4]), "parameters": {"columns": [*RECORD][::-1]}}
    _, answer = world.ask({"inputs": [matrix]}, V2)
    assert outputs(answer)["score"] == score.score.tolist()


def test_v2_gives_the_outputs_that_are_wanted(world: World) -> None:
    """In their order; an output that there is not names those that there are."""
    body = {"inputs": COLUMNS, "outputs": [{"name": "label"}, {"name": "score"}]}
    _, answer = world.ask(body, V2)
    assert list(outputs(answer)) == ["label", "score"]
    status, answer = world.ask({**body, "outputs": [{"name": "nope"}]}, V2)
    assert status == 400
    assert "probabilities" in answer["error"]


def test_v2_describes_servers_and_models(world: World) -> None:
    """Metadata names the tensors that a request may have, and a request made of it is answered."""
    assert world.client.get("/v2").get_json() == {
        "name": "millrace",
        "version": VERSION,
        "extensions": ["binary_tensor_data"],
    }
    assert world.client.get("/v2/health/live").get_json()["live"] is True
    assert world.client.get("/v2/health/ready").status_code == 200
    for path in ("/v2/models/adult", "/v2/models/adult/versions/v1"):
        about = world.client.get(path).get_json()
        assert (about["name"], about["versions"]) == ("adult", ["v1"])
        assert world.client.get(f"{path}/ready").get_json() == {"name": "adult", "ready": True}
        data: dict[str, list[Any]] = {"FP64": [3.0], "BYTES": ["x"]}
        inputs = [
            tensor(item["name"], item["datatype"], data[item["datatype"]])
            for item in about["inputs"]
        ]
        status, answer = world.ask({"inputs": inputs}, f"{path}/infer")
        assert status == 200
        assert list(outputs(answer)) == [item["name"] for item in about["outputs"]]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/models/adult/versions/v9", 404),
        ("/v2/models/adult/versions/v9/ready", 404),
        ("/v2/models/nope", 404),
        ("/v2/models/nope/ready", 404),
        ("/v2/nowhere", 404),
        ("/v2/models/adult/infer", 405),
    ],
)
def test_v2_errors_have_its_one_field(world: World, path: str, status: int) -> None:
    """`error` is a text, whatever goes wrong."""
    response = world.client.get(path)
    assert response.status_code == status
    assert isinstance(response.get_json()["error"], str)


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"inputs": None}, 400, "inputs"),
        ({"inputs": []}, 400, "inputs"),
        ({"inputs": [3]}, 400, "name"),
        ({"inputs": [{"name": "age"}]}, 400, "datatype"),
        ({"inputs": [tensor("age", "FP64", [1], [2])]}, 400, "1 values"),
        ({"inputs": [tensor("age", "FP64", [], [0])]}, 400, "no rows"),
        ({"inputs": [tensor("age", "FP64", [1], [-1])]}, 400, "shape"),
        ({"inputs": [tensor("age", "FP64", [1], [1, 1, 1])]}, 400, "shape"),
        ({"inputs": [tensor("age", "FP64", [1], [10**30])]}, 400, "1 values"),
        ({"inputs": [tensor("age", "FP64", [1] * 100_001)]}, 413, "at most"),
        ({"inputs": [tensor("age", "FP64", [1, 2], [1, 2])]}, 400, "2 columns"),
        ({"inputs": [tensor("age", "FP64", [1]), tensor("gain", "FP64", [1, 2])]}, 400, "rows"),
        ({"inputs": [tensor("age", "FP64", [1]), tensor("age", "FP64", [1])]}, 400, "twice"),
        ({"inputs": [tensor("age", "COMPLEX", [1])]}, 400, "datatype"),
        ({"inputs": [tensor("age", "FP64", [[1, 2], [3]], [2, 2])]}, 400, "shape"),
        ({"inputs": [tensor("age", "INT64", [1.5])]}, 422, "1 problem"),
        ({"inputs": [tensor("age", "FP64", ["1"])]}, 422, "1 problem"),
        ({"inputs": [tensor("age", "INT64", [True])]}, 422, "1 problem"),
        ({"inputs": [tensor("city", "BYTES", [[[]]], [1, 1])]}, 422, "1 problem"),
        ({"inputs": [tensor("age", "BOOL", [True])]}, 422, "1 problem"),
        ({"inputs": [tensor("age", "UINT8", [255, 256, None, -1])]}, 422, "2 problem"),
        ({"inputs": [tensor("age", "INT8", [127, 128, -128, -129])]}, 422, "2 problem"),
        ({"inputs": [tensor("age", "INT64", [2**63])]}, 422, "INT64"),
        ({"inputs": [tensor("age", "UINT64", [2**64])]}, 422, "UINT64"),
        ({"inputs": [tensor("age", "FP64", [-1])]}, 422, "1 problem"),
        ({"id": 3}, 400, "id"),
        ({"outputs": 3}, 400, "outputs"),
        ({"parameters": 3}, 400, "parameters"),
        ({"inputs": [{**COLUMNS[0], "parameters": {"binary_data_size": 8}}]}, 400, "too much"),
    ],
)
def test_v2_says_what_is_wrong_with_a_tensor(
    world: World, change: dict[str, Any], status: int, words: str
) -> None:
    """And a row's problems are listed as everywhere."""
    found, answer = world.ask({"inputs": COLUMNS, **change}, V2)
    assert (found, words in answer["error"]) == (status, True), answer
    if status == 422:
        assert answer["problems"][0].keys() == {"row", "column", "value", "rule"}


def test_v2_bodies_need_not_name_their_type(world: World) -> None:
    """Triton's clients send none."""
    response = world.client.post(V2, data=json.dumps({"inputs": COLUMNS}).encode())
    assert response.status_code == 200


def test_v2_asks_for_what_a_model_derives_from(world: World) -> None:
    """Inputs that a model does not see itself are inputs all the same; a time is a text."""
    columns = DERIVING.from_records(RECORDS)
    encoder = Encoder.fit(columns, DERIVING.seen, "linear", min_frequency=1)
    engine = linear_engine(np.linspace(-1, 1, len(encoder.names)), 0.0, "identity")
    made = replace(regression_package(), schema=DERIVING, encoder=encoder, engine=engine)
    serve(made, world.lake.bucket)
    about = world.client.get("/v2/models/houses").get_json()
    kinds = {item["name"]: item["datatype"] for item in about["inputs"]}
    assert kinds["hidden"] == "FP64"
    assert kinds["started"] == "BYTES"
    inputs = [tensor(name, kind, [RECORDS[0][name]]) for name, kind in kinds.items()]
    status, answer = world.ask({"inputs": inputs}, "/v2/models/houses/infer")
    assert status == 200
    assert outputs(answer)["score"] == LoadedModel(made).predict_records(RECORDS[:1]).score.tolist()
    told = world.client.get("/models/houses").get_json()
    assert [item["name"] for item in told["carried"]] == ["hidden", "started", "ended"]
    assert told["derived"][0] == {"name": "ratio", "is": "rooms / households"}
