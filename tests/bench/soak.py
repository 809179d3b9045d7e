"""A bounded soak: many requests while the manifest moves every few seconds between two versions.

    python tests/bench/soak.py                          200,000 requests, a move every 3 seconds
    python tests/bench/soak.py --requests 20000 --every 2

The server is the command of topology.yaml over the deployed bundle; manifests are moved by the
functions that promote moves them with (champion, then the other version as a canary beside it at
half of the requests, then as champion, and so on); lines of the log are buffered to the Pub/Sub
stand-in. Held against, and exit 1 where it is not so:

    no failed request, every score the one that the version named in the answer gives
    every row from a version that a manifest named within the refresh interval before the answer
    lines of the log = rows answered, each id once
    memory: below the limit, and not growing
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from shared.adapters.memory.messages import Messages  # noqa: E402
from shared.adapters.system_clock import SystemClock  # noqa: E402
from shared.beside.second_version import SecondVersion  # noqa: E402
from shared.config import Config  # noqa: E402
from shared.manifests import move_champion, package_of, read_manifest, set_beside  # noqa: E402
from shared.ports import Bucket  # noqa: E402
from shared.serving.loaded_model import LoadedModel  # noqa: E402
from shared.serving.manifest import INTERVAL_SECONDS  # noqa: E402
from shared.serving.package import Package  # noqa: E402
from shared.tabular import candidates  # noqa: E402
from shared.wiring import Wiring  # noqa: E402
from tests.bench.cold_start import cloud  # noqa: E402
from tests.bench.predict_servers import bundled  # noqa: E402
from tests.support.gunicorn import Predicting, predicting  # noqa: E402
from tests.unit.serving.models import store, version_json  # noqa: E402
from tests.unit.tabular.fits import FEATURES, rows_of  # noqa: E402
from tests.unit.tabular.fits import package_of as package_from  # noqa: E402

MODEL = "soak"
VERSIONS = ("20260101T000000-aaaaaaaa", "20260101T000000-bbbbbbbb")
PARAMS = {"n_estimators": 300, "max_depth": 6, "learning_rate": 0.1}
PROCESSES = 2
# Beyond the interval: the look itself, which loads a version while others still get the former.
LOOK_SECONDS = 0.5
MEMORY_MIB = 150.0
SLOPE_MIB = 4.0  # per 100,000 requests, over the second half


@dataclass
class Moves:
    """When each version may have been named: (version, from, until) of every stretch."""

    stretches: list[tuple[str, float, float]] = field(default_factory=list)
    moved: int = 0
    _open: dict[str, float] = field(default_factory=dict)

    def name(self, versions: set[str], before: float, after: float) -> None:
        """These are named by a manifest that was swapped between two times."""
        self.moved += 1
        for version in set(self._open) - versions:
            self.stretches.append((version, self._open.pop(version), after))
        for version in versions - set(self._open):
            self._open[version] = before

    def close(self) -> None:
        for version, since in self._open.items():
            self.stretches.append((version, since, float("inf")))

    def staleness(self, version: str, sent: float, answered: float) -> float:
        """Seconds by which the version had stopped being named when the answer came; 0 when it
        was named at some time of the request, infinite when it was not named before."""
        ends = [until for name, since, until in self.stretches if name == version and since <= sent]
        ends += [
            until
            for name, since, until in self.stretches
            if name == version and sent < since <= answered
        ]
        return max(0.0, answered - max(ends)) if ends else float("inf")


def packages() -> Iterator[Package]:
    """Two ensembles over the same columns that answer differently."""
    for seed, version in enumerate(VERSIONS):
        rows = rows_of("binary", 2_000 + 500 * seed)
        fitted = candidates.fit("xgboost", PARAMS, "binary", rows, features=FEATURES, seed=seed)
        yield package_from(fitted, model=MODEL, version=version)


def records() -> list[dict[str, Any]]:
    columns = rows_of("binary", 500).columns
    return [
        {name: None if value != value else value for name, value in zip(columns, row, strict=True)}  # noqa: PLR0124 - NaN
        for row in zip(*(column.tolist() for column in columns.values()), strict=True)
    ]


@contextmanager
def counted() -> Iterator[list[bytes]]:
    """Messages of the prediction log, as the stand-in takes them."""
    taken: list[bytes] = []
    publish = Messages.publish

    def counting(self: Messages, topic: str, data: bytes, *more: Any) -> str:
        accepted = publish(self, topic, data, *more)
        if topic.endswith("predictions"):
            taken.append(data)
        return accepted

    Messages.publish = counting  # type: ignore[method-assign,assignment]
    try:
        yield taken
    finally:
        Messages.publish = publish  # type: ignore[method-assign]


def second(version: dict[str, Any], against: str, revision: int, number: int) -> SecondVersion:
    found = package_of(version)
    return SecondVersion.from_json(
        {
            **{name: found[name] for name in ("version", "package", "sha256", "files", "features")},
            "id": f"canary-{number}",
            "against": against,
            "revision": revision,
            "share": 0.5,
            "key": "prediction_id",
            "started_at": "2026-01-01T00:00:00Z",
            "by": "soak",
            "reason": "",
            "kind": "canary",
            "steps": (0.5,),
        }
    )


def move(bodies: list[dict[str, Any]], lake: Bucket, moves: Moves) -> None:
    """One step: the champion alone -> the other one beside it -> the other one alone."""
    current, clock = read_manifest(MODEL, lake=lake), SystemClock()
    before = time.monotonic()
    if current is not None and current.beside is None:
        other = next(body for body in bodies if body["version"] != current.version)
        beside = second(other, current.version, current.turn, moves.moved)
        set_beside(current, beside, by="soak", reason="", lake=lake, clock=clock)
        named = {current.version, other["version"]}
    else:
        version = bodies[0]
        if current is not None and current.beside is not None:
            name = current.beside.version
            version = next(body for body in bodies if body["version"] == name)
        move_champion(
            current,
            version,
            by="soak",
            cause=f"soak:{moves.moved}",
            log="buffered",
            pinned=False,
            lake=lake,
            clock=clock,
        )
        named = {version["version"]}
    moves.name(named, before, time.monotonic())


def loads(asked: dict[str, Any]) -> list[subprocess.Popen[str]]:
    command = [sys.executable, str(ROOT / "tests/bench/soak_load.py")]
    started = []
    for _ in range(PROCESSES):
        load = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert load.stdin is not None
        json.dump(asked, load.stdin)
        load.stdin.close()
        load.stdin = None
        started.append(load)
    return started


def watch(
    server: Predicting, loads: list[subprocess.Popen[str]], every: float, step: Any
) -> list[tuple[float, float]]:
    """Move the manifest until the load is done; (seconds, resident MiB) meanwhile."""
    over = threading.Event()

    def moving() -> None:
        while not over.wait(every):
            step()

    thread = threading.Thread(target=moving)
    thread.start()
    memory: list[tuple[float, float]] = []
    started = time.monotonic()
    try:
        readers = [threading.Thread(target=_collect, args=(load,)) for load in loads]
        for reader in readers:
            reader.start()
        while any(reader.is_alive() for reader in readers):
            memory.append((time.monotonic() - started, server.resident_mib()))
            readers[0].join(1.0)
            readers[-1].join(0.1)
    finally:
        over.set()
        thread.join()
    return memory


def _collect(load: subprocess.Popen[str]) -> None:
    load.found = json.loads(load.communicate()[0])  # type: ignore[attr-defined]


def slope_of(memory: list[tuple[float, float]], requests: int) -> float:
    """MiB per 100,000 requests over the second half."""
    half = np.array(memory[len(memory) // 2 :])
    per_second = float(np.polyfit(half[:, 0], half[:, 1], 1)[0])
    return per_second * memory[-1][0] / requests * 100_000


def judge(
    found: list[dict[str, Any]], moves: Moves, taken: list[bytes], memory: Any, requests: int
) -> int:
    """Print the table; 1 when something is not as promised."""
    failed, rows = sum(one["failed"] for one in found), sum(one["rows"] for one in found)
    stale = [
        moves.staleness(version, sent, answered)
        for one in found
        for sent, answered, version in one["seen"]
    ]
    ids = [json.loads(line)["prediction_id"] for data in taken for line in data.split(b"\n")]
    slope, most = slope_of(memory, requests), max(mib for _, mib in memory)
    late = sum(seconds > INTERVAL_SECONDS + LOOK_SECONDS for seconds in stale)
    former = sorted(seconds for seconds in stale if seconds > 0)
    seconds = memory[-1][0]
    print("| soak | |\n|---|---:|")
    for name, value in {
        "requests, rows": f"{requests:,}, {rows:,}",
        "seconds, requests a second": f"{seconds:.0f}, {requests / seconds:,.0f}",
        "moves of the manifest": f"{moves.moved}",
        "failed or wrong answers": f"{failed}",
        f"answers later than {INTERVAL_SECONDS} s + the look": f"{late}",
        "latest answer from a former manifest": f"{former[-1] if former else 0:.2f} s",
        "lines of the log, each id once": f"{len(ids):,}, {len(set(ids)):,}",
        "resident MiB: start, end, most": f"{memory[0][1]:.0f}, {memory[-1][1]:.0f}, {most:.0f}",
        "MiB per 100,000 requests, second half": f"{slope:+.2f}",
    }.items():
        print(f"| {name} | {value} |")
    for problem in [problem for one in found for problem in one["problems"]][:10]:
        print(problem)
    good = failed == late == 0 and len(ids) == len(set(ids)) == rows
    return 0 if good and slope <= SLOPE_MIB and most <= MEMORY_MIB else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--connections", type=int, default=4, help=f"of {PROCESSES} processes each")
    parser.add_argument("--every", type=float, default=3.0, help="seconds between moves")
    asked = parser.parse_args()
    rows, made, moves = records(), list(packages()), Moves()
    answers = {one.version: LoadedModel(one).predict_records(rows).score.tolist() for one in made}
    with tempfile.TemporaryDirectory(prefix="soak-") as scratch, cloud() as env, counted() as taken:
        lake = Wiring(Config.from_env(env)).lake
        bodies = [version_json(one, store(one, lake)) for one in made]
        move(bodies, lake, moves)
        folder = Path(scratch)
        with predicting(bundled(folder), env, folder / "log") as server:
            load = {
                "port": server.port,
                "path": f"/models/{MODEL}/predict",
                "connections": asked.connections,
                "requests": asked.requests // PROCESSES,
                "rows": rows,
                "answers": answers,
            }
            running = loads(load)
            memory = watch(server, running, asked.every, lambda: move(bodies, lake, moves))
            took = server.end()
        moves.close()
        print(f"ended {took:.1f} s after SIGTERM\n")
        found = [one.found for one in running]  # type: ignore[attr-defined]
        return judge(found, moves, taken, memory, asked.requests)


if __name__ == "__main__":
    sys.exit(main())
