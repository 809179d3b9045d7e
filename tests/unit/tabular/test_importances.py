"""Which columns the answers depend on: measured, seeded, bounded."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from shared.serving.columns import Columns
from shared.tabular import importances
from shared.tabular.dataset import Examples
from shared.tabular.importances import of_record, permutation_importances
from shared.tabular.metrics import Floats

NAMES = ["strong", "weak", "noise"]


def _holdout(rows: int) -> Examples:
    random = np.random.default_rng(5)
    columns = {name: random.normal(size=rows) for name in NAMES}
    target = (2 * columns["strong"] + 0.5 * columns["weak"] + random.normal(size=rows)) > 0
    return Examples(columns, target.astype(np.float64))


def _answer(columns: Columns) -> Floats:
    found: Floats = 1 / (1 + np.exp(-2 * columns["strong"] - 0.5 * columns["weak"]))
    return found


def test_columns_are_ordered_by_what_the_metric_loses_without_them() -> None:
    """A column that the model does not read loses nothing; the same seed finds the same."""
    found = permutation_importances(_answer, _holdout(2000), "binary", NAMES, seed=3)
    again = permutation_importances(_answer, _holdout(2000), "binary", NAMES, seed=3)
    assert found is not None
    assert found == again
    assert [one.feature for one in found.items] == NAMES
    strong, weak, noise = (one.drop for one in found.items)
    assert strong > 0.2 > weak > 0.01
    assert noise == 0
    assert of_record(found.to_json()) == list(found.items)


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_a_loss_that_grows_is_a_drop(task: str) -> None:
    """Above 0 means worse, whichever way the metric points."""
    holdout = _holdout(500)

    def answer(columns: Columns) -> Floats:
        score = _answer(columns)
        return np.column_stack([1 - score, score]) if task == "multiclass" else score

    found = permutation_importances(answer, holdout, task, NAMES, seed=0)
    assert found is not None
    assert found.items[0].feature == "strong"
    assert found.items[0].drop > 0.05


def test_rows_and_time_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wide table asks fewer rows; what time did not allow is left out and said."""
    asked = []

    def answer(columns: Columns) -> Floats:
        asked.append(len(columns["strong"]))
        return _answer(columns)

    monkeypatch.setattr(importances, "MAX_ANSWERS", 9_000)
    clock = itertools.count(0.0, importances.MAX_SECONDS)
    found = permutation_importances(
        answer, _holdout(5000), "binary", NAMES, seed=0, now=lambda: next(clock)
    )
    assert set(asked) == {1000}
    assert found is not None
    assert [one.feature for one in found.items] == ["strong"]
    assert not found.complete


def test_one_class_measures_nothing() -> None:
    """AUROC of one class is not a number."""
    holdout = Examples({"strong": np.ones(9), "weak": np.ones(9)}, np.ones(9))
    assert permutation_importances(_answer, holdout, "binary", NAMES, seed=0) is None
    assert of_record(None) == []
