"""The estimators behind the candidate names: make, fit, answer. scikit-learn and XGBoost live here.

Every estimator runs on one thread: work is spread over candidates and folds instead, which keeps
results the same on any number of cores. Trees are fitted on float32, as they are served.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.serving.encoder import Encoder, Layout
from shared.serving.features import Feature
from shared.serving.package import Task
from shared.spec.model import Candidate
from shared.tabular import spaces
from shared.tabular.dataset import Examples
from shared.tabular.metrics import Floats
from shared.tabular.spaces import Params

NEWTON = "newton-cholesky"
# Its matrix has so many rows and columns: with 100 classes and 300 columns it would take 7 GB.
MOST_NEWTON = 1_000


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted estimator with the encoder it was fitted behind."""

    candidate: Candidate
    task: Task
    encoder: Encoder
    estimator: Any

    def answer(self, columns: dict[str, NDArray[Any]]) -> Floats:
        """Probability of the positive class [n], of each class [n, k], or value [n]."""
        return answer(self.task, self.estimator, encode(self.candidate, self.encoder, columns))


def layout_of(candidate: Candidate) -> Layout:
    return "linear" if spaces.LAYOUTS[candidate] == "linear" else "tree"


def encode(
    candidate: Candidate, encoder: Encoder, columns: dict[str, NDArray[Any]]
) -> NDArray[Any]:
    """The matrix that this candidate is fitted on and asked with."""
    matrix = encoder.transform(columns)
    return matrix if candidate == "linear" else matrix.astype(np.float32)


def fit(
    candidate: Candidate,
    params: Params,
    task: Task,
    rows: Examples,
    *,
    features: tuple[Feature, ...],
    seed: int,
    balanced: bool = False,
) -> Fitted:
    """Encoder and estimator on these rows. Raises ValueError when the library cannot."""
    encoder = Encoder.fit(rows.columns, features, layout_of(candidate))
    estimator = make(candidate, params, task, seed)
    x = encode(candidate, encoder, rows.columns)
    fit_estimator(estimator, x, rows.target, balanced=balanced)
    return Fitted(candidate, task, encoder, estimator)


def fit_estimator(
    estimator: Any, x: NDArray[Any], target: Floats, *, balanced: bool, **more: Any
) -> None:
    """Fit, with both classes counting the same in all where `balanced`."""
    if getattr(estimator, "solver", None) == NEWTON and _coefficients(x, target) > MOST_NEWTON:
        estimator.set_params(solver="lbfgs", max_iter=1000)
    weights = {"sample_weight": balance(target)} if balanced else {}
    estimator.fit(x, target, **weights, **more)


def _coefficients(x: NDArray[Any], target: Floats) -> int:
    classes = len(np.unique(target))
    return int(x.shape[1]) * (classes if classes > 2 else 1)


def balance(target: Floats) -> Floats:
    """Weights of rows that give every class the same sum, 1 on average."""
    classes = target.astype(np.intp)
    counts = np.bincount(classes)
    weights: Floats = len(target) / (np.count_nonzero(counts) * counts[classes])
    return weights


def answer(task: Task, estimator: Any, x: NDArray[Any], *, trees: int | None = None) -> Floats:
    """What the estimator says, as float64; with the first `trees` of XGBoost's."""
    some = {} if trees is None else {"iteration_range": (0, trees)}
    if task == "regression":
        return np.asarray(estimator.predict(x, **some), np.float64).reshape(-1)
    found = np.asarray(estimator.predict_proba(x, **some), np.float64)
    return found[:, 1] if task == "binary" else found


def make(candidate: Candidate, params: Params, task: Task, seed: int) -> Any:
    """An unfitted estimator."""
    values = {**spaces.FIXED[candidate], **params}
    if candidate == "linear":
        return _linear(float(values["penalty"]), task)
    if candidate == "xgboost":
        return _xgboost(values, task, seed)
    from sklearn import ensemble

    kind = {"random_forest": "RandomForest", "gradient_boosting": "GradientBoosting"}[candidate]
    suffix = "Regressor" if task == "regression" else "Classifier"
    return getattr(ensemble, kind + suffix)(random_state=seed, **values)


def _linear(penalty: float, task: Task) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    if task == "regression":
        return Ridge(alpha=penalty)
    # Newton steps on the Cholesky factor: a few passes where there are more rows than columns.
    return LogisticRegression(C=1 / penalty, solver=NEWTON, max_iter=100)


def _xgboost(values: Params, task: Task, seed: int) -> Any:
    from xgboost import XGBClassifier, XGBRegressor

    kind = XGBRegressor if task == "regression" else XGBClassifier
    return kind(tree_method="hist", n_jobs=1, random_state=seed, **values)
