"""Functions in processes of their own: cold start, death, scale to zero, timeouts."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from infra import topology
from infra.local.children import Children
from infra.local.gateway import Gateway
from infra.local.hosting import Hosted
from infra.local.processes import function_launch
from infra.local.slack_sink import SlackSink
from shared.adapters.memory import Engine, Faults, FixedClock
from shared.errors import ServiceUnavailable

MAIN = """
import os, time
def main(request):
    if request.path == "/slow":
        time.sleep(7)
    if request.path == "/die":
        os._exit(9)
    return {"pid": os.getpid(), "path": request.full_path, "body": request.get_data(as_text=True),
            "target": os.environ["K_SERVICE"], "x": request.headers.get("X-Y", "")}
"""


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    made = Children(tmp_path / "state")
    yield made
    made.close()


@pytest.fixture
def hosted(tmp_path: Path, children: Children) -> Iterator[Hosted]:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "main.py").write_text(MAIN)
    function = replace(topology.load(local=True).functions["intake"], timeout_seconds=5)
    launch = function_launch(function, lambda: folder, dict, "127.0.0.1", tmp_path / "logs")
    made = Hosted(launch, children, host="127.0.0.1")
    yield made
    made.close()


def pid_of(hosted: Hosted) -> int:
    return int(json.loads(hosted.request("GET", "/", {}, b"").body)["pid"])


def test_cold_start_then_warm(hosted: Hosted) -> None:
    """Requests that find no process wait for one, and all share it."""
    assert hosted.process is None
    with ThreadPoolExecutor(4) as pool:
        pids = set(pool.map(lambda _: pid_of(hosted), range(8)))
    assert len(pids) == 1
    assert hosted.cold_starts == 1


def test_a_dead_process_is_replaced(hosted: Hosted) -> None:
    """Whoever kills a function kills one request at most."""
    before = pid_of(hosted)
    assert hosted.process is not None
    os.killpg(hosted.process.pid, signal.SIGKILL)
    hosted.process.wait()
    assert pid_of(hosted) != before
    assert hosted.cold_starts == 2


def test_scale_to_zero(hosted: Hosted) -> None:
    """On demand the process goes; the next request is a cold start."""
    before = pid_of(hosted)
    assert hosted.scale_to_zero()
    assert hosted.process is None
    assert not hosted.scale_to_zero()
    assert pid_of(hosted) != before


def test_broken_requests_are_faults(hosted: Hosted) -> None:
    """A function that dies in the middle is unavailable, one that hangs is 504."""
    with pytest.raises(ServiceUnavailable):
        hosted.request("GET", "/die", {}, b"")
    assert hosted.request("GET", "/slow", {}, b"").status == 504


def test_a_function_that_cannot_start(tmp_path: Path, children: Children) -> None:
    """The reason points at the log."""
    (tmp_path / "main.py").write_text("raise SystemExit(7)")
    function = topology.load(local=True).functions["intake"]
    launch = function_launch(function, lambda: tmp_path, dict, "127.0.0.1", tmp_path / "logs")
    hosted = Hosted(launch, children, host="127.0.0.1")
    with pytest.raises(ServiceUnavailable, match=r"intake\.log"):
        hosted.ensure()


def test_gateway(hosted: Hosted) -> None:
    """One address leads to every function, path, query, body and headers intact."""
    engine = Engine(FixedClock())
    gateway = Gateway({"intake": hosted}, engine, Faults())
    answer = requests.post(
        f"{gateway.url}/intake/a%20b?c=d", data="é".encode(), headers={"X-Y": "z"}, timeout=20
    ).json()
    assert (answer["path"], answer["body"]) == ("/a b?c=d", "é")
    assert (answer["target"], answer["x"]) == ("intake", "z")
    assert requests.get(f"{gateway.url}/nobody/", timeout=5).status_code == 404
    status = requests.get(f"{gateway.url}/_admin/status", timeout=5).json()
    assert status["hosts"]["intake"]["cold_starts"] == 1
    faults = requests.post(f"{gateway.url}/_admin/faults", json={"duplicate": 0.5}, timeout=5)
    assert faults.json()["duplicate"] == 0.5
    assert (
        requests.post(f"{gateway.url}/_admin/faults", json={"x": 1}, timeout=5).status_code == 400
    )
    stopped = requests.post(f"{gateway.url}/_admin/scale-to-zero/intake", timeout=20)
    assert stopped.json() == {"stopped": True}
    gateway.close()
    engine.close()


def test_slack_sink_keeps_and_shows(tmp_path: Path) -> None:
    """Every message is kept across restarts and shown without being taken for HTML."""
    clock = FixedClock()
    sink = SlackSink(tmp_path, clock)
    blocks = {"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "<b>drift</b>"}}]}
    assert requests.post(f"{sink.url}/services/x", json=blocks, timeout=5).text == "ok"
    assert requests.post(f"{sink.url}/services/x", data=b"{", timeout=5).text == "invalid_payload"
    assert requests.post(f"{sink.url}/services/x", json={}, timeout=5).status_code == 400
    sink.close()

    again = SlackSink(tmp_path, clock)
    requests.post(again.url, json={"text": "hello"}, timeout=5)
    kept = requests.get(f"{again.url}/messages", timeout=5).json()
    assert [item["message"] for item in kept] == [blocks, {"text": "hello"}]
    page = requests.get(again.url, timeout=5).text
    again.close()
    assert "&lt;b&gt;drift" in page
    assert "<b>drift" not in page
    assert "hello" in page
