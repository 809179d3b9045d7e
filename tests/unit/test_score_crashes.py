"""Scoring dies anywhere: whoever comes next ends it, and it ends the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared import paths, runs
from shared.adapters.memory import FixedClock
from shared.boundary import Task, run_task
from shared.documents import require
from shared.usecases.score import score_file
from tests.support.crashing import Crash, Fuse
from tests.unit.test_score import HEADER, RUN, World

ROWS = HEADER + "".join(
    f"{n},{'x' if n % 5 == 0 else n},{n},c{n % 3},{n % 2}\n" for n in range(1, 13)
)


def finished(world: World) -> dict[str, Any]:
    """What a run leaves: objects with their bytes, the summary, and what was published."""
    lake = world.lake
    names = [info.name for info in lake.list("predictions/")]
    rows = [
        lake.read(name).data for name in names if "summary" not in name and "latest" not in name
    ]
    summary = require(lake, paths.predictions("adult", RUN, "summary.json"))
    said = {json.loads(message.data)["id"] for message in world.cloud.publisher.published}
    return {
        "names": names,
        "rows": rows,
        "counts": (summary["rows"], summary["errors"]),
        "latest": require(lake, paths.latest_predictions("adult"))["run_id"],
        "said": said,
        "state": runs.state("adult", RUN, lake=lake).state,
    }


def run(world: World, fuse: Fuse, attempt: int = 1) -> None:
    """One task of the job, as its door starts it."""

    def work(_: Task) -> None:
        score_file(
            world.request, lake=lake, publisher=publisher, clock=world.cloud.clock, block_rows=4
        )

    lake = fuse.wrap("lake", world.lake)
    publisher = fuse.wrap("publisher", world.cloud.publisher)
    task = Task("adult", RUN, attempt, f"score-s-{attempt}", 0, 1)
    run_task(task, work, lake=lake, publisher=publisher, clock=world.cloud.clock)


@pytest.mark.parametrize("output", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_anywhere_ends_the_same(
    output: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next attempt finishes; rows, counts, outcome and message are those of a quiet run."""
    monkeypatch.setattr("shared.usecases.scoring.in_order.PART_BYTES", 1)
    quiet = World(ROWS.encode(), scoring={"output": output})
    run(quiet, Fuse(10**9, after=False))
    expected = finished(quiet)
    at = 0
    while True:
        world = World(ROWS.encode(), scoring={"output": output})
        fuse = Fuse(at, after=after)
        try:
            run(world, fuse)
        except Crash:
            assert isinstance(world.cloud.clock, FixedClock)
            world.cloud.clock.advance(60)
            run(world, Fuse(10**9, after=False), attempt=2)
        assert finished(world) == expected, fuse.where
        if not fuse.blown:
            break
        at += 1
    assert at > 20
