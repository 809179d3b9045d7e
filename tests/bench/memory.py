"""How much memory preparing a file takes, for files of growing size: read twice, validate,
quarantine, write data.csv.gz - under a limit, each size in a process of its own.

    python tests/bench/memory.py                 64 and 512 MiB
    python tests/bench/memory.py --full          2 GiB as well (minutes, and 3 GiB of disk)

Adult-like data from `tests.bench.adult`, one row in a hundred bad. The bucket is the local stack's,
on disk; what it needs is part of what is shown. The limit is RLIMIT_DATA: going over it is a
MemoryError.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from shared import paths  # noqa: E402 - a script finds the repository first
from shared.adapters.memory import BucketConfig, Engine, MemoryBucket  # noqa: E402
from shared.adapters.system_clock import SystemClock  # noqa: E402
from shared.runs import InputRef, RunRequest  # noqa: E402
from shared.spec.registry import register  # noqa: E402
from tests.bench.adult import SPEC, lines  # noqa: E402

MIB = 1024 * 1024
MODEL, RUN = "bench", "20260101T000000-00000000"
BYTES_PER_ROW = 107
SIZES_MIB = (64, 512)
FULL_MIB = 2048


def lake_in(folder: Path) -> MemoryBucket:
    engine = Engine(SystemClock(), folder / "engine")
    engine.create(buckets=[BucketConfig("lake")])
    return MemoryBucket(engine.storage, "lake")


def generate(folder: Path, size_mib: int) -> None:
    """The input of that size in the lake."""
    path = folder / "input.csv"
    with path.open("wb") as file:
        for piece in lines(size_mib * MIB // BYTES_PER_ROW):
            file.write(piece)
    lake = lake_in(folder)
    lake.upload(paths.input_copy(MODEL, "train", RUN, "a.csv"), path)
    register(MODEL, SPEC, "bench", lake=lake, clock=SystemClock())
    path.unlink()


def prepare(folder: Path, limit_mib: int) -> dict[str, Any]:
    """What one preparation took."""
    resource.setrlimit(resource.RLIMIT_DATA, (limit_mib * MIB, limit_mib * MIB))
    from shared.usecases.training.prepared import prepare_files
    from shared.usecases.training.stages import Training

    lake = lake_in(folder)
    info = lake.stat(paths.input_copy(MODEL, "train", RUN, "a.csv"))
    request = RunRequest(
        model=MODEL,
        run_id=RUN,
        kind="train",
        requested_at="2026-01-01T00:00:00Z",
        requested_by="bench",
        spec_generation=1,
        inputs=(InputRef.of(info, "gs://inbox/bench/train/a.csv#1"),),
    )
    before = _peak_mib()
    started, cpu = time.monotonic(), time.process_time()
    record = prepare_files(Training(request, SPEC, lake, SystemClock()))
    return {
        "mib": round(info.size_bytes / MIB),
        "rows": record["facts"]["rows"] + record["quarantined"],
        "bad": record["quarantined"],
        "stored": round(lake.stat(record["dataset"]).size_bytes / MIB),
        "before": before,
        "peak": _peak_mib(),
        "seconds": round(time.monotonic() - started),
        "cpu": round(time.process_time() - cpu),
    }


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def measured(size_mib: int, limit_mib: int) -> dict[str, Any]:
    """The child's figures, or what it died of."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), size_mib)
        command = [sys.executable, __file__, "--child", folder, "--limit", str(limit_mib)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return {"mib": size_mib, "failed": done.stderr.strip().splitlines()[-1:]}
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="2 GiB as well")
    parser.add_argument("--sizes", type=int, nargs="+", help="MiB, instead of 64 and 512")
    parser.add_argument("--limit", type=int, default=1024, help="MiB that a process may take")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child is not None:
        print(json.dumps(prepare(asked.child, asked.limit)))
        return 0
    print(f"limit {asked.limit} MiB\n")
    print("| file MiB | rows | bad | data.csv.gz MiB | libraries MiB | peak MiB | s | CPU s |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    failed = False
    for size_mib in asked.sizes or (*SIZES_MIB, *((FULL_MIB,) if asked.full else ())):
        found = measured(size_mib, asked.limit)
        if "failed" in found:
            print(f"| {size_mib} | failed: {found['failed']} |")
            failed = True
            continue
        shown = "{mib} | {rows:,} | {bad:,} | {stored} | {before} | {peak} | {seconds} | {cpu}"
        print(f"| {shown.format(**found)} |", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
