"""Cold start of the small functions: process start until the first event is answered with 204.

    python tests/bench/cold_start.py --runs 5 --function intake --function launch

The yardstick is an empty function under the same functions-framework, started in the same round,
so that a busy machine slows both. Bundles are those that are deployed; each is started once
before it counts, because a deployed bundle is byte-compiled. Endpoints are the local stand-ins.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from infra import bundle  # noqa: E402 - a script finds the repository first
from infra.local import pubsub_server, run_server, storage_server  # noqa: E402
from infra.local.web import HttpServer, Request, Response  # noqa: E402
from shared.adapters.memory import BucketConfig, Engine, topic_path  # noqa: E402
from shared.adapters.system_clock import SystemClock  # noqa: E402

SMALL = ("intake", "launch", "promote", "notify", "retrain", "sweep", "deadletter")
EMPTY = "(empty)"
EMPTY_MAIN = 'def main(request):\n    return "", 204\n'
PROJECT = "bench"
TOPICS = ("uploads", "requests", "outcomes", "alerts", "ticks", "predictions", "dead-letters")
PATIENCE_SECONDS = 60.0

# An event each function really takes; the others get one they refuse, which they write down.
BODIES: dict[str, dict[str, Any]] = {
    "intake": {
        "bucket": "inbox",
        "name": "bench/train/a.csv",
        "generation": "1",
        "size": "100",
        "timeCreated": "2026-01-01T00:00:00Z",
    },
    "launch": {
        "type": "TrainingCompleted",
        "model": "bench",
        "run_id": "20260101T000000-00000000",
        "version": "20260101T000000-00000000",
    },
    "notify": {
        "type": "AutomationNoted",
        "model": "bench",
        "source": "bench",
        "subject": "cold-start",
        "sentence": "Nothing happened.",
        "asks": "know",
    },
    "sweep": {"type": "SweepDue"},
}
REFUSED: dict[str, Any] = {"type": "NobodyKnowsThis"}


@dataclass(frozen=True)
class Result:
    """Seconds; `ratio` is the median over rounds of this function's time over the empty one's."""

    function: str
    median: float
    least: float
    most: float
    ratio: float


@contextmanager
def cloud() -> Iterator[dict[str, str]]:
    """Stand-ins in this process, and the environment that points at them."""
    engine = Engine(SystemClock())
    engine.create(
        buckets=[BucketConfig("inbox", versioning=True), BucketConfig("lake")],
        topics=[topic_path(PROJECT, topic) for topic in TOPICS],
    )
    storage, run = storage_server.serve(engine), run_server.serve(engine)
    pubsub, slack = pubsub_server.serve(engine), HttpServer(_slack)
    try:
        yield {
            "MILLRACE_PROJECT": PROJECT,
            "MILLRACE_INBOX": "inbox",
            "MILLRACE_LAKE": "lake",
            "MILLRACE_ANONYMOUS": "true",
            "STORAGE_EMULATOR_HOST": storage.url,
            "MILLRACE_PUBSUB_ENDPOINT": pubsub.rest_url,
            "MILLRACE_RUN_ENDPOINT": run.url,
            "SLACK_WEBHOOK_URL": f"{slack.url}/hook",
        }
    finally:
        for server in (storage, run, pubsub, slack):
            server.close()
        engine.close()


def _slack(request: Request) -> Response:
    request.read()
    return Response(200, b"ok")


def push_body(function: str, number: int) -> bytes:
    """A Pub/Sub push; every one is a new event."""
    body = dict(BODIES.get(function, REFUSED))
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    if "generation" in body:
        body["generation"] = str(number)
    else:
        body |= {"time": now, "id": f"bench-{number}"}
    message = {
        "data": base64.b64encode(json.dumps(body).encode()).decode(),
        "attributes": {"type": body["type"]} if "type" in body else {},
        "messageId": str(number),
        "publishTime": now,
    }
    push = {"message": message, "subscription": f"projects/{PROJECT}/subscriptions/{function}"}
    return json.dumps(push).encode()


def measure(folder: Path, python: str, env: dict[str, str], body: bytes) -> float:
    """Seconds from process start to the first answer. Raises RuntimeError unless it is 204."""
    port = _free_port()
    command = [python, "-m", "functions_framework", "--target", "main", "--source", "main.py"]
    command += ["--signature-type", "http", "--host", "127.0.0.1", "--port", str(port)]
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**_clean_environment(), **env, "PYTHONPATH": str(folder)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = _first_answer(process, port, body)
            seconds = time.perf_counter() - started
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if status != 204:
            log.seek(0)
            said = log.read().decode(errors="replace")[-3000:]
            raise RuntimeError(f"{folder.name} answered {status}:\n{said}")
    return seconds


def _first_answer(process: subprocess.Popen[bytes], port: int, body: bytes) -> int:
    """The status, or 0 when there is none."""
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while process.poll() is None and time.perf_counter() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        try:
            connection.connect()
        except ConnectionRefusedError:
            time.sleep(0.002)
            continue
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        status = connection.getresponse().status
        connection.close()
        return status
    return 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _clean_environment() -> dict[str, str]:
    """What a container would have: nothing of ours."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def rounds(functions: list[str], runs: int, python: str) -> dict[str, list[float]]:
    """Times by function, the empty one among them; each round starts every one once."""
    times: dict[str, list[float]] = {name: [] for name in (EMPTY, *functions)}
    with tempfile.TemporaryDirectory(prefix="cold-start-") as scratch, cloud() as env:
        folders = {EMPTY: Path(scratch) / "empty"}
        folders[EMPTY].mkdir()
        (folders[EMPTY] / "main.py").write_text(EMPTY_MAIN)
        for name in functions:
            folders[name] = bundle.build(name, "functions", Path(scratch))
        for number in range(runs + 1):
            for name, folder in folders.items():
                seconds = measure(folder, python, env, push_body(name, number + 1))
                if number:  # the first round compiles
                    times[name].append(seconds)
    return times


def summed_up(times: dict[str, list[float]]) -> list[Result]:
    empty = times[EMPTY]
    return [
        Result(
            function=name,
            median=statistics.median(values),
            least=min(values),
            most=max(values),
            ratio=statistics.median(mine / base for mine, base in zip(values, empty, strict=True)),
        )
        for name, values in times.items()
    ]


def table(results: list[Result]) -> str:
    lines = [f"{'function':<12} {'median s':>9} {'min..max':>13} {'x empty':>8}"]
    lines += [
        f"{each.function:<12} {each.median:>9.3f} {each.least:>6.2f}..{each.most:<5.2f} "
        f"{each.ratio:>8.2f}"
        for each in results
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--function", action="append", help=f"default: {', '.join(SMALL)}")
    parser.add_argument("--python", default=sys.executable, help="an interpreter with the locks")
    parser.add_argument("--limit", type=float, help="fail when a function is above so many x empty")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    results = summed_up(rounds(chosen.function or list(SMALL), chosen.runs, chosen.python))
    if chosen.json:
        sys.stdout.write(json.dumps([asdict(each) for each in results], indent=2) + "\n")
    else:
        sys.stdout.write(table(results))
    above = [each for each in results if chosen.limit and each.ratio > chosen.limit]
    for each in above:
        sys.stderr.write(f"{each.function} is above {chosen.limit} x empty\n")
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
