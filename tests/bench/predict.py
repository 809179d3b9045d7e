"""The predictor beside its limit and its peers, in one run: same model, same rows, same machine.

    python tests/bench/predict.py --seconds 2 --rounds 5 --write     into infra/docs/measurements.md
    python tests/bench/predict.py --log off --log sync --without mlflow --rows 1

    predictor            the command of topology.yaml, everything on; one for each mode of the log
    Flask echo           parses the JSON and sends the same bytes back, under the same server
    FastAPI + joblib     a scikit-learn and XGBoost pipeline under uvicorn, without any checks
    mlflow models serve  that pipeline as `mlflow.sklearn` saves it: what a team has without us, and
                         what the targets count against
    mlflow, our package  the version as our training logs it: MLflow's server around our engine

Rounds go over all servers in turn, every other one backwards, and ratios are made within a round,
so that what else happens on the machine hits all; it changes a server's CPU time less than its
requests per second. Every answer has to be 200, and a sample of them the right scores. Storage and
Pub/Sub are the local stand-ins in this process: with the log on they are part of what is measured.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from shared.config import Config  # noqa: E402 - a script finds the repository first
from shared.ports import Bucket  # noqa: E402
from shared.wiring import Wiring  # noqa: E402
from tests.bench import predict_model, predict_servers, predict_tables  # noqa: E402
from tests.bench.cold_start import cloud  # noqa: E402
from tests.bench.predict_model import World  # noqa: E402
from tests.bench.predict_servers import Kind, Server, ours, running  # noqa: E402
from tests.bench.predict_tables import Sample  # noqa: E402

# Rows of a request, connections.
CELLS = ((1, 1), (1, 8), (1, 32), (100, 8), (1000, 8))
PEERS = {
    "echo": predict_servers.echo,
    "fastapi": predict_servers.fastapi,
    "mlflow": predict_servers.mlflow,
    "mlflow-package": predict_servers.mlflow_package,
}
PAGE, START, END = (
    ROOT / "infra" / "docs" / "measurements.md",
    "<!-- predict -->",
    "<!-- /predict -->",
)
WARMING_SECONDS = 0.3
EXTRA_MODELS = 10


def kinds_of(
    folder: Path, env: Mapping[str, str], world: World, logs: Sequence[str], without: Sequence[str]
) -> Iterator[Kind]:
    """The servers of this run; a peer that is left out is named."""
    for log in logs:
        yield ours(predict_servers.ours_by(log), folder, env, world, predict_model.name_by(log))
    for name, peer in PEERS.items():
        needed = "flask" if name == "echo" else name.partition("-")[0]
        if name in without:
            print(f"left out, as asked: {name}")
        elif find_spec(needed) is None:
            print(f"left out, not installed here: {name}")
        else:
            yield peer(folder, world)


def cold_starts(kinds: Sequence[Kind], world: World, starts: int) -> dict[str, list[float]]:
    """Seconds from process start to the first right answer; the very first start compiles."""
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(starts + 1):
        for kind in kinds:
            with running(kind, world) as server:
                if number:
                    found[kind.name].append(server.cold_seconds)
    return found


def measure(
    servers: Sequence[Server], cells: Sequence[tuple[int, int]], rounds: int, seconds: float
) -> dict[tuple[int, int], dict[str, list[Sample]]]:
    """Every cell of every server in every round, after a short one that does not count."""
    samples: dict[tuple[int, int], dict[str, list[Sample]]]
    samples = {cell: defaultdict(list) for cell in cells}
    for number in range(rounds + 1):
        for rows, connections in cells:
            for server in servers if number % 2 else reversed(servers):
                load, cpu_ms = server.ask(rows, connections, seconds if number else WARMING_SECONDS)
                sample = Sample(load.per_second, load.p50_ms, load.p99_ms, cpu_ms, load.busy)
                if number:
                    samples[rows, connections][server.kind.name].append(sample)
    return samples


def more_models(
    folder: Path, env: Mapping[str, str], world: World, lake: Bucket, count: int
) -> tuple[float, float]:
    """MiB that one more loaded model takes, and seconds until its first answer (median)."""
    predict_model.serve_as(world, predict_model.MODEL, lake, "off")
    names = [f"extra_{number}" for number in range(count)]
    for name in names:
        predict_model.serve_as(world, name, lake, "off")
    with running(ours("all models", folder, env, world, ""), world) as server:
        before = server.memory().all
        waited = [server.first_of(f"/models/{name}/predict") for name in names]
        return (server.memory().all - before) / count, statistics.median(waited)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="per server, cell and round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--starts", type=int, default=3, help="cold starts of each server")
    parser.add_argument("--log", action="append", help="modes of the log (default: off, buffered)")
    parser.add_argument("--without", action="append", default=[], choices=sorted(PEERS))
    parser.add_argument("--rows", type=int, action="append", help="only requests of so many rows")
    parser.add_argument("--write", action="store_true", help="into infra/docs/measurements.md, too")
    asked = parser.parse_args()
    busy = os.getloadavg()[1]
    logs = asked.log or ["off", "buffered"]
    cells = [cell for cell in CELLS if not asked.rows or cell[0] in asked.rows]
    with tempfile.TemporaryDirectory(prefix="predict-") as scratch, cloud() as env:
        world = predict_model.build(Path(scratch))
        lake = Wiring(Config.from_env(env)).lake
        for log in logs:
            predict_model.serve_as(world, predict_model.name_by(log), lake, log)
        folder = predict_servers.bundled(Path(scratch) / "bundles")
        kinds = list(kinds_of(folder, env, world, logs, asked.without))
        cold = cold_starts(kinds, world, asked.starts)
        with ExitStack() as stack:
            servers = [stack.enter_context(running(kind, world)) for kind in kinds]
            idle = {server.kind.name: server.memory() for server in servers}
            samples = measure(servers, cells, asked.rounds, asked.seconds)
            after = {server.kind.name: server.memory() for server in servers}
            checked = sum(server.checked for server in servers)
        more = more_models(folder, env, world, lake, EXTRA_MODELS)
    generator = "wrk" if shutil.which("wrk") else "the bundled load generator"
    about = (
        f"Measured {datetime.now(UTC):%d %B %Y}, {os.cpu_count()} cores, with a load of {busy:.1f} "
        f"before and {os.getloadavg()[1]:.1f} after (on a quiet machine 0, and 1 to 2): "
        f"{asked.rounds} rounds of {asked.seconds:g} s for each cell, by {generator}; "
        f"{checked:,} answers checked for their scores, none wrong."
    )
    tables = (
        predict_tables.targets(samples, logs),
        predict_tables.speed(samples),
        predict_tables.starts(cold, idle, after),
    )
    more_of = f"One more model: {more[0]:.1f} MiB, first answer after {more[1] * 1e3:.0f} ms."
    text = "\n\n".join((about, *map("\n".join, tables), more_of))
    print(text)
    if asked.write:
        write(text)
    return 0


def write(text: str) -> None:
    """Replace the predictor's part of the page."""
    page = PAGE.read_text(encoding="utf-8")
    part = re.compile(f"{START}.*?{END}", re.DOTALL)
    PAGE.write_text(part.sub(lambda _: f"{START}\n{text}\n{END}", page), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
