"""The predictor as a custom container on Vertex AI: its variables, its routes, its body."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from typing import Any

import pytest

from shared.config import Config
from shared.serving.loaded_model import LoadedModel
from shared.serving.package import write
from shared.serving.protocols.vertex import Contract
from tests.support.predictor import RECORD, World
from tests.support.sources import package_of, transactions
from tests.unit.serving.models import binary_package, store

ENV = {
    "AIP_HTTP_PORT": "8181",
    "AIP_HEALTH_ROUTE": "/v1/endpoints/1/deployedModels/2",
    "AIP_PREDICT_ROUTE": "/v1/endpoints/1/deployedModels/2:predict",
    "AIP_STORAGE_URI": "gs://lake/models/adult/v1/package",
}


def deployed(uri: str = ENV["AIP_STORAGE_URI"], **more: str) -> World:
    return World(contract=Contract.of({**ENV, "AIP_STORAGE_URI": uri, **more}))


@pytest.fixture
def world() -> World:
    found = deployed()
    store(binary_package(), found.lake.bucket)
    found.lake.bucket.write("models/adult/v1/package/deeper/notes.txt", b"no part of it")
    return found


def test_the_platforms_body_gets_predictions_alone(world: World) -> None:
    """`instances` and `parameters` in, `predictions` out, on the route that is named."""
    score = LoadedModel(binary_package()).predict_records([RECORD]).score[0]
    status, answer = world.ask({"instances": [RECORD], "parameters": {}}, ENV["AIP_PREDICT_ROUTE"])
    assert status == 200
    assert list(answer) == ["predictions"]
    assert answer["predictions"][0]["score"] == score
    assert answer["predictions"][0]["model_version"] == "v1"
    body = {"instances": [RECORD], "parameters": {"output": "proba"}}
    _, answer = world.ask(body, ENV["AIP_PREDICT_ROUTE"])
    assert answer["predictions"] == [[1 - score, score]]


def test_not_ready_until_the_package_is_loaded(world: World) -> None:
    """Health is 503 while storage does not answer, and 200 once the model can predict."""
    world.lake.down = True
    assert world.client.get(ENV["AIP_HEALTH_ROUTE"]).status_code == 503
    assert world.ask({"instances": [RECORD]}, ENV["AIP_PREDICT_ROUTE"])[0] == 503
    world.lake.down = False
    assert world.client.get(ENV["AIP_HEALTH_ROUTE"]).status_code == 503  # looked a moment ago
    world.seconds.now += 2
    assert world.client.get(ENV["AIP_HEALTH_ROUTE"]).get_json()["loaded"] == ["adult"]
    world.lake.down = True
    world.seconds.now += 1000
    assert world.ask({"instances": [RECORD]}, ENV["AIP_PREDICT_ROUTE"])[0] == 200


@pytest.mark.parametrize("uri", ["gs://lake/nothing/here", "gs://lake", "/nowhere/at/all"])
def test_a_folder_without_a_package_is_never_ready(uri: str) -> None:
    """And the log says why; the caller does not learn where it looked."""
    world = deployed(uri)
    response = world.client.get(ENV["AIP_HEALTH_ROUTE"])
    assert response.status_code == 503
    assert "lake" not in response.get_data(as_text=True)


def test_a_broken_package_is_never_ready(world: World) -> None:
    """It is read as a package or not at all."""
    world.lake.bucket.write("models/adult/v1/package/package.json", b"{}")
    assert world.client.get(ENV["AIP_HEALTH_ROUTE"]).status_code == 503


@pytest.mark.parametrize("error", [ValueError("no JSON"), OSError("no room"), MemoryError()])
def test_whatever_storage_raises_is_tried_again(
    world: World, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors that nobody foresaw are 503 until they are over."""

    def broken(*_: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(world.lake, "read", broken)
        assert world.ask({"instances": [RECORD]}, ENV["AIP_PREDICT_ROUTE"])[0] == 503
    world.seconds.now += 2
    assert world.ask({"instances": [RECORD]}, ENV["AIP_PREDICT_ROUTE"])[0] == 200


def test_other_protocols_and_routes_answer_beside_it(world: World) -> None:
    """The one model is everybody's default; its platform's routes may be named like ours."""
    assert world.ask({"inputs": [RECORD]}, "/invocations")[0] == 200
    assert world.client.get("/v2/models/adult/ready").status_code == 200
    assert world.client.get("/models").get_json() == {"models": ["adult"]}
    assert world.ask(RECORD, "/models/other/predict")[0] == 404
    again = deployed(AIP_PREDICT_ROUTE="/predict", AIP_HEALTH_ROUTE="/ping")
    again.lake = world.lake
    _, answer = again.ask({"instances": [RECORD]}, "/predict")
    assert list(answer) == ["predictions"]


def test_rows_without_names_must_hold_every_feature(world: World) -> None:
    """Batch predictions send them. Too few values are refused, and told where the order stands."""
    route = ENV["AIP_PREDICT_ROUTE"]
    named = world.client.get("/model/info").get_json()["features"]
    values = [RECORD.get(feature["name"]) for feature in named]
    status, answer = world.ask({"instances": [values]}, route)
    assert status == 200
    of_record = world.ask({"instances": [RECORD]}, route)[1]
    assert answer["predictions"][0]["score"] == of_record["predictions"][0]["score"]
    for wrong, said in (
        ([values[:-1]], f"{len(values) - 1} values"),
        ([values, RECORD], "no list"),
    ):
        status, answer = world.ask({"instances": wrong}, route)
        assert status == 400
        assert said in answer["error"]["message"]
        assert "/model/info" in answer["error"]["message"]


def test_a_directory_serves_too(tmp_path: Path) -> None:
    """`docker run -v` with a package beside it; sources are given by their rows or columns."""
    write(package_of(transactions()), tmp_path)
    world = deployed(str(tmp_path))
    rows = [{"at": "2025-12-31T12:00", "amount": 3, "shop": "A"}]
    record: dict[str, Any] = {"age": 3, "transactions": rows}
    assert world.ask(record, "/predict")[0] == 200
    status, answer = world.ask({"age": 3, "customer_id": "CS1"}, "/predict")
    assert status == 422
    assert "cannot be looked up" in str(answer) or "must be given" in str(answer)


def test_the_server_listens_where_the_platform_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """AIP_HTTP_PORT before PORT, which Cloud Run sets."""
    path = Path(__file__).parents[2] / "shared" / "serving" / "gunicorn_conf.py"
    monkeypatch.setenv("PORT", "9000")
    assert runpy.run_path(str(path))["bind"] == "0.0.0.0:9000"
    monkeypatch.setenv("AIP_HTTP_PORT", ENV["AIP_HTTP_PORT"])
    assert runpy.run_path(str(path))["bind"] == "0.0.0.0:8181"
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_settings_of_an_installation_are_not_needed_there() -> None:
    """Vertex AI sets its own variables only."""
    assert Config.from_env(ENV).lake == ""
    with pytest.raises(KeyError):
        Config.from_env({})
