"""Engines give what the estimators gave that they were made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as XgboostInput
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from xgboost import XGBClassifier, XGBRegressor

from shared.errors import PackageInvalid
from shared.serving.engine import expit, isotonic, linear_engine, sigmoid, tree_engine

RNG = np.random.default_rng(11)
X = RNG.normal(size=(300, 5))
X[:, 0] = RNG.integers(0, 5, 300)  # split values that coincide with data values
BINARY = (X[:, 0] + X[:, 1] + RNG.normal(size=300) > 2).astype(int)
THREE = np.digitize(X[:, 1] + X[:, 2], [-0.5, 0.5])
VALUE = 100 * X[:, 0] + X[:, 1]


def onnx_of(estimator: Any) -> bytes:
    options = {"zipmap": False} if hasattr(estimator, "predict_proba") else None
    model = to_onnx(
        estimator,
        initial_types=[("x", FloatTensorType([None, estimator.n_features_in_]))],
        options=options,
        target_opset={"": 18, "ai.onnx.ml": 3},
    )
    data: bytes = model.SerializeToString()
    return data


def onnx_of_xgboost(estimator: Any) -> bytes:
    x = XgboostInput([None, estimator.n_features_in_])
    model = convert_xgboost(estimator, initial_types=[("x", x)], target_opset=15)
    data: bytes = model.SerializeToString()
    return data


def test_linear_engines_match_scikit_learn() -> None:
    """Logistic, multinomial and linear regression in numpy are scikit-learn's answers."""
    logistic = LogisticRegression().fit(X, BINARY)
    found = linear_engine(logistic.coef_, logistic.intercept_, "logit").score(X)
    assert np.allclose(found, logistic.predict_proba(X)[:, 1], atol=1e-14)
    many = LogisticRegression().fit(X, THREE)
    found = linear_engine(many.coef_, many.intercept_, "softmax").score(X)
    assert np.allclose(found, many.predict_proba(X), atol=1e-14)
    line = LinearRegression().fit(X, VALUE)
    found = linear_engine(line.coef_, line.intercept_, "identity").score(X)
    assert np.allclose(found, line.predict(X), rtol=1e-14)


def test_forests_match_scikit_learn() -> None:
    """Converted forests answer as the fitted ones, for one label, several and values."""
    x = X.astype(np.float32)
    binary = RandomForestClassifier(20, random_state=0).fit(x, BINARY)
    found = tree_engine(onnx_of(binary), "probability").score(X)
    assert np.allclose(found, binary.predict_proba(x)[:, 1], atol=1e-5)
    many = RandomForestClassifier(20, random_state=0).fit(x, THREE)
    found = tree_engine(onnx_of(many), "probability").score(X)
    assert np.allclose(found, many.predict_proba(x), atol=1e-5)
    value = RandomForestRegressor(20, random_state=0).fit(x, VALUE)
    found = tree_engine(onnx_of(value), "value").score(X)
    assert found.shape == (300,)
    assert np.allclose(found, value.predict(x), rtol=1e-5)


def test_boosted_trees_match_xgboost() -> None:
    """Converted XGBoost answers as the booster, also on rows at split values."""
    x = X.astype(np.float32)
    binary = XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1).fit(x, BINARY)
    found = tree_engine(onnx_of_xgboost(binary), "probability").score(X)
    assert np.allclose(found, binary.predict_proba(x)[:, 1], atol=1e-5)
    value = XGBRegressor(n_estimators=20, max_depth=3, n_jobs=1).fit(x, VALUE)
    found = tree_engine(onnx_of_xgboost(value), "value").score(X)
    assert np.allclose(found, value.predict(x), rtol=1e-5, atol=1e-3)


def test_bytes_that_are_no_model_are_refused() -> None:
    """onnxruntime's own error does not get out; ours says what is wrong."""
    with pytest.raises(PackageInvalid, match=r"refuses trees\.onnx"):
        tree_engine(b"not a model", "probability")
    with pytest.raises(PackageInvalid, match="refuses"):
        tree_engine(b"", "probability")


def test_a_converter_that_left_zipmap_on_is_refused() -> None:
    """Maps of label to probability are slow and another shape; the message says what to do."""
    forest = RandomForestClassifier(2, random_state=0).fit(X, BINARY)
    model = to_onnx(forest, initial_types=[("x", FloatTensorType([None, 5]))])
    with pytest.raises(PackageInvalid, match="zipmap off"):
        tree_engine(model.SerializeToString(), "probability")


def test_calibrators() -> None:
    """Isotonic interpolates between its points; sigmoid with (1, 0) changes nothing."""
    scores = np.array([0.0, 0.1, 0.5, 0.9, 1.0])
    assert np.allclose(isotonic([0.1, 0.9], [0.2, 0.6]).apply(scores), [0.2, 0.2, 0.4, 0.6, 0.6])
    assert np.allclose(sigmoid(1.0, 0.0).apply(scores), scores, atol=1e-12)
    assert (np.diff(sigmoid(0.7, -0.3).apply(scores)) > 0).all()


def test_expit_does_not_overflow() -> None:
    """Log odds beyond what exp can hold are 0 and 1, without a warning."""
    assert expit(np.array([-1e6, 0.0, 1e6])).tolist() == [0.0, 0.5, 1.0]
