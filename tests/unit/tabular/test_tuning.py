"""The search: same recipes whatever the machine, judged on rows that nothing was fitted on."""

from __future__ import annotations

import time

import numpy as np
import pytest

from shared.errors import NotTrainable
from shared.spec.search import LIMITS
from shared.tabular import attempts, candidates, inner, metrics, spaces, tuning
from shared.tabular.dataset import Examples
from shared.tabular.inner import Folds
from shared.tabular.tuning import Budget
from tests.unit.tabular.fits import CANDIDATES, FEATURES, rows_of

LATER = time.monotonic() + 3600


def folds_of(task: str = "binary", count: int = 4, rows: Examples | None = None) -> Folds:
    return inner.fold_rows(rows or rows_of(task), task, count, 0, FEATURES)  # type: ignore[arg-type]


def search(candidate: str, folds: Folds, task: str = "binary", **more: object) -> tuning.Recipe:
    given = {"space": spaces.SPACES[candidate], "budget": Budget(5, LATER), "seed": 1, **more}  # type: ignore[index]
    return tuning.search(candidate, task, folds, FEATURES, **given)  # type: ignore[arg-type]


def test_a_search_starts_with_the_hand_set_recipe_and_repeats_itself() -> None:
    """Same seed, same trials, same answers; XGBoost's number of trees is part of the recipe."""
    first, again = (search("xgboost", folds_of()) for _ in range(2))
    assert [trial.params for trial in first.trials] == [trial.params for trial in again.trials]
    assert first.answers.tolist() == again.answers.tolist()
    start = {**first.trials[0].params}
    assert 1 <= start.pop("n_estimators") <= spaces.BOOSTING_ROUNDS
    assert start == spaces.FIRST["xgboost"]
    assert not first.cut


def test_the_answers_are_those_of_the_recipe_on_rows_it_never_saw() -> None:
    """Fitting the recipe without a fold and asking it gives the recorded answers, number of trees
    included: what threshold, calibrator and blend are made from is what will be refitted."""
    folds = folds_of()
    found = search("xgboost", folds, budget=Budget(2, LATER))
    train, judge = folds.split(2)
    fitted = candidates.fit("xgboost", found.params, "binary", train, features=FEATURES, seed=1)
    assert np.allclose(fitted.answer(judge.columns), found.answers[folds.fold == 2], atol=1e-7)
    assert found.score == metrics.auroc(folds.rows.target, found.answers)


def test_trials_that_fall_behind_are_given_up() -> None:
    """A given-up trial says after how many folds; it never becomes the recipe."""
    found = search("linear", folds_of(), budget=Budget(16, LATER))
    judged = [trial.folds for trial in found.trials]
    assert len(judged) == 16
    assert judged[0] == 4
    assert min(judged) < 4
    finished = [trial.score for trial in found.trials if trial.folds == 4]
    assert found.score == pytest.approx(max(finished))


def test_the_time_limit_ends_a_search_and_is_recorded() -> None:
    """One trial is always made, on all folds; `cut` marks what another machine may not repeat."""
    found = search("linear", folds_of(), budget=Budget(5, time.monotonic()))
    assert [trial.folds for trial in found.trials] == [4]
    assert found.cut
    assert not np.isnan(found.answers).any()


def test_a_spec_moves_the_ranges_and_the_first_trial_into_them() -> None:
    """What is searched stays inside what the spec allows."""
    space = spaces.space_of("xgboost", {"xgboost": {"max_depth": (2, 3)}})
    found = search("xgboost", folds_of(), space=space)
    assert {trial.params["max_depth"] for trial in found.trials} <= {2, 3}
    assert space["learning_rate"] == spaces.SPACES["xgboost"]["learning_rate"]


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_the_default_ranges_are_within_what_a_spec_may_say(candidate: str) -> None:
    """Whoever writes a default into a spec is not refused."""
    space = spaces.SPACES[candidate]  # type: ignore[index]
    assert set(space) == set(LIMITS[candidate])
    for name, item in space.items():
        limit = LIMITS[candidate][name]
        assert limit.low <= item.low < item.high <= limit.high
        assert limit.whole == item.whole


def test_a_sample_has_every_class_by_its_share() -> None:
    """Rows keep their folds; few rows are their own sample."""
    folds = folds_of()
    sample = folds.sample("binary", 1, 150)
    assert 100 <= len(sample.rows) <= 150
    assert sample.rows.target.mean() == pytest.approx(folds.rows.target.mean(), abs=0.01)
    assert sample.numbers == folds.numbers
    assert folds.sample("binary", 1) is folds


def test_a_recipe_is_judged_on_rows_that_it_was_not_found_on() -> None:
    """All rows get answers; the number of trees is found again, the rest stays."""
    folds = folds_of()
    found = search("xgboost", folds.sample("binary", 1, 150), budget=Budget(2, LATER))
    judged = tuning.judge("xgboost", found.params, "binary", folds, FEATURES, seed=1)
    assert len(judged.answers) == 400
    assert not np.isnan(judged.answers).any()
    assert {**judged.params, "n_estimators": 0} == {**found.params, "n_estimators": 0}


def test_balanced_classes_count_the_same() -> None:
    """Weights of both classes have the same sum, and the probabilities move up."""
    rows = rows_of("binary")
    rare = Examples(rows.columns, ((rows.target == 1) & (np.arange(400) % 5 == 0)).astype(float))
    weights = candidates.balance(rare.target)
    assert weights[rare.target == 1].sum() == pytest.approx(weights[rare.target == 0].sum())
    assert weights.sum() == pytest.approx(400)
    plain, balanced = (
        search("linear", folds_of(rows=rare), budget=Budget(1, LATER), balanced=flag).answers
        for flag in (False, True)
    )
    assert balanced.mean() > plain.mean() + 0.1


def test_a_class_of_copies_cannot_be_judged() -> None:
    """All rows of a class are one row: whatever fits it has seen what would judge it."""
    rows = rows_of("binary")
    columns = {name: column.copy() for name, column in rows.columns.items()}
    copies = rows.target == 1
    for column in columns.values():
        column[copies] = column[copies][0]
    with pytest.raises(NotTrainable, match="equal in all features"):
        folds_of(rows=Examples(columns, rows.target))


def test_a_fold_that_cannot_be_judged_is_left_out() -> None:
    """Where one class is in a single fold, that fold has no answers, and the others have."""
    rows = rows_of("multiclass")
    columns = {name: column.copy() for name, column in rows.columns.items()}
    copies = rows.target == 2
    for column in columns.values():
        column[copies] = column[copies][0]
    folds = folds_of("multiclass", rows=Examples(columns, rows.target))
    assert len(folds.numbers) == 3
    found = search("xgboost", folds, "multiclass", budget=Budget(1, LATER))
    assert np.isnan(found.answers[~folds.judged]).all()
    assert not np.isnan(found.answers[folds.judged]).any()


def test_the_number_of_trees_is_one_for_all_folds() -> None:
    """No fold stops where it suits itself."""
    data = attempts.Encoded("xgboost", "binary", folds_of(), FEATURES)
    attempt = attempts.Attempt(data, spaces.FIRST["xgboost"], 0)
    for number in data.folds.numbers:
        attempt.judge(number)
    side = data.side(0)
    params = attempt.params
    again = candidates.make("xgboost", params, "binary", 0).fit(side.x, side.target)
    found = attempt.answers()[data.folds.fold == 0]
    assert np.allclose(candidates.answer("binary", again, side.judged_x), found, atol=1e-7)


def test_a_rare_class_is_in_the_sample_with_what_there_is_of_it() -> None:
    """Sixty rows of a class among sixty thousand: all of them are searched on, beside the share of
    the others, so that a search neither looks at a handful nor at everything."""
    every = 60_000
    target = np.zeros(every)
    target[np.random.default_rng(0).permutation(every)[:60]] = 1
    rows = Examples({"n": np.arange(every, dtype=np.float64)}, target)
    folds = inner.fold_rows(rows, "binary", 4, 0, FEATURES[:1])
    sample = folds.sample("binary", 0)
    assert sample.rows.target.sum() == 60
    assert len(sample.rows) <= inner.SAMPLE_ROWS + 60
    assert sample.numbers == folds.numbers == (0, 1, 2, 3)
    assert set(sample.rows.columns["n"].tolist()) <= set(range(every))


def test_a_fold_of_few_rows_is_in_the_sample() -> None:
    """One group holds nearly all rows, the others fill the other folds: the search still looks at a
    sample, and judges the same folds."""
    every = 40_000
    groups = ["big"] * (every - 6) + [f"small {place}" for place in range(6)]
    number = np.arange(every, dtype=np.float64)
    rows = Examples({"n": number}, number / 7)
    folds = inner.fold_rows(rows, "regression", 4, 0, FEATURES[:1], groups=groups)
    sample = folds.sample("regression", 0)
    assert sample.numbers == folds.numbers
    assert len(sample.rows) < every / 2


def test_many_classes_with_many_columns_take_no_matrix_of_all_pairs() -> None:
    """Newton's steps for 100 classes and 300 columns would solve 30,000 equations at a time, in 7
    GB; beyond a thousand the same optimum is found without."""
    random = np.random.default_rng(0)
    target = np.arange(300.0) % 6
    x = random.normal(size=(300, 8))
    x[:, 0] += target / 3
    found = []
    for most in (6 * 8 - 1, 6 * 8):
        estimator = candidates.make("linear", {"penalty": 1.0}, "multiclass", 0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(candidates, "MOST_NEWTON", most)
            candidates.fit_estimator(estimator, x, target, balanced=False)
        found.append(estimator)
    assert [one.solver for one in found] == ["lbfgs", candidates.NEWTON]
    answers = [candidates.answer("multiclass", one, x) for one in found]
    assert np.abs(answers[0] - answers[1]).max() < 0.001
