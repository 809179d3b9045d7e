"""How many rows a second are validated, on one core: reading alone, and reading and sifting.

    python tests/bench/validate.py --rows 400000 --rounds 3

Adult-like data with the requirements of `tests.bench.adult`, made here. Where pandera can be
imported (it is no dependency), it checks the same things on the same rows for comparison; it is
given the parsed table, so that only validation is counted beside it.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from shared.serving.columns import Schema  # noqa: E402 - a script finds the repository first
from shared.tabular.reading.sheets import open_sheet  # noqa: E402
from shared.tabular.targets import outcome_of  # noqa: E402
from shared.tabular.validating.sifting import Sieve  # noqa: E402
from tests.bench.adult import NAMES, SPEC, lines  # noqa: E402


def read(data: bytes) -> int:
    return sum(len(block) for block in open_sheet(io.BytesIO(data), SPEC.source).blocks)


def validate(data: bytes) -> tuple[int, int]:
    """Rows, and how many of them are good."""
    schema = Schema.of(SPEC)
    outcome = outcome_of(SPEC, {"<=50K": 3, ">50K": 1}, schema)
    sieve = Sieve(SPEC, schema, outcome, names=NAMES, shown=NAMES)
    rows = good = 0
    for block in open_sheet(io.BytesIO(data), SPEC.source).blocks:
        sifted = sieve.sift("benchmark", block)
        rows, good = rows + len(block), good + int(sifted.good.sum())
    return rows, good


def by_pandera(data: bytes) -> tuple[Callable[[], int], int] | None:
    """A check of the same rows by pandera and their number; None without pandera."""
    if find_spec("pandera") is None:
        return None
    from tests.bench.pandera_schema import check, frame_of

    tables = [pa.table(block.cells) for block in open_sheet(io.BytesIO(data), SPEC.source).blocks]
    frame = frame_of(pa.concat_tables(tables), SPEC)
    return lambda: check(frame, SPEC), len(frame)


def best(rounds: int, work: Callable[[], object]) -> float:
    """The shortest of some rounds, in seconds of one core: others on the machine do not count."""
    found = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    data = b"".join(lines(asked.rows))
    rows, good = validate(data)
    print(f"{rows:,} rows, {len(NAMES)} columns, {len(data) / 1e6:.0f} MB, {rows - good:,} bad\n")
    print("| what | rows/s |")
    print("|---|---:|")
    print(f"| read | {rows / best(asked.rounds, lambda: read(data)):,.0f} |")
    print(f"| read and validate | {rows / best(asked.rounds, lambda: validate(data)):,.0f} |")
    other = by_pandera(data)
    shown = "n/a" if other is None else f"{other[1] / best(asked.rounds, other[0]):,.0f}"
    print(f"| pandera, already parsed, no reasons per cell | {shown} |")


if __name__ == "__main__":
    main()
