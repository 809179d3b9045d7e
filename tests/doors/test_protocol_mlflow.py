"""MLflow's scoring protocol: bodies as its specification has them, written out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.serving.describing import VERSION
from shared.serving.loaded_model import LoadedModel
from tests.support.predictor import OTHER, RECORD, World
from tests.unit.serving.models import binary_package, regression_package, serve

SPLIT = {"columns": list(RECORD), "data": [list(RECORD.values()), list(OTHER.values())]}


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": SPLIT},
        {"dataframe_split": {**SPLIT, "index": [7, 8]}},
        {"dataframe_split": {"data": SPLIT["data"]}},
        {"dataframe_records": [RECORD, OTHER]},
        {"instances": [RECORD, OTHER]},
        {"instances": SPLIT["data"]},
        {"inputs": [RECORD, OTHER]},
        {"inputs": {name: [RECORD[name], OTHER[name]] for name in RECORD}},
    ],
)
@pytest.mark.parametrize("path", ["/invocations", "/models/adult/invocations"])
def test_mlflow_gets_labels_for_each_of_its_forms(
    world: World, expected: Any, body: dict[str, Any], path: str
) -> None:
    """Every form of the scoring protocol is answered with labels, or with probabilities."""
    assert world.ask(body, path) == (200, {"predictions": expected.label})
    status, answer = world.ask({**body, "params": {"output": "proba"}}, path)
    assert status == 200
    assert answer["predictions"] == [[1 - score, score] for score in expected.score.tolist()]


def test_mlflow_csv_has_empty_cells_for_missing(world: World, expected: Any) -> None:
    """A frame as pandas writes it: reordered columns, an empty cell, a text in quotes."""
    body = 'city,age,grade,gain\n"Köln",39,1,0\nnowhere,,2,12.5\n'
    response = world.client.post("/invocations", data=body.encode(), content_type="text/csv")
    assert (response.status_code, response.get_json()) == (200, {"predictions": expected.label})


def test_mlflow_csv_has_points_beside_the_files_own_mark() -> None:
    """A model of files with decimal commas is asked by pandas, which writes points."""
    package = binary_package()
    schema = replace(package.schema, decimal=",")
    world = World()
    serve(replace(package, schema=schema), world.lake.bucket)
    expected = LoadedModel(package).predict_records([{"age": 39, "gain": 12.5}]).label
    for cell in ("12.5", '"12,5"', " 12.5 "):
        body = f"age,gain\n39,{cell}\n"
        answer = world.client.post("/invocations", data=body.encode(), content_type="text/csv")
        assert answer.get_json() == {"predictions": expected}
    answer = world.client.post("/invocations", data=b"age,gain\n39,1_0\n", content_type="text/csv")
    assert answer.status_code == 422


def test_what_mlflow_has_no_place_for_is_in_headers(world: World) -> None:
    """Version and ids: of one row its own, of several what their ids begin with."""
    response = world.client.post("/invocations", json={"inputs": [RECORD]})
    assert response.headers["X-Model-Version"] == "v1"
    (line,) = world.log_lines()
    assert response.headers["X-Prediction-Id"] == line["prediction_id"]
    response = world.client.post("/invocations", json={"inputs": [RECORD, OTHER]})
    ids = [line["prediction_id"] for line in world.log_lines()[1:]]
    assert ids == [f"{response.headers['X-Prediction-Id']}-{row}" for row in (0, 1)]


def test_mlflow_regression_gives_values(world: World) -> None:
    """And says that it has no probabilities, in MLflow's shape and ours."""
    serve(regression_package(), world.lake.bucket)
    values = LoadedModel(regression_package()).predict_records([RECORD, OTHER]).score.tolist()
    path = "/models/houses/invocations"
    assert world.ask({"inputs": [RECORD, OTHER]}, path) == (200, {"predictions": values})
    status, answer = world.ask({"inputs": [RECORD], "params": {"output": "proba"}}, path)
    assert (status, answer["error_code"]) == (400, "BAD_REQUEST")
    assert answer["error"]["code"] == "unknown_output"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"[]", "application/json", 400, "malformed_request"),
        (b"{}", "application/json", 400, "malformed_request"),
        (b'{"inputs": [1], "instances": [1]}', "application/json", 400, "malformed_request"),
        (b'{"inputs": {"age": [1, 2], "gain": [1]}}', "application/json", 400, "malformed_request"),
        (b'{"inputs": {"age": [1, 2], "gain": 1}}', "application/json", 400, "malformed_request"),
        (b'{"inputs": []}', "application/json", 400, "malformed_request"),
        (b'{"inputs": 3}', "application/json", 400, "malformed_request"),
        (b'{"dataframe_split": {"columns": ["a"]}}', "application/json", 400, "malformed_request"),
        (b'{"dataframe_split": {"data": [[1]]}}', "application/json", 400, "malformed_request"),
        (
            b'{"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}',
            "application/json",
            400,
            "malformed_request",
        ),
        (b'{"inputs": [{}], "params": 3}', "application/json", 400, "malformed_request"),
        (
            b'{"inputs": [{"age": 1}], "params": {"output": []}}',
            "application/json",
            400,
            "unknown_output",
        ),
        (b'{"inputs": [{"age": -1}]}', "application/json", 422, "invalid_instances"),
        (b"age", "text/csv", 400, "malformed_csv"),
        (b"age,gain\n1\n", "text/csv", 400, "malformed_csv"),
        (b"age,age\n1,2\n", "text/csv", 400, "malformed_csv"),
        (b'age\n"1', "text/csv", 400, "malformed_csv"),
        (b"city\n\xff\n", "text/csv", 400, "malformed_csv"),
        (b"city\nx\n", "text/csv; charset=latin-1", 415, "unsupported_charset"),
        (b"age\nx\n", "text/csv", 422, "invalid_instances"),
        (b"x", "application/vnd.apache.parquet", 415, "unsupported_media_type"),
    ],
)
def test_mlflow_refusals_have_both_shapes(
    world: World, body: bytes, content_type: str, status: int, code: str
) -> None:
    """MLflow's `error_code` and `message`, and ours beside them."""
    response = world.client.post("/invocations", data=body, content_type=content_type)
    answer = response.get_json()
    assert (response.status_code, answer["error"]["code"]) == (status, code)
    assert answer["error_code"].isupper()
    assert answer["message"] == answer["error"]["message"]


def test_mlflows_other_addresses(world: World) -> None:
    """Probes and the version, and their failure while nothing can be loaded."""
    assert world.client.get("/ping").data == b"\n"
    assert world.client.get("/health").status_code == 200
    assert world.client.get("/version").get_data(as_text=True) == VERSION
    world.lake.down = True
    world.seconds.now += 100
    assert World().client.get("/ping").status_code == 200  # nothing is served yet, nothing fails
    cut = World()
    cut.lake.down = True
    assert cut.client.get("/ping").status_code == 503
