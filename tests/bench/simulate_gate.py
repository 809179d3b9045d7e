"""What the gate really lets through: challengers that are no better, twelve against each champion.

    python tests/bench/simulate_gate.py                       all cells, Markdown
    python tests/bench/simulate_gate.py --trials 200 --only streams

A trial is one champion that meets twelve challengers, on one holdout or on a fresh one each time,
and fails when any of the twelve is promoted. Seeds are fixed; cells run on all cores.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Sequence
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - a script finds the repository first

from shared.budget import BUDGET, LOOKS  # noqa: E402
from tests.bench import gate_cells, gate_streams  # noqa: E402
from tests.bench.gate_cells import MARGIN, POWER, Cell, Found, play  # noqa: E402
from tests.bench.gate_worlds import SHAPES, Kind, true_gain  # noqa: E402

SIZES = (200, 1_000, 6_500)
PARTS = 8  # of a cell, so that all cores have work to the end

_Job = tuple[int, Cell, int, np.random.SeedSequence]


def _part(job: _Job) -> tuple[int, Found]:
    number, cell, trials, seed = job
    return number, play(cell, trials, np.random.default_rng(seed))


def run(cells: Sequence[Cell], trials: int, seed: int, workers: int) -> list[Found]:
    """All cells, in parts; the same numbers whatever the number of workers."""
    seeds = np.random.SeedSequence(seed).spawn(len(cells) * PARTS)
    sizes = [trials // PARTS + (part < trials % PARTS) for part in range(PARTS)]
    jobs = [
        (number, cell, sizes[part], seeds[number * PARTS + part])
        for number, cell in enumerate(cells)
        for part in range(PARTS)
    ]
    jobs.sort(key=lambda job: -job[1].rows)
    found = [Found(0, 0, 0, 0)] * len(cells)
    for number, part in _each(jobs, workers):
        found[number] += part
    return found


def _each(jobs: Sequence[_Job], workers: int) -> Iterable[tuple[int, Found]]:
    if workers == 1:
        yield from map(_part, jobs)
        return
    with get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(_part, jobs)


def tell(title: str, cells: Sequence[Cell], found: Sequence[Found]) -> None:
    """One line per kind and size: on one holdout, and on fresh ones."""
    print(f"\n### {title}\n")
    print(
        "| metric | challenger | base rate | rows | one holdout | fresh holdouts | ask a person |"
    )
    print("|---|---|---|---:|---:|---:|---:|")
    lines: dict[tuple[Kind, int], dict[bool, Found]] = {}
    for cell, each in zip(cells, found, strict=True):
        lines.setdefault((cell.kind, cell.rows), {})[cell.fresh] = each
    for (kind, rows), line in lines.items():
        shares = " | ".join(
            _share(line[fresh]) if fresh in line else "-" for fresh in (False, True)
        )
        asked = sum(each.asked for each in line.values())
        comparisons = LOOKS * sum(each.trials for each in line.values())
        print(f"| {_name(kind)} | {rows:,} | {shares} | {asked / comparisons:.0%} |")


def tell_power(cells: Sequence[Cell], found: Sequence[Found]) -> None:
    print(f"\n### Better by {POWER:.0f} standard errors, one look\n")
    print("| metric | challenger | base rate | rows | true gain | promoted | asks |")
    print("|---|---|---|---:|---:|---:|---:|")
    for cell, one in zip(cells, found, strict=True):
        gain = true_gain(cell.kind, cell.strength)
        asked = one.asked / one.trials
        print(f"| {_name(cell.kind)} | {cell.rows:,} | {gain:.4f} | {_share(one)} | {asked:.0%} |")


def _name(kind: Kind) -> str:
    return f"{kind.metric} | {kind.shape} | {f'{kind.rate:.0%}' if kind.rate else '-'}"


def _share(found: Found) -> str:
    """With its Monte Carlo error; what the bound alone would have done where it is another."""
    text = f"{found.rate:.1%} ± {found.error:.1%}"
    return text if found.bound == found.promoted else f"{text} ({found.bound / found.trials:.1%})"


def breaches(cells: Sequence[Cell], found: Sequence[Found]) -> list[str]:
    """Cells over the budget."""
    return [
        f"{_name(cell.kind)} | {cell.rows:,}: {_share(each)}"
        for cell, each in zip(cells, found, strict=True)
        if each.rate > BUDGET
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--streams", type=int, default=100, help="drifting streams per kind")
    parser.add_argument("--only", choices=("equal", "margin", "unseen", "power", "streams"))
    asked = parser.parse_args(arguments)
    started = time.monotonic()
    print(f"{asked.trials:,} trials a cell, seed {asked.seed}; alpha {BUDGET} / {LOOKS}.")
    over = _tables(asked)
    print("\nChallengers:\n")
    for shape, words in SHAPES.items():
        print(f"- {shape}: {words}")
    print(f"\n{time.monotonic() - started:.0f} s on {asked.workers} cores.")
    print("\n".join(("", "Over the budget:", *over)) if over else "\nNo cell is over the budget.")
    return 1 if over else 0


def _tables(asked: argparse.Namespace) -> list[str]:
    """Print what is asked for; the cells that are over the budget come back."""
    over: list[str] = []
    limited = {
        "equal": ("No better, twelve looks: wrong promotions", gate_cells.equal_cells),
        "margin": (
            f"Worse by {MARGIN}, rule not_worse with that margin, twelve looks",
            gate_cells.margin_cells,
        ),
        "unseen": ("What a holdout may not show: rare errors, paid for", gate_cells.unseen_cells),
    }
    for name, (title, cells_of) in limited.items():
        if asked.only in (None, name):
            cells = cells_of(asked.sizes)
            found = run(cells, asked.trials, asked.seed, asked.workers)
            tell(title, cells, found)
            over += breaches(cells, found) if name != "unseen" else []
    if asked.only in (None, "power"):
        cells = gate_cells.power_cells(asked.sizes)
        tell_power(cells, run(cells, asked.trials, asked.seed, asked.workers))
    if asked.only in (None, "streams"):
        gate_streams.tell(asked.streams, asked.seed, asked.workers)
    return over


if __name__ == "__main__":
    sys.exit(main())
