"""Metrics, threshold, intervals and baseline against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from shared.budget import ALPHA, Looks
from shared.policy import judge
from shared.serving.features import Feature
from shared.spec.model import Promotion
from shared.tabular import baseline, metrics
from shared.tabular.comparison import (
    Alike,
    FalseAlarms,
    Judgement,
    false_positive_guardrail,
    holdout_of,
)
from shared.tabular.dataset import Examples
from shared.tabular.gains import Gain, paired_gain
from shared.tabular.measuring import Answered, measures
from shared.tabular.metrics import Floats
from shared.tabular.rates import rate_lower, rate_upper
from shared.tabular.threshold import choose_threshold


def _scores(rows: int = 500, seed: int = 0, *, ties: bool = False) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    positive = (random.random(rows) < 0.3).astype(np.float64)
    scores = np.clip(0.3 * positive + random.normal(0.35, 0.2, rows), 0.001, 0.999)
    return positive, np.round(scores, 1) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
def test_binary_metrics_agree_with_scikit_learn(*, ties: bool) -> None:
    """Ranking with and without equal scores, and every count behind the threshold."""
    positive, scores = _scores(ties=ties)
    scores = np.clip(scores, 0.01, 0.99)
    found = metrics.binary(positive, scores, 0.45)
    said = scores >= 0.45
    assert found["auroc"] == pytest.approx(reference.roc_auc_score(positive, scores))
    assert found["log_loss"] == pytest.approx(reference.log_loss(positive, scores))
    assert found["f1"] == pytest.approx(reference.f1_score(positive, said))
    assert found["precision"] == pytest.approx(reference.precision_score(positive, said))
    assert found["recall"] == pytest.approx(reference.recall_score(positive, said))
    assert found["accuracy"] == pytest.approx((positive == said).mean())
    assert found["false_positive_rate"] == pytest.approx(said[positive == 0].mean())
    assert found["base_rate"] == positive.mean()


def test_other_metrics_agree_with_scikit_learn() -> None:
    """Regression and multiclass."""
    random = np.random.default_rng(1)
    target = random.normal(size=200)
    values = target + random.normal(size=200)
    found = metrics.regression(target, values)
    assert found["rmse"] == pytest.approx(reference.root_mean_squared_error(target, values))
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(target, values))
    assert found["r2"] == pytest.approx(reference.r2_score(target, values))
    classes = random.integers(0, 3, 200).astype(np.float64)
    shares = random.dirichlet(np.ones(3), 200)
    several = metrics.multiclass(classes, shares)
    assert several["log_loss"] == pytest.approx(reference.log_loss(classes, shares))
    assert several["auroc_ovr"] == pytest.approx(
        reference.roc_auc_score(classes, shares, multi_class="ovr")
    )


def test_a_gain_is_above_zero_when_the_challenger_is_better() -> None:
    """Whichever way the metric points."""
    assert metrics.gain("binary", 0.9, 0.8) > 0
    assert metrics.gain("regression", 0.8, 0.9) > 0
    assert metrics.gain("multiclass", 0.8, 0.9) > 0


@pytest.mark.parametrize("ceiling", [0.2, 0.1, 0.05])
def test_the_threshold_keeps_the_upper_bound_under_the_ceiling(ceiling: float) -> None:
    """The best F1 among those that keep it, not the best F1, and not just the point under it."""
    positive, scores = _scores(3000)
    choice = choose_threshold(positive, scores, "f1", ceiling)
    free = choose_threshold(positive, scores, "f1", None)
    said = scores >= choice.threshold
    rate = said[positive == 0].mean()
    assert choice.false_positive_rate == pytest.approx(rate)
    assert rate < choice.false_positive_upper <= ceiling
    assert choice.under_ceiling
    assert choice.value == pytest.approx(reference.f1_score(positive, said))
    assert choice.value <= free.value
    allowed = [
        reference.f1_score(positive, scores >= level)
        for level in np.quantile(scores, np.linspace(0.01, 0.99, 99))
        if rate_upper(int((scores >= level)[positive == 0].sum()), choice.negatives) <= ceiling
    ]
    assert choice.value >= max(allowed) - 1e-12


def test_scores_that_are_neighbouring_floats_stay_apart() -> None:
    """Scores that saturate differ in their last bit: the rows that were counted as negative are."""
    for step in range(4):
        lower = np.nextafter(0.3, 1) if step % 2 else 0.3
        lower = lower if step < 2 else 1 - lower * 1e-16
        upper = np.nextafter(lower, 2)
        scores = np.repeat([upper, lower], 30)
        positive = np.repeat([1.0, 0.0], 30)
        choice = choose_threshold(positive, scores, "f1", None)
        assert choice.false_positive_rate == 0
        assert metrics.confusion(positive, scores, choice.threshold)["false_positives"] == 0


def test_a_ceiling_that_cannot_be_kept_is_said() -> None:
    """Five negatives never prove a rate under 5 %."""
    positive, scores = np.array([1.0] * 5 + [0.0] * 5), np.linspace(1, 0.1, 10)
    choice = choose_threshold(positive, scores, "accuracy", 0.05)
    assert not choice.under_ceiling
    assert choice.false_positive_rate == 0


def test_rate_bounds_are_those_of_clopper_and_pearson() -> None:
    """Against published values: 0 of 10 is at most 25.9 %, 10 of 100 between 5.5 and 16.4 %."""
    assert float(rate_upper(0, 10)) == pytest.approx(0.2589, abs=1e-4)
    assert float(rate_upper(10, 100)) == pytest.approx(0.1637, abs=1e-4)
    assert rate_lower(10, 100) == pytest.approx(0.0553, abs=1e-4)
    assert float(rate_upper(10, 10)) == 1.0


@pytest.mark.parametrize("task", ["binary", "regression", "multiclass"])
def test_an_equal_model_is_no_gain_and_a_better_one_is(task: str) -> None:
    """Lower bound 0 against itself, above 0 against noise, below 0 the other way round."""
    random = np.random.default_rng(3)
    target = random.integers(0, 2, 400).astype(np.float64)
    good = np.clip(0.25 + 0.5 * target + random.normal(0, 0.1, 400), 0.01, 0.99)
    bad = random.uniform(0.2, 0.8, 400)
    if task == "multiclass":
        good, bad = (np.column_stack([1 - each, each]) for each in (good, bad))
    same = paired_gain(task, target, good, good)
    assert (same.value, same.lower) == (0.0, 0.0)
    better = paired_gain(task, target, good, bad)
    assert 0 < better.lower < better.value
    assert paired_gain(task, target, bad, good).lower < 0
    assert paired_gain(task, target, good, bad) == better


def test_the_interval_is_as_wide_as_theory_says() -> None:
    """For a mean of differences the bound is 1.645 standard errors below it."""
    random = np.random.default_rng(4)
    target = (random.random(2000) < 0.5).astype(np.float64)
    first, second = random.uniform(0.3, 0.7, (2, 2000))
    pairs = [np.column_stack([1 - each, each]) for each in (first, second)]
    found = paired_gain("multiclass", target, pairs[0], pairs[1])
    losses = [metrics.row_losses("multiclass", target, each) for each in pairs]
    error = (losses[0] - losses[1]).std() / np.sqrt(2000)
    assert found.value - found.lower == pytest.approx(1.645 * error, rel=0.1)


FEATURES = (Feature("n", "number"), Feature("c", "category"))


def _examples(rows: int, seed: int) -> Examples:
    random = np.random.default_rng(seed)
    number = random.normal(size=rows)
    number[::10] = np.nan
    city = random.choice(np.array(["a", "b", f"only-{seed}"], object), rows)
    odds = 2 * np.nan_to_num(number)
    target = (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    return Examples({"n": number, "c": city.astype(object)}, target)


def test_a_model_must_beat_its_best_column_and_the_base_rate() -> None:
    """Guessing and copying the best column are not eligible; knowing more is."""
    fit, holdout = _examples(2000, 0), _examples(1000, 1)
    alone = baseline.single_columns("binary", fit, holdout, FEATURES, 2)
    noise = np.random.default_rng(5).random(1000)

    def judged(answers: Floats) -> baseline.Baseline:
        return baseline.judge("binary", fit, holdout, answers, FEATURES, classes=2)

    best = judged(0.5 * alone["n"] + 0.5 * holdout.target)
    assert best.column == "n"
    assert best.constant == 0.5
    assert best.value == pytest.approx(metrics.auroc(holdout.target, alone["n"]))
    assert best.gain_lower > 0
    assert judged(alone["n"]).gain_lower <= 0
    assert judged(noise).gain_lower < 0


def test_sentences_say_what_was_found() -> None:
    """A manager reads the outcome, with rows and confidence."""
    rows = holdout_of(
        "binary", np.array([1.0] * 60 + [0.0] * 200), "random", classes=2, overlap=0, removed=3
    )
    judgement = Judgement("v2", "binary", rows, 0.9, None, [], "v1", 0.88, None)
    assert judgement.evidence == "sufficient"
    assert not judgement.to_json()["eligible"]
    assert rows.to_json() == {
        "kind": "random",
        "rows": 260,
        "positives": 60,
        "overlap": 0,
        "removed": 3,
    }
    looks = Looks("abc", comparisons=3, same_holdout=2)
    gain = Gain(0.0, -0.0, 0.01, ALPHA)
    equal = Judgement("v2", "binary", rows, 0.9, None, [], "v1", 0.9, gain, looks=looks)
    assert equal.sentence().endswith(
        "better by 0.0000, and certainly no more than 0.0000 worse (judged at 99.6 %). Before this "
        "one the model had 3 comparisons, 2 on these holdout rows."
    )
    body = equal.to_json()
    assert (body["alpha"], body["budget"]["total"], body["budget"]["over"]) == (0.05 / 12, 0.05, 12)
    assert (body["budget"]["comparisons"], body["budget"]["same_holdout"]) == (3, 2)
    why = Judgement("v2", "binary", rows, 0.9, None, [], "v1", why_not="its labels are a, b")
    assert why.evidence == "not_comparable"
    assert "its labels are a, b" in why.sentence()


def test_a_small_target_is_not_zero_in_words() -> None:
    """Errors in millionths, and those of 1e30, have digits that say something."""
    for size, shown in ((4.7e-4, "0.00047"), (3e-31, "3e-31"), (5.9979e28, "5.998e+28")):
        rows = holdout_of("regression", np.zeros(400), "random", classes=0, overlap=0, removed=0)
        gain = Gain(size / 100, size / 1000)
        text = Judgement("v2", "regression", rows, size, None, [], "v1", size, gain).sentence()
        assert f"of the new version is {shown}," in text
        assert "0.000 " not in text
        assert len(text) < 400
    rows = holdout_of("binary", np.ones(400), "random", classes=2, overlap=0, removed=0)
    noise = Judgement("v2", "binary", rows, 0.9, None, [], "v1", 0.9, Gain(1e-16, -1e-17))
    assert "better by 0.0000, " in noise.sentence()


def test_few_blocks_or_groups_are_too_little_evidence() -> None:
    """A thousand rows of five customers, or positives that all came in one stretch of time, decide
    nothing; the same rows spread out do."""
    target = np.r_[np.ones(100), np.zeros(900)]
    few, many, time = np.arange(1000) // 200, np.arange(1000) % 100, np.arange(1000)
    spread = np.random.default_rng(0).permutation(1000)

    def judged(alike: Alike) -> Judgement:
        rows = holdout_of("binary", target, "time", classes=2, overlap=0, removed=0, alike=alike)
        return Judgement("v2", "binary", rows, 0.9, None, [], "v1", 0.9, Gain(0.0, -0.1))

    for alike in (Alike(groups=few), Alike(order=time)):
        assert judged(alike).evidence == "insufficient_evidence"
        assert "in 8 " + alike.name in judged(alike).sentence()
    for alike in (Alike(groups=many), Alike(order=spread), Alike()):
        assert judged(alike).evidence == "sufficient"


def test_an_unknown_bound_is_written_as_none() -> None:
    """What cannot be bounded is no number in comparison.json, and passes no rule."""
    rows = holdout_of("regression", np.arange(9.0), "random", classes=0, overlap=0, removed=0)
    base = baseline.Baseline("n", 1.0, 1.0, 0.1, float("-inf"), float("-inf"))
    unknown = Gain(0.1, float("-inf"), float("nan"), ALPHA)
    body = Judgement("v2", "regression", rows, 0.9, base, [], "v1", 0.9, unknown).to_json()
    assert (body["gain_lower"], body["standard_error"]) == (None, None)
    assert body["baseline"]["constant_gain_lower"] is None
    assert "nothing is certain" in body["sentence"]
    verdict = judge(
        {**body, "evidence": "sufficient", "eligible": True},
        Promotion(),
        champion="v1",
        pinned=False,
    )
    assert verdict.action == "ask"
    alone, auto = {**body, "against": None}, Promotion(approval="auto")
    assert judge(alone, auto, champion=None, pinned=False).action == "ask"


def test_the_ceiling_is_broken_when_the_holdout_says_so() -> None:
    """A bound kept out of fold does not help against clear evidence on the holdout; a little
    above the ceiling by chance does not break it."""
    assert false_positive_guardrail(0.08, 0.09, 0.1, 5000, FalseAlarms(101, 1000))["pass"]
    chance = "within what chance explains"
    above = false_positive_guardrail(0.08, 0.09, 0.1, 5000, FalseAlarms(51, 461))
    assert above["pass"]
    assert chance in above["sentence"], "why more than the ceiling is ok"
    broken = false_positive_guardrail(0.08, 0.09, 0.1, 5000, FalseAlarms(150, 1000))
    assert chance not in broken["sentence"]
    assert not false_positive_guardrail(0.08, 0.09, 0.1, 5000, FalseAlarms(150, 1000))["pass"]
    assert not false_positive_guardrail(0.1, 0.11, 0.1, 5000, FalseAlarms(50, 1000))["pass"]


def test_a_ceiling_that_the_champion_breaks_as_well_stops_nobody_better() -> None:
    """In a world where the champion raises more false alarms, keeping it is no guard; a version
    that raises more than the champion, or breaks the ceiling out of fold, is stopped."""
    better = false_positive_guardrail(0.08, 0.09, 0.1, 5000, FalseAlarms(180, 1000, champion=250))
    assert better["pass"]
    assert "champion with 25.0%" in better["sentence"]
    assert (
        "8.0% of 5,000 negative rows out of fold, with 95 % confidence at most 9.0%"
        in (better["sentence"])
    )
    assert not false_positive_guardrail(0.08, 0.09, 0.1, 5000, FalseAlarms(180, 1000, 170))["pass"]
    assert not false_positive_guardrail(0.1, 0.11, 0.1, 5000, FalseAlarms(180, 1000, 250))["pass"]


@pytest.mark.parametrize("size", [1e-30, 1e-40, 1e-55, 1e-75, 1e-100, 1e-200])
def test_answers_that_are_all_but_perfect_are_measured(size: float) -> None:
    """Errors whose squares, or the squares and cubes of those, are too small for a float: every
    metric of two classes and of values still has a value and ends."""
    random = np.random.default_rng(0)
    target = np.arange(100.0) % 2
    off = random.random(100) * size
    for task, answers in (("binary", np.abs(target - off)), ("regression", target * size + off)):
        aim = target if task == "binary" else target * size
        found = measures(Answered(task, aim, answers, 0.5))
        assert {"binary": {"brier", "auroc"}, "regression": {"rmse", "mae"}}[task] <= set(found)
        for one in found.values():
            assert np.isfinite(one["value"])
