"""Realised performance by slice: held against its own part of the holdout, and when it alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from shared import documents, paths
from shared.events import PerformanceDropped
from shared.serving.columns import Schema
from shared.serving.features import Feature
from shared.tabular.performance import Measured
from shared.tabular.sliced import Slice, judge_slices, reference_slices
from shared.tabular.window import Gathering
from shared.usecases.monitor import judge_window
from tests.unit.monitoring.world import (
    HOUR,
    MODEL,
    MONDAY,
    VERSION,
    World,
    draw_rows,
    spec_of,
    window,
)

DECLARED = {"slices": {"columns": ["job", "town"]}}


def drawn(
    rng: np.random.Generator, rows: int, metric: Any = "auroc", **worse: float
) -> tuple[Measured, dict[str, NDArray[Any]]]:
    """Two columns of five levels; `worse` levels are answered by chance to that part."""
    columns = {
        name: rng.choice([f"{name}{level}" for level in range(5)], rows).astype(object)
        for name in ("a", "b")
    }
    blur = np.zeros(rows)
    for level, part in worse.items():
        blur[columns[level[0]] == level] = part
    score = rng.normal(size=rows)
    if metric == "rmse":
        return Measured("rmse", score, (rng.normal(size=rows) * (1 + blur)) ** 2, None), columns
    truth = np.where(rng.random(rows) < blur, rng.normal(size=rows), score)
    hit = (truth + rng.normal(size=rows) > 0).astype(np.float64)
    if metric == "accuracy":
        return Measured("accuracy", score, ((score > 0) == hit).astype(np.float64), None), columns
    return Measured("auroc", score, hit, int(hit.sum())), columns


def judged(rng: np.random.Generator, rows: int, metric: Any, **worse: float) -> tuple[Slice, ...]:
    reference = reference_slices(*drawn(rng, 4000, metric))
    effect = 0.05 if metric == "rmse" else 0.02
    return judge_slices(*drawn(rng, rows, metric, **worse), reference, min_rows=100, effect=effect)


@pytest.mark.parametrize("metric", ["auroc", "accuracy", "rmse"])
def test_slices_as_they_were_stay_quiet(metric: str) -> None:
    """200 windows of ten slices in which nothing changed: hardly any is called worse, before any
    persistence, and every slice has its value within its interval."""
    rng = np.random.default_rng(1)
    found = [item for _ in range(200) for item in judged(rng, 1500, metric)]
    assert len(found) == 2000
    assert sum(bool(item.worse) for item in found) <= 4
    for item in found:
        assert (item.low or 0.0) < (item.value or 0.0) < (item.high or 0.0)


@pytest.mark.parametrize("metric", ["auroc", "accuracy", "rmse"])
def test_a_slice_that_broke_is_found_and_stands_first(metric: str) -> None:
    """One level is answered by chance: it is, and none other of its column (a fifth of the rows of
    every other slice are of it, too)."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        found = judged(rng, 4000, metric, a3=1.0)
        assert [item.name for item in found if item.worse and item.column == "a"] == ["a=a3"]
        assert found[0].name == "a=a3"


@pytest.mark.parametrize("metric", ["auroc", "accuracy", "rmse"])
def test_the_worst_is_what_lost_most_not_what_is_surest(metric: str) -> None:
    """A level of nearly all rows lost something, one of few rows lost much more: people read about
    the small one first, though a smaller p-value speaks of the large one."""
    rng = np.random.default_rng(4)

    def halves(rows: int, **worse: float) -> tuple[Measured, dict[str, NDArray[Any]]]:
        found, columns = drawn(rng, rows, metric, **worse)
        large = columns["a"] != "a3"
        return found, {"a": np.where(large, "large", "small").astype(object)}

    part = {f"a{level}": 0.6 for level in (0, 1, 2, 4)}
    reference = reference_slices(*halves(20_000))
    effect = 0.05 if metric == "rmse" else 0.02
    found = judge_slices(*halves(20_000, **part, a3=1.0), reference, min_rows=100, effect=effect)
    assert [(item.level, item.worse) for item in found] == [("small", True), ("large", True)]
    small, large = found
    assert (large.p_value or 0.0) <= (small.p_value or 0.0)


def test_what_is_too_small_or_new_is_shown_without_a_verdict() -> None:
    """Too few rows, too few of the rarer class, or a level that the holdout did not have."""
    rng = np.random.default_rng(3)
    rows, columns = drawn(rng, 2000)
    columns["a"][:60] = "few"
    columns["b"][:400] = "new"
    hit = np.where(columns["a"] == "a1", 0.0, rows.hit)
    rows = replace(rows, hit=hit, positives=int(hit.sum()))
    found = judge_slices(
        rows, columns, reference_slices(*drawn(rng, 2000)), min_rows=100, effect=0.02
    )
    by = {item.name: item for item in found}
    assert (by["a=few"].rows, by["a=few"].value, by["a=few"].worse) == (60, None, None)
    assert by["a=a1"].value is None
    assert by["b=new"].value is not None
    assert (by["b=new"].reference, by["b=new"].worse) == (None, None)
    assert by["a=a2"].worse is False


@pytest.mark.parametrize("blocks", [False, True])
def test_levels_stay_with_their_labelled_rows(blocks: bool) -> None:
    """Online rows and blocks of files: rows without a label or a score are left out of both."""
    schema = Schema((Feature("n", "number"), Feature("k", "category")))
    truths = {"a": "yes", "c": "no", "d": "yes", "e": "no"}
    rows = Gathering("v", schema, "binary", truths=truths, positive="yes", sliced=["k", "n"])
    names, scores = list("abcde"), [0.9, 0.8, 0.7, None, 0.5]
    levels = [f"level {name}" for name in names]
    if blocks:
        cells = [pa.array(["1"] * 5), pa.array(levels)]
        numbers = np.array([np.nan if one is None else one for one in scores])
        rows.add_block(names, cells, numbers, ["yes"] * 5)
    else:
        for name, level, score in zip(names, levels, scores, strict=True):
            rows.add(name, (1, level), score, "yes")
    found = rows.done()
    assert found.measured is not None
    assert found.measured.score.tolist() == [0.9, 0.7, 0.5]
    assert {name: column.tolist() for name, column in found.slices.items()} == {
        "k": ["level a", "level c", "level e"]
    }


def test_redacted_columns_have_no_slices() -> None:
    """What the log does not keep cannot be looked at by level."""
    schema = Schema((Feature("n", "number"), Feature("k", "category")))
    truths = {"a": "yes", "b": "no"}
    rows = Gathering("v", schema, "binary", truths=truths, positive="yes", sliced=["k"])
    rows.add("a", (1, None), 0.5, "yes", redacted=["k"])
    rows.add("b", (1, None), 0.4, "yes", redacted=["k"])
    assert rows.done().slices == {}


# --- alarms --------------------------------------------------------------------------------------


def lived(promotion: Mapping[str, Any], *broken: str, **monitoring: Any) -> World:
    """An hour for each of `broken`, the job whose outcomes no longer follow the scores."""
    made = World(spec_of(promotion=dict(promotion), monitoring=monitoring))
    made.ports = replace(made.ports, draw=lambda *_, **__: None)
    for hour, job in enumerate(broken):
        run_id, truths = made.score(3000, seed=hour)
        rows = draw_rows(np.random.default_rng([hour, 7]), 3000)["job"] == job
        rng = np.random.default_rng(hour)
        made.label(run_id, np.where(rows, rng.permutation(truths), truths))
        made.clock.advance_to(MONDAY + HOUR * (hour + 1))
        judge_window(window(MONDAY + HOUR * hour), made.ports)
    return made


def version_of(made: World, hour: int) -> dict[str, Any]:
    found: dict[str, Any] = made.report(window(MONDAY + HOUR * hour), "report-r0.json")["versions"][
        0
    ]
    return found


def test_a_declared_slice_alarms_by_itself_when_it_lasts() -> None:
    """One job in ten rows: all rows together are fine. Nothing in the first window; in the second
    an alert that names the slice, with its numbers in the findings, the report and its page."""
    made = lived(DECLARED, "c", "c", persistence=(2, 3))
    (alert,) = made.alerts()
    assert isinstance(alert, PerformanceDropped)
    assert "job=c: AUROC" in alert.sentence
    assert "limit" in alert.sentence
    assert [item["what"] for item in alert.findings] == ["auroc of job=c"]
    assert any(line.startswith("job=c: AUROC") for line in alert.facts)
    found = version_of(made, 1)
    assert found["performance"]["breach"] is False
    assert (found["slices"][0]["level"], found["slices"][0]["worse"]) == ("c", True)
    assert {item["column"] for item in found["slices"]} == {"job", "town"}
    page = made.lake.read(alert.report).data.decode()
    assert "<th>job=c</th>" in page


def test_another_slice_each_time_is_chance() -> None:
    """Persistence is of the same slice."""
    assert lived(DECLARED, "c", "none", persistence=(2, 3)).alerts() == []
    made = lived(DECLARED, "c", "b", persistence=(2, 2))
    assert version_of(made, 1)["slices"][0]["level"] == "b"
    assert version_of(made, 0)["slices"][0]["level"] == "c"
    assert made.alerts() == []


def test_slices_that_nobody_declared_are_shown_and_alarm_nobody() -> None:
    """The version's own, those of its model card."""
    made = lived({}, "c", "c")
    assert made.alerts() == []
    assert version_of(made, 1)["slices"][0]["worse"] is True


def test_the_whole_names_the_slice_that_lost_most() -> None:
    """Most rows are of one job; that it broke is seen in all rows, and said."""
    made = lived({}, "a")
    (alert,) = made.alerts()
    assert isinstance(alert, PerformanceDropped)
    assert "; worst is job=a: AUROC" in alert.sentence
    assert [item["what"] for item in alert.findings][:2] == ["auroc", "auroc of job=a"]


def test_a_reference_of_before_has_slices_without_a_verdict() -> None:
    """They are shown where the spec declares them, with nothing to hold them against."""
    made = World(spec_of(promotion=DECLARED))
    made.ports = replace(made.ports, draw=lambda *_, **__: None)
    name = paths.dataset(MODEL, VERSION, "reference.json")
    old = documents.read(made.lake, name)
    performance = {key: old.body["performance"][key] for key in ("metric", "value", "rows")}
    documents.swap(
        made.lake, name, {**old.body, "performance": performance}, generation=old.generation
    )
    run_id, truths = made.score(1000)
    made.label(run_id, truths)
    made.clock.advance_to(MONDAY + HOUR)
    judge_window(window(MONDAY), made.ports)
    slices = version_of(made, 0)["slices"]
    assert {item["column"] for item in slices} == {"job", "town"}
    assert all(item["worse"] is None and item["reference"] is None for item in slices)
