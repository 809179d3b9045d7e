"""The supervisor with throw-away functions: everything starts, nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from infra import topology
from infra.local import pids
from infra.local.children import Children
from infra.local.stack import AlreadyRunning, Options, Stack, find
from shared.adapters.google_storage import GoogleBucket, storage_client
from shared.adapters.rest_pubsub import RestPublisher
from shared.adapters.rest_run import RestJobRunner
from shared.config import Config

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_SECONDS = 20.0
NOTE = """
import json, os
def main(request):
    if request.data:
        with open(os.path.join({folder!r}, {name!r}), "a") as file:
            file.write(json.dumps(request.get_json()) + "\\n")
    return "", 204
"""
PREDICT = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
GUNICORN = "import os\nbind = '127.0.0.1:' + os.environ['PORT']\n"

pytestmark = pytest.mark.stack


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def options(folder: Path) -> Options:
    """Functions that write down what they get, a predictor that says hello, a job that sleeps."""

    def bundle(name: str, kind: str) -> Path:
        made = folder / kind / name
        (made / "shared" / "serving").mkdir(parents=True, exist_ok=True)
        (made / "shared" / "serving" / "gunicorn_conf.py").write_text(GUNICORN)
        code = NOTE.format(folder=str(folder), name=name)
        if kind == "jobs":
            code = "import os, time\ntime.sleep(float(os.environ['SLEEP']))\n"
        elif name == "predict":
            code = PREDICT
        (made / "main.py").write_text(code)
        return made

    return Options(bundle=bundle, mlflow=False)


def test_the_event_path(tmp_path: Path) -> None:
    """Upload, push, job, batch of lines, prediction and decision all work through the addresses
    a client gets; the scheduler's sweep ran at once."""
    with Stack(tmp_path / "state", options(tmp_path)) as stack:
        config = Config.from_env(stack.env)
        inbox = GoogleBucket(config, config.inbox, storage_client(config))
        lake = GoogleBucket(config, config.lake, storage_client(config))
        inbox.write("m/train/a b.csv", b"x")
        until((tmp_path / "intake").exists)
        until((tmp_path / "sweep").exists)
        until(lambda: '"objectId": "m/train/a b.csv"' in (tmp_path / "intake").read_text())
        RestPublisher(config).publish("predictions", b'{"a": 1}', {"type": "line"})
        jobs = RestJobRunner(config)
        jobs.run("train-s", env={"SLEEP": "0"})
        until(lambda: next(jobs.executions("train-s")).state == "succeeded")
        assert requests.get(f"{config.predict_url}/x", timeout=10).text == "hello"
        assert requests.post(f"{config.promote_url}/decide", timeout=10).status_code == 204
        until(lambda: list(lake.list("inference-log/")))
        (line,) = lake.list("inference-log/")
        assert lake.read(line.name).data == b'{"a": 1}\n'
        assert find(tmp_path / "state") is not None
        with pytest.raises(AlreadyRunning, match="already runs"):
            Stack(tmp_path / "state", options(tmp_path)).start()
    assert find(tmp_path / "state") is None


def test_scaled_to_zero_the_predictor_starts_on_demand(tmp_path: Path) -> None:
    """No process until somebody asks, and the address is the same for callers."""
    idle = Options(bundle=options(tmp_path).bundle, mlflow=False, scale_to_zero_seconds=60)
    with Stack(tmp_path / "state", idle) as stack:
        assert stack.parts.hosted["predict"].process is None
        assert requests.get(f"{stack.addresses.predict}/x", timeout=20).text == "hello"


def test_a_function_that_is_added_to_the_topology_is_in_the_stack(tmp_path: Path) -> None:
    """One entry and one subscription: it is started and gets its messages."""
    text = topology.FILE.read_text(encoding="utf-8")
    text = text.replace(
        "\nservices:\n", '\n  echo: {purpose: "says it", publishes: []}\nservices:\n'
    )
    echo = '\n  echo-alerts: {topic: "alerts", push: "echo"}\nschedules:\n'
    (tmp_path / "topology.yaml").write_text(text.replace("\nschedules:\n", echo), "utf-8")
    more = topology.load(file=tmp_path / "topology.yaml", local=True)
    with Stack(tmp_path / "state", options(tmp_path), topology=more) as stack:
        assert stack.urls["echo"]
        RestPublisher(Config.from_env(stack.env)).publish(
            "alerts", b"{}", {"type": "DriftDetected"}
        )
        until((tmp_path / "echo").exists)


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from infra.local.stack import Stack
from test_stack import options
folder = Path({folder!r})
stack = Stack(folder / "state", options(folder)).start()
print("up", flush=True)
stack.run_until_signalled()
stack.stop()
print("down", flush=True)
"""


def start_elsewhere(folder: Path) -> subprocess.Popen[str]:
    script = SCRIPT.format(tests=str(Path(__file__).parent), folder=str(folder))
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def listed(folder: Path) -> dict[int, str]:
    (file,) = (folder / "state" / "processes").glob("*.json")
    return pids.read(file)


def test_killed_and_started_again(tmp_path: Path) -> None:
    """After kill -9 no child lives on; the next start finds messages and executions where they
    were, on the same addresses."""
    process = start_elsewhere(tmp_path)
    running = find(tmp_path / "state")
    assert running is not None
    config = Config.from_env(running.env)
    until((tmp_path / "sweep").exists)
    RestJobRunner(config).run("train-s", env={"SLEEP": "60"})
    until(lambda: len(listed(tmp_path)) >= 4)  # predict, sweep, mirror, the task
    children = listed(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    until(lambda: not any(pids.start_time(pid) == at for pid, at in children.items()))

    with Stack(tmp_path / "state", options(tmp_path)) as stack:
        assert stack.addresses == running.addresses
        (execution,) = RestJobRunner(config).executions("train-s")
        assert execution.state == "failed"


def test_leftovers_of_a_killed_stack_are_killed(tmp_path: Path) -> None:
    """When the watcher was killed too, the next start ends what still runs, and nothing else."""
    process = start_elsewhere(tmp_path)
    until((tmp_path / "sweep").exists)
    children = listed(tmp_path)
    watcher = next(
        pid
        for pid in map(int, (item.name for item in Path("/proc").iterdir() if item.name.isdigit()))
        if f"{tmp_path}/state/processes" in _command(pid)
    )
    os.kill(watcher, signal.SIGKILL)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    survivors = [pid for pid, at in children.items() if pids.start_time(pid) == at]
    assert survivors
    with Stack(tmp_path / "state", options(tmp_path)):
        until(lambda: not any(pids.start_time(pid) == children[pid] for pid in survivors))


def test_sigterm_stops_in_order(tmp_path: Path) -> None:
    """The process ends by itself, its children with it, and stack.json is gone."""
    process = start_elsewhere(tmp_path)
    until((tmp_path / "sweep").exists)
    children = listed(tmp_path)
    process.terminate()
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert (output, process.returncode) == ("down\n", 0)
    assert not any(pids.start_time(pid) == at for pid, at in children.items())
    assert not (tmp_path / "state" / "stack.json").exists()
    assert list((tmp_path / "state" / "processes").iterdir()) == []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def test_a_process_that_was_never_listed_is_found_by_its_mark(tmp_path: Path) -> None:
    """A stack may be killed between starting a process and listing it: the next start on the
    same directory ends such a process too, and nobody else's."""
    ours, other = tmp_path / "ours", tmp_path / "other"
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    lost = subprocess.Popen(sleeper, env={pids.MARK: f"{ours.resolve()}|earlier"})
    stranger = subprocess.Popen(sleeper, env={pids.MARK: f"{other.resolve()}|earlier"})
    try:
        children = Children(ours)
        assert children.leftovers == [lost.pid]
        assert lost.wait(timeout=10) == -signal.SIGKILL
        assert stranger.poll() is None
        children.close()
        with pytest.raises(OSError, match="stopping"):
            children.spawn(sleeper, cwd=tmp_path, env={}, log=tmp_path / "log")
    finally:
        for process in (lost, stranger):
            process.kill()
            process.wait()
