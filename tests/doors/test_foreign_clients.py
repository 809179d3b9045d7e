"""What clients that nobody here wrote send, byte for byte as they sent it (golden/clients.json):
each gets the answers to the rows that its caller meant. And the extension that most of them use,
tensors as bytes behind the JSON.
"""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.serving.loaded_model import LoadedModel
from tests.support.predictor import World
from tests.unit.serving.models import binary_package, serve

FILE = Path(__file__).parents[1] / "golden" / "clients.json"
RECORDED: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
LENGTH = "Inference-Header-Content-Length"
V2 = "/v2/models/adult/infer"


@pytest.fixture
def world() -> World:
    found = World()
    serve(binary_package(), found.lake.bucket, log="off")
    return found


def sent(recorded: dict[str, Any]) -> bytes:
    if "base64" in recorded:
        return base64.b64decode(recorded["base64"])
    return str(recorded["text"]).encode()


def texts(data: bytes) -> list[str]:
    """Elements of a BYTES tensor: four bytes of length, then UTF-8."""
    found, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return found


def tensors(response: Any) -> dict[str, list[Any]]:
    """The outputs of an answer, wherever they stand."""
    body = response.get_data()
    length = int(response.headers.get(LENGTH, len(body)))
    behind, found = body[length:], {}
    for output in json.loads(body[:length])["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            found[output["name"]] = output["data"]
            continue
        data, behind = behind[:size], behind[size:]
        text = output["datatype"] == "BYTES"
        found[output["name"]] = texts(data) if text else np.frombuffer(data, "<f8").tolist()
    assert not behind
    return found


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda one: str(one["client"]))
def test_a_client_gets_what_its_caller_asked(world: World, recorded: dict[str, Any]) -> None:
    """Its bytes, its headers; the scores of the rows behind them, to the last bit."""
    response = world.client.post(
        recorded["path"], data=sent(recorded), environ_overrides=recorded["headers"]
    )
    assert response.status_code == 200, response.get_data()
    expected = LoadedModel(binary_package()).predict_records(recorded["records"])
    if recorded["path"] == V2:
        found = tensors(response)
        assert found["label"] == expected.label
        assert found.get("score", expected.score.tolist()) == expected.score.tolist()
        return
    predictions = response.get_json()["predictions"]
    if recorded["path"] == "/invocations":
        assert predictions == expected.label
    else:
        assert [row["score"] for row in predictions] == expected.score.tolist()


def binary(inputs: list[Any], blobs: list[bytes], **more: Any) -> tuple[bytes, dict[str, str]]:
    """A request with the data of its inputs behind the JSON."""
    named = [
        {**one, "parameters": {"binary_data_size": len(blob)}}
        for one, blob in zip(inputs, blobs, strict=True)
    ]
    before = json.dumps({"inputs": named, **more}).encode()
    return before + b"".join(blobs), {LENGTH: str(len(before))}


def tensor(name: str, datatype: str, rows: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [rows]}


@pytest.mark.parametrize(
    ("datatype", "dtype"),
    [
        *((f"FP{bits}", f"<f{bits // 8}") for bits in (16, 32, 64)),
        *((f"INT{bits}", f"<i{bits // 8}") for bits in (8, 16, 32, 64)),
        *((f"UINT{bits}", f"<u{bits // 8}") for bits in (8, 16, 32, 64)),
    ],
)
def test_numbers_of_every_width_are_the_same_numbers(
    world: World, datatype: str, dtype: str
) -> None:
    """In bytes and in JSON, answered in bytes and in JSON: one score."""
    ages = [39, 50, 100]
    body, headers = binary([tensor("age", datatype, 3)], [np.array(ages, dtype).tobytes()])
    response = world.client.post(V2, data=body, headers=headers)
    assert response.status_code == 200, response.get_data()
    assert LENGTH not in response.headers
    asked = {"inputs": [{**tensor("age", datatype, 3), "data": ages}]}
    plain = world.client.post(V2, json=asked)
    assert tensors(response)["score"] == tensors(plain)["score"]
    wanted = {**asked, "parameters": {"binary_data_output": True}}
    behind = world.client.post(V2, json=wanted)
    assert behind.headers["Content-Type"] == "application/octet-stream"
    without_ids = [{**tensors(one), "prediction_id": None} for one in (plain, behind)]
    assert without_ids[0] == without_ids[1]


def test_a_text_that_no_utf8_holds_is_answered(world: World) -> None:
    """JSON can spell half a surrogate pair as the name of a row; in bytes it is a question mark."""
    inputs = [
        {**tensor("age", "FP64", 1), "data": [39.0]},
        {**tensor("prediction_id", "BYTES", 1), "data": ["a\ud800"]},
    ]
    asked = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    response = world.client.post(V2, data=json.dumps(asked))
    assert response.status_code == 200, response.get_data()
    assert tensors(response)["prediction_id"] == ["a?"]


def test_each_output_is_written_as_it_is_asked_for(world: World) -> None:
    """Some in bytes, others in JSON, in the order of the request."""
    asked = {
        "inputs": [{**tensor("age", "FP64", 1), "data": [39.0]}],
        "outputs": [
            {"name": "label", "parameters": {"binary_data": True}},
            {"name": "score", "parameters": {"binary_data": False}},
        ],
        "parameters": {"binary_data_output": True},
    }
    response = world.client.post(V2, json=asked)
    before = json.loads(response.get_data()[: int(response.headers[LENGTH])])
    assert [list(one) for one in before["outputs"]] == [
        ["name", "shape", "datatype", "parameters"],
        ["name", "shape", "datatype", "data"],
    ]
    assert list(tensors(response)) == ["label", "score"]
    paths = world.client.get("/openapi.json").get_json()["paths"]
    answered = paths[V2]["post"]["responses"]["200"]["content"]
    assert response.headers["Content-Type"] in answered


@pytest.mark.parametrize(
    ("inputs", "blobs", "words"),
    [
        ([tensor("age", "FP64", 2)], [b"\0" * 8], "8 bytes are not 2 elements"),
        ([tensor("age", "FP64", 1)], [b"\0" * 9], "9 bytes"),
        ([tensor("age", "COMPLEX", 1)], [b"\0" * 8], "datatype"),
        ([tensor("city", "BYTES", 1)], [b"\x04\0\0\0ab"], "not 1 elements"),
        ([tensor("city", "BYTES", 1)], [b"\xff\xff\xff\xffab"], "not 1 elements"),
        ([tensor("city", "BYTES", 1)], [b"\x01\0\0"], "length"),
        ([tensor("city", "BYTES", 1)], [b"\x01\0\0\0\xff"], "UTF-8"),
        ([tensor("city", "BYTES", 1)], [b"\x01\0\0\0a" * 2], "not 1 elements"),
        ([tensor("city", "BYTES", 3)], [b"\x01\0\0\0a" * 2], "not 3 elements"),
        ([tensor("city", "BYTES", 90_000)], [b"\0" * 4], "not 90000 elements"),
        ([tensor("age", "BOOL", 1)], [b"\x02"], "0 or 1"),
        ([{**tensor("age", "FP64", 1), "data": [1]}], [b"\0" * 8], "too much"),
    ],
)
def test_bytes_that_do_not_fit_are_refused(
    world: World, inputs: list[Any], blobs: list[bytes], words: str
) -> None:
    """Nothing is guessed, and whoever sent them hears what was wrong."""
    body, headers = binary(inputs, blobs)
    response = world.client.post(V2, data=body, headers=headers)
    assert response.status_code == 400
    assert words in response.get_json()["error"]


def test_every_byte_has_its_tensor(world: World) -> None:
    """More or fewer bytes than the inputs name, or a header that is no length: 400."""
    body, headers = binary([tensor("age", "FP64", 1)], [np.array([39.0]).tobytes()])
    for data, length in (
        (body + b"\0", headers[LENGTH]),
        (body[:-1], headers[LENGTH]),
        (body, "-1"),
        (body, "9" * 30),
        (body, str(len(body) + 1)),
        (body, "³"),
        (body, ""),
    ):
        response = world.client.post(
            V2, data=data, environ_overrides={"HTTP_INFERENCE_HEADER_CONTENT_LENGTH": length}
        )
        assert response.status_code == 400, length
    asked = [{**tensor("age", "FP64", 1), "parameters": {"binary_data_size": 8}}]
    assert world.ask({"inputs": asked}, V2)[0] == 400
    for size in (-1, True, "8", None, 1.0):
        asked[0]["parameters"] = {"binary_data_size": size}
        assert world.ask({"inputs": asked}, V2)[0] == 400
    zipped = world.client.post(V2, data=body, headers={**headers, "Content-Encoding": "gzip"})
    assert zipped.status_code == 415
