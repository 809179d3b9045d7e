"""The same model asked in each protocol: bodies as their specifications have them, written out."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shared import documents, paths
from shared.serving.describing import VERSION
from shared.serving.encoder import Encoder
from shared.serving.loaded_model import LoadedModel
from shared.serving.package import linear_engine
from shared.serving.protocols.refusing import MAX_BODY_BYTES
from tests.support.predictor import RECORD, World
from tests.unit.serving.models import binary_package, regression_package, serve
from tests.unit.serving.test_deriving import DERIVING, RECORDS

OTHER = {"age": None, "gain": 12.5, "city": "nowhere", "grade": 2}
V2 = "/v2/models/adult/infer"


@pytest.fixture
def world() -> World:
    found = World()
    serve(binary_package(), found.lake.bucket, log="sync")
    return found


@pytest.fixture
def expected() -> Any:
    return LoadedModel(binary_package()).predict_records([RECORD, OTHER])


def change_policy(world: World, **changes: str) -> None:
    found = documents.read(world.lake.bucket, paths.manifest("adult"))
    documents.swap(
        world.lake.bucket,
        paths.manifest("adult"),
        {**found.body, **changes},
        generation=found.generation,
    )
    world.seconds.now += 2


# --- MLflow --------------------------------------------------------------------------------------

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


# --- the Open Inference Protocol -----------------------------------------------------------------


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


# --- what holds for all --------------------------------------------------------------------------

ALL = {
    "/predict": [{**RECORD, "aeg": 3}],
    "/invocations": {"inputs": [{**RECORD, "aeg": 3}]},
    V2: {
        "inputs": [
            *(tensor(name, "BYTES", [str(value)]) for name, value in RECORD.items()),
            tensor("aeg", "FP64", [3]),
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
    load.leave(other)
    response = world.client.post("/predict", data=body, content_type="application/json")
    assert response.status_code == 200
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
