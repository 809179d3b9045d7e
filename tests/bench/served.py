"""From drop to served: how much of the time is not tuning and fitting.

    python tests/bench/served.py --model adult_income --runs 1 --trials 2

A local stack is started, then spec and training file are dropped together; the clock runs until the
predictor answers with the new version. The rows before and after tuning and fitting are what
Millrace adds; the limit on their sum is 15 seconds on two cores. `--trials` shortens the search,
which is not what is measured; it changes nothing else.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from shared import documents, paths, runs  # noqa: E402 - a script finds the repository first
from shared.cli.demo.data import cut  # noqa: E402
from shared.cli.demo.data import find as find_data  # noqa: E402
from shared.cli.demo.settings import for_demo, shipped  # noqa: E402
from shared.cli.demo.use_cases import USE_CASES  # noqa: E402
from shared.cli.predict import request  # noqa: E402
from shared.events import parse_time  # noqa: E402
from shared.spec.load import dump_spec  # noqa: E402
from shared.spec.model import Spec  # noqa: E402
from shared.wiring import Wiring  # noqa: E402
from tests.support.local import started  # noqa: E402

LIMIT_SECONDS = 15.0
PATIENCE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Step:
    """A stretch between two moments of the run; `learning` is what the 15 seconds leave out."""

    name: str
    seconds: float
    learning: bool = False


def measure(wiring: Wiring, model: str, spec: Spec, data: Path) -> list[Step]:
    """Drop, wait until the new version answers, and tell where the time went."""
    wiring.inbox.write(paths.spec_upload(model), dump_spec(spec).encode())
    info = wiring.inbox.upload(f"{model}/train/{data.name}", data)
    dropped = info.created
    version = _promoted(wiring, f"gs://{wiring.inbox.name}/{info.name}#{info.generation}", model)
    answered = _answers(wiring, model, version)
    at = {
        event["name"]: parse_time(event["at"])
        for event in runs.history(model, version, lake=wiring.lake)
    }
    return steps_of(at, dropped, answered)


def steps_of(at: Mapping[str, datetime], dropped: datetime, answered: datetime) -> list[Step]:
    """The stretches of a run, in order, from the moments of its history."""
    tuned = max(when for name, when in at.items() if name.startswith("tuned-"))
    marks: Sequence[tuple[str, datetime, bool]] = (
        ("upload, intake, launch: the job is started", at["started-1"], False),
        ("job starts, reads, validates, splits, checks", at["prepared"], False),
        ("tuning", tuned, True),
        ("threshold, fit, compile, parity", at["fitted"], True),
        ("comparison", at["compared"], False),
        ("cards, reference", at["described"], False),
        ("MLflow", at["tracked"], False),
        ("version stored", at["stored"], False),
        ("outcome, policy, manifest swapped", at["promoted"], False),
        ("predictor answers with it", answered, False),
    )
    steps, before = [], dropped
    for name, moment, learning in marks:
        steps.append(Step(name, (moment - before).total_seconds(), learning))
        before = moment
    return steps


def _promoted(wiring: Wiring, source: str, model: str) -> str:
    """The version that the upload became. Raises TimeoutError, RuntimeError."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        claim = documents.read(wiring.lake, paths.claim(source)).body
        state = runs.state(model, claim["run_id"], lake=wiring.lake) if claim else None
        if claim and state and state.state == "promoted":
            return str(claim["run_id"])
        if state and state.terminal:
            raise RuntimeError(f"the run ended as {state.state}: {state.facts}")
        time.sleep(0.05)
    raise TimeoutError(f"no promotion within {PATIENCE_SECONDS:.0f} s")


def _answers(wiring: Wiring, model: str, version: str) -> datetime:
    """When the predictor first answered with this version."""
    package = documents.require(wiring.lake, paths.package(model, version, "package.json"))
    url = f"{os.environ['MILLRACE_PREDICT_URL']}/models/{model}/predict"
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        status, body = request("POST", url, {"instances": [package["example"]]})
        if status == 200 and _versions(body) == {version}:
            return wiring.clock.now()
        time.sleep(0.05)
    raise TimeoutError(f"the predictor did not answer with {version}")


def _versions(body: Any) -> set[str]:
    return {row["model_version"] for row in body["predictions"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="adult_income", choices=sorted(USE_CASES))
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--runs", type=int, default=1)
    arguments = parser.parse_args()
    use_case = USE_CASES[arguments.model]
    given = os.environ.get("MILLRACE_DATA")
    worst = 0.0
    for _ in range(arguments.runs):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            found = find_data(use_case, folder=Path(given) if given else None, cache=home)
            files = cut(use_case, found.rows, home / "files")
            spec = for_demo(shipped(arguments.model))[0]
            training = spec.training.model_copy(update={"trials": arguments.trials})
            spec = spec.model_copy(update={"training": training})
            with started(home / "state", mlflow=True) as wiring:
                os.environ |= stack_env(home / "state")
                steps = measure(wiring, arguments.model, spec, files.train)
        worst = max(worst, _print(arguments.model, steps))
    print(f"limit of everything but tuning and fitting: {LIMIT_SECONDS:.0f} s")
    return 0 if worst < LIMIT_SECONDS else 1


def stack_env(state: Path) -> dict[str, str]:
    from infra.local.state import find

    found = find(state)
    if found is None:
        raise RuntimeError("the stack is gone")
    return dict(found.env)


def _print(model: str, steps: Sequence[Step]) -> float:
    print(f"\n| {model}: from drop to served | s | of it tuning and fitting |")
    print("|---|---:|---:|")
    for step in steps:
        print(f"| {step.name} | {step.seconds:.2f} | {step.seconds if step.learning else 0:.2f} |")
    total = sum(step.seconds for step in steps)
    learning = sum(step.seconds for step in steps if step.learning)
    print(f"| **all** | {total:.2f} | {learning:.2f} |")
    print(f"\nnot tuning or fitting: {total - learning:.2f} s", flush=True)
    return total - learning


if __name__ == "__main__":
    raise SystemExit(main())
