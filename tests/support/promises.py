"""What holds for every system once nothing waits for delivery, however it came there."""

from __future__ import annotations

import json
from collections import Counter

from shared import runs
from shared.lane import read_lane
from tests.support.system import System

VISIBLY_WAITING = {*runs.WAITING.values(), "running"}


def check_promises(
    system: System,
    *sources: str,
    model: str = "m",
    posted_twice: int = 0,
    doubled: bool = False,
) -> None:
    """Every upload ended or visibly waits, every run ended once, every attempt has one execution,
    a slot has an execution behind it, people heard of everything once, nothing was given up.
    `doubled`: launches of the same moment may have started two, of which the lease ended one."""
    parked = [info.name for info in system.lake.list("dead-letters/")]
    assert parked == [], parked
    assert system.cloud.pubsub.backlog() == {}, system.cloud.pubsub.backlog()
    _check_runs(system, model)
    _check_lane(system, model, doubled=doubled)
    for source in sources:
        claim = system.claim(source)
        assert claim["result"] is not None, source
        state = runs.state(model, claim["run_id"], lake=system.lake)
        assert state.terminal or state.state in VISIBLY_WAITING, (source, state)
    posts = Counter(
        json.dumps(message, sort_keys=True) for message in system.cloud.messenger.posted
    )
    again = [post for post, count in posts.items() if count > 1]
    assert len(again) <= posted_twice, again


def _check_runs(system: System, model: str) -> None:
    for run_id in system.run_ids(model):
        names = [event["name"] for event in runs.history(model, run_id, lake=system.lake)]
        ends = [name for name in names if name in runs.TERMINAL]
        assert len(ends) <= 1, (run_id, names)


def _check_lane(system: System, model: str, *, doubled: bool) -> None:
    lane, _ = read_lane(model, lake=system.lake)
    assert lane.dropped == (), lane
    executions = [
        item for kind in ("train", "score", "label") for item in system.jobs.executions(f"{kind}-s")
    ]
    started = Counter((item.env["RUN_ID"], item.env["ATTEMPT"]) for item in executions)
    assert doubled or max(started.values(), default=1) == 1, started
    running = {item.env["RUN_ID"] for item in executions if item.state == "running"}
    assert running == {slot.run_id for slot in lane.slots}, (running, lane)
