"""What a training measures beside the gain: every metric, slices, size, latency."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shared import paths
from shared.policy import judge
from shared.spec.model import Promotion
from shared.tabular.latency import spread_rows
from shared.tabular.measuring import Answered, measures, slices
from tests.unit.tabular.world import COLUMNS, MODEL, RUN, World, csv_bytes, rows, spec_of

NEWER = "20260105T100000-0a1b2c3e"
GUARDED: dict[str, Any] = {
    "approval": "auto",
    "guardrails": {"auroc": {"min": 0.6, "max_drop": 0.5}, "log_loss": {"max_drop": 0.5}},
    "slices": {"columns": ["city"], "min_rows": 30, "worst": {"auroc": 0.5}, "max_gap": {"f1": 1}},
}


def _comparison(world: World, version: str = RUN) -> dict[str, Any]:
    return world.document(paths.version(MODEL, version, "comparison.json"))


@pytest.fixture(scope="module")
def twice() -> World:
    """A champion, and a version that was compared with it."""
    world = World(spec_of(promotion=GUARDED))
    world.ask(csv_bytes(rows(900)))
    world.train()
    world.promote(RUN)
    world.ask(csv_bytes(rows(1500, seed=1)), NEWER)
    world.train(NEWER)
    return world


def test_a_first_version_is_measured_without_anybody_beside_it(twice: World) -> None:
    """Values with intervals; no champion, no drop and no second latency."""
    body = _comparison(twice)
    assert body["measures"]["auroc"]["value"] == pytest.approx(body["challenger"])
    assert "champion" not in body["measures"]["auroc"]
    assert body["latency"]["champion_ms"] is None
    sizes = (info.size_bytes for info in twice.lake.list(paths.package(MODEL, RUN)))
    assert body["package_bytes"] == sum(sizes)


def test_a_challenger_is_measured_beside_the_champion(twice: World) -> None:
    """On the same rows, in the same process."""
    body = _comparison(twice, NEWER)
    measure = body["measures"]["auroc"]
    assert measure["champion"] == pytest.approx(body["champion"])
    assert measure["drop"] == pytest.approx(-body["gain"])
    assert body["latency"]["champion_ms"] > 0
    assert {one["column"] for one in body["slices"]} == {"city"}
    assert sum(one["rows"] for one in body["slices"]) == body["holdout"]["rows"]
    assert "f1" in body["slices"][0]["measures"]


def test_policy_finds_a_rule_for_everything_that_is_declared(twice: World) -> None:
    """What a training measures is what promote asks for, by the spec in force."""
    rule = Promotion.model_validate(GUARDED)
    verdict = judge(_comparison(twice, NEWER), rule, champion=RUN, pinned=False)
    assert [item.name for item in verdict.rules] == [
        "baseline",
        "parity",
        "false_positive_rate",
        "guardrail auroc",
        "guardrail auroc drop",
        "guardrail log_loss drop",
        "slices auroc",
        "slices f1 gap",
        "package size",
        "latency",
        "evidence",
        "better",
        "disagreement",
        "approval",
    ]
    stricter = Promotion.model_validate({"guardrails": {"accuracy": {"min": 1.0}}})
    assert judge(_comparison(twice, NEWER), stricter, champion=RUN, pinned=False).action == (
        "decline"
    )


def test_rows_of_one_time_are_no_evidence_of_their_own() -> None:
    """With a split by time, intervals come from blocks of time: few degrees of freedom."""
    columns = {**COLUMNS, "at": {"type": "time"}}
    data = [
        [*row[:3], f"2026-01-{1 + number // 48:02d}T{number % 24:02d}:00:00Z", row[3]]
        for number, row in enumerate(rows(1200))
    ]
    ordered = {name: columns[name] for name in ("age", "gain", "city", "at", "y")}
    training = {
        "candidates": ["linear"],
        "trials": 1,
        "false_positive_ceiling": 0.5,
        "split": "time",
        "time_column": "at",
    }
    world = World(spec_of(columns=ordered, training=training))
    world.ask(csv_bytes(data, list(ordered)))
    world.train()
    body = _comparison(world)
    assert body["measures"]["log_loss"]["freedom"] < 30 < body["holdout"]["rows"]
    card = world.lake.read(paths.version(MODEL, RUN, "data-card.md")).data.decode()
    assert "2026-01-01 00:00:00 UTC to 2026-01-25" in card
    assert "| split at | 2026-01-2" in card


def test_a_version_names_its_cards(twice: World) -> None:
    """version.json leads to them."""
    cards = twice.document(paths.version(MODEL, RUN, "version.json"))["cards"]
    assert all(twice.lake.stat(name).size_bytes > 1000 for name in cards)
    assert [name.rpartition("/")[2] for name in cards][::2] == ["card.html", "data-card.html"]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_nothing_to_measure_on_is_no_error(task: str) -> None:
    """Where the champion was fitted on every holdout row."""
    nothing = np.empty((0, 3)) if task == "multiclass" else np.empty(0)
    mine = Answered(task, np.empty(0), nothing, 0.5)
    assert measures(mine, mine) == {}
    assert slices(["city"], {"city": np.empty(0, object)}, mine, min_rows=30) == []
    assert spread_rows(0) == []
