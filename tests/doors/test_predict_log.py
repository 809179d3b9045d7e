"""The prediction log: when its lines leave, which rows and cells it keeps, what it says of refused
rows, and that those who read it get along."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from shared import paths
from shared.errors import InvalidInstances, ServiceUnavailable
from shared.predicted import find_online, online_lines
from shared.serving.log_lines import is_sampled
from shared.serving.prediction_log import BYTES, LINES, SECONDS, PredictionLog
from shared.serving.resting import REST_SECONDS
from tests.support.predictor import RECORD, BrokenPublisher, World
from tests.unit.serving.models import binary_package, regression_package, serve


@pytest.fixture
def world() -> World:
    return World()


def logged(world: World, **policy: Any) -> World:
    serve(binary_package(), world.lake.bucket, **{"log": "sync", **policy})
    return world


def metrics(world: World) -> str:
    return world.client.get("/metrics").get_data(as_text=True)


# --- buffered ------------------------------------------------------------------------------------


def test_a_buffered_log_leaves_when_it_is_full(world: World) -> None:
    """Nothing is published until LINES rows are together; then all of them, in order, once."""
    logged(world, log="buffered")
    for number in range(LINES - 1):
        world.ask({**RECORD, "prediction_id": f"call-{number}"})
    assert world.log_lines() == []
    world.ask({**RECORD, "prediction_id": f"call-{LINES - 1}"})
    assert [line["prediction_id"] for line in world.log_lines()] == [
        f"call-{number}" for number in range(LINES)
    ]


def test_a_buffered_log_leaves_when_it_is_old(world: World) -> None:
    """The first request after SECONDS takes the older lines along, whichever model it is about and
    whatever becomes of it."""
    logged(world, log="buffered")
    serve(regression_package(model="other"), world.lake.bucket)
    world.ask(RECORD)
    world.seconds.now += SECONDS - 1
    world.ask(RECORD)
    assert world.log_lines() == []
    world.seconds.now += 1
    assert world.ask({"nothing": 1}, "/models/other/predict")[0] == 422
    assert [line["model"] for line in world.log_lines()] == ["adult", "adult"]


def test_large_rows_do_not_wait_in_memory(world: World) -> None:
    """The buffer is bounded in bytes as well."""
    logged(world, log="buffered")
    world.ask({**RECORD, "city": "x" * (BYTES // 2)})
    assert world.log_lines() == []
    world.ask({**RECORD, "city": "x" * (BYTES // 2)})
    assert len(world.log_lines()) == 2


LINES_IN_MEMORY = """
import resource, sys
from shared.serving.log_lines import text_of

UNIT = 1 if sys.platform == "darwin" else 1024

def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT

line = {"prediction_id": "id" * 20, "instance": dict.fromkeys(map(str, range(40))), "score": 0.5}
text_of(line)
before = most()
kept = [text_of(line) for _ in range(30_000)]
print((most() - before) / sum(map(len, kept)))
"""


def test_lines_take_the_memory_of_their_texts() -> None:
    """A batch has a hundred thousand of them; what makes their JSON keeps eight times that."""
    command = [sys.executable, "-c", LINES_IN_MEMORY]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(found.stdout) < 3


def test_a_refused_request_leaves_nothing_in_memory(world: World) -> None:
    """Its records and problems go with the answer, not when garbage happens to be collected."""
    logged(world)
    assert world.ask(RECORD)[0] == 200
    gc.collect()
    gc.disable()
    try:
        assert world.ask([{"age": "x"}] * 3)[0] == 422
        left = [found for found in gc.get_objects() if isinstance(found, InvalidInstances)]
    finally:
        gc.enable()
    assert left == []


def test_a_process_that_ends_leaves_nothing_behind(world: World) -> None:
    """Closing publishes what is kept; whoever is answered after that has his line at once."""
    logged(world, log="buffered")
    world.ask([RECORD] * 3)
    predictor = world.app.extensions["millrace"]
    predictor.close()
    assert len(world.log_lines()) == 3
    predictor.close()
    world.ask(RECORD)
    assert len(world.log_lines()) == 4


def test_a_buffer_that_cannot_be_published_is_counted(world: World) -> None:
    """Its rows were answered all the same, are counted by model, and the buffer goes on."""
    logged(world, log="buffered")
    working, world.publisher = world.publisher, BrokenPublisher()
    world.ask([RECORD] * LINES)
    assert f'millrace_log_failures_total{{model="adult"}} {LINES}' in metrics(world)
    world.publisher = working
    world.ask([RECORD] * LINES)
    assert len(world.log_lines()) == LINES


class Gate:
    """A publisher that lets nothing through until it is opened."""

    def __init__(self) -> None:
        self.entered, self.open = threading.Event(), threading.Event()
        self.lines: list[bytes] = []

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        del topic, attributes
        self.entered.set()
        assert self.open.wait(30)
        self.lines += data.split(b"\n")
        return "1"


def test_what_may_be_lost_is_bounded_while_publishing_is_slow() -> None:
    """Whoever fills the buffer, and whoever comes while it is on its way, waits: never are LINES
    rows of answered requests unpublished. No line is lost or doubled."""
    gate = Gate()
    lost: list[Counter[str]] = []
    log = PredictionLog(lambda: gate, on_lost=lambda lines, _: lost.append(lines))
    answered: list[int] = []

    def request(number: int) -> None:
        log.write("adult", [b"%d" % number], buffered=True)
        log.flush_due()
        answered.append(number)

    for number in range(LINES - 1):
        request(number)
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(request, LINES + number) for number in range(8)]
        assert gate.entered.wait(30)
        assert len(answered) == LINES - 1
        gate.open.set()
        for one in waiting:
            one.result()
    log.close()
    assert len(answered) == LINES + 7
    assert lost == []
    assert Counter(gate.lines).most_common(1)[0][1] == 1
    assert len(gate.lines) == LINES + 7


def test_buffered_rows_of_many_threads_are_all_there(world: World) -> None:
    """Threads share the buffer; each row has one line in the end."""
    logged(world, log="buffered")

    def ask(number: int) -> int:
        records = [{**RECORD, "prediction_id": f"{number}-{row}"} for row in range(50)]
        response = world.app.test_client().post("/models/adult/predict", json=records)
        return response.status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(40))) == {200}
    world.app.extensions["millrace"].close()
    ids = [line["prediction_id"] for line in world.log_lines()]
    assert len(ids) == len(set(ids)) == 2000


# --- which rows and cells ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sync", "buffered"])
def test_redacted_cells_are_not_in_the_log(world: World, mode: str) -> None:
    """Neither of answered nor of refused rows; the line says which cells are not told."""
    logged(world, log=mode, redact=["city", "nowhere"])
    secret = "Zürich-4711"
    assert world.ask({**RECORD, "city": secret})[0] == 200
    assert world.ask({**RECORD, "age": "old", "city": secret})[0] == 422
    assert world.ask({**RECORD, "city": [secret]})[0] == 422
    world.app.extensions["millrace"].close()
    for message in world.cloud.publisher.published:
        assert b"4711" not in message.data
    for line in world.log_lines():
        assert line["instance"]["city"] is None
        assert line["redacted"] == ["city"]
        assert line["instance"]["gain"] == 0


def test_a_sample_is_a_matter_of_the_prediction_id(world: World) -> None:
    """About the share of the rows is kept, the same ids always; a line says the share."""
    logged(world, log_sample=0.25)
    ids = [f"call-{number}" for number in range(2000)]
    world.ask([{**RECORD, "prediction_id": name} for name in ids])
    lines = world.log_lines()
    assert [line["prediction_id"] for line in lines] == [n for n in ids if is_sampled(n, 0.25)]
    assert 400 < len(lines) < 600
    assert {line["sample"] for line in lines} == {0.25}
    assert all(is_sampled(line["prediction_id"], 0.5) for line in lines)


def test_a_model_tells_what_its_log_lacks(world: World) -> None:
    """/models/<model> names the loss bound, the share and the columns, where there are any."""
    logged(world)
    about = world.client.get("/models/adult").get_json()
    assert about.keys().isdisjoint({"log_loss", "log_sample", "redacted"})
    fresh = logged(World(), log="buffered", log_sample=0.5, redact=["city"])
    about = fresh.client.get("/models/adult").get_json()
    assert str(LINES) in about["log_loss"]
    assert (about["log"], about["log_sample"], about["redacted"]) == ("buffered", 0.5, ["city"])


# --- refused rows --------------------------------------------------------------------------------


def test_refused_rows_are_logged_with_their_reason(world: World) -> None:
    """A line for each row that broke the schema, without a score, none for the rows beside it; the
    caller's id stays free for the row that he mends."""
    logged(world)
    name = {"prediction_id": "call-7"}
    assert world.ask([RECORD, {**RECORD, **name, "age": "old", "grade": {"a": 1}}])[0] == 422
    assert world.ask([RECORD, "no record"])[0] == 422
    first, second = world.log_lines()
    assert (first["score"], first["label"]) == (None, None)
    assert first["error"] == "age: must be a number; grade: must be a text, got an object"
    assert first["instance"] == {**RECORD, "age": "old", "grade": "{'a': 1}"}
    assert (second["error"], second["instance"]["age"]) == ("must be an object", None)
    assert first["prediction_id"] != "call-7"
    world.ask({**RECORD, **name})
    assert world.log_lines()[-1]["prediction_id"] == "call-7"


def test_a_refused_row_cannot_swell_the_log(world: World) -> None:
    """Cells of refused rows are cut, and so are reasons."""
    logged(world)
    world.ask({**RECORD, "city": ["x" * 1_000_000], "age": "y" * 1_000_000})
    assert len(world.cloud.publisher.published[0].data) < 2000


def test_a_model_that_fails_is_logged(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of ours has lines as well, with its kind and without its text."""
    logged(world)
    world.ask(RECORD)
    model = world.app.extensions["millrace"].models.get("adult").model

    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(type(model), "predict_records", fail)
    world.app.config["PROPAGATE_EXCEPTIONS"] = False
    assert world.client.post("/predict", json=RECORD).status_code == 500
    line = world.log_lines()[-1]
    assert (line["error"], line["score"]) == ("failed: ZeroDivisionError", None)


def test_refused_rows_are_not_logged_where_nothing_is(world: World) -> None:
    """`log: off` keeps none; a log that is away makes no other answer of a refusal."""
    logged(world, log="off")
    assert world.ask({"age": "old"})[0] == 422
    assert world.log_lines() == []
    broken = logged(World())
    broken.publisher = BrokenPublisher()
    assert broken.ask({"age": "old"})[0] == 422
    assert 'millrace_log_failures_total{model="adult"} 1' in metrics(broken)


def test_readers_tell_refused_rows_from_answers(world: World) -> None:
    """Whoever reads the log gets both; labels can only be about answers."""
    logged(world, redact=["city"])
    world.ask({**RECORD, "prediction_id": "good"})
    world.ask({**RECORD, "age": "old"})
    lake, now = world.lake.bucket, world.cloud.clock.now()
    data = b"\n".join(message.data for message in world.cloud.publisher.published)
    lake.write(f"{paths.inference_log(now.date())}x", data)
    found = list(online_lines("adult", now, now + timedelta(hours=1), lake=lake))
    assert [(line.score is None, line.error) for line in found] == [
        (False, None),
        (True, "age: must be a number"),
    ]
    assert {line.redacted for line in found} == {("city",)}
    ids = [line.prediction_id for line in found]
    assert list(find_online("adult", ids, [now.date()], lake=lake)) == ["good"]


# --- the access log ------------------------------------------------------------------------------


def test_each_prediction_request_has_a_line() -> None:
    """Answered, refused or of no model that is here; probes and pages have none."""
    lines: list[str] = []
    world = logged(World(access=lines.append, project=lambda: "p"), log="off")
    world.ask([RECORD, RECORD], headers={"X-Cloud-Trace-Context": f"{'a1' * 16}/1;o=1"})
    world.ask({"age": "old"}, "/invocations")
    world.ask(RECORD, "/models/other/predict")
    for path in ("/healthz", "/models", "/metrics"):
        assert world.client.get(path).status_code == 200
    first, second, third = map(json.loads, lines)
    assert (first["rows"], first["status"], first["version"]) == (2, 200, "v1")
    assert first["logging.googleapis.com/trace"] == f"projects/p/traces/{'a1' * 16}"
    assert (second["protocol"], second["status"], second["rows"]) == ("mlflow", 400, 0)
    assert (third["model"], third["version"], third["status"]) == ("other", "", 404)


def test_requests_are_shed_while_too_many_wait(world: World) -> None:
    """With a long queue behind it a request is refused at once, and counted."""
    logged(world)
    load = world.app.extensions["millrace"].load
    load.waiting = lambda: load.most_waiting
    assert world.ask(RECORD)[0] == 200
    load.waiting = lambda: load.most_waiting + 1
    response = world.client.post("/models/adult/predict", json=RECORD)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert response.get_json()["error"]["code"] == "overloaded"
    assert len(world.log_lines()) == 1
    assert 'protocol="native",status="503"} 1' in metrics(world)


class Silent:
    """A Pub/Sub that lets everybody wait for seven seconds, in vain while `down`."""

    def __init__(self, world: World) -> None:
        self.world, self.good = world, world.publisher
        self.asked, self.down = 0, True

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        self.asked += 1
        if not self.down:
            return self.good.publish(topic, data, attributes)
        self.world.seconds.now += 7
        raise ServiceUnavailable("no answer")


def test_a_silent_pubsub_is_waited_for_once() -> None:
    """With the log on sync predictions do not come at the pace of a service that does not answer:
    one request waits, the next ones do not, all are answered and all lost lines counted. When it
    answers again lines are kept again, and none is lost when the process ends."""
    world = World()
    serve(binary_package(), world.lake.bucket, log="sync")
    world.publisher = silent = Silent(world)
    for _ in range(20):
        assert world.ask(RECORD)[0] == 200
    assert silent.asked == 1
    text = world.client.get("/metrics").get_data(as_text=True)
    assert 'millrace_log_failures_total{model="adult"} 20' in text
    world.seconds.now += REST_SECONDS
    silent.down = False
    for _ in range(3):
        assert world.ask(RECORD)[0] == 200
    assert len(world.log_lines()) == 3


def test_what_is_kept_goes_out_at_the_end_whatever_was_lately() -> None:
    """A process that ends asks once more, also a Pub/Sub that it left alone."""
    world = World()
    serve(binary_package(), world.lake.bucket, log="buffered")
    world.publisher = silent = Silent(world)
    assert world.ask([RECORD] * LINES)[0] == 200
    assert world.ask([RECORD] * 3)[0] == 200
    assert world.ask([RECORD] * 4)[0] == 200
    silent.down = False
    world.app.extensions["millrace"].close()
    assert len(world.log_lines()) == 7
