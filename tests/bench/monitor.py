"""What it takes to judge a window of very many predictions, batch and online, unlabelled.

    python tests/bench/monitor.py                       10,000,000 rows each
    python tests/bench/monitor.py --rows 1000000

The rows are those of `alarm_streams` (14 features) in a scored file, and in a day's log. Each
window is read and judged, with the drawn report, in a process of its own, as `monitor` does it;
making the files does not count. Exit code 1 when a limit is missed: 5 minutes, 2 GiB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - a script finds the repository first

from shared import paths  # noqa: E402
from shared.ports import Bucket  # noqa: E402
from shared.serving.columns import Schema  # noqa: E402
from shared.tabular import drift_page  # noqa: E402
from shared.usecases.monitoring.rows import Labels, Window, read_window, runs_of  # noqa: E402
from shared.usecases.monitoring.verdict import judge_version, measures_of  # noqa: E402
from tests.bench.alarm_streams import NAMES, Stream  # noqa: E402
from tests.bench.folder_lake import FolderLake  # noqa: E402
from tests.bench.simulate_alarms import SPEC, trained  # noqa: E402

MODEL, VERSION, RUN = "adult", "20260101T000000-aaaaaaaa", "20260105T090000-0a1b2c3d"
START = datetime(2026, 1, 5, tzinfo=UTC)
CHUNK = 50_000
LIMIT_SECONDS, LIMIT_MIB = 300, 2048


def make(folder: Path, rows: int) -> None:
    """A lake with a version, a scored file of so many rows and a day's log of as many."""
    lake = FolderLake(folder)
    stream = Stream("independent", np.random.default_rng(1), rows=CHUNK)
    reference = trained([stream.day(0)], stream.random, sample=True)
    body = {"reference": "reference.json", "version": VERSION}
    package = {"schema": Schema.of(SPEC).to_json(), "task": "binary", "labels": ["no", "yes"]}
    for name, content in (
        ("reference.json", reference),
        (paths.version(MODEL, VERSION, "version.json"), body),
        (paths.package(MODEL, VERSION, "package.json"), package),
    ):
        lake.write(name, json.dumps(content).encode())
    cells = _cells(stream)
    _scored(folder, cells, rows)
    _log(folder, cells, rows)


def _cells(stream: Stream) -> list[list[str]]:
    day = stream.day(1)
    columns = [
        ["" if str(value) == "nan" else str(value) for value in day.columns[name].tolist()]
        for name in NAMES
    ]
    columns.append([repr(score) for score in day.scores.tolist()])
    return [list(row) for row in zip(*columns, strict=True)]


def _scored(folder: Path, cells: list[list[str]], rows: int) -> None:
    name = paths.predictions(MODEL, RUN, "predictions.csv")
    (folder / name).parent.mkdir(parents=True)
    starts = [",".join(row) + f",no,{VERSION},{RUN}-" for row in cells]
    with (folder / name).open("w") as file:
        header = [*NAMES, "score", "label", "model_version", "prediction_id", "error"]
        file.write(",".join(header) + "\n")
        for first in range(0, rows, CHUNK):
            count = min(CHUNK, rows - first)
            file.write("".join(f"{starts[n]}{first + n + 1},\n" for n in range(count)))
    finished = (START + timedelta(hours=9)).strftime("%Y-%m-%dT%H:%M:%SZ")
    summary: dict[str, Any] = {"run_id": RUN, "version": VERSION, "rows": rows, "errors": 0}
    summary |= {"finished": finished, "started": finished, "object": name, "channel": "batch"}
    FolderLake(folder).write(
        paths.predictions(MODEL, RUN, "summary.json"), json.dumps(summary).encode()
    )


def _log(folder: Path, cells: list[list[str]], rows: int) -> None:
    name = paths.inference_log(START.date()) + "00-00-00"
    (folder / name).parent.mkdir(parents=True)
    with (folder / name).open("w") as file:
        ends = list(_ends(cells))
        for first in range(0, rows, CHUNK):
            count = min(CHUNK, rows - first)
            head = f'{{"model": "{MODEL}", "version": "{VERSION}", "prediction_id": "call-'
            file.write("".join(f"{head}{first + n}{ends[n]}" for n in range(count)))


def _ends(cells: list[list[str]]) -> Iterator[str]:
    when = (START + timedelta(hours=9)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for row in cells:
        line = {
            "time": when,
            "instance": dict(zip(NAMES, row, strict=False)),
            "score": float(row[-1]),
            "label": "no",
            "error": None,
        }
        yield '", ' + json.dumps(line)[1:] + "\n"


def judge(folder: Path, channel: str) -> None:
    """Read and judge the window; what was found goes to standard output."""
    lake: Bucket = FolderLake(folder)  # type: ignore[assignment]
    window = Window(MODEL, channel, START, START + timedelta(days=1))
    labels = Labels((), mature=False, count_from=START)
    runs = runs_of(window, lake=lake)
    ((facts, rows),) = read_window(window, runs, labels, lake=lake)
    judged = judge_version(facts, rows, SPEC, labels, channel=channel)
    reference, measures = facts.reference or {}, measures_of(SPEC)
    page = drift_page.draw(
        reference, rows.columns, rows.scores, measures=measures, drift_share=0.25
    )
    found = {"rows": rows.rows, "profiled": rows.profiled, "verdict": judged.drift.verdict}
    print(json.dumps(found | {"page": len(page or "")}))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--judge", nargs=2, metavar=("FOLDER", "CHANNEL"))
    asked = parser.parse_args(arguments)
    if asked.judge:
        judge(Path(asked.judge[0]), asked.judge[1])
        return 0
    missed = False
    print("| channel | rows | file | profiled | verdict | wall | CPU | memory |")
    print("|---|---:|---:|---:|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as home:
        make(Path(home), asked.rows)
        for channel in ("batch", "online"):
            missed |= _measured(Path(home), channel)
    return int(missed)


def _measured(home: Path, channel: str) -> bool:
    kind = "predictions" if channel == "batch" else "inference-log"
    size = sum(path.stat().st_size for path in (home / kind).rglob("*") if path.is_file())
    began = time.perf_counter()
    command = [sys.executable, __file__, "--judge", str(home), channel]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall, mib = time.perf_counter() - began, usage.ru_maxrss // 1024
    if process.returncode:
        raise SystemExit(f"judging {channel} failed")
    found = json.loads(told)
    print(
        f"| {channel} | {found['rows']:,} | {size / 1e9:.1f} GB | {found['profiled']:,} "
        f"| {found['verdict']} | {wall:.0f} s | {usage.ru_utime + usage.ru_stime:.0f} s "
        f"| {mib} MiB |",
        flush=True,
    )
    return wall > LIMIT_SECONDS or mib > LIMIT_MIB


if __name__ == "__main__":
    raise SystemExit(main())
