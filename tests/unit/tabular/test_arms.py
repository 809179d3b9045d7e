"""The statistics of experiments: looks cost nothing, bounds hold, plans are about right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from shared.tabular.arms import (
    ALPHA,
    EARLY,
    PLANNED,
    Arm,
    always_valid,
    effective_alpha,
    judge,
    split_p,
)
from shared.tabular.metrics import Floats
from shared.tabular.power import rows_needed


def arm(target: Floats, answers: Floats, *, version: str = "v", per_unit: int = 1) -> Arm:
    rows = len(target)
    unit = np.arange(rows) // per_unit
    hits = int(target.sum())
    return Arm(
        version=version,
        rows=rows,
        counted=rows,
        units=len(np.unique(unit)),
        target=target,
        answers=answers,
        unit=unit,
        positives=hits,
        rarer=min(hits, rows - hits),
    )


def draw(rng: np.random.Generator, rows: int, skill: float) -> tuple[Floats, Floats]:
    """Targets at a base rate of 30 %, and scores that know `skill` of them."""
    target = (rng.random(rows) < 0.3).astype(np.float64)
    return target, skill * target + rng.normal(size=rows)


def growing(
    rng: np.random.Generator, skill: float, better: float, looks: range
) -> Iterator[tuple[Arm, Arm]]:
    """The arms of one experiment at each of its looks, of ever more rows."""
    target, answers = draw(rng, looks[-1], skill)
    other, theirs = draw(rng, looks[-1], skill + better)
    for rows in looks:
        yield arm(target[:rows], answers[:rows]), arm(other[:rows], theirs[:rows])


def verdicts(seed: int, better: float) -> set[str]:
    """The verdicts of eight looks at an experiment of 1,600 rows."""
    looks = growing(np.random.default_rng(seed), 1.0, better, range(200, 1601 // 2 + 200, 100))
    return {
        judge(
            "binary", first, second, share=0.5, final=False, planned=False, min_coverage=0.8
        ).verdict
        for first, second in looks
    }


def test_equal_versions_are_told_apart_in_few_experiments_however_often_one_looks() -> None:
    """Of 120 experiments with equal versions and seven looks each, at most 5 in 100 and the chance
    around it ever name the challenger, and as few the champion."""
    found = [verdicts(seed, 0.0) for seed in range(120)]
    for verdict in ("challenger_better", "champion_better"):
        assert sum(verdict in seen for seen in found) <= 10


def test_a_difference_is_shown_when_it_is_there() -> None:
    """A challenger that is much better is named in nearly all experiments of that size, and the
    champion in none."""
    found = [verdicts(seed, 1.0) for seed in range(40)]
    assert sum("challenger_better" in seen for seen in found) >= 36
    assert not any("champion_better" in seen for seen in found)


def test_an_always_valid_bound_is_never_crossed_by_chance_more_often_than_promised() -> None:
    """Sums of noise, looked at after each of 20,000 rows from 300 on: fewer than 5 in 100 ever
    cross; an ordinary bound is crossed by a third of them."""
    rng = np.random.default_rng(5)
    looks = np.unique(np.geomspace(300, 20_000, 150).astype(int))
    bounds = np.array([always_valid(ALPHA, int(rows)) for rows in looks])
    crossed = naive = 0
    for _ in range(600):
        sums = np.cumsum(rng.normal(size=20_000))[looks - 1] / np.sqrt(looks)
        crossed += bool((sums > bounds).any())
        naive += bool((sums > 1.645).any())
    assert crossed <= 30
    assert naive > 150


def test_the_budget_of_a_planned_experiment_adds_up() -> None:
    """What looks before the end may cost and what the test at the end may cost is 5 % together; an
    always-valid bound is wider than one that is looked at once, at every number of rows."""
    assert pytest.approx(ALPHA) == EARLY + PLANNED
    for rows in (1, 300, 1000, 10**6):
        assert effective_alpha(ALPHA, rows, final=False) < ALPHA
    assert effective_alpha(PLANNED, 1000, final=True) == PLANNED


def test_rows_of_one_key_are_worth_less_than_rows_of_many() -> None:
    """Copies of a row make no evidence: bounds stay where they were."""
    rng = np.random.default_rng(3)
    target, answers = draw(rng, 400, 1.0)
    other, theirs = draw(rng, 400, 1.5)

    def width(copies: int) -> float:
        first = arm(np.repeat(target, copies), np.repeat(answers, copies), per_unit=copies)
        second = arm(np.repeat(other, copies), np.repeat(theirs, copies), per_unit=copies)
        look = judge("binary", first, second, share=0.5, final=True, planned=True, min_coverage=0.8)
        assert look.difference is not None
        assert look.lower is not None
        return look.difference - look.lower

    assert width(5) == pytest.approx(width(1), rel=0.05)


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_other_tasks_are_judged_by_their_metric(task: str) -> None:
    """RMSE, where less is better, and the share of right answers: above 0 is the challenger."""
    rng = np.random.default_rng(1)
    if task == "regression":
        target, rarer = rng.normal(size=600), None
        answers = [target + rng.normal(0, spread, 600) for spread in (1.0, 0.5)]
    else:
        target, rarer = np.ones(600), 100
        answers = [(rng.random(600) < share).astype(np.float64) for share in (0.6, 0.8)]
    arms = [replace(arm(target, given), rarer=rarer) for given in answers]
    look = judge(task, arms[0], arms[1], share=0.5, final=False, planned=False, min_coverage=0.8)
    assert look.verdict == "challenger_better"
    assert look.champion.value is not None
    assert look.champion.low is not None
    assert look.champion.high is not None
    assert 0 < look.champion.low < look.champion.value < look.champion.high


def test_a_split_by_chance_is_no_alarm() -> None:
    """The share holds within chance, and does not where a tenth of one side is gone."""
    rng = np.random.default_rng(0)
    alarms = sum(split_p(2000 - n, n, 0.5) < 0.001 for n in rng.binomial(2000, 0.5, 2000).tolist())
    assert alarms <= 8
    assert split_p(10_000, 9_000, 0.5) < 0.001
    assert split_p(0, 0, 0.5) == 1.0


def test_the_planned_number_of_rows_shows_the_difference_four_times_in_five() -> None:
    """Of 60 planned experiments of the size that is named, about 48 show the difference."""
    skill, better = 1.0, 0.35  # AUROC 0.760 and 0.830
    rows = rows_needed("auroc", {"auroc": 0.76, "base_rate": 0.3}, 0.0697, 0.5, planned=True)
    assert rows is not None
    shown = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        first, second = draw(rng, rows // 2, skill), draw(rng, rows // 2, skill + better)
        look = judge(
            "binary",
            arm(*first),
            arm(*second),
            share=0.5,
            final=True,
            planned=True,
            min_coverage=0.8,
        )
        shown += look.verdict == "challenger_better"
    assert 40 <= shown <= 59


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_smaller_differences_and_smaller_shares_take_more_rows(share: float) -> None:
    """And a planned end takes fewer than looking at will."""
    facts = {"auroc": 0.9, "base_rate": 0.25}

    def rows(difference: float, *, planned: bool) -> int:
        found = rows_needed("auroc", facts, difference, share, planned=planned)
        assert found is not None
        return found

    assert rows(0.01, planned=True) > rows(0.02, planned=True)
    assert rows(0.01, planned=False) > rows(0.01, planned=True)
    assert rows_needed("auroc", {}, 0.01, share, planned=True) is None
    assert rows_needed("accuracy", {"accuracy": 0.7}, 0.02, share, planned=True)
    assert rows_needed("rmse", {"rmse": 2.0}, 0.1, share, planned=True)
