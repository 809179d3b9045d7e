"""Rollback under load: from the command until no instance answers with the old version any more.

    python tests/bench/rollback.py --rounds 5 --instances 3

A local stack with its functions, and beside it some instances of the predictor as it is deployed,
each asked over a few connections without a pause longer than a few milliseconds. Each round runs
`./millrace rollback` as a person would; the clock runs from the start of that command until the
last request was sent that the version which was rolled back answered. One more instance has no CPU
meanwhile, like one that Cloud Run has put to sleep: its first request afterwards has to get the
version of then. Exit 1 when it does not, when a request fails, or when an instance took longer than
the limit.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from infra.local.state import find  # noqa: E402 - a script finds the repository first
from shared import documents, paths  # noqa: E402
from shared.events import parse_time  # noqa: E402
from shared.manifests import move_champion, read_manifest  # noqa: E402
from shared.serving.loaded_model import LoadedModel  # noqa: E402
from shared.serving.manifest import INTERVAL_SECONDS  # noqa: E402
from shared.wiring import Wiring  # noqa: E402
from tests.bench.predict_model import World  # noqa: E402
from tests.bench.predict_servers import HOST, Server, bundled, ours, running  # noqa: E402
from tests.support.local import descendants, started  # noqa: E402
from tests.unit.serving.models import binary_package, store, version_json  # noqa: E402

MODEL = "rollback_bench"
GOOD, BAD = "20260101T000000-00000001", "20260102T000000-00000002"
RECORD = {"age": 39, "gain": 0, "city": "Oslo", "grade": 1}
SPEC = "task: binary\ntarget: y\n"
LIMIT_SECONDS = 60.0
CONNECTIONS = 4  # to each instance
# An instance was left alone for longer than it may answer without looking.
ASLEEP_SECONDS = 12.0
_PAUSE_SECONDS = 0.005
# The command line as a person's, over the stack of this bench.
_COMMAND = """
import sys
from pathlib import Path
from shared.cli import contexts
contexts.state_folder = lambda name: Path(sys.argv[1])
from shared.cli.main import cli
cli(sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request: when it was sent and answered, and by which version ("" for a failure)."""

    sent: float
    received: float
    version: str


@dataclass
class Asking:
    """Threads that ask one instance until they are told to stop."""

    port: int
    seen: list[Seen] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Asking:
        self._threads = [threading.Thread(target=self._ask) for _ in range(CONNECTIONS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        while not self._over.is_set():
            self.seen.append(ask(connection))
            time.sleep(_PAUSE_SECONDS)


def ask(connection: http.client.HTTPConnection) -> Seen:
    """One request; a connection that breaks is a failure."""
    sent, version = time.monotonic(), ""
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"/models/{MODEL}/predict", json.dumps(RECORD), headers)
        answer = connection.getresponse()
        body = json.loads(answer.read())
        version = str(body["model_version"]) if answer.status == 200 else ""
    except OSError:
        connection.close()
    return Seen(sent, time.monotonic(), version)


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds from the start of the command: until it came back, until the manifest was swapped,
    and per instance until the last request was sent that the old version answered. `first` is how
    the instance that slept answered its first request, `waited` how long that took."""

    command: float
    swapped: float
    instances: Sequence[float]
    requests: int
    failed: int
    first: str
    waited: float


def prepare(wiring: Wiring) -> World:
    """Two versions in the lake, the good one serving; and the rows to ask for."""
    lake = wiring.lake
    wiring.inbox.write(paths.spec_upload(MODEL), SPEC.encode())
    for version in (BAD, GOOD):
        package = binary_package(version, model=MODEL, shift=float(version == BAD))
        hashes = store(package, lake)
        name = paths.version(MODEL, version, "version.json")
        lake.write(name, documents.dumps(version_json(package, hashes)))
    end = time.monotonic() + 60
    while not list(lake.list(f"specs/{MODEL}/")) and time.monotonic() < end:
        time.sleep(0.1)
    promote(GOOD, wiring)
    scores = LoadedModel(package).predict_records([RECORD]).score.tolist()
    return World(package, Path(), Path(), [RECORD], scores)


def promote(version: str, wiring: Wiring) -> None:
    """As a person would, without the gate: what is measured is the way back."""
    about = documents.require(wiring.lake, paths.version(MODEL, version, "version.json"))
    manifest = read_manifest(MODEL, lake=wiring.lake)
    move_champion(
        manifest,
        about,
        by="bench",
        cause=f"bench:{manifest.revision if manifest else 0}",
        log="off",
        pinned=False,
        lake=wiring.lake,
        clock=wiring.clock,
    )


def roll_back(state: Path) -> float:
    """Seconds that the command took. Raises CalledProcessError."""
    words = ["rollback", MODEL, "--reason", "bench"]
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", _COMMAND, str(state), *words],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic() - began


def measure(state: Path, wiring: Wiring, awake: Sequence[Server], asleep: Server) -> Round:
    """One rollback, with everybody on the bad version before."""
    promote(BAD, wiring)
    time.sleep(2 * INTERVAL_SECONDS)
    connection = http.client.HTTPConnection(HOST, asleep.port, timeout=30)
    before = ask(connection)
    if before.version != BAD:
        raise RuntimeError(f"the instance that is to sleep answers with {before.version!r}")
    sleeping = time.monotonic()
    for pid in descendants(asleep.process.pid):
        os.kill(pid, signal.SIGSTOP)
    try:
        with ExitStack() as stack:
            asking = [stack.enter_context(Asking(server.port)) for server in awake]
            time.sleep(1.0)
            began, at = time.monotonic(), wiring.clock.now()
            command = roll_back(state)
            time.sleep(max(3 * INTERVAL_SECONDS, ASLEEP_SECONDS - (time.monotonic() - sleeping)))
    finally:
        for pid in descendants(asleep.process.pid):
            os.kill(pid, signal.SIGCONT)
    first = ask(connection)
    connection.close()
    manifest = read_manifest(MODEL, lake=wiring.lake)
    if manifest is None or manifest.version != GOOD:
        raise RuntimeError("the command did not roll back")
    return Round(
        command,
        (parse_time(manifest.promoted_at) - at).total_seconds(),
        [last_of(found.seen) - began for found in asking],
        sum(len(found.seen) for found in asking),
        sum(not item.version for found in asking for item in found.seen),
        first.version,
        first.received - first.sent,
    )


def last_of(seen: Sequence[Seen]) -> float:
    """When the last request was sent that the old version answered. Raises RuntimeError when it
    never stopped, or somebody saw it again after the new one."""
    old = max(item.sent for item in seen if item.version == BAD)
    new = min((item.received for item in seen if item.version == GOOD), default=0.0)
    if not new or max(item.received for item in seen) - old < INTERVAL_SECONDS:
        raise RuntimeError("an instance goes on answering with the version that was rolled back")
    return old


def report(rounds: Sequence[Round]) -> list[str]:
    worst = [max(item.instances) for item in rounds]
    lines = [
        "| round | command | swapped | last old answer of each | after swap | asleep: first | ms |",
        "|---:|---:|---:|---|---:|---|---:|",
    ]
    for number, item in enumerate(rounds, 1):
        each = ", ".join(f"{seconds:.2f}" for seconds in sorted(item.instances))
        slept = "new version" if item.first == GOOD else f"OLD VERSION ({item.first})"
        lines.append(
            f"| {number} | {item.command:.2f} | {item.swapped:.2f} | {each} | "
            f"{max(item.instances) - item.swapped:.2f} | {slept} | {item.waited * 1e3:.0f} |"
        )
    requests = sum(item.requests for item in rounds)
    failed = sum(item.failed for item in rounds)
    median, most = statistics.median(worst), max(worst)
    summed = (
        f"Last instance {median:.2f} s after the command was given (median; most {most:.2f} s; "
        f"limit {LIMIT_SECONDS:.0f} s). {requests:,} requests meanwhile, {failed} failed."
    )
    return [*lines, "", summed]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--instances", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rollback-") as scratch:
        state = Path(scratch) / "state"
        with started(state) as wiring, ExitStack() as stack:
            stack_found = find(state)
            env = dict(stack_found.env) if stack_found else {}
            world, folder = prepare(wiring), bundled(Path(scratch) / "bundles")
            kind = ours("predictor", folder, env, world, MODEL)
            servers = [
                stack.enter_context(running(kind, world)) for _ in range(asked.instances + 1)
            ]
            rounds = [measure(state, wiring, servers[1:], servers[0]) for _ in range(asked.rounds)]
    print("\n".join(report(rounds)))
    good = all(
        item.first == GOOD and not item.failed and max(item.instances) <= LIMIT_SECONDS
        for item in rounds
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
