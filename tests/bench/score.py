"""Batch scoring of a CSV file beside pandas with scikit-learn, and beside pyarrow that only reads
and writes it.

    python tests/bench/score.py                        1,000,000 rows, CSV to CSV
    python tests/bench/score.py --large 2048 --tasks 4   a file of so many MiB through tasks

Every contender is a process of its own, imports counted; CPU is user and system time of the
process, memory its peak RSS. Rounds take turns; the table shows medians. Scoring runs on a folder
(`folder_lake`), so that files are read and written as the others do it, and without pandas, which
its bundle does not have. Exit code 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

RUN = "20260105T090000-0a1b2c3d"
SAME = 1e-5
MIB = 1024 * 1024
# At least so many times less CPU and wall than pandas, at most so many times pyarrow's wall.
CPU_GAIN, WALL_GAIN, WALL_LIMIT = 1.5, 2.0, 4.0
TASKS_GAIN, TASK_MIB, LARGE_TASK_MIB = 1.6, 400, 512


@dataclass(frozen=True, slots=True)
class Used:
    """What processes took that ran at the same time; `most` is the CPU time of the busiest, `mib`
    the memory of the largest."""

    wall: float
    cpu: float
    most: float
    mib: float


# --- what runs in the processes ------------------------------------------------------------------


class WithoutPandas(MetaPathFinder):
    """The job's bundle has none, and pyarrow would load what it never uses."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(f"{fullname} {path} {target}")


def by_pandas(folder: Path, data: Path) -> None:
    import joblib
    import pandas as pd

    pipeline = joblib.load(folder / "pipeline.joblib")
    table = pd.read_csv(data, keep_default_na=False)
    scores = pipeline.predict_proba(table)[:, 1]
    table["score"] = scores
    table["label"] = [">50K" if score >= 0.5 else "<=50K" for score in scores]
    table.to_csv(folder / "pandas.csv", index=False)


def by_pyarrow(folder: Path, data: Path) -> None:
    import pyarrow.csv

    pyarrow.csv.write_csv(pyarrow.csv.read_csv(data), folder / "pyarrow.csv")


def by_task(folder: Path, index: int, count: int, threads: int) -> None:
    sys.meta_path.insert(0, WithoutPandas())
    from shared import runs
    from shared.adapters.system_clock import SystemClock
    from shared.usecases.score import Task, score_file
    from tests.bench.folder_lake import FolderLake

    class Nobody:
        def publish(self, topic: str, data: bytes, attributes: object) -> str:
            return f"{topic}{len(data)}{attributes}"

    lake = FolderLake(folder / "lake")
    score_file(
        runs.read_request("adult_income", RUN, lake=lake),  # type: ignore[arg-type]
        lake=lake,  # type: ignore[arg-type]
        publisher=Nobody(),
        clock=SystemClock(),
        task=Task(index, count),
        threads=threads,
    )


# --- around them ---------------------------------------------------------------------------------


def build(folder: Path) -> None:
    """The model, as a package in the lake and as a pipeline."""
    from shared.serving.package import write
    from tests.bench import predict_model

    write(predict_model.build(folder).package, folder / "package")


def prepare(folder: Path, data: Path) -> None:
    """A lake with the version, the spec, the file and the request."""
    from shared import paths, runs
    from shared.adapters.system_clock import SystemClock
    from shared.documents import dumps
    from shared.runs import InputRef, RunRequest
    from shared.spec.registry import register
    from tests.bench.adult import SPEC
    from tests.bench.folder_lake import FolderLake
    from tests.bench.predict_model import MODEL, VERSION

    shutil.rmtree(folder / "lake", ignore_errors=True)
    lake, clock = FolderLake(folder / "lake"), SystemClock()
    files = {}
    for file in (folder / "package").iterdir():
        files[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        lake.write(paths.package(MODEL, VERSION, file.name), file.read_bytes())
    about = {"package": {"files": files}, "spec_generation": 1, "target": "income"}
    lake.write(paths.version(MODEL, VERSION, "version.json"), dumps(about))
    registered = register(MODEL, SPEC, "bench", lake=lake, clock=clock)  # type: ignore[arg-type]
    name = paths.input_copy(MODEL, "score", RUN, "new.csv")
    place = folder / "lake" / name
    place.parent.mkdir(parents=True)
    place.hardlink_to(data)
    request = RunRequest(
        model=MODEL,
        run_id=RUN,
        kind="score",
        requested_at="2026-01-05T09:00:00Z",
        requested_by="bench",
        spec_generation=registered.generation,
        inputs=(InputRef.of(lake.stat(name), "new.csv"),),
    )
    runs.save_request(request, lake=lake)  # type: ignore[arg-type]
    runs.save_launch(MODEL, RUN, VERSION, lake=lake, clock=clock)  # type: ignore[arg-type]


def use(*commands: Sequence[str]) -> Used:
    """Run processes at the same time."""
    started = time.perf_counter()
    words = [[sys.executable, str(Path(__file__)), *command] for command in commands]
    children = [subprocess.Popen(command, cwd=ROOT) for command in words]
    found = [os.wait4(child.pid, 0) for child in children]
    if any(status for _, status, _ in found):
        raise SystemExit(f"{commands} failed")
    cpu = [usage.ru_utime + usage.ru_stime for _, _, usage in found]
    mib = max(usage.ru_maxrss for _, _, usage in found) / 1024
    return Used(time.perf_counter() - started, sum(cpu), max(cpu), mib)


def tasks(folder: Path, data: Path, count: int, threads: int) -> Used:
    prepare(folder, data)
    shape = [str(count), str(threads)]
    return use(*(["task", str(folder), str(index), *shape] for index in range(count)))


def output(folder: Path) -> Path:
    return folder / "lake" / "predictions" / "adult_income" / RUN / "predictions.csv"


def check(folder: Path, data: Path) -> float:
    """The largest difference from pandas; the input's lines have to stand there again."""
    largest = 0.0
    with (
        data.open() as lines,
        output(folder).open() as ours,
        (folder / "pandas.csv").open() as peer,
    ):
        header = next(ours).rstrip("\n").split(",")
        wanted, theirs = header.index("score"), next(peer).rstrip("\n").split(",").index("score")
        next(lines)
        for number, (line, row, other) in enumerate(zip(lines, ours, peer, strict=True), start=1):
            if not row.startswith(line.rstrip("\n") + ","):
                raise SystemExit(f"record {number} came back as {row}")
            score, expected = row.split(",")[wanted], other.split(",")[theirs]
            largest = max(largest, abs(float(score) - float(expected)))
    return largest


def compare(folder: Path, rows: int, rounds: int) -> bool:
    from tests.bench.adult import lines

    data = folder / "new.csv"
    with data.open("wb") as file:
        file.writelines(lines(rows, broken=False))
    contenders: dict[str, Callable[[], Used]] = {
        "pandas + scikit-learn": lambda: use(["pandas", str(folder), str(data)]),
        "pyarrow, read and write only": lambda: use(["pyarrow", str(folder), str(data)]),
        "score, 1 task, 2 threads": lambda: tasks(folder, data, 1, 2),
        "score, 1 task, 1 thread": lambda: tasks(folder, data, 1, 1),
        "score, 2 tasks, 1 thread each": lambda: tasks(folder, data, 2, 1),
    }
    found: dict[str, list[Used]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, run in contenders.items():
            found[name].append(run())
        if number == 0:
            difference = check(folder, data)
    size = data.stat().st_size / 1e6
    print(f"{rows:,} rows, {size:.0f} MB, {rounds} rounds; scores differ by {difference:.1e}\n")
    print("| | wall s | CPU s | peak MiB |\n|---|---:|---:|---:|")
    for name, used in found.items():
        wall, cpu = (median(getattr(one, key) for one in used) for key in ("wall", "cpu"))
        print(f"| {name} | {wall:.1f} | {cpu:.1f} | {max(one.mib for one in used):.0f} |")
    return verdict(found) and difference <= SAME


def verdict(found: dict[str, list[Used]]) -> bool:
    """Ratios round by round, so that a busy machine slows both sides."""
    peer, limit, both, one, two = found.values()

    def ratio(left: list[Used], right: list[Used], key: str) -> float:
        pairs = zip(left, right, strict=True)
        return float(median(getattr(a, key) / getattr(b, key) for a, b in pairs))

    largest = max(used.mib for used in (*both, *one, *two))
    told = [
        ("times less CPU than pandas", ratio(peer, both, "cpu"), CPU_GAIN, True),
        ("times less wall than pandas", ratio(peer, both, "wall"), WALL_GAIN, True),
        ("times the wall of pyarrow", ratio(both, limit, "wall"), WALL_LIMIT, False),
        ("times faster by two tasks of one thread", ratio(one, two, "wall"), TASKS_GAIN, True),
        ("times less CPU in the busier of them", ratio(one, two, "most"), TASKS_GAIN, True),
        ("MiB, the largest task", largest, TASK_MIB, False),
    ]
    print()
    good = True
    for what, value, border, at_least in told:
        kept = value >= border if at_least else value <= border
        good &= kept
        word = "at least" if at_least else "at most"
        print(f"{value:.2f} {what} ({word} {border:g}): {'ok' if kept else 'MISSED'}")
    return good


def large(folder: Path, mib: int, count: int) -> bool:
    """A file of this size through `count` tasks of one thread, one after the other."""
    from tests.bench.adult import lines

    data = folder / "large.csv"
    piece = b"".join(lines(500_000, broken=False))
    header = piece[: piece.index(b"\n") + 1]
    with data.open("wb") as file:
        file.write(piece)
        while file.tell() < mib * MIB:
            file.write(piece[len(header) :])
    prepare(folder, data)
    # The looks of all are needed first; a task alone takes over those that nobody makes.
    used = [use(["task", str(folder), str(i), str(count), "1"]) for i in range(count)]
    with data.open("rb") as before, output(folder).open("rb") as after:
        rows, answers = (sum(1 for _ in file) - 1 for file in (before, after))
    size = data.stat().st_size / MIB
    print(
        f"{size:,.0f} MiB, {rows:,} rows in, {answers:,} out, {count} tasks one after the other\n"
    )
    print("| task | wall s | CPU s | peak MiB |\n|---|---:|---:|---:|")
    for number, one in enumerate(used):
        print(f"| {number} | {one.wall:.1f} | {one.cpu:.1f} | {one.mib:.0f} |")
    return rows == answers and max(one.mib for one in used) <= LARGE_TASK_MIB


def main() -> int:
    words = sys.argv[1:]
    if words[:1] == ["task"]:
        by_task(Path(words[1]), *map(int, words[2:]))
        return 0
    if words[:1] in (["pandas"], ["pyarrow"]):
        (by_pandas if words[0] == "pandas" else by_pyarrow)(Path(words[1]), Path(words[2]))
        return 0
    if words[:1] == ["build"]:
        build(Path(words[1]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=int, default=0, metavar="MIB")
    parser.add_argument("--tasks", type=int, default=4)
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        use(["build", name])  # a process inherits the peak memory of the one that starts it
        if asked.large:
            return 0 if large(folder, asked.large, asked.tasks) else 1
        return 0 if compare(folder, asked.rows, asked.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
