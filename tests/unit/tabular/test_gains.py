"""Intervals and gains: against slow computations of the same thing, and on what breaks formulas."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from shared.tabular import metrics
from shared.tabular.estimates import blocks, estimate
from shared.tabular.gains import Sample, interval, paired_gain, unpaired_gain
from shared.tabular.influence import Metric, influence
from shared.tabular.metrics import Floats
from shared.tabular.rates import rate_interval

TASKS = ("binary", "multiclass", "regression")
Pair = tuple[Floats, Floats, Floats]


def _pair(task: str, rows: int = 800, seed: int = 0, noise: float = 1.1) -> Pair:
    """A target with the answers of two models that differ a little."""
    random = np.random.default_rng(seed)
    if task == "regression":
        target = random.normal(size=rows)
        return target, target + random.normal(0, 1, rows), target + random.normal(0, noise, rows)
    target = (random.random(rows) < 0.3).astype(np.float64)
    scores = [1 / (1 + np.exp(1 - 2 * target - random.normal(0, s, rows))) for s in (1, noise)]
    if task == "multiclass":
        first, second = (np.column_stack([1 - each, each]) for each in scores)
        return target, first, second
    return target, scores[0], scores[1]


def _slow_delong(target: Floats, first: Floats, second: Floats) -> tuple[float, float]:
    """Difference of two AUROCs and its variance, pair by pair, as DeLong et al. (1988) wrote it."""

    def wins(scores: Floats) -> Floats:
        positive, negative = scores[target > 0][:, None], scores[target == 0][None, :]
        won: Floats = (positive > negative) + 0.5 * (positive == negative)
        return won

    difference = wins(first) - wins(second)
    positives, negatives = difference.shape
    by_positive, by_negative = difference.mean(axis=1), difference.mean(axis=0)
    variance = by_positive.var(ddof=1) / positives + by_negative.var(ddof=1) / negatives
    return float(difference.mean()), float(variance)


@pytest.mark.parametrize("ties", [False, True])
def test_the_error_of_an_auroc_gain_is_delongs(ties: bool) -> None:
    """Pair by pair, in n squared steps, the same comes out."""
    target, first, second = _pair("binary", 300)
    if ties:
        first, second = np.round(first, 1), np.round(second, 1)
    found = paired_gain("binary", target, first, second)
    value, variance = _slow_delong(target, first, second)
    assert found.value == pytest.approx(value, abs=1e-12)
    assert found.standard_error**2 == pytest.approx(variance, rel=1e-9)


@pytest.mark.parametrize("task", TASKS)
def test_a_bound_is_that_of_a_brute_force_bootstrap(task: str) -> None:
    """On moderate data both say the same, to a tenth of a standard error; the gate's bound is a
    little under it."""
    target, first, second = _pair(task)
    found = paired_gain(task, target, first, second)
    random = np.random.default_rng(1)
    gains = []
    for _ in range(3000):
        rows = random.integers(0, len(target), len(target))
        both = [metrics.primary(task, target[rows], each[rows]) for each in (first, second)]
        gains.append(metrics.gain(task, *both))
    error = float(np.std(gains))
    assert found.standard_error == pytest.approx(error, rel=0.06)
    parts = [influence(metrics.PRIMARY[task], target, each) for each in (first, second)]
    difference = parts[0] - parts[1] if task == "binary" else parts[1] - parts[0]
    bound = float(np.quantile(gains, 0.05))
    assert estimate(difference).lower(0.05) == pytest.approx(bound, abs=0.12 * error)
    assert bound - 0.45 * error < found.lower < bound


@pytest.mark.parametrize("task", TASKS)
def test_a_gain_is_the_difference_of_the_metrics(task: str) -> None:
    """The value beside the bound is the one that reports show, and turns with the models."""
    target, first, second = _pair(task)
    found, turned = (
        paired_gain(task, target, first, second),
        paired_gain(task, target, second, first),
    )
    both = [metrics.primary(task, target, each) for each in (first, second)]
    assert found.value == pytest.approx(metrics.gain(task, *both), abs=1e-12)
    assert turned.value == pytest.approx(-found.value)
    assert turned.standard_error == pytest.approx(found.standard_error)
    assert found == paired_gain(task, target, first, second)


@given(st.floats(1e-4, 0.4), st.floats(1e-4, 0.4), st.integers(0, 20), st.sampled_from(TASKS))
def test_more_certainty_means_a_lower_bound(one: float, other: float, seed: int, task: str) -> None:
    """A bound falls with alpha, and is under the value; so does one by blocks or groups."""
    target, first, second = _pair(task, 120, seed)
    less, more = sorted((one, other))
    order = np.arange(120)
    ways: list[dict[str, Any]] = [{}, {"order": order}, {"groups": order // 4}]
    for units in ways:
        careful = paired_gain(task, target, first, second, alpha=less, **units)
        bold = paired_gain(task, target, first, second, alpha=more, **units)
        assert careful.lower <= bold.lower < bold.value


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=40),
    st.sampled_from(TASKS),
)
def test_any_rows_give_numbers(rows: list[tuple[bool, float, float]], task: str) -> None:
    """One row, one class, ties, equal answers: a bound is a number or minus infinity, and not above
    the value."""
    target, first, second = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    if task == "multiclass":
        first, second = (np.column_stack([1 - each, each]) for each in (first, second))
    units = np.arange(len(target))
    ways: list[dict[str, Any]] = [{}, {"order": units}, {"groups": units // 2}]
    for more in ways:
        found = paired_gain(task, target, first, second, **more)
        assert not np.isnan(found.lower)
        assert np.isnan(found.value) or found.lower <= found.value + 1e-12


def test_nothing_is_certain_about_one_class_or_a_missing_answer() -> None:
    """AUROC of one class, an answer that is no number, no rows: never above any floor."""
    target, first, second = _pair("binary", 50)
    holes = np.where(np.arange(50) == 7, np.nan, first)
    for found in (
        paired_gain("binary", np.ones(50), first, second),
        paired_gain("binary", target, holes, second),
        paired_gain("regression", target, second, holes),
        paired_gain("binary", target[:0], first[:0], second[:0]),
        unpaired_gain("binary", Sample(target, first), Sample(np.zeros(50), second)),
    ):
        assert np.isnan(found.value)
        assert found.lower == float("-inf")
    assert interval("auroc", np.ones(50), first) == (0.0, 1.0)
    assert interval("rmse", target[:1], first[:1]) == (0.0, float("inf"))


def test_equal_answers_are_no_gain() -> None:
    """A model against itself, and constant scores against constant scores: 0, and at least 0."""
    for task in TASKS:
        target, first, _ = _pair(task, 200)
        found = paired_gain(task, target, first, first)
        assert (found.value, found.lower, found.standard_error) == (0.0, 0.0, 0.0)
    found = paired_gain("binary", np.arange(200.0) % 2, np.full(200, 0.4), np.full(200, 0.6))
    assert (found.value, found.lower) == (0.0, 0.0)


def test_rare_huge_errors_lower_the_bound_more_than_the_error_says() -> None:
    """A gain with a long tail below is judged by Hall's correction, one with its tail above by
    Student's quantile alone."""
    rows = 400
    target = np.zeros(rows)
    usual = np.full(rows, 1.0) + np.random.default_rng(0).normal(0, 0.05, rows)
    rare = np.where(np.arange(rows) < 4, 8.0, usual - 0.05)
    worse = paired_gain("regression", target, rare, usual, alpha=0.004)
    better = paired_gain("regression", target, usual, rare, alpha=0.004)
    student = 2.667 * better.standard_error  # of 399 degrees of freedom
    assert student < better.value - better.lower < 1.05 * student
    assert worse.value - worse.lower > 1.8 * student


def test_the_worst_row_counts_once_more() -> None:
    """A gain that the loss of one more row like the worst would undo is none."""
    target, second = np.zeros(400), np.ones(400)
    first = np.where(np.arange(400) == 0, 4.0, 0.98)
    bare = estimate(influence("rmse", target, second) - influence("rmse", target, first))
    assert bare.cautious().value < bare.value
    assert bare.cautious().lower(0.05) < bare.lower(0.05)
    spread = np.where(np.arange(400) % 2 == 0, 0.5, 1.1)
    even = estimate(influence("rmse", target, second) - influence("rmse", target, spread))
    assert even.lower(0.05) - even.cautious().lower(0.05) < 0.1 * even.error


def test_rows_alike_in_time_count_for_less() -> None:
    """Errors that last make a bound by blocks much wider than one by rows, whatever the order in
    which the rows come."""
    random = np.random.default_rng(2)
    lasting = np.repeat(random.normal(0, 1, 40), 25)
    target, when = random.normal(0, 0.1, 1000), np.arange(1000)
    first, second = target + lasting, target + random.normal(0, 1, 1000)
    by_rows = paired_gain("regression", target, first, second)
    by_time = paired_gain("regression", target, first, second, order=when)
    mixed = random.permutation(1000)
    again = paired_gain("regression", target[mixed], first[mixed], second[mixed], order=when[mixed])
    assert by_time.standard_error > 2 * by_rows.standard_error
    assert by_time.units == pytest.approx(10)
    assert again.lower == pytest.approx(by_time.lower)


@pytest.mark.parametrize(("rows", "count"), [(0, 0), (3, 3), (150, 10), (6500, 19), (10**6, 30)])
def test_blocks_are_contiguous_and_equal(rows: int, count: int) -> None:
    """Each is a stretch of time; sizes differ by one at most."""
    found = blocks(np.arange(rows)[::-1])[::-1]
    assert list(np.unique(found)) == list(range(count))
    assert (np.diff(found) >= 0).all()
    if rows:
        assert np.ptp(np.bincount(found)) <= 1


@pytest.mark.parametrize("task", TASKS)
def test_copies_in_a_group_are_no_evidence(task: str) -> None:
    """Each row five times in its group of five: nearly the bound of the rows once."""
    target, first, second = _pair(task, 400)
    once = paired_gain(task, target, first, second)
    copied = [np.repeat(each, 5, axis=0) for each in (target, first, second)]
    found = paired_gain(task, *copied, groups=np.repeat(np.arange(400), 5))
    assert found.standard_error == pytest.approx(once.standard_error, rel=0.01)
    assert found.lower == pytest.approx(once.lower, abs=0.02 * once.standard_error)
    assert paired_gain(task, *copied).standard_error < 0.5 * once.standard_error


def test_groups_of_uneven_sizes_count_as_fewer() -> None:
    """One group with half of the rows: the evidence is worth about four groups, not a hundred; a
    group that has all the positives leaves nothing to compare."""
    target, first, second = _pair("binary", 1000)
    groups = np.where(np.arange(1000) < 500, 0, np.arange(1000) // 5)
    assert paired_gain("binary", target, first, second, groups=groups).units < 5
    alone = np.where(target > 0, -1, np.arange(1000) // 5)
    assert paired_gain("binary", target, first, second, groups=alone).lower == float("-inf")


@pytest.mark.parametrize("task", TASKS)
def test_two_groups_of_people_are_compared_without_pairs(task: str) -> None:
    """An experiment's bound: the errors of both samples add up; that of pairs is narrower where
    the same rows are hard for both."""
    target, first, second = _pair(task, 2000)
    half = np.arange(2000) % 2 == 0
    found = unpaired_gain(
        task, Sample(target[half], first[half]), Sample(target[~half], second[~half]), alpha=0.01
    )
    singles = [
        estimate(influence(metrics.PRIMARY[task], target[side], each[side])).error
        for each, side in ((first, half), (second, ~half))
    ]
    assert found.standard_error == pytest.approx(np.hypot(singles[0], singles[1]))
    assert found.value - found.lower >= 2.32 * found.standard_error
    same = unpaired_gain(task, Sample(target, first), Sample(target, first))
    assert same.value == 0
    assert same.lower < 0


@pytest.mark.parametrize("metric", [name for name in get_args(Metric) if name != "ece"])
def test_intervals_hold_the_value_and_cover(metric: Metric) -> None:
    """Of 200 samples about 95 % have the truth in their interval, by rows and by blocks. Not the
    calibration error: of few rows it is too large on average."""
    tasks = dict.fromkeys(("rmse", "mae", "r2"), "regression") | {"auroc_ovr": "multiclass"}
    task = tasks.get(metric, "binary")

    def sample(rows: int, seed: int) -> tuple[Floats, Floats]:
        target, scores, _ = _pair(task, rows, seed)
        return target, scores

    target, scores = sample(300_000, 1)
    truth = influence(metric, target, scores, threshold=0.6).value
    hits = {"rows": 0, "blocks": 0}
    for seed in range(200):
        target, scores = sample(400, seed + 2)
        for name, order in (("rows", None), ("blocks", np.arange(400))):
            low, high = interval(metric, target, scores, threshold=0.6, order=order)
            hits[name] += low <= truth <= high
            assert low <= influence(metric, target, scores, threshold=0.6).value <= high
    assert 182 <= hits["rows"] <= 199
    assert 182 <= hits["blocks"] <= 199


def test_values_are_those_of_the_reports() -> None:
    """What an interval is about equals scikit-learn's figures."""
    target, scores, _ = _pair("binary")
    said = scores >= 0.6
    figures: dict[Metric, float] = {
        "precision": reference.precision_score(target, said),
        "recall": reference.recall_score(target, said),
        "f1": reference.f1_score(target, said),
        "accuracy": reference.accuracy_score(target, said),
        "log_loss": reference.log_loss(target, scores),
        "auroc": reference.roc_auc_score(target, scores),
    }
    for metric, expected in figures.items():
        assert influence(metric, target, scores, threshold=0.6).value == pytest.approx(expected)
    target, values, _ = _pair("regression")
    assert influence("r2", target, values).value == pytest.approx(
        reference.r2_score(target, values)
    )


def test_perfect_is_not_certain() -> None:
    """Fifty rows ranked perfectly, or all answered right, leave room for doubt."""
    target = np.r_[np.zeros(25), np.ones(25)]
    low, high = interval("auroc", target, target)
    assert 0.8 < low < 0.99
    assert high == 1.0
    assert interval("auroc", target, 1 - target)[0] == 0.0
    assert interval("recall", target, target)[0] == pytest.approx(0.863, abs=1e-3)
    assert rate_interval(0, 0) == (0.0, 1.0)
