"""What recorded runs would be billed by list prices: task-seconds times size, per run and model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.topology import Topology
from shared import documents, paths, runs
from shared.cli.costing.assumptions import value
from shared.cli.costing.prices import Prices
from shared.cli.costing.quantities import memory_gib
from shared.events import parse_time
from shared.ports import Bucket

LATEST = 20
CAVEAT = (
    "Each task is billed for a minute at least; list prices, nothing free. A container's start is "
    "billed and not in these seconds. `estimated`: tasks wrote no time (they were killed, or ran "
    "before it was kept), so it is that between two lines of the run's history."
)


@dataclass(frozen=True, slots=True)
class RunCost:
    """`tasks` counts tries; `seconds` is what they took together, `billed_seconds` with the
    minimum of each."""

    model: str
    run_id: str
    kind: str
    job: str
    tasks: int
    seconds: float
    billed_seconds: float
    vcpu_seconds: float
    gib_seconds: float
    cost: float
    estimated: bool


def runs_of(lake: Bucket, model: str, topology: Topology, prices: Prices) -> list[RunCost]:
    """Runs that had an execution, newest first; of one model or of all."""
    models = [model] if model else [folder.split("/")[1] for folder in lake.folders("runs/")]
    found = [
        cost
        for name in models
        for folder in lake.folders(f"runs/{name}/")
        if (cost := cost_of(name, folder.split("/")[2], topology, prices, lake)) is not None
    ]
    return sorted(found, key=lambda run: run.run_id, reverse=True)


def cost_of(
    model: str, run_id: str, topology: Topology, prices: Prices, lake: Bucket
) -> RunCost | None:
    """None for a run that no job worked on."""
    history = runs.history(model, run_id, lake=lake)
    started = {event["name"]: event for event in history if event["name"].startswith("started-")}
    if not started:
        return None
    measured = _measured(model, run_id, lake)
    missing = [name for name in started if int(name.rpartition("-")[2]) not in measured]
    guessed = [took for name in missing if (took := _between(name, history)) is not None]
    seconds = [*(one for tries in measured.values() for one in tries), *guessed]
    job = str(next(iter(started.values()))["facts"]["job"])
    name, _, size = job.rpartition("-")
    kind = topology.jobs[name].sizes[size]
    billed = sum(max(math.ceil(one), value("task_minimum_seconds")) for one in seconds)
    cpu, memory = billed * float(kind.cpu), billed * memory_gib(kind.memory)
    cost = cpu * prices.of["job_cpu"].price + memory * prices.of["job_memory"].price
    return RunCost(
        *(model, run_id, name, job, len(seconds), round(sum(seconds), 1)),
        *(billed, cpu, memory, cost, bool(missing)),
    )


def _measured(model: str, run_id: str, lake: Bucket) -> dict[int, list[float]]:
    """Seconds of every try by attempt."""
    found: dict[int, list[float]] = {}
    for info in lake.list(paths.run_tasks(model, run_id)):
        attempt = int(info.name.rpartition("/")[2].split("-")[0])
        found.setdefault(attempt, []).append(float(documents.require(lake, info.name)["seconds"]))
    return found


def _between(started: str, history: list[dict[str, Any]]) -> float | None:
    """Seconds from an attempt's start to what came next; None where nothing did."""
    place = next(number for number, event in enumerate(history) if event["name"] == started)
    ends = [
        event
        for event in history[place + 1 :]
        if event["name"].startswith("started-") or event["name"] in runs.FINISHED_AS.values()
    ]
    if not ends:
        return None
    return (parse_time(ends[0]["at"]) - parse_time(history[place]["at"])).total_seconds()


def by_model(found: Iterable[RunCost]) -> list[dict[str, Any]]:
    """Sums per model and job."""
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for run in found:
        empty = {"model": run.model, "job": run.job, "runs": 0, "task_seconds": 0.0, "cost": 0.0}
        row = sums.setdefault((run.model, run.job), empty)
        row["runs"] += 1
        row["task_seconds"] = round(row["task_seconds"] + run.seconds, 1)
        row["cost"] += run.cost
    return [dict(sums[key]) for key in sorted(sums)]


def row(run: RunCost) -> Mapping[str, Any]:
    """A line of the table."""
    return dict(_cells(run))


def _cells(run: RunCost) -> Iterator[tuple[str, Any]]:
    yield from (("run", run.run_id), ("model", run.model), ("job", run.job), ("tasks", run.tasks))
    yield from (("seconds", f"{run.seconds:,.1f}"), ("billed", f"{run.billed_seconds:,.0f}"))
    yield from (("usd", f"{run.cost:.5f}"), ("estimated", run.estimated))
