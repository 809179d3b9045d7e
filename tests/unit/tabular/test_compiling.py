"""Every candidate compiles to a package that answers as it was trained, or is refused."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.errors import NotTrainable
from shared.serving.columns import Schema
from shared.serving.features import Feature
from shared.serving.package import LoadedModel, Package, TargetScale, load, write
from shared.spec.model import Candidate
from shared.tabular import candidates, parity, spaces, tuning
from shared.tabular.compiling import compile_estimator
from shared.tabular.dataset import Examples
from shared.tabular.parity import UNSEEN, Spread, hostile_rows, split_points

FEATURES = (Feature("n", "number"), Feature("big", "number"), Feature("c", "category"))
CANDIDATES: tuple[Candidate, ...] = ("linear", "random_forest", "gradient_boosting", "xgboost")


def _rows(task: str, count: int = 400) -> Examples:
    random = np.random.default_rng(0)
    number = np.round(random.normal(size=count), 2)
    number[::15] = np.nan
    big = random.integers(2**24, 2**25, count).astype(np.float64)
    city = random.choice(np.array(["a", "b", "c", ""], object), count)
    signal = np.nan_to_num(number) + (city == "b") + (big > 1.5 * 2**24)
    if task == "regression":
        target = 3 + signal + random.normal(0, 0.1, count)
    else:
        cuts = [0.5] if task == "binary" else [0.0, 1.0]
        target = np.digitize(signal + random.normal(0, 0.3, count), cuts).astype(np.float64)
    return Examples({"n": number, "big": big, "c": city.astype(object)}, target)


def _package(fitted: candidates.Fitted, **changes: Any) -> Package:
    labels = {"binary": ("no", "yes"), "multiclass": ("a", "b", "c"), "regression": ()}
    body: dict[str, Any] = {
        "model": "m",
        "version": "v",
        "task": fitted.task,
        "schema": Schema(FEATURES),
        "encoder": fitted.encoder,
        "engine": compile_estimator(fitted),
        "created": "2026-01-05T09:00:00Z",
        "labels": labels[fitted.task],
        "threshold": 0.4 if fitted.task == "binary" else None,
        "target": TargetScale(100.0 if fitted.task == "regression" else 1.0),
        **changes,
    }
    return Package(**body)


def _served(package: Package, folder: Path) -> LoadedModel:
    files = write(package, folder)
    return load(lambda name: (folder / name).read_bytes(), files)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("candidate", CANDIDATES)
def test_a_compiled_candidate_passes_on_hostile_rows(
    candidate: Candidate, task: Any, tmp_path: Path
) -> None:
    """Missing everywhere, unseen categories, split points, 1e15 and large integers included; and
    the same estimator always gives the same bytes."""
    rows = _rows(task)
    params = {**spaces.FIRST[candidate], "n_estimators": 20}
    if candidate == "linear":
        params = spaces.FIRST[candidate]
    fitted = candidates.fit(candidate, params, task, rows, features=FEATURES, seed=0)
    package = _package(fitted)
    found = parity.check(
        fitted, _served(package, tmp_path), rows.columns, FEATURES, Spread.of(rows.target)
    )
    assert found.passed, found
    assert found.rows == 400
    assert found.hostile > 15
    assert _package(fitted).engine.files() == package.engine.files()


def test_a_package_that_answers_otherwise_does_not_pass(tmp_path: Path) -> None:
    """One tree more is another model."""
    rows = _rows("binary")
    one, other = (
        candidates.fit(
            "xgboost",
            {**spaces.FIRST["xgboost"], "n_estimators": count},
            "binary",
            rows,
            features=FEATURES,
            seed=0,
        )
        for count in (20, 21)
    )
    served = _served(_package(other), tmp_path / "other")
    assert not parity.check(one, served, rows.columns, FEATURES, Spread(1.0, 1.0)).passed


def test_hostile_rows_hit_the_split_points(tmp_path: Path) -> None:
    """Values at a split and one float32 beside it, where a rounding would flip the row."""
    rows = _rows("binary")
    fitted = candidates.fit(
        "gradient_boosting",
        {**spaces.FIRST["gradient_boosting"], "n_estimators": 10},
        "binary",
        rows,
        features=FEATURES,
        seed=0,
    )
    points = split_points(fitted, compile_estimator(fitted))
    assert len(points["n"]) >= 3
    found = hostile_rows(rows.columns, FEATURES, points)
    assert set(points["n"]) <= set(found["n"].tolist())
    assert UNSEEN in found["c"]
    assert 1e15 in found["big"]
    assert np.isnan(found["n"]).any()
    assert ((found["c"] == "") & np.isnan(found["n"]) & np.isnan(found["big"])).any()


def test_a_search_starts_with_the_hand_set_recipe_and_repeats_itself() -> None:
    """Same seed, same trials; XGBoost's number of trees is part of the recipe."""
    rows = _rows("binary")
    inner = tuning.inner_split(rows, "binary", 0, FEATURES)
    later = time.monotonic() + 60
    first, again = (
        tuning.search("xgboost", "binary", inner, FEATURES, trials=3, seed=1, deadline=later)
        for _ in range(2)
    )
    assert [trial.params for trial in first.trials] == [trial.params for trial in again.trials]
    assert first.score == max(trial.score for trial in first.trials)
    start = {**first.trials[0].params}
    assert 1 <= start.pop("n_estimators") <= spaces.BOOSTING_ROUNDS
    assert start == spaces.FIRST["xgboost"]
    assert not first.cut


def test_the_time_limit_ends_a_search_and_is_recorded() -> None:
    """One trial is always made; `cut` marks a version that another machine may not repeat."""
    inner = tuning.inner_split(_rows("binary"), "binary", 0, FEATURES)
    found = tuning.search(
        "linear", "binary", inner, FEATURES, trials=5, seed=1, deadline=time.monotonic()
    )
    assert len(found.trials) == 1
    assert found.cut


def test_float32_that_swallows_the_target_does_not_pass(tmp_path: Path) -> None:
    """1e12 and a bit: within 1e-5 of the value, and yet all that was learned is lost."""
    rows = _rows("regression")
    far = Examples(rows.columns, rows.target + 1e12)
    params = {**spaces.FIRST["gradient_boosting"], "n_estimators": 20}
    fitted = candidates.fit(
        "gradient_boosting", params, "regression", far, features=FEATURES, seed=0
    )
    served = _served(_package(fitted), tmp_path / "trees")
    assert not parity.check(fitted, served, rows.columns, FEATURES, Spread.of(far.target)).passed
    linear = candidates.fit(
        "linear", spaces.FIRST["linear"], "regression", far, features=FEATURES, seed=0
    )
    served = _served(_package(linear), tmp_path / "linear")
    assert parity.check(linear, served, rows.columns, FEATURES, Spread.of(far.target)).passed


def test_a_class_of_copies_cannot_be_judged() -> None:
    """All rows of a class are one row: whatever fits it has seen what would judge it."""
    rows = _rows("binary")
    columns = {name: column.copy() for name, column in rows.columns.items()}
    copies = rows.target == 1
    for column in columns.values():
        column[copies] = column[copies][0]
    with pytest.raises(NotTrainable, match="equal in all features"):
        tuning.inner_split(Examples(columns, rows.target), "binary", 0, FEATURES)
