"""What canaries do with challengers that behave as at the gate, and with broken ones.

    python tests/bench/simulate_canary.py                    Markdown
    python tests/bench/simulate_canary.py --canaries 500

A canary is simulated as the judge sees it: a gate of its own that measures the disagreement on so
many holdout rows, then steps whose rows come in some per look. Seeds are fixed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - a script finds the repository first

from shared.beside.tally import Tally, Trials  # noqa: E402
from shared.beside.verdict import Terms, Verdict, judge  # noqa: E402
from shared.tabular.rates import rate_upper  # noqa: E402

SHARES = (0.05, 0.25)
TOLERANCE = 0.05
MIN_ROWS = 500
MOST_ROWS = 20_000
PER_LOOK = 60


@dataclass(frozen=True, slots=True)
class World:
    """`gate` is the true share that differs at the gate, `live` that in the canary; of requests
    `failing` fail. Rows of one key value come in `repeats` and differ together."""

    name: str
    gate: float
    live: float
    gate_rows: int = 2_000
    failing: float = 0.0
    repeats: int = 1


@dataclass(slots=True)
class Ended:
    """How one canary ended: at which step, after how many compared rows there."""

    verdict: Verdict
    step: int
    rows: int


def play(world: World, random: np.random.Generator) -> Ended:
    """One canary, looked at after every PER_LOOK rows."""
    differ = int(random.binomial(world.gate_rows, world.gate))
    upper = float(rate_upper(float(differ), float(world.gate_rows), 0.99))
    measured = {"differ": differ, "share": differ / world.gate_rows, "upper": upper}
    gate = {"rows": world.gate_rows, "labels": measured, "scores": None}
    for step in range(len(SHARES)):
        terms = Terms(step, SHARES, MIN_ROWS, TOLERANCE, gate)
        tally = Tally()
        while True:
            _come(tally, world, random)
            found = judge(tally, terms)
            if found.verdict == "back" or tally.dealt >= MOST_ROWS:
                return Ended(found.verdict, step, tally.compared)
            if found.verdict == "go_on":
                break
    return Ended("go_on", len(SHARES) - 1, tally.compared)


def _come(tally: Tally, world: World, random: np.random.Generator) -> None:
    """The rows of one look, each in a request of its own."""
    failed = int(random.binomial(PER_LOOK, world.failing))
    rows = PER_LOOK - failed
    units = max(rows // world.repeats, 1)
    differ = int(random.binomial(units, world.live))
    tally.dealt += PER_LOOK
    tally.compared += rows
    tally.left_out = {"challenger_failed": tally.left_out.get("challenger_failed", 0) + failed}
    _more(tally.failed, PER_LOOK, failed, PER_LOOK)
    _more(tally.labels, rows, differ * world.repeats, units, differ)


def _more(trials: Trials, rows: int, differ: int, count: int, total: int | None = None) -> None:
    trials.rows += rows
    trials.differ += min(differ, rows)
    trials.count += count
    trials.total += differ if total is None else total


WORLDS = (
    *(
        World(f"as at the gate ({gate:.0%})", gate, gate, rows)
        for gate in (0.01, 0.05, 0.2)
        for rows in (300, 2_000, 10_000)
    ),
    World("as much as is tolerated", 0.05, 0.05 + TOLERANCE),
    World("as at the gate, 10 rows a customer", 0.05, 0.05, repeats=10),
    World("fails on 0.5 % of requests", 0.05, 0.05, failing=0.005),
    *(
        World(f"10 % more than the gate ({gate:.0%})", gate, gate + 0.1, rows)
        for gate in (0.01, 0.05, 0.2)
        for rows in (300, 2_000, 10_000)
    ),
    World("20 % more than the gate", 0.05, 0.25),
    World("every label flipped", 0.05, 0.95),
    World("fails on 5 % of requests", 0.05, 0.05, failing=0.05),
    World("fails always", 0.05, 0.05, failing=1.0),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--canaries", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    heads = ("challenger", "gate rows", "promoted", "back", "of these in step 1", "waits")
    print(f"| {' | '.join(heads)} | compared rows to it |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for world, seed in zip(
        WORLDS, np.random.SeedSequence(asked.seed).spawn(len(WORLDS)), strict=True
    ):
        random = np.random.default_rng(seed)
        print(_line(world, [play(world, random) for _ in range(asked.canaries)]))
    return 0


def _line(world: World, ended: Sequence[Ended]) -> str:
    of = {
        verdict: [one for one in ended if one.verdict == verdict]
        for verdict in ("go_on", "back", "wait")
    }
    back = of["back"]
    first = sum(one.step == 0 for one in back) / len(back) if back else 0.0
    rows = f"{np.median([one.rows for one in back]):,.0f}" if back else "-"
    shares = [f"{len(of[verdict]) / len(ended):.1%}" for verdict in ("go_on", "back", "wait")]
    return (
        f"| {world.name} | {world.gate_rows:,} | {shares[0]} | {shares[1]} | {first:.1%} | "
        f"{shares[2]} | {rows} |"
    )


if __name__ == "__main__":
    raise SystemExit(main())
