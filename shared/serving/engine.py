"""What turns an encoded matrix into scores: a linear model in numpy, trees on onnxruntime, or a
weighted average of such (`shared.serving.blend`).

Linear models stay in float64 (float32 costs a regression its 1e-5). Trees are compared in
float32, as they were trained, by the converted estimator alone. Calibrators are plain arrays.
onnxruntime is imported only when a tree engine is made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.errors import PackageInvalid
from shared.serving.encoder import Encoder
from shared.serving.tree_tables import TreeTables, tables_of
from shared.serving.value_tables import ValueTables, value_tables_of

Scores = NDArray[np.float64]
Link = Literal["identity", "logit", "softmax"]
Output = Literal["probability", "value"]

TREES_FILE = "trees.onnx"
# From so many rows on tables beat walking; between one and so many onnxruntime walks.
MANY = 16


class Engine(Protocol):
    """`score` takes float64 [n_rows, n_encoded] and gives float64 [n_rows] (probability of the
    positive label, or raw value) or [n_rows, n_labels] (multiclass)."""

    @property
    def width(self) -> int:
        """n_encoded."""

    def score(self, x: NDArray[np.float64]) -> Scores: ...

    def to_json(self) -> dict[str, Any]:
        """The engine without its files."""

    def files(self) -> dict[str, bytes]:
        """Files beside package.json."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearEngine:
    """`link(x @ coef + intercept)`; `coef` is [n_encoded], for softmax [n_encoded, n_labels]."""

    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]
    link: Link

    @property
    def width(self) -> int:
        return len(self.coef)

    def score(self, x: NDArray[np.float64]) -> Scores:
        raw: Scores = x @ self.coef + self.intercept
        if self.link == "logit":
            return expit(raw)
        return softmax(raw) if self.link == "softmax" else raw

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "linear",
            "coef": self.coef.tolist(),
            "intercept": self.intercept.tolist(),
            "link": self.link,
        }

    def files(self) -> dict[str, bytes]:
        return {}


class TreeEngine:
    """A tree ensemble in ONNX: one float32 input [n_rows, n_encoded], probabilities or a value.

    Where there are tables of the same trees, one row and many rows are answered from them, with the
    bits that onnxruntime gives to several rows; one alone it adds up in another order."""

    def __init__(self, onnx: bytes, output: Output, threads: int) -> None:
        self._onnx = onnx
        self._output = output
        self._session = _session(onnx, threads)
        first = self._session.get_inputs()[0]
        self._input, self._shape = first.name, first.shape
        if len(self._shape) != 2 or not isinstance(self._shape[1], int):
            # onnxruntime itself would read past the end of a row that is too short.
            raise PackageInvalid(
                f"the ONNX input is {self._shape}; declare it as [None, n_encoded]"
            )
        found = {item.name: item.type for item in self._session.get_outputs()}
        # Classifiers give label and probabilities, regressors one value; the last one is ours.
        self._wanted = [list(found)[-1]]
        if found[self._wanted[0]] != "tensor(float)":
            raise PackageInvalid(
                f"the ONNX output {self._wanted[0]!r} is {found[self._wanted[0]]}, expected "
                "tensor(float); convert the estimator with zipmap off"
            )

    @cached_property
    def _tables(self) -> TreeTables | None:
        return tables_of(self._onnx, self._wanted[0], self.width, self._run)

    def tables_for(self, encoder: Encoder) -> ValueTables | None:
        """What scores columns without their matrix, None where there is no such thing."""
        return value_tables_of(self._onnx, self._wanted[0], encoder, self._run)

    @property
    def width(self) -> int:
        return int(self._shape[1])

    def score(self, x: NDArray[np.float64]) -> Scores:
        rows = x.astype(np.float32, copy=False)
        tables = self._tables if len(rows) == 1 or len(rows) >= MANY else None
        # onnxruntime knows where a missing value goes.
        if tables is not None and not _has_nan(rows):
            if len(rows) == 1:
                return np.array([tables.score_one(rows[0])])
            return tables.score(rows).astype(np.float64)
        scores: Scores = self._run(rows).astype(np.float64)
        if self._output == "value":
            return scores.reshape(-1)
        if scores.ndim == 2 and scores.shape[1] == 2:
            return scores[:, 1]
        return scores

    def _run(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._session.run(self._wanted, {self._input: rows})[0]
        return found

    def to_json(self) -> dict[str, Any]:
        return {"kind": "trees", "file": TREES_FILE, "output": self._output}

    def files(self) -> dict[str, bytes]:
        return {TREES_FILE: self._onnx}


def linear_engine(coef: ArrayLike, intercept: ArrayLike, link: Link) -> LinearEngine:
    """A linear engine from an estimator's arrays, in the shapes that scikit-learn has them.

    `coef` is [n_encoded] or [1, n_encoded] (identity, logit), or [n_labels, n_encoded] (softmax).
    """
    weights = np.asarray(coef, np.float64)
    bias = np.asarray(intercept, np.float64)
    if link == "softmax":
        return LinearEngine(np.ascontiguousarray(weights.T), bias.reshape(-1), link)
    return LinearEngine(weights.reshape(-1), bias.reshape(-1)[:1].reshape(()), link)


def tree_engine(onnx: bytes, output: Output, *, threads: int = 1) -> TreeEngine:
    """A tree engine from the ONNX form of an estimator alone.

    One thread suits a request server, which has its own; a batch may take more.
    Raises PackageInvalid when onnxruntime refuses the bytes.
    """
    return TreeEngine(onnx, output, threads)


# --- calibration ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Calibrator:
    """A monotone correction of a probability (binary only)."""

    kind: Literal["sigmoid", "isotonic"]
    x: tuple[float, ...]
    y: tuple[float, ...]

    def apply(self, scores: Scores) -> Scores:
        """Corrected probabilities [n_rows]."""
        if self.kind == "isotonic":
            return np.interp(scores, self.x, self.y)
        odds = np.clip(scores, 1e-15, 1 - 1e-15)
        return expit(self.x[0] * np.log(odds / (1 - odds)) + self.y[0])

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "x": list(self.x), "y": list(self.y)}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Calibrator:
        return cls(body["kind"], tuple(body["x"]), tuple(body["y"]))


def isotonic(x: Sequence[float], y: Sequence[float]) -> Calibrator:
    """Linear between the points (`x` ascending), flat outside: IsotonicRegression's
    `X_thresholds_` and `y_thresholds_`."""
    return Calibrator("isotonic", tuple(map(float, x)), tuple(map(float, y)))


def sigmoid(a: float, b: float) -> Calibrator:
    """Platt scaling on the log odds: `expit(a * logit(p) + b)`."""
    return Calibrator("sigmoid", (float(a),), (float(b),))


# --- numerics ------------------------------------------------------------------------------------


def _has_nan(x: NDArray[np.float32]) -> bool:
    """NaN is the largest of all; the method `max` takes twice as long for one row."""
    return math.isnan(np.maximum.reduce(x, axis=None))


def expit(values: Scores) -> Scores:
    """1 / (1 + exp(-values)) without overflow."""
    small = np.exp(-np.abs(values))
    result: Scores = np.where(values >= 0, 1.0, small) / (1.0 + small)
    return result


def softmax(values: Scores) -> Scores:
    """Rows that sum to 1, without overflow."""
    raised = np.exp(values - values.max(axis=1, keepdims=True))
    result: Scores = raised / raised.sum(axis=1, keepdims=True)
    return result


def _session(onnx: bytes, threads: int) -> Any:
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    refusals = (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NotImplemented,
        state.RuntimeException,
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except refusals as error:
        raise PackageInvalid(f"onnxruntime refuses {TREES_FILE}: {error}") from error
