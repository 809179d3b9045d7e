"""The predictor's door: what callers get, whatever they send and whatever breaks behind it."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from shared import paths
from shared.adapters.memory import BucketConfig, MemoryBucket, MemoryCloud, topic_path
from shared.documents import dumps
from shared.errors import ServiceUnavailable
from shared.ports import Blob, ObjectInfo, Publisher
from shared.serving.app import MAX_BODY_BYTES, create_app
from shared.serving.package import LoadedModel
from tests.unit.serving.models import binary_package, regression_package, serve

ROOT = Path(__file__).parents[2]
RECORD = {"age": 39, "gain": 0, "city": "Köln", "grade": 1}


class Seconds:
    """A monotonic clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Lake:
    """The memory lake behind a line that can be cut; counts what is asked."""

    def __init__(self, bucket: MemoryBucket) -> None:
        self.bucket, self.down, self.looks = bucket, False, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bucket, name)

    def read_if_changed(self, name: str, known_generation: int) -> Blob | None:
        self._reach()
        self.looks += 1
        return self.bucket.read_if_changed(name, known_generation)

    def read(self, name: str) -> Blob:
        self._reach()
        return self.bucket.read(name)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self._reach()
        return self.bucket.list(prefix)

    def _reach(self) -> None:
        if self.down:
            raise ServiceUnavailable("no route to storage")


class BrokenPublisher:
    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        raise ServiceUnavailable("no route to Pub/Sub")


class World:
    """A predictor with everything behind it."""

    def __init__(self, **options: Any) -> None:
        self.cloud = MemoryCloud(
            buckets=[BucketConfig("lake")], topics=[topic_path("local", "predictions")]
        )
        self.lake = Lake(self.cloud.lake)
        self.seconds = Seconds()
        self.publisher: Publisher = self.cloud.publisher
        self.app = create_app(
            lake=lambda: self.lake,  # type: ignore[arg-type,return-value]  # the rest is delegated
            publisher=lambda: self.publisher,
            clock=lambda: self.cloud.clock,
            monotonic=self.seconds,
            **options,
        )
        self.client: FlaskClient = self.app.test_client()

    def ask(self, body: Any, path: str = "/models/adult/predict", **more: Any) -> tuple[int, Any]:
        response = self.client.post(path, json=body, **more)
        return response.status_code, response.get_json()

    def log_lines(self) -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for message in self.cloud.publisher.published
            for line in message.data.split(b"\n")
        ]


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
    assert 'millrace_requests_total{model="adult",status="200"} 1' in text
    assert 'millrace_requests_total{model="adult",status="422"} 1' in text
    assert 'millrace_request_seconds_bucket{model="adult",le="+Inf"} 2' in text
    assert 'millrace_model_info{model="adult",version="v1"} 1' in text


# --- refusals ------------------------------------------------------------------------------------

JSON = "application/json"


@pytest.mark.parametrize(
    ("data", "content_type", "status", "code"),
    [
        (b"", JSON, 400, "malformed_json"),
        (b"{", JSON, 400, "malformed_json"),
        (b"\xff\xfe\x00", JSON, 400, "malformed_json"),
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
    """A refused batch says which cells to mend; none of it was predicted or logged."""
    serve(binary_package(), world.lake.bucket, log="sync")
    status, answer = world.ask([RECORD, {**RECORD, "age": "old", "city": {}}])
    assert status == 422
    assert answer["error"]["problems"] == [
        {"row": 1, "column": "age", "value": "old", "rule": "must be a number"},
        {"row": 1, "column": "city", "value": "{}", "rule": "must be a text, got an object"},
    ]
    assert world.cloud.publisher.published == []


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


# --- the manifest --------------------------------------------------------------------------------


def test_a_promotion_is_followed_within_the_interval(world: World) -> None:
    """The new version answers after at most one interval; before it nobody asks storage again."""
    assert world.ask(RECORD)[1]["model_version"] == "v1"
    serve(binary_package("v2", shift=1.0), world.lake.bucket)
    world.seconds.now += 1.9
    assert world.ask(RECORD)[1]["model_version"] == "v1"
    assert world.lake.looks == 1
    world.seconds.now += 0.1
    assert world.ask(RECORD)[1]["model_version"] == "v2"


def test_an_unchanged_manifest_is_not_loaded_again(world: World) -> None:
    """A look that finds the same generation keeps the loaded model."""
    predictor = world.app.extensions["millrace"]
    world.ask(RECORD)
    first = predictor.models.get("adult")
    world.seconds.now += 3
    assert predictor.models.get("adult") is first
    assert world.lake.looks == 2


@pytest.mark.parametrize("breakage", ["hash", "missing", "manifest", "other"])
def test_a_broken_version_leaves_the_last_good_one(world: World, breakage: str) -> None:
    """A new version that does not load is counted and never served; a later good one is."""
    world.ask(RECORD)
    lake = world.lake.bucket
    package = binary_package("v2")
    if breakage == "hash":
        serve(package, lake, hashes={"package.json": "0" * 64})
    elif breakage == "missing":
        serve(package, lake)
        lake.delete(paths.package("adult", "v2", "package.json"))
    elif breakage == "manifest":
        lake.write(paths.manifest("adult"), b'{"model": "adult"}')
    else:
        serve(package, lake)
        text = lake.read(paths.manifest("adult")).data.replace(
            b'"version": "v2"', b'"version": "v9"'
        )
        lake.write(paths.manifest("adult"), text)
    for _ in range(3):
        world.seconds.now += 2
        assert world.ask(RECORD)[1]["model_version"] == "v1"
    text_metrics = world.client.get("/metrics").get_data(as_text=True)
    assert 'millrace_refresh_failures_total{model="adult"}' in text_metrics
    serve(binary_package("v3"), lake)
    world.seconds.now += 2
    assert world.ask(RECORD)[1]["model_version"] == "v3"


def test_storage_away_with_a_version_loaded(world: World) -> None:
    """Once loaded, a model outlives its storage, under every address."""
    world.ask(RECORD, "/predict")
    world.lake.down = True
    world.seconds.now += 100
    assert world.ask(RECORD)[0] == 200
    assert world.ask(RECORD, "/predict")[0] == 200


def test_storage_away_with_nothing_loaded(world: World) -> None:
    """Nothing to answer with is 503, without internals; it heals by itself."""
    world.lake.down = True
    for path in ("/predict", "/models/adult/predict"):
        status, answer = world.ask(RECORD, path)
        assert (status, answer["error"]["code"]) == (503, "unavailable")
        assert "route" not in answer["error"]["message"]
    assert world.client.get("/ready").status_code == 503
    assert world.client.get("/healthz").status_code == 200
    world.lake.down = False
    world.seconds.now += 2
    assert world.ask(RECORD)[0] == 200


def test_a_first_version_that_does_not_load(world: World) -> None:
    """With no last good version there is nothing to serve: 503, and the reason stays inside."""
    fresh = World()
    serve(binary_package(), fresh.lake.bucket, hashes={"package.json": "0" * 64})
    status, answer = fresh.ask(RECORD)
    assert status == 503
    assert "SHA" not in answer["error"]["message"]


def test_one_look_for_many_threads(world: World) -> None:
    """A stampede after the interval asks storage once."""
    world.ask(RECORD)
    before = world.lake.looks
    world.seconds.now += 2
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda _: world.app.test_client().post("/predict", json=RECORD).status_code,
                range(40),
            )
        )
    assert answers == [200] * 40
    assert world.lake.looks == before + 1


def test_preloading_survives_everything(world: World) -> None:
    """A start without storage is a start; with it the model is there before any request."""
    world.lake.down = True
    world.app.extensions["millrace"].preload()
    world.lake.down = False
    world.seconds.now += 2
    world.app.extensions["millrace"].preload()
    assert [item.model.version for item in world.app.extensions["millrace"].models.loaded()] == [
        "v1"
    ]


# --- the prediction log --------------------------------------------------------------------------


def test_every_answered_row_is_logged(world: World) -> None:
    """With log `sync` each answered row has its line, published before the answer."""
    serve(binary_package(), world.lake.bucket, log="sync")
    _, answer = world.ask([{**RECORD, "extra": 1}, {"age": None, "city": "東京"}])
    lines = world.log_lines()
    assert lines[0] == {
        "model": "adult",
        "version": "v1",
        "time": "2026-01-05T09:00:00Z",
        "prediction_id": answer["predictions"][0]["prediction_id"],
        "instance": RECORD,
        "score": answer["predictions"][0]["score"],
        "label": answer["predictions"][0]["label"],
        "error": None,
    }
    assert lines[1]["instance"] == {"age": None, "gain": None, "city": "東京", "grade": None}
    assert {message.topic for message in world.cloud.publisher.published} == {"predictions"}


def test_log_off_logs_nothing(world: World) -> None:
    """The manifest's `log: off` is obeyed."""
    world.ask(RECORD)
    assert world.cloud.publisher.published == []


def test_large_requests_are_logged_in_messages_that_fit(world: World) -> None:
    """A request of many large rows becomes several messages, each below Pub/Sub's 10 MB."""
    serve(binary_package(), world.lake.bucket, log="sync")
    status, _ = world.ask([{**RECORD, "city": "x" * 1_000_000} for _ in range(8)])
    assert status == 200
    sizes = [len(message.data) for message in world.cloud.publisher.published]
    assert len(sizes) > 1
    assert max(sizes) < 7_000_000
    assert len(world.log_lines()) == 8


def test_a_failing_log_never_fails_a_prediction(world: World) -> None:
    """Without Pub/Sub people get answers, and the lost lines are counted."""
    serve(binary_package(), world.lake.bucket, log="sync")
    world.publisher = BrokenPublisher()
    status, answer = world.ask([RECORD, RECORD])
    assert (status, len(answer["predictions"])) == (200, 2)
    text = world.client.get("/metrics").get_data(as_text=True)
    assert 'millrace_log_failures_total{model="adult"} 2' in text


# --- the real door -------------------------------------------------------------------------------


def test_the_door_imports_no_training_library() -> None:
    """Cold start is imports: training libraries and Google's clients stay out."""
    program = (
        "import sys; sys.path[:0] = [sys.argv[1], sys.argv[2]]; import main; "
        "print(*sorted(set(sys.modules) & set(sys.argv[3:])))"
    )
    forbidden = ["pandas", "sklearn", "xgboost", "mlflow", "pydantic", "pyarrow", "onnx"]
    forbidden += ["google.auth", "google.cloud.storage", "google.cloud.pubsub_v1"]
    found = subprocess.run(
        [sys.executable, "-c", program, str(ROOT / "functions/predict"), str(ROOT), *forbidden],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == ""


def test_a_manifest_that_lost_its_fields_is_not_served() -> None:
    """A first manifest that does not read is 503, not a traceback."""
    world = World()
    world.lake.bucket.write(paths.manifest("adult"), dumps({"model": "adult"}))
    assert world.ask(RECORD)[0] == 503


def test_storage_away_is_found_out_once_an_interval() -> None:
    """While storage is away a crowd of requests costs one look, not one look each."""
    world = World()
    world.lake.down = True
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda _: world.app.test_client().post("/predict", json=RECORD).status_code,
                range(40),
            )
        )
    assert answers == [503] * 40
    text = world.client.get("/metrics").get_data(as_text=True)
    assert 'millrace_refresh_failures_total{model=""} 1\n' in text
