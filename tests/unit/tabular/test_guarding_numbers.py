"""Intervals of every metric, slices, calibration error and latency, against other computations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from shared.guardrails import too_slow
from shared.intervals import at_most, certainly_worse, student
from shared.metric_names import METRICS, OF_TASK
from shared.serving.features import Feature
from shared.tabular import metrics
from shared.tabular.latency import ROUNDS, side_by_side, single_row_ms, spread_rows
from shared.tabular.measuring import MISSING, OTHERS, Answered, measures, slice_columns, slices
from shared.tabular.metrics import Floats


def _answered(task: str, rows: int, seed: int) -> Answered:
    random = np.random.default_rng(seed)
    if task == "regression":
        target = random.normal(size=rows)
        return Answered(task, target, target + random.normal(0, 0.5, rows))
    if task == "binary":
        target = (random.random(rows) < 0.3).astype(np.float64)
        scores = np.clip(0.25 * target + random.normal(0.35, 0.2, rows), 0.001, 0.999)
        return Answered(task, target, scores, 0.5)
    target = random.integers(0, 3, rows).astype(np.float64)
    shares = random.dirichlet(np.ones(3), rows) + 0.8 * np.eye(3)[target.astype(int)]
    return Answered(task, target, shares / shares.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_metric_that_may_be_guarded_is_measured_as_it_is_reported(task: str) -> None:
    """The value with the interval is the value in the model card, for every name a spec knows."""
    mine = _answered(task, 500, 0)
    reported = metrics.every(task, mine.target, mine.answers, mine.threshold)
    found = measures(mine)
    assert set(found) == set(OF_TASK[task])
    for name, measure in found.items():
        assert measure["value"] == pytest.approx(reported[name])
        assert measure["low"] <= measure["value"] <= measure["high"]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_standard_errors_are_those_of_fresh_samples(task: str) -> None:
    """What is said about one sample is how much samples differ."""
    samples = [_answered(task, 400, seed) for seed in range(200)]
    found = [measures(sample) for sample in samples]
    for name in OF_TASK[task]:
        spread = np.std([one[name]["value"] for one in found])
        said = np.mean([one[name]["error"] for one in found])
        if name != "ece":  # its bins are chosen anew in each sample
            assert said == pytest.approx(spread, rel=0.2)


@pytest.mark.parametrize("limit", [0.05, 0.5, 0.95])
def test_shares_of_few_rows_are_judged_by_the_binomial_distribution(limit: float) -> None:
    """As scipy has it, for shares that should be large and for those that should be small."""
    for hits in range(31):
        tail = stats.binom.cdf(hits, 30, limit)
        assert at_most(hits, 30, limit) == pytest.approx(tail, rel=1e-9)
        share = hits / 30
        error = math.sqrt(share * (1 - share) / 30)
        measure = {"value": share, "error": error, "freedom": 29, "rows": 30}
        low = certainly_worse("recall", measure, limit, alpha=0.01)
        assert low == (tail <= 0.01)
        high = certainly_worse("false_positive_rate", measure, limit, alpha=0.01)
        assert high == (stats.binom.sf(hits - 1, 30, limit) <= 0.01)


def test_other_metrics_and_many_rows_are_judged_by_their_standard_error() -> None:
    """Further beyond the limit than Student's quantile allows, on the wrong side of it only."""
    for metric, worse in (("auroc", -1), ("log_loss", 1), ("recall", -1)):
        for errors, broken in ((2.2, False), (2.5, True), (-9.0, False)):
            value = 0.7 + worse * errors * 0.01
            measure = {"value": value, "error": 0.01, "freedom": 1e6, "rows": 10**6}
            if metric == "recall":
                measure["error"] = 0.01 * 0.02
                measure["value"] = 0.7 + worse * errors * measure["error"]
            assert certainly_worse(metric, measure, 0.7, alpha=0.01) == broken


def test_quantiles_without_scipy_are_students() -> None:
    """From ten blocks on, for one test as for a hundred."""
    for freedom in (9, 29, 500):
        for tail in (0.05, 0.0005):
            assert student(tail, freedom) == pytest.approx(stats.t.isf(tail, freedom), rel=0.01)


def test_the_drop_is_measured_on_the_same_rows() -> None:
    """A champion that is hard to tell apart on its own is told apart on the same rows."""
    mine = _answered("regression", 300, 1)
    other = Answered("regression", mine.target, mine.answers * 0.97)
    found = measures(mine, other)["rmse"]
    assert found["drop"] == pytest.approx(found["value"] - found["champion"])
    assert found["drop_high"] - found["drop_low"] < (found["high"] - found["low"]) / 2


def test_calibration_error_depends_on_scores_not_on_the_order_of_rows() -> None:
    """Zero for what is right on average, the distance for what is off, any order of equal rows."""
    scores = np.repeat([0.2, 0.6], 500)
    positive = np.concatenate([np.tile([1, 0, 0, 0, 0], 100), np.tile([1, 1, 1, 0, 0], 100)])
    assert metrics.calibration_error(positive.astype(float), scores) == pytest.approx(0, abs=1e-12)
    off = metrics.calibration_error(positive.astype(float), scores + 0.1)
    assert off == pytest.approx(0.1)
    turned = metrics.calibration_error(positive[::-1].astype(float), scores[::-1] + 0.1)
    assert turned == pytest.approx(off)


def test_the_calibration_error_of_a_perfect_model_is_known() -> None:
    """Its mean and the end that one of twenty samples surpasses, as samples have them."""
    random = np.random.default_rng(3)
    scores = random.beta(0.6, 1.8, 1500)
    samples = (random.random((300, 1500)) < scores).astype(np.float64)
    found = [metrics.calibration_error(sample, scores) for sample in samples]
    mean, high = metrics.calibration_chance(scores)
    assert mean == pytest.approx(np.mean(found), rel=0.05)
    assert high == pytest.approx(np.quantile(found, 0.95), rel=0.08)


def _columns(rows: int, seed: int = 9) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "sex": random.choice(np.array(["f", "m", ""], object), rows, p=[0.6, 0.38, 0.02]),
        "town": random.choice(np.array([f"t{at}" for at in range(40)], object), rows),
        "age": random.random(rows),
    }


FEATURES = [Feature("sex", "category"), Feature("town", "category"), Feature("age", "number")]


def test_slices_partition_the_rows_of_each_column() -> None:
    """Missing cells are a level, rare levels of a declared column go together, none is lost."""
    mine, columns = _answered("binary", 2000, 0), _columns(2000)
    found = slices(["sex", "town"], columns, mine, min_rows=100)
    for name in ("sex", "town"):
        assert sum(one["rows"] for one in found if one["column"] == name) == 2000
    levels = [one["level"] for one in found]
    assert MISSING in levels
    assert OTHERS in levels
    for one in found:
        assert one["enough"] == (one["rows"] >= 100)
        assert bool(one["measures"]) == one["enough"]


def test_a_slice_is_held_against_all_other_rows() -> None:
    """Value and gap are those of the rows inside and outside."""
    mine, columns = _answered("binary", 2000, 0), _columns(2000)
    inside = columns["sex"] == "f"
    one = slices(["sex"], columns, mine, min_rows=100)[0]
    value = metrics.auroc(mine.target[inside], mine.answers[inside])
    rest = metrics.auroc(mine.target[~inside], mine.answers[~inside])
    assert (one["level"], one["rows"]) == ("f", int(inside.sum()))
    assert one["measures"]["auroc"]["value"] == pytest.approx(value)
    assert one["measures"]["auroc"]["gap"] == pytest.approx(rest - value)


def test_without_a_declaration_only_columns_with_few_levels_are_sliced() -> None:
    """Forty towns and numbers are no slices, unless somebody asks; numbers never."""
    columns = _columns(500)
    assert slice_columns((), FEATURES, columns) == ["sex"]
    assert slice_columns(("town", "age", "gone"), FEATURES, columns) == ["town"]


def test_metrics_that_have_nothing_to_rest_on_are_left_out() -> None:
    """No positives, no AUROC and no recall; the rest is measured."""
    target: Floats = np.zeros(50)
    found = measures(Answered("binary", target, np.linspace(0.1, 0.4, 50), 0.5))
    assert "auroc" not in found
    assert "recall" not in found
    assert found["false_positive_rate"]["value"] == 0
    assert not measures(Answered("binary", target[:0], target[:0], 0.5))


class _Model:
    """Takes milliseconds on a clock of its own; after `rounds` answers it takes `later`."""

    now = 0.0

    def __init__(self, milliseconds: float, rounds: int = 10**9, later: float = 0.0) -> None:
        self.milliseconds, self.rounds, self.later = milliseconds, rounds, later
        self.asked = 0

    def predict_records(self, records: object) -> object:
        self.asked += 1
        taken = self.milliseconds if self.asked <= self.rounds else self.later
        _Model.now += taken / 1000
        return records


def _timer() -> float:
    return _Model.now


def test_latency_is_measured_of_both_in_turn() -> None:
    """Each row by each model in each round; no champion, no second figure."""
    records: list[dict[str, float | str | None]] = [{}] * 4
    slow, fast = _Model(2.0), _Model(0.2)
    found = single_row_ms((slow, records), (fast, records), rounds=3, timer=_timer)
    assert (slow.asked, fast.asked) == (12, 12)
    assert (found["challenger_ms"], found["champion_ms"]) == (2.0, 0.2)
    assert single_row_ms((fast, records), None, rounds=1)["champion_ms"] is None
    assert spread_rows(3) == [0, 1, 2]
    assert len(spread_rows(1000)) == 20


def test_a_challenger_that_looks_slow_is_measured_again() -> None:
    """Noise in one measurement declines nobody; a model that is slow each time stays slow."""
    records: list[dict[str, float | str | None]] = [{}]
    slow, fast, noisy = _Model(3.0), _Model(0.5), _Model(3.0, ROUNDS, 0.1)
    assert too_slow(side_by_side((slow, records), (fast, records), timer=_timer))
    assert slow.asked == 3 * ROUNDS
    assert not too_slow(side_by_side((noisy, records), (fast, records), timer=_timer))
    assert noisy.asked == 2 * ROUNDS
    assert not too_slow(side_by_side((slow, records), None, timer=_timer))


def test_every_known_metric_says_what_it_means() -> None:
    """Names in specs, cards and rules are explained."""
    assert all(
        METRICS[name].meaning and METRICS[name].guard
        for names in OF_TASK.values()
        for name in names
    )
