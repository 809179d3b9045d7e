"""The estimate agrees with sums done by hand, and what runs recorded becomes money."""

from __future__ import annotations

import collections
import json
import math
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra import topology as topologies
from infra.docs import costs
from shared import boundary, documents, paths, runs
from shared.cli.costing import prices as price_list
from shared.cli.costing.assumptions import ASSUMPTIONS, value
from shared.cli.costing.estimate import Estimate, beside, estimate, priced
from shared.cli.costing.quantities import Component, Usage
from shared.errors import ServiceUnavailable
from tests.support.crashing import Fuse
from tests.support.system import CSV, EVERY_FUNCTION, SPEC, System
from tests.support.working import score_all
from tests.unit.cli.conftest import Shell

ROOT = Path(__file__).resolve().parents[3]
PRICES = price_list.load()
TOPOLOGY = topologies.load()


def bill(found: Estimate, component: str) -> dict[str, tuple[float, float, float]]:
    """Amount, dollars at list price and dollars to pay of each priced thing of a component."""
    return {
        line.price.name: (line.amount, line.listed, line.cost)
        for line in found.lines
        if line.component == component
    }


def close(found: float, by_hand: float) -> bool:
    return math.isclose(found, by_hand, rel_tol=1e-9, abs_tol=1e-12)


# --- by hand -------------------------------------------------------------------------------------


def test_a_daily_training_by_hand() -> None:
    """4 vCPU and 16 GiB for 20 minutes a day, 30 days: 144,000 vCPU-s and 576,000 GiB-s. At list
    price 2.592 + 1.152; 240,000 vCPU-s and 450,000 GiB-s are free, so 126,000 GiB-s are paid."""
    found = estimate(Usage(trainings=30, size="m", training_seconds=1200), TOPOLOGY, PRICES)
    lines = bill(found, "trainings")
    assert lines["job_cpu"][0] == 144_000
    assert close(lines["job_cpu"][1], 2.592)
    assert lines["job_cpu"][2] == 0
    assert lines["job_memory"][0] == 576_000
    assert close(lines["job_memory"][1], 1.152)
    assert close(lines["job_memory"][2], 126_000 * 0.000002)


def test_a_minimum_instance_by_hand() -> None:
    """One instance of 1 vCPU and 0.5 GiB that waits for 730 hours: 2,628,000 vCPU-s at 0.0000025
    are 6.57, 1,314,000 GiB-s are 3.285; together 9.855."""
    found = estimate(Usage(min_instances=1), TOPOLOGY, PRICES)
    lines = bill(found, "predictor that waits")
    assert close(lines["idle_cpu"][2], 6.57)
    assert close(lines["idle_memory"][2], 3.285)
    assert close(beside(TOPOLOGY, PRICES)[2]["cost"], 9.855)
    without = estimate(Usage(), TOPOLOGY, PRICES)
    assert close(found.idle - without.idle, 9.855)


def test_an_endpoint_that_is_always_on_by_hand() -> None:
    """2,628,000 s of 1 vCPU at 0.000018 are 47.304, of 0.5 GiB at 0.000002 are 2.628."""
    assert close(beside(TOPOLOGY, PRICES)[1]["cost"], 47.304 + 2.628)


def test_a_busy_month_by_hand() -> None:
    """100 trainings on 100,000 rows, 20 scored files, five million predictions, two models."""
    usage = Usage(trainings=100, scorings=20, predictions=5_000_000, models=2, rows=100_000)
    found = estimate(usage, TOPOLOGY, PRICES)
    # A training: 7 s + 100,000 x 0.003 s = 307 s on 2 vCPU and 4 GiB, a hundred times.
    trainings = bill(found, "trainings")
    assert close(trainings["job_cpu"][0], 307 * 2 * 100)
    assert close(trainings["job_cpu"][1], 61_400 * 0.000018)
    assert close(trainings["job_memory"][0], 307 * 4 * 100)
    # A scored file: 10 s + 0.51 s, billed as 60 s on 1 vCPU and 1 GiB, twenty times. All jobs
    # together: 62,600 vCPU-s and 124,000 GiB-s, less than what is free.
    scorings = bill(found, "scored files")
    assert close(scorings["job_cpu"][0], 60 * 20)
    assert scorings["job_cpu"][2] == scorings["job_memory"][2] == 0
    # What is free of request CPU (180,000) goes first to the schedules: 8,760 times sweep (0.5
    # vCPU, 1 s) and mirror (1 vCPU, 1 s), 730 times monitor (1 vCPU, 10 s) and notify (0.5), once a
    # day notify for the digest; then to 800 and 80 calls of functions at runs (0.5 vCPU, 1 s each).
    idle = 8_760 * 0.5 + 8_760 + 730 * 10 + 730 * 0.5 + 365 / 12 * 0.5
    assert close(bill(found, "looking after promises (schedules)")["request_cpu"][0], idle)
    left = 180_000 - idle - 100 * 8 * 0.5 - 20 * 4 * 0.5
    predictions = bill(found, "predictions")
    answered = 5_000_000 * 0.1 + 2_920
    assert close(predictions["request_cpu"][0], answered)
    assert close(predictions["request_cpu"][2], (answered - left) * 0.000024)
    # Requests: five million and the calls of functions, two million of them free.
    before = 2 * 8_760 + 2 * 730 + 365 / 12 + 800 + 80
    assert close(predictions["requests"][2], (5_000_000 - (2_000_000 - before)) * 0.0000004)
    # The log: lines of 525 bytes by the storage subscription, published as 1,024 bytes each.
    assert close(predictions["pubsub_export"][2], 5_000_000 * 525 / 2**40 * 50)
    assert close(predictions["pubsub"][0], 5_000_000 * 1024 / 2**40)
    assert predictions["pubsub"][2] == 0  # 4.8 GiB; 10 GiB are free
    assert close(predictions["class_a"][2], 43_800 * 0.000005)
    # A year of it: 120 files of 10.7 MB a month in the inbox and again in inputs/, 100 datasets of
    # 2 MB and versions of 5 MB, 20 scored files of 20 MB, five million lines.
    month = 2 * 120 * 10.7e6 + 100 * (2e6 + 5e6) + 20 * 20e6 + 5e6 * 525
    stored = bill(found, "what has gathered in the lake")["storage"]
    assert close(stored[0], 12 * month / 2**30)
    assert close(stored[2], 12 * month / 2**30 * 0.02)
    # Two models are looked at every five minutes: 10 listings and one for each, 10 reads for each.
    schedules = bill(found, "looking after promises (schedules)")
    assert close(schedules["class_a"][2], 8_760 * 12 * 0.000005)
    assert close(schedules["class_b"][2], 8_760 * 20 * 0.0000004)


def test_mlflow_by_hand() -> None:
    """730 hours of the database at 0.0105 and its disk; a third secret is free, too."""
    on = estimate(Usage(mlflow="server"), TOPOLOGY, PRICES)
    off = estimate(Usage(), TOPOLOGY, PRICES)
    assert close(on.idle - off.idle, 730 * 0.0105 + 5.10)


def test_retention_ends_growth() -> None:
    """After years only what is kept for good has grown: the log stops at its 400 days."""

    def stored(months: int) -> float:
        usage = Usage(predictions=1_000_000, months=months)
        lines = bill(estimate(usage, TOPOLOGY, PRICES), "what has gathered in the lake")
        return lines["storage"][0]

    assert stored(24) == stored(120)
    assert close(stored(24), 400 / (365 / 12) * 1e6 * 525 / 2**30)


# --- how it is reckoned --------------------------------------------------------------------------


def test_use_changes_no_idle_cost() -> None:
    """What an installation costs when nobody uses it does not depend on who uses it."""
    busy = Usage(trainings=500, scorings=500, predictions=10_000_000, mlflow="server")
    assert close(
        estimate(busy, TOPOLOGY, PRICES).idle,
        estimate(Usage(mlflow="server"), TOPOLOGY, PRICES).idle,
    )


def test_idle_is_far_below_what_others_leave_running() -> None:
    """Without MLflow's database it stays under two dollars."""
    assert estimate(Usage(), TOPOLOGY, PRICES).idle < 2
    assert beside(TOPOLOGY, PRICES)[0]["cost"] >= 300


def test_what_is_free_is_spent_once() -> None:
    """One pot per priced thing, whoever takes from it."""
    parts = [Component("a", True, {"builds": 0}), Component("b", False, {"job_cpu": 200_000})]
    parts += [Component("c", False, {"job_cpu": 100_000})]
    first, second = priced(parts, {**PRICES.of, "builds": PRICES.of["build"]})
    assert (first.cost, second.free) == (0, 40_000)
    assert close(second.cost, 60_000 * 0.000018)


def test_every_price_says_where_it_is_from() -> None:
    """A page of Google's and a date, or that the copy bears none."""
    for price in PRICES.of.values():
        assert price.source.startswith("https://cloud.google.com/"), price.name
        assert re.fullmatch(r"2026(-\d\d-\d\d)?|undated", price.seen), price.name
        assert price.price > 0
        assert price.what


def test_every_assumption_says_where_it_is_from() -> None:
    """Measured values name a page that is there."""
    for name, item in ASSUMPTIONS.items():
        assert item.origin, name
        for page in re.findall(r"(\w+\.md)", item.origin):
            assert (ROOT / "infra" / "docs" / page).exists(), name


# --- what is counted -----------------------------------------------------------------------------


def operations(trail: list[str]) -> tuple[int, int]:
    """Storage operations as Google bills them: class A and class B."""
    calls = collections.Counter(
        text.split(" ")[0].partition(".")[2]
        for text in trail
        if text.startswith(("lake.", "inbox."))
    )
    writing = ("list", "folders", "write", "upload", "copy", "compose")
    return sum(calls[name] for name in writing), sum(
        calls[name] for name in ("stat", "read", "read_if_changed", "download", "open_reader")
    )


@pytest.fixture
def counted() -> tuple[System, list[str]]:
    fuse = Fuse(10**9, after=False)
    return System(fuse.wrap, EVERY_FUNCTION), fuse.trail


def calls_until(system: System, source: str, work: Any) -> int:
    handlers = {name: system._handler(name) for name in system.functions}
    pushes = system.cloud.drain(handlers)
    work()
    pushes += system.cloud.drain(handlers)
    assert system.state(source) in ("promoted", "scored")
    return len(pushes)


def test_counts_are_those_of_the_system(counted: tuple[System, list[str]]) -> None:
    """Calls that the estimate takes for granted are those that happen; of storage operations it
    takes no fewer, and few more."""
    system, trail = counted
    system.tick()
    nothing = operations(trail)
    assert nothing[1] == 0
    assert nothing[0] <= value("sweep_class_a") <= 2 * nothing[0]
    system.drop("_specs/m.yaml", SPEC)
    system.drain()
    source = system.drop("m/train/a.csv", CSV)
    trail.clear()
    assert calls_until(system, source, system.train) == value("training_calls")
    class_a, class_b = operations(trail)
    assert class_a < value("training_class_a")
    assert class_b < value("training_class_b")
    system.clock.advance(300)
    system.tick()
    trail.clear()
    system.clock.advance(300)
    system.tick()
    swept = operations(trail)
    listed = swept[0] - nothing[0]
    assert listed <= value("sweep_model_class_a") <= listed + 1
    assert swept[1] <= value("sweep_model_class_b") <= 2 * swept[1]
    source = system.drop("m/score/b.csv", CSV)
    trail.clear()
    assert calls_until(system, source, lambda: score_all(system)) == value("scoring_calls")


# --- the command ---------------------------------------------------------------------------------


def test_the_command_says_the_same(shell: Shell) -> None:
    """Table and JSON hold what the estimate holds; idle comes first."""
    words = ("cost", "--runs", "30", "--predictions", "1000000", "--mlflow", "server")
    usage = Usage(trainings=30, predictions=1_000_000, mlflow="server")
    found = estimate(usage, TOPOLOGY, PRICES)
    body = json.loads(shell(*words, "--json").stdout)
    assert close(body["total"], found.total)
    assert close(body["idle"], found.idle)
    assert close(sum(line["cost"] for line in body["lines"]), found.total)
    assert [row["idle"] for row in body["components"]] == sorted(
        (row["idle"] for row in body["components"]), reverse=True
    )
    said = shell(*words).stdout
    assert said.startswith(f"Idle: {found.idle:,.2f} a month. With this use: {found.total:,.2f}")
    assert "Composer" in said
    assert "guess:" in said


def test_the_page_shows_what_the_command_prints() -> None:
    """infra/docs/cost.md is no older than prices, topology and assumptions (`make docs`)."""
    page = costs.PAGE.read_text(encoding="utf-8")
    assert len(costs.EXAMPLE.findall(page)) == 3
    assert costs.render(page) == page


# --- what runs recorded --------------------------------------------------------------------------


def job_of(system: System, monkeypatch: pytest.MonkeyPatch, use_case: Any, **more: str) -> int:
    """The door of a job for the running execution."""
    (execution,) = system.running()
    env = {**execution.env, "CLOUD_RUN_EXECUTION": execution.name, **more}
    for name, text in env.items():
        monkeypatch.setitem(os.environ, name, text)
    lake, publisher = system.lake, system.publisher
    wiring: Any = SimpleNamespace(lake=lake, publisher=publisher, clock=system.clock)
    return boundary.job("train", use_case, wiring)


def test_what_a_task_took_is_kept(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every try of every task, also one that failed; `cost --actual` bills a minute of each."""
    system = shell.system
    system.drop("_specs/m.yaml", SPEC)
    source = system.drop("m/train/a.csv", CSV)
    system.drain()

    def broken(_: object) -> None:
        raise ValueError("no")

    assert job_of(system, monkeypatch, broken, CLOUD_RUN_TASK_ATTEMPT="0") == 1
    work = lambda task: system._store_version(task, {})  # noqa: E731 - a use case
    assert job_of(system, monkeypatch, work, CLOUD_RUN_TASK_ATTEMPT="1") == 0
    run_id = system.claim(source)["run_id"]
    kept = [
        documents.require(system.lake, info.name)
        for info in system.lake.list(paths.run_tasks("m", run_id))
    ]
    assert [body["exit_code"] for body in kept] == [1, 0]
    body = json.loads(shell("cost", "--actual", "--json").stdout)
    (run,) = body["runs"]
    assert (run["tasks"], run["billed_seconds"], run["estimated"]) == (2, 120, False)
    # By hand: two minutes of train-s, which is 2 vCPU and 4 GiB.
    assert close(run["cost"], 120 * (2 * 0.000018 + 4 * 0.000002))
    (model,) = body["models"]
    assert (model["model"], model["job"], model["runs"]) == ("m", "train-s", 1)
    assert "train-s" in shell("cost", "--actual", "--model", "m").stdout


def test_a_time_that_cannot_be_kept_fails_no_task(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work is done and its outcome written; a count is not worth a second training."""
    system = shell.system
    system.drop("_specs/m.yaml", SPEC)
    source = system.drop("m/train/a.csv", CSV)
    system.drain()

    class Full:
        def __getattr__(self, name: str) -> Any:
            return getattr(system.cloud.lake, name)

        def write(self, name: str, *given: Any, **more: Any) -> Any:
            if "/tasks/" in name:
                raise ServiceUnavailable("full")
            return system.cloud.lake.write(name, *given, **more)

    work = lambda task: system._store_version(task, {})  # noqa: E731 - a use case
    system.lake = Full()
    assert job_of(system, monkeypatch, work) == 0
    system.lake = system.cloud.lake
    run_id = system.claim(source)["run_id"]
    assert runs.outcome("m", run_id, lake=system.lake) is not None


def test_runs_of_before_are_estimated(shell: Shell) -> None:
    """Tasks that wrote no time are billed by the run's history, and marked."""
    system = shell.system
    system.drop("_specs/m.yaml", SPEC)
    system.drop("m/train/a.csv", CSV)
    system.drain()
    system.clock.advance(90.5)
    system.train()
    system.drain()
    (run,) = json.loads(shell("cost", "--actual", "--json").stdout)["runs"]
    assert (run["seconds"], run["billed_seconds"], run["estimated"]) == (90.5, 91, True)
