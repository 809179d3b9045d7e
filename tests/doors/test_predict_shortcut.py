"""Predictions are answered before Flask sees them; nobody can tell the difference."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from werkzeug.test import Client

from shared.serving.shortcut import Shortcut
from tests.support.predictor import RECORD, World
from tests.unit.serving.models import binary_package, serve

INSTANCES = json.dumps({"instances": [RECORD, {**RECORD, "age": 50}]}).encode()
ONE = json.dumps(RECORD).encode()
SPLIT = json.dumps(
    {"dataframe_split": {"columns": list(RECORD), "data": [list(RECORD.values())]}}
).encode()
TENSORS = json.dumps(
    {
        "inputs": [
            {"name": name, "shape": [1], "datatype": kind, "data": [RECORD[name]]}
            for name, kind in (("age", "INT64"), ("gain", "INT64"), ("city", "BYTES"))
        ]
    }
).encode()
IN_JSON = {"Content-Type": "application/json"}
NAMED = {**IN_JSON, "X-Prediction-Id": "mine"}

CASES: list[tuple[str, bytes, dict[str, str]]] = [
    ("/predict", ONE, NAMED),
    ("/models/adult/predict", INSTANCES, NAMED),
    ("/models/adult/predict?model=other", ONE, NAMED),
    ("/predict?model=adult", ONE, NAMED),
    ("/predict?model=other", ONE, NAMED),
    ("/invocations", SPLIT, NAMED),
    ("/models/adult/invocations", SPLIT, NAMED),
    ("/v2/models/adult/infer", TENSORS, NAMED),
    ("/v2/models/adult/versions/v1/infer", TENSORS, NAMED),
    ("/v2/models/adult/versions/v2/infer", TENSORS, NAMED),
    ("/models/nobody/predict", ONE, NAMED),
    ("/models/K%C3%B6ln/predict", ONE, NAMED),
    ("/models/a%2Fb/predict", ONE, NAMED),
    ("/models//predict", ONE, NAMED),
    ("/models/adult/predict/", ONE, NAMED),
    ("/nowhere", ONE, NAMED),
    ("/predict", json.dumps({**RECORD, "aeg": 1}).encode(), NAMED),
    ("/predict", b"", NAMED),
    ("/predict", b"{", NAMED),
    ("/predict", b"[" * 100_000, NAMED),
    ("/predict", b'{"age": "old"}', NAMED),
    ("/predict", ONE, {"Content-Type": "text/plain"}),
    ("/predict", ONE, {}),
    ("/invocations", b'{"age": 1}', NAMED),
    ("/v2/models/adult/infer", b"[]", NAMED),
    ("/predict", b" " * (10 * 1024 * 1024 + 1), NAMED),
]


def new_world() -> World:
    world = World()
    serve(binary_package(), world.lake.bucket)
    return world


def clients() -> tuple[Client, Client]:
    """One that asks the predictor, one that asks Flask alone."""
    short, plain = new_world(), new_world()
    shortcut = plain.app.wsgi_app
    assert isinstance(shortcut, Shortcut)
    plain.app.wsgi_app = shortcut.flask  # type: ignore[method-assign]
    return Client(short.app), Client(plain.app)


@pytest.mark.parametrize(("path", "body", "headers"), CASES)
def test_both_ways_answer_alike(path: str, body: bytes, headers: dict[str, str]) -> None:
    """Status, headers and bytes of predictions and of refusals, and what is counted."""
    told = []
    for client in clients():
        found = client.post(path, data=body, headers=headers)
        counted = client.get("/metrics").get_data(as_text=True).splitlines()
        counted = [line for line in counted if "seconds" not in line]
        told.append((found.status, sorted(found.headers), found.data, counted))
    assert told[0] == told[1]


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "HEAD"])
def test_other_methods_are_flasks(method: str) -> None:
    """Not allowed, or told what is."""
    told = []
    for client in clients():
        found = client.open("/models/adult/predict", method=method)
        told.append((found.status, sorted(found.headers), found.data))
    assert told[0] == told[1]


def test_an_unexpected_error_is_answered_in_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of ours is 500 in the protocol's words and tells nothing of the inside."""

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("shared.serving.predictor.predict", broken)
    told = []
    for client in clients():
        found = client.post("/predict", data=ONE, headers=IN_JSON)
        told.append((found.status_code, sorted(found.headers), found.data))
    assert told[0] == told[1]
    assert told[0][0] == 500
    assert b"secret" not in told[0][2]


def test_a_body_that_ends_early_is_no_request() -> None:
    """A caller who goes away in the middle of a body gets no prediction."""
    told = []
    for client in clients():
        found = client.post(
            "/predict",
            headers=IN_JSON,
            environ_overrides={"CONTENT_LENGTH": str(len(ONE) + 1), "wsgi.input": BytesIO(ONE)},
        )
        told.append((found.status_code, found.data))
    assert told[0] == told[1]
    assert told[0][0] == 400
