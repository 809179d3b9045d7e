"""Proof that a serving package answers as the trained estimator does.

Compared on the holdout and on hostile rows: everything missing, one cell missing, unseen
categories, numbers exactly at the trees' split points and one float32 beside them, 1e15, integers
above 2^24. Probabilities may differ by 1e-5, regressions by 1e-5 of max(|value|, the target's
interquartile range) and never by 1 % of the target's deviation (a target of 1e12 and a bit is not
served by float32), labels only where the score lies within that of the threshold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.serving.blend import BlendEngine, JoinedEncoder
from shared.serving.columns import Columns
from shared.serving.encoder import Encoder
from shared.serving.engine import TREES_FILE, Engine
from shared.serving.features import Feature
from shared.serving.loaded_model import LoadedModel
from shared.tabular.metrics import Floats

TOLERANCE = 1e-5
DEVIATION_SHARE = 0.01
UNSEEN = "\u2622 never seen in training"
EXTREMES = (1e15, -1e15, float(2**24 + 1), float(2**31 + 1), 0.0, -1.0, 0.5)
_BASE_ROWS = 40
# Variations of a row with 400 columns have so many cells; of wider ones there are fewer each.
MAX_CELLS = 15_000_000
_SPLITS_PER_FEATURE = 25


@dataclass(frozen=True, slots=True)
class Spread:
    """How far the training target spreads (regression), in the file's own unit."""

    iqr: float
    deviation: float

    @classmethod
    def of(cls, target: Floats) -> Spread:
        quarters = np.percentile(target, [75, 25])
        return cls(float(quarters[0] - quarters[1]), float(target.std()))


@dataclass(frozen=True, slots=True)
class Parity:
    """`largest` is the largest difference in units of what is allowed for it times TOLERANCE:
    a probability, or a share of max(|value|, IQR). `near` counts labels that may differ."""

    rows: int
    hostile: int
    largest: float
    labels_differ: int
    near: int

    @property
    def passed(self) -> bool:
        return self.largest <= TOLERANCE and self.labels_differ == 0

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "tolerance": TOLERANCE, "passed": self.passed}


class Answers(Protocol):
    """What was trained, calibrator included: probability of the positive class [n], of each class
    [n, k], or value [n] in units of the target's scale."""

    def answer(self, columns: Columns) -> Floats: ...


def check(
    fitted: Answers, model: LoadedModel, rows: Columns, features: Sequence[Feature], spread: Spread
) -> Parity:
    """Compare a loaded package with what it was compiled from.

    Args:
        rows: The holdout.
        features: What the model sees of it.
        spread: Of the training target (regression).
    """
    base = {name: column[:_BASE_ROWS] for name, column in rows.items()}
    schema, splits = model.schema, split_points(model.package.encoder, model.package.engine)
    hostile = hostile_rows(base, features, splits)
    if schema.derive:
        # Once as if anything could be derived, once as it is from hostile inputs.
        given = schema.with_derived(hostile_rows(base, schema.inputs, splits))
        hostile = {name: np.concatenate([column, given[name]]) for name, column in hostile.items()}
    rows = {name: rows[name] for name in hostile}
    everything = {name: np.concatenate([column, hostile[name]]) for name, column in rows.items()}
    count = len(next(iter(rows.values())))
    total = len(next(iter(everything.values())))
    expected = fitted.answer(everything)
    if model.task == "regression":
        largest = _values(model.package.target.apply(expected), model, everything, spread)
        return Parity(count, total - count, largest, 0, 0)
    largest, differ, near = _classes(expected, model, everything)
    return Parity(count, total - count, largest, differ, near)


def hostile_rows(
    base: Columns, features: Sequence[Feature], splits: dict[str, NDArray[np.float64]]
) -> Columns:
    """Variations of real rows, one cell at a time, and a row without any value."""
    rows = len(next(iter(base.values())))
    most = max(2, MAX_CELLS // len(features) ** 2)
    values = {f.name: _hostile_values(f, splits)[:most] if rows else [] for f in features}
    # The columns are taken once: a small array for every cell of wide rows fills any memory.
    numbers = [place % rows for found in values.values() for place in range(len(found))]
    taken = np.array(numbers, np.intp)
    columns = {f.name: np.concatenate([_filled(f, 1, None), base[f.name][taken]]) for f in features}
    start = 1
    for feature in features:
        for value in values[feature.name]:
            columns[feature.name][start] = _filled(feature, 1, value)[0]
            start += 1
    return columns


def _hostile_values(
    feature: Feature, splits: dict[str, NDArray[np.float64]]
) -> list[float | str | None]:
    """What a cell is replaced by, one after the other."""
    if feature.kind == "category":
        return [None, UNSEEN]
    return [None, *EXTREMES, *splits.get(feature.name, np.array([])).tolist()]


def split_points(
    encoder: Encoder | JoinedEncoder, engine: Engine
) -> dict[str, NDArray[np.float64]]:
    """Values that the trees compare each number with, and their float32 neighbours."""
    where, values = _splits(engine)
    found = {}
    for name, places in _places(encoder).items():
        points = np.unique(values[np.isin(where, places)])
        picked = (
            points[np.linspace(0, len(points) - 1, _SPLITS_PER_FEATURE).astype(int)]
            if len(points)
            else points
        )
        beside = [np.nextafter(picked, np.float32(side)) for side in (-np.inf, np.inf)]
        found[name] = np.unique(np.concatenate([picked, *beside])).astype(np.float64)
    return found if len(values) else {}


def _places(encoder: Encoder | JoinedEncoder) -> dict[str, list[int]]:
    """Where the values of each feature stand in the matrix, by its name."""
    found: dict[str, list[int]] = {}
    start = 0
    for part in encoder.parts if isinstance(encoder, JoinedEncoder) else (encoder,):
        for code in part.codes:
            at = [start + part.names.index(code.names[0])] if code.names else []
            found.setdefault(code.name, []).extend(at)
        start += len(part.names)
    return found


def _splits(engine: Engine) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Column and value of every comparison."""
    columns, values = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    for start, trees in _trees(engine):
        import onnx

        attributes = {
            item.name: item
            for node in onnx.load_from_string(trees).graph.node
            for item in node.attribute
            if node.op_type.startswith("TreeEnsemble")
        }
        inner = np.array([mode != b"LEAF" for mode in attributes["nodes_modes"].strings], bool)
        columns.append(start + np.array(attributes["nodes_featureids"].ints, np.int64)[inner])
        values.append(np.array(attributes["nodes_values"].floats, np.float32)[inner])
    return np.concatenate(columns), np.concatenate(values)


def _trees(engine: Engine) -> Iterator[tuple[int, bytes]]:
    """The first column of each ensemble, and its ONNX form."""
    for start, part in (
        [(part.start, part.engine) for part in engine.parts]
        if isinstance(engine, BlendEngine)
        else [(0, engine)]
    ):
        if TREES_FILE in part.files():
            yield start, part.files()[TREES_FILE]


def _values(expected: Floats, model: LoadedModel, rows: Columns, spread: Spread) -> float:
    """The largest difference as a share of max(|value|, IQR), or of what the deviation allows."""
    found = model.predict(rows).score
    allowed = np.maximum(np.abs(expected), spread.iqr)
    allowed = np.minimum(allowed, spread.deviation * DEVIATION_SHARE / TOLERANCE)
    allowed = np.maximum(allowed, np.finfo(np.float64).tiny)
    return float((np.abs(found - expected) / allowed).max())


def _classes(expected: Floats, model: LoadedModel, rows: Columns) -> tuple[float, int, int]:
    """The largest difference of probabilities, labels that differ, labels that may."""
    answers = model.predict(rows)
    labels = np.array(answers.label or [], object)
    names = np.array(model.package.labels, object)
    if model.task == "multiclass":
        found = answers.probabilities if answers.probabilities is not None else np.zeros((0, 0))
        ordered = np.sort(expected, axis=1)
        near = ordered[:, -1] - ordered[:, -2] <= 2 * TOLERANCE
        wanted = names[expected.argmax(axis=1)]
    else:
        found, threshold = answers.score, float(model.package.threshold or 0.0)
        near = np.abs(expected - threshold) <= TOLERANCE
        wanted = np.where(expected >= threshold, names[1], names[0])
    differ = int(((labels != wanted) & ~near).sum())
    return float(np.abs(found - expected).max()), differ, int(near.sum())


def _filled(feature: Feature, rows: int, value: float | str | None) -> NDArray[Any]:
    """A column of one value; None is missing."""
    if feature.kind != "category":
        return np.full(rows, np.nan if value is None else value, np.float64)
    column: NDArray[Any] = np.empty(rows, object)
    column[:] = "" if value is None else value
    return column
