"""Schemathesis against the predictor: every answer is one that `/openapi.json` names, none is 5xx.

    python tests/bench/fuzz.py --cases 10000          half of them in this process, half over HTTP
    python tests/bench/fuzz.py --cases 500 --seed 7   others

In this process requests take the predictor's short way past Flask; over HTTP they are sent to the
command of topology.yaml, with the local stand-ins behind it. Models: binary, multiclass (trees),
regression, one of joined sources, one whose spec refuses unknown fields and coercions. Exit 1 with
the request that repeats it when an answer is another one.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from schemathesis.core.failures import FailureGroup  # noqa: E402 - a script finds the repository

from shared.config import Config  # noqa: E402
from shared.wiring import Wiring  # noqa: E402
from tests.bench.cold_start import cloud  # noqa: E402
from tests.bench.predict_servers import bundled  # noqa: E402
from tests.support.fuzzing import fuzz, of_app, of_url, serve_kinds  # noqa: E402
from tests.support.gunicorn import predicting  # noqa: E402
from tests.support.predictor import World  # noqa: E402


def told(name: str, statuses: Counter[int]) -> None:
    shown = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    print(f"  {name:<62} {shown}", flush=True)


def in_process(cases: int, seed: int) -> Counter[int]:
    world = World(access=lambda _: None)
    serve_kinds(world.lake.bucket)
    return fuzz(of_app(world.app), cases, seed=seed, told=told)


def over_http(cases: int, seed: int) -> Counter[int]:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch, cloud() as env:
        serve_kinds(Wiring(Config.from_env(env)).lake)
        folder = Path(scratch)
        with predicting(bundled(folder), env, folder / "log") as server:
            return fuzz(of_url(server.url), cases, seed=seed, told=told)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=None)
    asked = parser.parse_args()
    seed = random.randrange(1 << 32) if asked.seed is None else asked.seed
    print(f"seed {seed}")
    whole: Counter[int] = Counter()
    ways: dict[str, Any] = {"in this process": in_process, "over HTTP": over_http}
    for name, way in ways.items():
        print(name)
        started = time.monotonic()
        try:
            found = way(asked.cases // len(ways), seed)
        except FailureGroup as found_out:
            print(found_out)
            return 1
        print(f"  {sum(found.values()):,} requests in {time.monotonic() - started:.0f} s")
        whole += found
    told("all", whole)
    print(f"{sum(whole.values()):,} requests, all answered as /openapi.json says, none with 5xx")
    return 0


if __name__ == "__main__":
    sys.exit(main())
