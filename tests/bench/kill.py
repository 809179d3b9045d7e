"""Kill everything at a moment between upload and promotion, start again, and see the run complete.

    python tests/bench/kill.py --moments 6 --seed 0

Each moment is one life: a fresh stack, spec and training file dropped, SIGKILL to every process of
the stack after some seconds (drawn from the seed), a new start. Shown per moment: what had been
reached, how long the second life took until promotion, attempts, versions and moves. Exit 1 when a
run did not complete exactly once.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from pathlib import Path

from shared import documents, paths, runs
from shared.cli.demo.data import cut
from shared.cli.demo.data import find as find_data
from shared.cli.demo.settings import for_demo, shipped
from shared.cli.demo.use_cases import USE_CASES
from shared.spec.load import dump_spec
from shared.wiring import Wiring
from tests.support.local import kill_everything, start

MODEL = "adult_income"
LIMIT_SECONDS = 240.0


def drop(wiring: Wiring, spec: str, data: Path) -> str:
    """Spec and file together; the upload's identity comes back."""
    wiring.inbox.write(paths.spec_upload(MODEL), spec.encode())
    info = wiring.inbox.upload(f"{MODEL}/train/{data.name}", data)
    return f"gs://{wiring.inbox.name}/{info.name}#{info.generation}"


def reached(wiring: Wiring, source: str) -> tuple[str, bool]:
    """The last transition of the run, and whether it is over."""
    claim = documents.read(wiring.lake, paths.claim(source)).body
    if not claim:
        return "uploaded", False
    events = runs.history(MODEL, claim["run_id"], lake=wiring.lake)
    return (events[-1]["name"] if events else "claimed"), runs.fold(events).terminal


def wait(wiring: Wiring, source: str) -> float:
    started = time.monotonic()
    while time.monotonic() - started < LIMIT_SECONDS:
        if reached(wiring, source)[1]:
            return time.monotonic() - started
        time.sleep(0.5)
    return float("nan")


def live_twice(spec: str, data: Path, seconds: float) -> bool:
    """One moment; True when the run completed exactly once."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        process, wiring = start(state, mlflow=True)
        source = drop(wiring, spec, data)
        time.sleep(seconds)
        before, _ = reached(wiring, source)
        kill_everything(process)
        process, wiring = start(state, mlflow=True)
        try:
            took = wait(wiring, source)
            run_id = documents.require(wiring.lake, paths.claim(source))["run_id"]
            state_now = runs.state(MODEL, run_id, lake=wiring.lake).state
            manifest = documents.read(wiring.lake, paths.manifest(MODEL)).body
            versions = list(wiring.lake.folders(f"models/{MODEL}/"))
            moves = [move["version"] for move in manifest.get("moves", [])]
            events = runs.history(MODEL, run_id, lake=wiring.lake)
            attempts = sum(event["name"].startswith("started-") for event in events)
        finally:
            process.terminate()
            process.wait()
        good = state_now == "promoted" and moves == [run_id] and len(versions) == 1
        print(
            f"| {seconds:5.1f} | {before:<24} | {took:6.1f} | {attempts} | {len(versions)} "
            f"| {len(moves)} | {state_now} |",
            flush=True,
        )
        return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=6)
    parser.add_argument("--longest", type=float, default=30.0, help="latest kill, in seconds")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    use_case = USE_CASES[MODEL]
    given = os.environ.get("MILLRACE_DATA")
    with tempfile.TemporaryDirectory() as folder:
        found = find_data(use_case, folder=Path(given) if given else None, cache=Path(folder))
        files = cut(use_case, found.rows, Path(folder) / "files")
        spec = dump_spec(for_demo(shipped(MODEL))[0])
        draw = random.Random(arguments.seed)
        moments = sorted(draw.uniform(0, arguments.longest) for _ in range(arguments.moments))
        columns = "killed after s | had reached | done in s | attempts | versions | moves | state"
        print(f"| {columns} |")
        print("|---:|---|---:|---:|---:|---:|---|")
        results = [live_twice(spec, files.train, moment) for moment in moments]
    print(f"{sum(results)} of {len(results)} runs completed exactly once")
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
