"""What one more loaded model costs, and what a predictor does with more models than it has room.

    python tests/bench/models.py                       1 to 20 models, then 200 in 512 MiB
    python tests/bench/models.py --crowd 50 --seconds 10

The server is the command of topology.yaml over the deployed bundle. Small: 100 trees of depth 4.
Large: 1,000 trees of depth 10, some 9 MB. The crowd: eight connections ask that many large models
in turn, with the room that an instance of 512 MiB gives (topology.yaml); exit 1 when a request
fails or the process grows beyond those 512 MiB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from shared import documents, paths  # noqa: E402 - a script finds the repository first
from shared.config import Config  # noqa: E402
from shared.ports import Bucket  # noqa: E402
from shared.serving.package import Package  # noqa: E402
from shared.serving.room import MIB, room_of  # noqa: E402
from shared.tabular import candidates  # noqa: E402
from shared.wiring import Wiring  # noqa: E402
from tests.bench.cold_start import cloud  # noqa: E402
from tests.bench.predict_servers import bundled  # noqa: E402
from tests.support.gunicorn import Predicting, predicting  # noqa: E402
from tests.unit.serving.models import serve  # noqa: E402
from tests.unit.tabular.fits import FEATURES, package_of, rows_of  # noqa: E402

KINDS = {
    "small": ({"n_estimators": 100, "max_depth": 4, "learning_rate": 0.1}, 2_000),
    "large": ({"n_estimators": 1_000, "max_depth": 10, "learning_rate": 0.1}, 20_000),
}
COUNTS = (1, 2, 5, 10, 20)
INSTANCE_MIB = 512
RECORD = {"n": 0.5, "big": 1.0, "c": "a"}
UNBOUNDED = "1000000"


def trained(kind: str) -> Package:
    """Trees over noise, which have as many leaves as they may."""
    params, count = KINDS[kind]
    rows, random = rows_of("binary", count), np.random.default_rng(0)
    columns = {**rows.columns, "n": random.normal(size=count), "big": random.normal(size=count)}
    target = (random.random(count) < 0.3).astype(np.float64)
    rows = replace(rows, columns=columns, target=target)
    return package_of(candidates.fit("xgboost", params, "binary", rows, features=FEATURES, seed=0))


def served(package: Package, count: int, lake: Bucket) -> list[str]:
    """So many models of the same trees. Their bytes are there once: copies share them."""
    first = replace(package, model="m0", version="v1")
    serve(first, lake)
    body = documents.require(lake, paths.manifest("m0"))
    for number in range(1, count):
        model = f"m{number}"
        text = lake.read(paths.package("m0", "v1", "package.json")).data
        text = text.replace(b'"model": "m0"', f'"model": "{model}"'.encode())
        lake.write(paths.package(model, "v1", "package.json"), text)
        trees = paths.package("m0", "v1", "trees.onnx")
        lake.copy(lake.name, trees, paths.package(model, "v1", "trees.onnx"))
        files = {**body["champion"]["files"], "package.json": _sha256(text)}
        champion = {**body["champion"], "package": paths.package(model, "v1"), "files": files}
        manifest = {**body, "model": model, "champion": champion}
        lake.write(paths.manifest(model), documents.dumps(manifest))
    return [f"m{number}" for number in range(count)]


def _sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


@contextmanager
def predictor(env: Mapping[str, str], room_mib: str, folder: Path) -> Iterator[Predicting]:
    env = {**env, "MILLRACE_MODEL_MEMORY_MIB": room_mib}
    with predicting(bundled(folder), env, folder / "log") as server:
        yield server


def ask(server: Predicting, model: str) -> float:
    """Seconds of one request. Raises RuntimeError unless it is answered."""
    started = time.monotonic()
    status, answer = server.ask(f"/models/{model}/predict", RECORD)
    if status != 200:
        raise RuntimeError(f"{model} answers {status}: {answer}")
    return time.monotonic() - started


def one_by_one(kind: str, package: Package) -> None:
    """A line for each number of loaded models. With more than four, none is loaded before it is
    asked for."""
    with tempfile.TemporaryDirectory(prefix="models-") as scratch, cloud() as env:
        names = served(package, max(COUNTS), Wiring(Config.from_env(env)).lake)
        size = sum(map(len, package.engine.files().values())) / MIB
        with predictor(env, UNBOUNDED, Path(scratch)) as server:
            waited: list[float] = []
            alone = 0.0  # with the first one come the libraries
            for number, name in enumerate(names, 1):
                waited.append(ask(server, name))
                mib = server.resident_mib()
                alone = alone or mib
                if number in COUNTS:
                    each = f"{(mib - alone) / (number - 1):.1f}" if number > 1 else ""
                    first = sorted(waited)[len(waited) // 2]
                    shown = f"{kind} ({size:.1f} MiB) | {number} | {mib:.0f} | {each}"
                    print(f"| {shown} | {first * 1e3:.0f} |", flush=True)


def crowd(package: Package, count: int, seconds: float) -> bool:
    """More models than there is room for; True when everybody was answered within the memory."""
    room_mib = int(INSTANCE_MIB * room_of_an_instance())
    with tempfile.TemporaryDirectory(prefix="models-") as scratch, cloud() as env:
        names = served(package, count, Wiring(Config.from_env(env)).lake)
        with predictor(env, str(room_mib), Path(scratch)) as server:
            end, most, waited = time.monotonic() + seconds, 0.0, [0.0]

            def asking(first: int) -> None:
                number = first
                while time.monotonic() < end:
                    waited.append(ask(server, names[number % count]))
                    number += 8

            with ThreadPoolExecutor(8) as pool:
                running = [pool.submit(asking, first) for first in range(8)]
                while any(not one.done() for one in running):
                    most = max(most, server.resident_mib())
                    time.sleep(0.05)
            for one in running:
                one.result()
            waited.sort()
            print(
                f"\n{count} large models, room {room_mib} MiB: {len(waited) - 1:,} requests of 8 "
                f"connections answered, median {waited[len(waited) // 2]:.2f} s, longest "
                f"{waited[-1]:.2f} s, at most {most:.0f} MiB resident"
            )
            return most < INSTANCE_MIB


def room_of_an_instance() -> float:
    """The share of its memory."""
    from shared.serving.room import memory_bytes

    return room_of() / memory_bytes()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--crowd", type=int, default=200, help="models that do not fit")
    parser.add_argument("--seconds", type=float, default=60.0, help="of asking them")
    asked = parser.parse_args()
    made = {kind: trained(kind) for kind in KINDS}
    print("| package | loaded | resident MiB | MiB one more | first answer ms, median |")
    print("|---|---:|---:|---:|---:|")
    for kind, package in made.items():
        one_by_one(kind, package)
    return 0 if crowd(made["large"], asked.crowd, asked.seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
