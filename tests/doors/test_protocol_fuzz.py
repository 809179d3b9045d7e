"""Whatever is sent to whatever route: an answer of JSON, soon, and never a server error."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.serving.protocols.vertex import Contract
from tests.support.predictor import RECORD, World
from tests.support.sources import MODEL
from tests.support.sources_world import ROWS, Sources
from tests.unit.serving.models import binary_package, regression_package, serve

POSTED = [
    "/predict?model=adult",
    "/models/houses/predict",
    f"/models/{MODEL}/predict",
    "/platform:predict?model=adult",
    "/invocations?model=adult",
    "/models/houses/invocations",
    f"/models/{MODEL}/invocations",
    "/v2/models/adult/infer",
    "/v2/models/houses/versions/v1/infer",
    f"/v2/models/{MODEL}/infer",
]
TYPES = [
    "application/json",
    "application/json; charset=utf-8",
    "application/json;charset=utf-16",
    "text/csv",
    "text/csv; charset=latin-1",
    "text/plain",
    "application/octet-stream",
    "multipart/form-data",
    "application/x-www-form-urlencoded",
    "",
    ";;",
    "ünïcode",
]
NAMES = st.sampled_from(
    [*RECORD, "customer", "transactions", "at", "amount", "shop", "prediction_id", "spent"]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**60, max_value=2**70),
    st.just(10**400),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", "NaN", "1e999", "-0", "1_000", "2026-01-01", "\ud800", "\x00", "Köln"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(NAMES | st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
RECORDS = st.dictionaries(NAMES | st.text(max_size=8), VALUES, max_size=6)
ROWS_OF = st.lists(RECORDS | VALUES, max_size=4)
TENSORS = st.fixed_dictionaries(
    {},
    optional={
        "name": NAMES | VALUES,
        "datatype": st.sampled_from(["FP64", "FP32", "INT64", "INT32", "BOOL", "BYTES"]) | VALUES,
        "shape": st.lists(st.integers(-2, 4) | VALUES, max_size=3) | VALUES,
        "data": st.lists(VALUES, max_size=5) | VALUES,
        "parameters": st.dictionaries(
            st.sampled_from(["columns", "binary_data", "binary_data_size"]), VALUES, max_size=2
        )
        | VALUES,
    },
)
BODIES = st.one_of(
    VALUES,
    RECORDS,
    ROWS_OF,
    st.fixed_dictionaries(
        {},
        optional={
            "instances": ROWS_OF | VALUES,
            "inputs": ROWS_OF
            | st.dictionaries(NAMES, st.lists(SCALARS, max_size=3) | VALUES, max_size=4)
            | st.lists(TENSORS | VALUES, max_size=4),
            "dataframe_records": ROWS_OF | VALUES,
            "dataframe_split": st.fixed_dictionaries(
                {},
                optional={
                    "columns": st.lists(NAMES, max_size=4) | VALUES,
                    "data": st.lists(st.lists(SCALARS, max_size=4) | VALUES, max_size=3) | VALUES,
                    "index": VALUES,
                },
            )
            | VALUES,
            "parameters": st.fixed_dictionaries({"output": VALUES}) | VALUES,
            "params": st.fixed_dictionaries({"output": VALUES}) | VALUES,
            "id": VALUES,
            "outputs": st.lists(st.fixed_dictionaries({"name": VALUES}) | VALUES, max_size=2)
            | VALUES,
        },
    ),
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Content-Encoding": st.sampled_from(["gzip", "identity", "", "br", "x" * 500]),
        "X-Prediction-Id": st.text(
            st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=200
        ),
        "Inference-Header-Content-Length": st.sampled_from(["0", "-1", "x"]),
    },
)


@pytest.fixture(scope="module")
def world() -> World:
    found = Sources(known=ROWS)
    again = World(contract=Contract(predict="/platform:predict"))
    again.lake, again.publisher, again.cloud = found.lake, found.publisher, found.cloud
    serve(binary_package(), found.lake.bucket, log="sync")
    serve(regression_package(), found.lake.bucket)
    return again


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def check(world: World, path: str, data: bytes, content_type: str, **headers: str) -> int:
    response = world.client.post(path, data=data, content_type=content_type, headers=headers)
    text = response.get_data(as_text=True)
    assert response.status_code < 500, text
    assert "Traceback" not in text
    answer = json.loads(text)
    if response.status_code == 200:
        assert "error" not in answer
    else:
        assert answer["error"]
        assert isinstance(answer["error"], str) == path.startswith("/v2")
        assert ("error_code" in answer) == ("/invocations" in path)
    return response.status_code


@settings(max_examples=400, deadline=10_000, suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from(POSTED),
    body=BODIES,
    content_type=st.sampled_from(["application/json"] * 20 + TYPES),
    headers=HEADERS | st.just({}),
)
def test_json_of_any_shape(
    world: World, path: str, body: Any, content_type: str, headers: dict[str, str]
) -> None:
    """Bodies that are nearly right, and bodies that are nothing of the kind."""
    check(world, path, json.dumps(body).encode(), content_type, **headers)


@settings(max_examples=150, deadline=10_000, suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from(POSTED),
    body=st.binary(max_size=200) | st.text(max_size=200).map(encoded),
    content_type=st.sampled_from(TYPES),
)
def test_bytes_of_any_kind(world: World, path: str, body: bytes, content_type: str) -> None:
    """Noise under all content types."""
    check(world, path, body, content_type)


@settings(max_examples=150, deadline=10_000, suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from([path for path in POSTED if "invocations" in path]),
    header=st.lists(NAMES | st.text(max_size=5), max_size=5),
    cells=st.lists(st.lists(st.text(max_size=6) | st.integers().map(str), max_size=5), max_size=4),
    end=st.sampled_from(["\n", "\r\n", "\r", ""]),
)
def test_csv_of_any_shape(
    world: World, path: str, header: list[str], cells: list[list[str]], end: str
) -> None:
    """Headers and rows that do not fit, with any line ends."""
    text = end.join(",".join(row) for row in [header, *cells]) + end
    check(world, path, encoded(text), "text/csv")


ODD_TEXTS = ["a\nb", "a\r\nSet-Cookie: x=1", "日本", "\x7f", "\ud800", "\x00", " ", "%0A", "é"]


@pytest.mark.parametrize("text", ODD_TEXTS)
@pytest.mark.parametrize("path", ["/predict", "/invocations", "/v2/models/adult/infer"])
def test_callers_texts_come_back_in_plain_headers(world: World, path: str, text: str) -> None:
    """Ids and names of fields may hold anything; a header holds one line of ASCII."""
    record = {**RECORD, "prediction_id": text, text: 1, "aeg": 2}
    body: Any = {"inputs": [record]} if path == "/invocations" else record
    if path.startswith("/v2"):
        tensors = [(name, "BYTES", str(value)) for name, value in record.items()]
        body = {
            "id": text,
            "inputs": [
                {"name": name, "datatype": kind, "shape": [1], "data": [value]}
                for name, kind, value in tensors
            ],
        }
    response = world.client.post(f"{path}?model=adult", json=body)
    assert response.status_code == 200, response.get_data(as_text=True)
    assert "aeg" in response.headers["X-Millrace-Unknown-Fields"]
    for value in response.headers.values():
        assert value.isascii()
        assert value.isprintable()
    assert "Set-Cookie" not in response.headers


WRAPPED = ["%s", '{"instances": [%s]}', '{"inputs": [%s]}', '{"dataframe_records": [%s]}']
BOMBS = {
    "deep lists": "[" * 900 + "]" * 900,
    "deep lists in a cell": '{"age": ' + "[" * 900 + "]" * 900 + "}",
    "deep objects in a cell": '{"city": ' + '{"a":' * 450 + "1" + "}" * 450 + "}",
    "deep rows of a source": '{"transactions": ' + "[" * 900 + "]" * 900 + "}",
    "a deep id": '{"age": 1, "prediction_id": ' + "[" * 900 + "]" * 900 + "}",
    "deeper than anything": "[" * 200_000,
    "a huge integer": '{"age": ' + "9" * 4_000 + "}",
    "a huger integer": '{"age": ' + "9" * 100_000 + "}",
    "a huge exponent": '{"age": 1e9999999}',
    "huge category": '{"age": 1, "grade": ' + "9" * 4_000 + "}",
    "not a number": '{"age": NaN, "city": NaN, "grade": NaN, "gain": 1}',
    "infinity": '{"age": Infinity, "city": -Infinity}',
    "an infinite category": '{"age": 1, "city": -Infinity}',
    "one key twice": '{"age": 1, "age": "x"}',
    "half a pair": '{"age": 1, "city": "\\ud800"}',
    "many fields": "{" + ",".join(f'"f{number}": 1' for number in range(20_000)) + ', "age": 1}',
    "a long name": '{"age": 1, "' + "n" * 100_000 + '": 1}',
    "null": "null",
    "a byte order mark": '\ufeff{"age": 1}',
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("path", POSTED)
def test_known_bombs(world: World, bomb: str, path: str) -> None:
    """Depth, digits, constants that JSON does not have, doubled and many keys, broken letters."""
    for wrapping in WRAPPED:
        check(world, path, (wrapping % BOMBS[bomb]).encode(), "application/json")


@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1", "cp1252"])
def test_other_encodings(world: World, path: str, encoding: str) -> None:
    """JSON in UTF-16 and UTF-32 is JSON; in others it is refused."""
    body = json.dumps({"instances": [RECORD]}, ensure_ascii=False).encode(encoding)
    status = check(world, path, body, "application/json")
    if not encoding.startswith("utf"):
        assert status == 400


@pytest.mark.parametrize("path", POSTED)
def test_packed_bodies_are_not_unpacked(world: World, path: str) -> None:
    """A megabyte of zeros in a thousand bytes."""
    body = gzip.compress(b"0" * 1_000_000)
    headers = {"Content-Encoding": "gzip"}
    assert check(world, path, body, "application/json", **headers) == 415
    assert check(world, path, body, "application/json") == 400


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_routes_that_only_take_posts(world: World, method: str) -> None:
    """405 names what is allowed."""
    for path in POSTED:
        response = world.client.open(path, method=method)
        assert response.status_code < 500
        if method not in {"OPTIONS"}:
            assert response.status_code == 405
            assert "POST" in response.headers["Allow"]


@settings(max_examples=100, deadline=10_000, suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from(
        [
            "/models/{}",
            "/models/{}/info",
            "/v2/models/{}",
            "/v2/models/{}/ready",
            "/{}",
            "/v2/{}",
            "/v2/models/adult/versions/{}",
            "/v2/models/adult/versions/{}/ready",
            "/model/info?model={}",
            "/docs?model={}",
        ]
    ),
    name=st.text(max_size=30),
)
def test_names_of_any_kind(world: World, path: str, name: str) -> None:
    """Addresses with anything in them."""
    from urllib.parse import quote

    quoted = quote(name.encode("utf-8", "replace"), safe="")
    response = world.client.get(path.replace("{}", quoted), follow_redirects=True)
    assert response.status_code < 500
