"""Tables answer as the trees that they are made of, to the last bit of onnxruntime's answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from xgboost import XGBClassifier, XGBRegressor

from shared.serving import tree_tables
from shared.serving.engine import MANY, TreeEngine, tree_engine
from shared.serving.onnx_trees import read_forest
from tests.unit.serving.test_engine import BINARY, THREE, VALUE, X, onnx_of, onnx_of_xgboost

Matrix = NDArray[np.float64]
X32 = X.astype(np.float32)

BOOSTED: dict[str, tuple[Any, Any]] = {
    "xgboost, two labels": (XGBClassifier(n_estimators=40, max_depth=6, n_jobs=1), BINARY),
    "xgboost, values": (XGBRegressor(n_estimators=40, max_depth=4, n_jobs=1), VALUE),
    "gradient boosting, two labels": (GradientBoostingClassifier(n_estimators=30), BINARY),
    "gradient boosting, values": (GradientBoostingRegressor(n_estimators=30), VALUE),
    "one tree": (XGBClassifier(n_estimators=1, max_depth=1, n_jobs=1), BINARY),
}
OTHERS: dict[str, tuple[Any, Any]] = {
    "several labels": (XGBClassifier(n_estimators=5, n_jobs=1), THREE),
    "a forest, two labels": (RandomForestClassifier(5, random_state=0), BINARY),
    "a forest, values": (RandomForestRegressor(5, random_state=0), VALUE),
}


def engine_of(estimator: Any, target: Any) -> TreeEngine:
    estimator.fit(X32, target)
    convert = onnx_of_xgboost if type(estimator).__module__.startswith("xgboost") else onnx_of
    output = "probability" if hasattr(estimator, "predict_proba") else "value"
    return tree_engine(convert(estimator), output)  # type: ignore[arg-type]


def hostile(engine: TreeEngine) -> Matrix:
    """Rows at thresholds, beside them, far away, and those of training."""
    forest = read_forest(engine.files()["trees.onnx"], engine._wanted[0])
    assert forest is not None
    random = np.random.default_rng(1)
    x = np.concatenate([X, X, X * 1e30])
    for feature in range(x.shape[1]):
        thresholds = forest.threshold[~forest.leaf & (forest.feature == feature)]
        if len(thresholds):
            at = random.choice(len(x), len(x) // 2, replace=False)
            x[at, feature] = random.choice(thresholds, len(at)).astype(np.float64)
            x[at[::3], feature] = np.nextafter(x[at[::3], feature].astype(np.float32), np.inf)
    return np.concatenate([x, -x, np.zeros_like(X)])


def walked(engine: TreeEngine, x: Matrix) -> Matrix:
    """onnxruntime's answers."""
    found = engine._run(x.astype(np.float32)).astype(np.float64)
    return found.reshape(len(x), -1)[:, -1]


@pytest.mark.parametrize("name", BOOSTED)
def test_boosted_trees_are_looked_up_with_the_same_bits(name: str) -> None:
    """XGBoost's comparisons (below) and scikit-learn's (at most), probabilities and values."""
    engine = engine_of(*BOOSTED[name])
    x = hostile(engine)
    found = engine.score(x)
    assert engine._tables is not None
    assert np.array_equal(found, walked(engine, x))


@pytest.mark.parametrize("rows", [MANY, 127, 128, 129, 300])
def test_batches_of_any_size_get_the_same_bits(rows: int) -> None:
    """Rows are looked up in blocks; a last block that is not full is no other."""
    engine = engine_of(*BOOSTED["xgboost, two labels"])
    assert np.array_equal(engine.score(X[:rows]), engine.score(X)[:rows])
    assert np.array_equal(engine.score(X[:rows]), walked(engine, X[:rows]))


@pytest.mark.parametrize("name", BOOSTED)
def test_a_row_has_the_same_bits_alone_and_among_others(name: str) -> None:
    """One row is looked up, a few are walked, many are looked up: one answer."""
    engine = engine_of(*BOOSTED[name])
    x = hostile(engine)
    expected = engine.score(x)
    for rows in (1, 2, 3, MANY - 1, MANY):
        for start in range(0, len(x) - rows, 97):
            part = slice(start, start + rows)
            assert np.array_equal(engine.score(x[part]), expected[part]), (rows, start)


@pytest.mark.parametrize("name", OTHERS)
def test_other_trees_are_left_to_onnxruntime(name: str) -> None:
    """Several outputs, averages, trees of many leaves."""
    engine = engine_of(*OTHERS[name])
    found = engine.score(X)
    assert engine._tables is None
    expected = engine._run(X32).astype(np.float64)
    assert np.array_equal(found.reshape(len(X), -1)[:, -1], expected.reshape(len(X), -1)[:, -1])


def test_rows_with_nan_are_left_to_onnxruntime() -> None:
    """It knows the side that a missing value takes."""
    engine = engine_of(*BOOSTED["xgboost, two labels"])
    x = X.copy()
    x[::7, 1] = np.nan
    assert np.array_equal(engine.score(x), walked(engine, x))
    assert engine._tables is not None


def test_many_thresholds_are_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that would take more memory than they are worth are not made."""
    monkeypatch.setattr(tree_tables, "MOST_BYTES", 1000)
    engine = engine_of(*BOOSTED["xgboost, two labels"])
    assert np.array_equal(engine.score(X), walked(engine, X))
    assert engine._tables is None


def test_tables_that_answer_otherwise_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are compared with onnxruntime on the trees' own thresholds before they serve."""
    engine = engine_of(*BOOSTED["xgboost, two labels"])

    def wrong(onnx: bytes, output: str) -> Any:
        forest = read_forest(onnx, output)
        assert forest is not None
        return forest._replace(inclusive=not forest.inclusive)

    monkeypatch.setattr(tree_tables, "read_forest", wrong)
    again = tree_engine(engine.files()["trees.onnx"], "probability")
    assert again._tables is None
    assert np.array_equal(again.score(X), engine.score(X))


@pytest.mark.parametrize("cut", [0, 1, 10, 100, 1000, 5000])
def test_torn_files_have_no_trees(cut: int) -> None:
    """What is no whole file is told by onnxruntime; here it is nothing to look up in."""
    onnx = engine_of(*BOOSTED["xgboost, two labels"]).files()["trees.onnx"]
    read_forest(onnx[:cut], "probabilities")
    assert read_forest(onnx[:cut], "nothing") is None
    assert read_forest(onnx, "nothing") is None
