"""What a sweep costs: one pass per model, so many calls for each and no more."""

from __future__ import annotations

from typing import Any

from tests.support.counting import Counted
from tests.support.system import CSV, SPEC, System
from tests.support.working import post_sweep

MODELS = 50
# The manifest; the newest move, its decision, outcome and mark; the spec; and the lane.
READS = 7


def served(models: int) -> tuple[System, Counted]:
    """So many models with a champion, swept once."""
    counted: list[Counted] = []

    def wrap(name: str, port: Any) -> Any:
        if name != "lake":
            return port
        counted.append(Counted(port))
        return counted[-1]

    system = System(wrap)
    for number in range(models):
        system.drop(f"_specs/m{number}.yaml", SPEC)
        system.drop(f"m{number}/train/a.csv", CSV)
    system.drain()
    system.train()
    system.drain()
    assert post_sweep(system, "sweep") == 204
    (lake,) = counted
    return system, lake


def test_a_sweep_of_fifty_models_in_which_nothing_happens_reads_each_manifest_once() -> None:
    """A bounded number of reads for each model, and listings for all of them together only."""
    system, lake = served(MODELS)
    lake.calls.clear()
    assert post_sweep(system, "sweep") == 204
    assert lake.of("read", "serving/") == MODELS
    assert max(count for (how, _), count in lake.calls.items() if how == "read") <= 2
    assert lake.of("read") <= MODELS * READS
    assert lake.of("write") == 0
    listed = lake.of("list") + lake.of("folders")
    other, few = served(2)
    few.calls.clear()
    assert post_sweep(other, "sweep") == 204
    assert listed == few.of("list") + few.of("folders")
