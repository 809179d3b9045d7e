"""A fitted estimator into a serving engine: linear ones to arrays, trees to ONNX.

Only the estimator is converted, from float32; the encoder serves as it trained. skl2onnx and
onnxmltools live here.
"""

from __future__ import annotations

from typing import Any

from shared.errors import PackageInvalid
from shared.serving.engine import Engine, Link, linear_engine, tree_engine
from shared.serving.package import Task
from shared.spec.model import Candidate
from shared.tabular.candidates import Fitted

# ai.onnx.ml 3 has the tree operators that both converters and onnxruntime know; 15 is as far as
# onnxmltools goes.
OPSETS = {"": 15, "ai.onnx.ml": 3}


def compile_estimator(fitted: Fitted) -> Engine:
    """The engine that answers as the estimator does. Raises PackageInvalid, ValueError."""
    if fitted.candidate == "linear":
        return _linear(fitted.estimator, fitted.task)
    if fitted.candidate == "xgboost" and not _splits(fitted.estimator):
        # The converter would answer another base rate, too.
        raise PackageInvalid("nothing was learned: no tree splits, so all rows get one answer")
    onnx = to_onnx(fitted.candidate, fitted.estimator, fitted.task, len(fitted.encoder.names))
    return tree_engine(onnx, "value" if fitted.task == "regression" else "probability")


def _splits(estimator: Any) -> bool:
    """Whether any of XGBoost's trees asks anything."""
    return any("yes=" in tree for tree in estimator.get_booster().get_dump())


def _linear(estimator: Any, task: Task) -> Engine:
    if task == "regression":
        return linear_engine(estimator.coef_, estimator.intercept_, "identity")
    link: Link = "logit" if task == "binary" else "softmax"
    return linear_engine(estimator.coef_, estimator.intercept_, link)


def to_onnx(candidate: Candidate, estimator: Any, task: Task, width: int) -> bytes:
    """A tree ensemble as ONNX bytes, the same for the same estimator."""
    if candidate == "xgboost":
        from onnxmltools import convert_xgboost
        from onnxmltools.convert.common.data_types import FloatTensorType

        model = convert_xgboost(
            estimator,
            name="trees",
            initial_types=[("x", FloatTensorType([None, width]))],
            target_opset=OPSETS[""],
        )
    else:
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType as SklFloatTensorType

        # Without a name the converter makes one up, and equal models get different hashes.
        model = convert_sklearn(
            estimator,
            name="trees",
            initial_types=[("x", SklFloatTensorType([None, width]))],
            target_opset=OPSETS,
            options={} if task == "regression" else {id(estimator): {"zipmap": False}},
        )
    data: bytes = model.SerializeToString()
    return data
