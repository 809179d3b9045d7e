"""The predictor while versions move, storage goes away and the log fails."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from shared import paths
from shared.adapters.memory import MemoryBucket
from shared.documents import dumps
from shared.ports import Blob
from tests.support.predictor import RECORD, BrokenPublisher, Lake, World
from tests.unit.serving.models import binary_package, serve

ROOT = Path(__file__).parents[2]


@pytest.fixture
def world() -> World:
    found = World()
    serve(binary_package(), found.lake.bucket)
    return found


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


class HeldLake(Lake):
    """Reads of the manifest wait while they are held."""

    def __init__(self, bucket: MemoryBucket) -> None:
        super().__init__(bucket)
        self.asked, self.go = threading.Event(), threading.Event()
        self.go.set()

    def read_if_changed(self, name: str, known_generation: int) -> Blob | None:
        self.asked.set()
        assert self.go.wait(timeout=60)
        return super().read_if_changed(name, known_generation)


@pytest.mark.parametrize("slept", [False, True])
def test_after_a_sleep_nobody_is_answered_by_the_version_of_before(
    world: World, slept: bool
) -> None:
    """While one request looks, others get the loaded version at once; but in a process that slept
    far past the interval, as an idle instance does, all of them wait for what it finds."""
    world.ask(RECORD)
    lake = HeldLake(world.lake.bucket)
    world.lake = lake
    serve(binary_package("v2"), lake.bucket)
    world.seconds.now += 3600 if slept else 3
    lake.asked.clear()
    lake.go.clear()

    def version() -> str:
        answer = world.app.test_client().post("/models/adult/predict", json=RECORD)
        return str(answer.get_json()["model_version"])

    with ThreadPoolExecutor(2) as pool:
        looking = pool.submit(version)
        assert lake.asked.wait(timeout=60)
        other = pool.submit(version)
        if slept:
            assert not wait([other], timeout=0.3).done  # an answer of before takes milliseconds
            lake.go.set()
            assert other.result() == "v2"
        else:
            assert other.result() == "v1"  # while the look is held
            lake.go.set()
        assert looking.result() == "v2"


def test_a_look_that_takes_long_keeps_nobody_waiting(world: World) -> None:
    """Storage that is slow, or a version that is large, is no sleep: whoever comes while it is
    looked at, however late, has the loaded version's answer at once."""
    world.ask(RECORD)
    lake = HeldLake(world.lake.bucket)
    world.lake = lake
    serve(binary_package("v2"), lake.bucket)
    world.seconds.now += 3
    lake.asked.clear()
    lake.go.clear()

    def version() -> str:
        answer = world.app.test_client().post("/models/adult/predict", json=RECORD)
        return str(answer.get_json()["model_version"])

    with ThreadPoolExecutor(2) as pool:
        looking = pool.submit(version)
        assert lake.asked.wait(timeout=60)
        world.seconds.now += 30
        other = pool.submit(version)
        done = wait([other], timeout=10).done
        lake.go.set()
        assert done
        assert other.result() == "v1"
        assert looking.result() == "v2"


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


def test_a_log_line_is_json_whatever_was_asked(world: World) -> None:
    """NaN is a missing value and an infinite category is a text; strict readers get both."""
    serve(binary_package(), world.lake.bucket, log="sync")
    data = b'{"age": NaN, "gain": 0, "city": -Infinity, "grade": 1e999}'
    response = world.client.post("/predict", data=data, content_type="application/json")
    assert response.status_code == 200
    (message,) = world.cloud.publisher.published
    line = json.loads(message.data, parse_constant=pytest.fail)
    assert line["instance"] == {"age": None, "gain": 0, "city": "-inf", "grade": "inf"}


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
    forbidden += [
        "sqlite3",
        "duckdb",
        "shared.serving.sources.aggregates",
    ]  # few models have sources
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
