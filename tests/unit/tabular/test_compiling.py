"""Every candidate compiles to a package that answers as it was trained, or is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.errors import PackageInvalid
from shared.serving.features import Feature
from shared.spec.model import Candidate
from shared.tabular import candidates, parity, spaces
from shared.tabular.compiling import compile_estimator
from shared.tabular.dataset import Examples
from shared.tabular.parity import UNSEEN, Spread, hostile_rows, split_points
from tests.unit.tabular.fits import CANDIDATES, FEATURES, package_of, rows_of, served


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("candidate", CANDIDATES)
def test_a_compiled_candidate_passes_on_hostile_rows(
    candidate: Candidate, task: Any, tmp_path: Path
) -> None:
    """Missing everywhere, unseen categories, split points, 1e15 and large integers included; and
    the same estimator always gives the same bytes."""
    rows = rows_of(task)
    params = {**spaces.FIRST[candidate], "n_estimators": 20}
    if candidate == "linear":
        params = spaces.FIRST[candidate]
    fitted = candidates.fit(candidate, params, task, rows, features=FEATURES, seed=0)
    package = package_of(fitted)
    found = parity.check(
        fitted, served(package, tmp_path), rows.columns, FEATURES, Spread.of(rows.target)
    )
    assert found.passed, found
    assert found.rows == 400
    assert found.hostile > 15
    assert package_of(fitted).engine.files() == package.engine.files()


def test_a_package_that_answers_otherwise_does_not_pass(tmp_path: Path) -> None:
    """One tree more is another model."""
    rows = rows_of("binary")
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
    model = served(package_of(other), tmp_path / "other")
    assert not parity.check(one, model, rows.columns, FEATURES, Spread(1.0, 1.0)).passed


def test_hostile_rows_hit_the_split_points(tmp_path: Path) -> None:
    """Values at a split and one float32 beside it, where a rounding would flip the row."""
    rows = rows_of("binary")
    fitted = candidates.fit(
        "gradient_boosting",
        {**spaces.FIRST["gradient_boosting"], "n_estimators": 10},
        "binary",
        rows,
        features=FEATURES,
        seed=0,
    )
    points = split_points(fitted.encoder, compile_estimator(fitted))
    assert len(points["n"]) >= 3
    found = hostile_rows(rows.columns, FEATURES, points)
    assert set(points["n"]) <= set(found["n"].tolist())
    assert UNSEEN in found["c"]
    assert 1e15 in found["big"]
    assert np.isnan(found["n"]).any()
    assert ((found["c"] == "") & np.isnan(found["n"]) & np.isnan(found["big"])).any()


def test_float32_that_swallows_the_target_does_not_pass(tmp_path: Path) -> None:
    """1e12 and a bit: within 1e-5 of the value, and yet all that was learned is lost."""
    rows = rows_of("regression")
    far = Examples(rows.columns, rows.target + 1e12)
    params = {**spaces.FIRST["gradient_boosting"], "n_estimators": 20}
    fitted = candidates.fit(
        "gradient_boosting", params, "regression", far, features=FEATURES, seed=0
    )
    model = served(package_of(fitted), tmp_path / "trees")
    assert not parity.check(fitted, model, rows.columns, FEATURES, Spread.of(far.target)).passed
    linear = candidates.fit(
        "linear", spaces.FIRST["linear"], "regression", far, features=FEATURES, seed=0
    )
    model = served(package_of(linear), tmp_path / "linear")
    assert parity.check(linear, model, rows.columns, FEATURES, Spread.of(far.target)).passed


def test_trees_that_never_split_are_no_package() -> None:
    """What learned nothing is refused in words, not by the numbers of its parity."""
    params = {**spaces.FIRST["xgboost"], "min_child_weight": 1e6, "n_estimators": 2}
    fitted = candidates.fit(
        "xgboost", params, "binary", rows_of("binary"), features=FEATURES, seed=0
    )
    with pytest.raises(PackageInvalid, match="nothing was learned"):
        compile_estimator(fitted)


def test_hostile_rows_of_two_thousand_columns_fit_into_memory() -> None:
    """Each column is varied, a few times only where they are many; each row in one cell."""
    features = tuple(Feature(f"c{place}", "number") for place in range(2_000))
    base = {feature.name: np.full(5, 7.0) for feature in features}
    splits = {feature.name: np.arange(75.0) for feature in features}
    found = hostile_rows(base, features, splits)
    varied = np.array([found[feature.name][1:] != 7 for feature in features])
    assert 2_000 * 2 <= varied.shape[1] <= 2_000 * 4
    assert (varied.sum(axis=0) <= 1).all()
    assert varied.any(axis=1).all()
    assert all(np.isnan(column[0]) for column in found.values())
    few = features[:20]
    narrow = hostile_rows({one.name: base[one.name] for one in few}, few, splits)
    assert len(narrow["c0"]) == 1 + 20 * (1 + 7 + 75)
