"""The predictor under its real server: what a signal leaves of requests and of the log."""

from __future__ import annotations

import http.client
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.otlp_spans import SEND_SECONDS
from shared.adapters.rest import Retries
from shared.serving.prediction_log import _LAST_WAIT_SECONDS, LINES
from shared.serving.predictor import CLOSING_SECONDS, SLOWEST_SECONDS
from shared.wiring import HURRY_SECONDS
from tests.support.predictor import RECORD

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "shared" / "serving" / "gunicorn_conf.py"
KILLED_AFTER_SECONDS = 10
PATIENCE_SECONDS = 60
SERVER = """
import os, threading, time
from pathlib import Path
from tests.support.predictor import World
from tests.unit.serving.models import binary_package, serve

FOLDER = Path(os.environ["FOLDER"])

class Publisher:
    def publish(self, topic, data, attributes):
        if (FOLDER / "slow").exists():
            (FOLDER / "entered").touch()
            (FOLDER / f"entered-{threading.get_ident()}").touch()
            while not (FOLDER / "go").exists():
                (FOLDER / f"waiting-{load.waiting()}").touch()
                time.sleep(0.01)
            load.most_waiting = 1  # from now on: all that were to wait do
        with (FOLDER / "log").open("ab") as file:
            file.write(data + b"\\n")
        return "1"

world = World()
world.publisher = Publisher()
serve(binary_package(), world.lake.bucket, log=os.environ["LOG"])
app = world.app
load = app.extensions["millrace"].load
"""


def until(found: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not found():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


class Server:
    """gunicorn with the predictor's own settings."""

    def __init__(self, folder: Path, log: str, more: str = "") -> None:
        self.folder = folder
        (folder / "served.py").write_text(SERVER + more)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", str(CONFIG), "served:app"],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
                "PORT": str(self.port),
                "FOLDER": str(folder),
                "LOG": log,
            },
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        until(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None
        try:
            return self.ask(None, "GET", "/healthz")[0] == 200
        except OSError:
            return False

    def ask(
        self, body: Any, method: str = "POST", path: str = "/models/adult/predict"
    ) -> tuple[int, Any]:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        headers = {"Content-Type": "application/json", "Connection": "close"}
        line.request(method, path, json.dumps(body), headers)
        response = line.getresponse()
        found = response.status, json.loads(response.read())
        line.close()
        return found

    def logged(self) -> int:
        log = self.folder / "log"
        return len(log.read_bytes().splitlines()) if log.exists() else 0

    def end(self, number: int) -> None:
        os.killpg(self.process.pid, number)
        self.process.wait(PATIENCE_SECONDS)


Start = Callable[[str], Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Server] = []

    def made(log: str) -> Server:
        started.append(Server(tmp_path, log))
        return started[-1]

    yield made
    for server in started:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)


def test_what_was_kept_is_written_when_the_server_is_told_to_end(start: Start) -> None:
    """SIGTERM to the server alone, as a container gets it: no row of a buffered log is lost."""
    server = start("buffered")
    assert server.ask([RECORD] * 7)[0] == 200
    assert server.logged() == 0
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(PATIENCE_SECONDS) == 0
    assert server.logged() == 7


def test_a_kill_loses_fewer_rows_than_stated(start: Start) -> None:
    """kill -9 in the middle: of all answered rows fewer than LINES are missing, none is torn."""
    server = start("buffered")
    rows = 3 * LINES - 50
    for _ in range(rows // 50):
        assert server.ask([RECORD] * 50)[0] == 200
    server.end(signal.SIGKILL)
    assert rows - LINES < server.logged() < rows
    for line in (server.folder / "log").read_bytes().splitlines():
        assert json.loads(line)["error"] is None


def test_a_request_in_work_is_finished(start: Start) -> None:
    """SIGTERM while a request waits for its log: it is answered, and its line is there."""
    server = start("sync")
    (server.folder / "slow").touch()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.ask, RECORD)
        until((server.folder / "entered").exists)
        server.process.send_signal(signal.SIGTERM)
        (server.folder / "go").touch()
        assert asked.result(PATIENCE_SECONDS)[0] == 200
    assert server.process.wait(PATIENCE_SECONDS) == 0
    assert server.logged() == 1


def test_nobody_is_hung_up_on_when_the_server_is_told_to_end(start: Start) -> None:
    """Clients that keep asking on open connections: each gets an answer to everything that it has
    sent, and with the last one is told to close."""
    server = start("buffered")
    told: Counter[str] = Counter()

    def client() -> int:
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
        answered = 0
        while True:
            headers = {"Content-Type": "application/json"}
            line.request("POST", "/models/adult/predict", json.dumps(RECORD), headers)
            response = line.getresponse()
            response.read()
            assert response.status == 200
            answered += 1
            told["answers"] += 1
            if response.getheader("Connection") == "close":
                line.close()
                return answered

    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(client) for _ in range(12)]
        until(lambda: told["answers"] > 100)
        server.process.send_signal(signal.SIGTERM)
        answered = sum(one.result(PATIENCE_SECONDS) for one in asked)
    assert server.process.wait(PATIENCE_SECONDS) == 0
    assert server.logged() == answered


def test_a_queue_that_is_too_long_is_shortened_at_once(start: Start) -> None:
    """With all threads at work and more waiting than are allowed, those that come first in the
    queue are refused with 503 until it is short; whoever is in work is answered."""
    server = start("sync")
    (server.folder / "slow").touch()
    threads, more = runpy.run_path(str(CONFIG))["threads"], 6
    with ThreadPoolExecutor(threads + more) as pool:
        asked = [pool.submit(server.ask, RECORD) for _ in range(threads)]
        until(lambda: len(list(server.folder.glob("entered-*"))) == threads)
        asked += [pool.submit(server.ask, RECORD) for _ in range(more)]
        until((server.folder / f"waiting-{more}").exists)
        (server.folder / "go").touch()
        statuses = Counter(one.result(PATIENCE_SECONDS)[0] for one in asked)
    assert statuses.keys() == {200, 503}
    assert statuses[200] >= threads
    assert server.logged() == statuses[200]


def test_there_is_time_to_write_the_log_before_the_platform_kills() -> None:
    """Waiting for requests, then writing, ends before the server gives up on its worker, and that
    before Cloud Run kills: an idle connection of a client is waited for in full, and so is a
    Pub/Sub that does not answer."""
    config = runpy.run_path(str(CONFIG))
    silence = Retries(total_seconds=HURRY_SECONDS).silence_seconds
    assert silence <= SLOWEST_SECONDS
    log = _LAST_WAIT_SECONDS + silence
    alerts = silence if log + SLOWEST_SECONDS <= CLOSING_SECONDS else 0.0
    assert log + alerts <= CLOSING_SECONDS
    waits = config["_REQUESTS_SECONDS"] + CLOSING_SECONDS + SEND_SECONDS
    assert waits < config["graceful_timeout"] < KILLED_AFTER_SECONDS


def test_connections_share_the_threads(start: Start) -> None:
    """Threads stay with a connection for a moment; more connections than there are threads are
    served all the same, each in order, and one that sleeps keeps none of them."""
    server = start("off")
    threads = runpy.run_path(str(CONFIG))["threads"]
    lines = [
        http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
        for _ in range(3 * threads)
    ]

    def asks(line: http.client.HTTPConnection) -> list[str]:
        found = []
        for number in range(20):
            body = json.dumps({**RECORD, "prediction_id": f"{id(line)}-{number}"})
            line.request("POST", "/predict", body, {"Content-Type": "application/json"})
            (answer,) = json.loads(line.getresponse().read())["predictions"]
            found.append(answer["prediction_id"])
        return found

    with ThreadPoolExecutor(len(lines)) as pool:
        for line, found in zip(lines, pool.map(asks, lines), strict=True):
            assert found == [f"{id(line)}-{number}" for number in range(20)]
    assert asks(lines[0]) == [f"{id(lines[0])}-{number}" for number in range(20)]
    for line in lines:
        line.close()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(PATIENCE_SECONDS) == 0
