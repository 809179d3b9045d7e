"""Trees are looked up by values as they are by encoded rows, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingRegressor
from xgboost import XGBClassifier

from shared.serving import value_tables
from shared.serving.columns import Columns
from shared.serving.encoder import Encoder
from shared.serving.engine import TreeEngine, tree_engine
from shared.serving.features import Feature
from shared.serving.texts import texts_of
from shared.serving.value_tables import ValueTables
from tests.unit.serving.test_engine import onnx_of, onnx_of_xgboost

ROWS = 600
FEATURES = (
    Feature("plain", "number"),
    Feature("holes", "number"),
    Feature("whole", "number"),
    Feature("alone", "number"),
    Feature("few", "category"),
    Feature("rare", "category"),
    Feature("gaps", "category"),
)
ESTIMATORS: dict[str, Any] = {
    "below": XGBClassifier(n_estimators=60, max_depth=6, n_jobs=1),
    "at most": GradientBoostingRegressor(n_estimators=60, max_depth=4),
}


def objects(values: Any) -> NDArray[Any]:
    return np.array(list(map(str, values)), object)


def columns_of() -> Columns:
    random = np.random.default_rng(3)
    holes = random.normal(size=ROWS)
    holes[random.random(ROWS) < 0.2] = np.nan
    return {
        "plain": random.normal(size=ROWS) * 1e3,
        "holes": holes,
        "whole": random.integers(0, 5, ROWS).astype(np.float64),
        "alone": np.zeros(ROWS),
        "few": objects(random.choice(["a", "b", "c"], ROWS)),
        "rare": objects(f"r{int(value)}" for value in random.exponential(6, ROWS)),
        "gaps": objects(random.choice(["x", "y", ""], ROWS)),
    }


def engine_of(kind: str, columns: Columns) -> tuple[TreeEngine, Encoder]:
    """Trees that have seen all of the columns."""
    encoder = Encoder.fit(columns, FEATURES)
    x = encoder.transform(columns, np.float32)
    random = np.random.default_rng(4)
    raw = x @ random.normal(size=x.shape[1]) / 100 + random.normal(size=ROWS)
    estimator = ESTIMATORS[kind]
    if kind == "below":
        estimator.fit(x, (raw > 0).astype(int))
        return tree_engine(onnx_of_xgboost(estimator), "probability"), encoder
    estimator.fit(x, raw)
    return tree_engine(onnx_of(estimator), "value"), encoder


def hostile(tables: ValueTables, columns: Columns) -> Columns:
    """Rows whose numbers are where a float32 changes its side, beside that, far away or missing,
    and whose categories are new or missing."""
    random = np.random.default_rng(5)
    found = {name: column.copy() for name, column in columns.items()}
    for group in tables._groups:
        for column, _ in group:
            if isinstance(column, value_tables._Number):
                limits = column.limits if len(column.limits) else np.zeros(1)
                beside = [np.nextafter(limits, end) for end in (-np.inf, np.inf)]
                single = limits.astype(np.float32).astype(np.float64)
                far = [[0.0, -0.0, 1e300, -1e300, 3.5e38, -3.5e38, 5e-324, np.nan]]
                picked = np.concatenate([limits, *beside, single, *far])
                found[column.name] = random.choice(picked, ROWS)
            else:
                odd = ["", "unseen", *column.places]
                found[column.name] = objects(random.choice(odd, ROWS))
    return found


@pytest.fixture(params=ESTIMATORS)
def made(request: pytest.FixtureRequest) -> tuple[TreeEngine, Encoder, ValueTables, Columns]:
    columns = columns_of()
    engine, encoder = engine_of(request.param, columns)
    tables = engine.tables_for(encoder)
    assert tables is not None
    return engine, encoder, tables, columns


Made = tuple[TreeEngine, Encoder, ValueTables, Columns]


def test_values_get_the_bits_of_their_encoded_rows(made: Made) -> None:
    """Of onnxruntime, which is given the matrix: for the rows of training and for hostile ones."""
    engine, encoder, tables, columns = made
    for rows in (columns, hostile(tables, columns)):
        x = encoder.transform(rows).astype(np.float32)
        walked = engine._run(x)[:, -1]
        assert np.array_equal(tables.score(rows), walked)


def test_one_row_and_few_have_the_bits_of_many(made: Made) -> None:
    """A row does not know what else was asked."""
    _, encoder, tables, columns = made
    rows = hostile(tables, columns)
    expected = tables.score(rows)
    in_order = [rows[code.name].tolist() for code in encoder.codes]
    alone = [tables.score_one(row) for row in zip(*in_order, strict=True)]
    assert np.array_equal(np.array(alone, np.float32), expected)
    for size in (2, 3, 127, 129):
        part = {name: column[:size] for name, column in rows.items()}
        assert np.array_equal(tables.score(part), expected[:size])


def test_columns_that_know_their_texts_are_no_others(made: Made) -> None:
    """As a request's columns come."""
    _, _, tables, columns = made
    rows = hostile(tables, columns)
    known = {
        name: texts_of(column.tolist(), str) if column.dtype == object else column
        for name, column in rows.items()
    }
    assert np.array_equal(tables.score(known), tables.score(rows))  # type: ignore[arg-type]


def test_other_encoders_have_no_tables() -> None:
    """Scaled numbers are left to the matrix."""
    columns = columns_of()
    engine, _ = engine_of("below", columns)
    linear = Encoder.fit(columns, FEATURES, "linear")
    assert engine.tables_for(linear) is None


def test_tables_that_would_be_large_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = columns_of()
    engine, encoder = engine_of("below", columns)
    monkeypatch.setattr(value_tables, "MOST_BYTES", 1000)
    assert engine.tables_for(encoder) is None


def test_tables_that_answer_otherwise_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are compared with onnxruntime behind the encoder before they serve."""
    columns = columns_of()
    engine, encoder = engine_of("below", columns)

    def wrong(code: Any, start: int, comparisons: Any) -> Any:
        found = right(code, start, comparisons)
        return found._replace(limits=found.limits + 1e-3)

    right = value_tables._number
    monkeypatch.setattr(value_tables, "_number", wrong)
    assert engine.tables_for(encoder) is None
