"""The retrain loop on drifting streams: does it alarm, train, promote what is better, else decline?

    python tests/bench/drift_loop.py                       Markdown, about three minutes
    MILLRACE_DATA=folder python tests/bench/drift_loop.py  real files as well (see drift_streams.py)
    python tests/bench/drift_loop.py --only persists --seeds 1 --weekly
    python tests/bench/drift_loop.py --csv FILE --time COLUMN --target COLUMN --positive VALUE \\
        --learned ROWS --block ROWS --data accumulate "last 5000"   any file with a time column

Everything is real but the clouds: files are dropped, doors and jobs run, weeks pass on a clock.
Each week a file is scored and the labels of the week before arrive. Settings are the defaults, but
for windows of a week and labels that count after two: what passes in the meantime is then seen.
What an old and a new champion are worth on the week after is measured from outside, by their
packages.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - a script finds the repository first
import yaml  # noqa: E402

from shared import documents, paths, runs  # noqa: E402
from shared.boundary import Task  # noqa: E402
from shared.decoding import decode  # noqa: E402
from shared.errors import InProgress  # noqa: E402
from shared.events import MonitorDue, WindowDue, publish  # noqa: E402
from shared.serving.loaded_model import load  # noqa: E402
from shared.tabular.metrics import auroc  # noqa: E402
from shared.usecases import score  # noqa: E402
from shared.usecases.label import record_labels  # noqa: E402
from shared.usecases.monitor import Monitor, judge_window  # noqa: E402
from shared.usecases.monitoring.due import find_due  # noqa: E402
from shared.usecases.train import train_model  # noqa: E402
from tests.bench.drift_streams import (  # noqa: E402
    TARGET,
    Stream,
    found,
    halves,
    passes,
    persists,
    read,
    table,
)
from tests.support.system import EVERY_FUNCTION, System  # noqa: E402

MODEL = "m"
WEEK = timedelta(days=7)
ALERTS = {"PerformanceDropped": "performance", "DriftDetected": "drift"}


@dataclass(slots=True)
class Trained:
    """A retraining: the week it was asked in, what was decided about it and why, and what the
    champion before it and it are worth on the week after, and on all later ones on the average."""

    week: int
    action: str
    why: str
    before: float
    after: float
    before_later: float = np.nan
    after_later: float = np.nan


@dataclass(slots=True)
class Story:
    """What happened to one stream. `alarms` are weeks by kind, `values` the champion's AUROC on
    each week."""

    stream: Stream
    alarms: dict[str, list[int]] = field(default_factory=dict)
    trained: list[Trained] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


class Watched(System):
    """The small functions, `monitor` and the jobs."""

    def __init__(self) -> None:
        super().__init__(functions=EVERY_FUNCTION)
        self.monitor = Monitor(
            self.lake, self.publisher, self.clock, 660, draw=lambda *_, **__: None
        )

    def drain(self, **_: Any) -> None:
        """Deliver and run jobs until nothing is left to do."""
        handlers: dict[str, Callable[[dict[str, Any]], int]] = {
            name: self._handler(name) for name in self.functions
        }
        while True:
            self.cloud.drain({**handlers, "monitor": self._watch})
            if not self._work_all():
                return

    def _watch(self, body: dict[str, Any]) -> int:
        event = decode(json.loads(base64.b64decode(body["message"]["data"])))
        try:
            if isinstance(event, WindowDue):
                judge_window(event, self.monitor)
            else:
                find_due(self.clock.now(), self.monitor)
        except InProgress:
            return 503
        return 204

    def _work_all(self) -> bool:
        ports: dict[str, Any] = {
            "lake": self.lake,
            "publisher": self.publisher,
            "clock": self.clock,
        }

        def scored(task: Task) -> None:
            request = runs.read_request(task.model, task.run_id, lake=self.lake)
            score.score_file(request, **ports, task=score.Task(task.index, task.count), threads=1)

        jobs: dict[str, Callable[[Task], object]] = {
            "train-s": partial(train_model, **ports, workers=1),
            "score-s": scored,
            "label-s": partial(record_labels, **ports),
        }
        busy = False
        for job, use_case in jobs.items():
            if self.running(job):
                self.work(use_case, job)
                busy = True
        return busy


def spec_of(stream: Stream, policy: str) -> str:
    columns: dict[str, Any] = {name: {"type": kind} for name, kind in stream.columns.items()}
    return yaml.safe_dump(
        {
            "task": "binary",
            "target": {"column": TARGET, "positive": stream.positive},
            "columns": {**columns, TARGET: {}},
            "checks": {"leakage": "off"},
            "training": {"candidates": ["linear", "xgboost"], "trials": 1, "blend": False},
            "promotion": {"approval": "auto"},
            "monitoring": {"window": "7d", "label_delay": "14d"},
            "retrain": {"data": policy},
        },
        sort_keys=False,
    )


def play(stream: Stream, policy: str) -> Story:
    """All weeks of a stream."""
    system, story = Watched(), Story(stream)
    names = list(stream.columns)
    system.clock.advance_to(system.clock.now().replace(hour=1, minute=0, second=0))
    system.drop(f"_specs/{MODEL}.yaml", spec_of(stream, policy))
    system.drop(f"{MODEL}/train/first.csv", table(stream.learned, [*names, TARGET]))
    system.drain()
    system.tick()
    if system.champion() is None:
        raise SystemExit(f"the first training of {stream.name} came to nothing")
    scored: list[str] = []
    for number, week in enumerate(stream.weeks):
        seen = len(system.cloud.publisher.published)
        champion = system.champion()
        story.values.append(worth(system, champion, week))
        scored.append(_drop_week(system, names, week, number))
        if number:
            _drop_labels(system, scored[number - 1], stream.weeks[number - 1], number)
        system.clock.advance(WEEK)
        publish(MonitorDue(), publisher=system.publisher, clock=system.clock)
        system.drain()
        _tell(system, story, number, seen, champion)
    return story


def _drop_week(system: Watched, names: list[str], week: list[list[str]], number: int) -> str:
    source = system.drop(f"{MODEL}/score/{number}.csv", table([row[:-1] for row in week], names))
    system.drain()
    return str(system.claim(source)["run_id"])


def _drop_labels(system: Watched, run_id: str, week: list[list[str]], number: int) -> None:
    rows = [[f"{run_id}-{record}", row[-1]] for record, row in enumerate(week, start=1)]
    system.drop(f"{MODEL}/labels/{number}.csv", table(rows, ["prediction_id", "label"]))
    system.drain()


def _tell(system: Watched, story: Story, number: int, seen: int, champion: str | None) -> None:
    """What was published in a week."""
    bodies = [json.loads(item.data) for item in system.cloud.publisher.published[seen:]]
    for body in bodies:
        kind = ALERTS.get(body["type"])
        if kind and number not in (weeks := story.alarms.setdefault(kind, [])):
            weeks.append(number)
        if body["type"] == "AutomationNoted" and body["source"] == "retrain":
            story.notes.append(f"week {number}: {body['sentence']}")
    later = story.stream.weeks[number + 1 :]
    after = later[0] if later else None
    for body in bodies:
        if body["type"] not in ("ModelPromoted", "ModelNotPromoted", "RunRejected"):
            continue
        run_id = body.get("version") or body["run_id"]
        why = body.get("sentence") or body.get("message") or ""
        made = body["type"] != "RunRejected" and after is not None
        story.trained.append(
            Trained(
                number,
                {"ModelPromoted": "promoted", "ModelNotPromoted": "declined"}.get(
                    body["type"], "rejected"
                ),
                str(why),
                worth(system, champion, after) if after else np.nan,
                worth(system, run_id, after) if made and after else np.nan,
                on_average(system, champion, later),
                on_average(system, run_id, later) if made else np.nan,
            )
        )


def worth(system: Watched, version: str | None, week: list[list[str]]) -> float:
    """AUROC of a version on a week, from outside."""
    if version is None:
        return np.nan
    body = documents.require(system.lake, paths.version(MODEL, version, "version.json"))
    files = body["package"]["files"]
    model = load(lambda name: system.lake.read(paths.package(MODEL, version, name)).data, files)
    cells = {name: [row[place] for row in week] for place, name in enumerate(model_columns(system))}
    columns = model.schema.from_cells({name: cells[name] for name in model.schema.names})[0]
    hit = np.array([row[-1] == positive(system) for row in week], np.float64)
    return float(auroc(hit, model.predict(columns).score))


def on_average(system: Watched, version: str | None, weeks: list[list[list[str]]]) -> float:
    found = [worth(system, version, week) for week in weeks]
    return float(np.mean(found)) if found else np.nan


def model_columns(system: Watched) -> list[str]:
    spec = documents.require(system.lake, paths.spec(MODEL))["spec"]
    return [name for name in spec["columns"] if name != TARGET]


def positive(system: Watched) -> str:
    found: str = documents.require(system.lake, paths.spec(MODEL))["spec"]["target"]["positive"]
    return found


# --- telling -------------------------------------------------------------------------------------


def rows_of(name: str, policy: str, seed: int | None, story: Story) -> Iterator[list[str]]:
    alarms = "; ".join(
        f"{kind} in weeks {', '.join(map(str, weeks))}" for kind, weeks in story.alarms.items()
    )
    first = [name, policy, "-" if seed is None else str(seed), alarms or "none"]
    if not story.trained:
        yield [*first, "none", "-", "-", "-"]
    for item in story.trained:
        gains = [
            "-" if np.isnan(new) else f"{old:.3f} / {new:.3f}"
            for old, new in (
                (item.before, item.after),
                (item.before_later, item.after_later),
            )
        ]
        yield [*first, f"week {item.week}: {item.action}", *gains, item.why]
        first = [""] * len(first)


HEADER = (
    *("stream", "data", "seed", "alarms", "retraining"),
    "AUROC on the week after: old / new",
    "on all later weeks",
    "why",
)


def streams(args: argparse.Namespace) -> Iterator[tuple[Stream, int | None]]:
    if args.csv:
        sizes = {"learned": args.learned, "block": args.block}
        names = {"time": args.time, "target": args.target, "positive": args.positive}
        stream = read(args.csv, **names, **sizes)
        yield stream, None
        yield halves(stream, 0), 0
        return
    for seed in range(args.seeds):
        yield persists(seed), seed
        yield passes(seed), seed
        yield halves(persists(seed), seed), seed
    folder = os.environ.get("MILLRACE_DATA")
    for stream in found(Path(folder)) if folder else ():
        yield stream, None
        yield halves(stream, 0), None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", default="", help="streams whose name has this")
    parser.add_argument("--data", nargs="*", default=["accumulate", "last 4000"])
    parser.add_argument("--weekly", action="store_true", help="also notes and each week's AUROC")
    parser.add_argument("--csv", type=Path, help="a file of two classes, instead of the streams")
    parser.add_argument("--time", help="its column that says when")
    parser.add_argument("--target", help="its class")
    parser.add_argument("--positive", help="the class to find")
    parser.add_argument("--learned", type=int, default=5_000, help="rows of it that are learned")
    parser.add_argument("--block", type=int, default=1_000, help="rows of it in a week")
    args = parser.parse_args()
    if args.csv and not (args.time and args.target and args.positive):
        parser.error("--csv needs --time, --target and --positive")
    print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}", flush=True)
    for stream, seed in streams(args):
        if args.only not in stream.name:
            continue
        for policy in args.data:
            with contextlib.redirect_stdout(io.StringIO()):
                story = play(stream, policy)
            for row in rows_of(stream.name, policy, seed, story):
                print(f"| {' | '.join(row)} |", flush=True)
            if args.weekly:
                print("\n".join(story.notes), file=sys.stderr)
                print([round(value, 3) for value in story.values], file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
