"""How differently two versions answer the same rows, counted so that live rows can be, too."""

from __future__ import annotations

import numpy as np
import pytest

from shared.tabular.disagreement import disagreement
from shared.tabular.measuring import Answered
from shared.tabular.metrics import Floats

ROWS = 1000


def side(task: str, answers: Floats, threshold: float | None = None) -> Answered:
    target = np.arange(len(answers), dtype=np.float64) % 2
    if task == "regression":
        target = np.arange(len(answers), dtype=np.float64)
    return Answered(task, target, answers, threshold)


def test_labels_are_counted_by_each_versions_own_threshold() -> None:
    """The same scores give other labels where the thresholds differ: a caller sees that."""
    scores = np.linspace(0, 1, ROWS, endpoint=False)
    found = disagreement(side("binary", scores, 0.5), side("binary", scores, 0.45))
    assert found is not None
    assert found["rows"] == ROWS
    assert found["labels"]["differ"] == 50
    assert found["labels"]["share"] == 0.05
    assert 0.05 < found["labels"]["upper"] < 0.08
    assert found["scores"]["differ"] == 0
    assert "another label for 5.0%" in found["sentence"]


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_distances_of_a_regression_are_in_the_files_unit(scale: float) -> None:
    """As callers and the log have them; no more than one row in twenty is beyond `far`."""
    random = np.random.default_rng(0)
    champion = random.normal(size=ROWS)
    mine = champion + random.normal(0, 0.1, ROWS)
    found = disagreement(side("regression", mine), side("regression", champion), scale=scale)
    assert found is not None
    scores = found["scores"]
    assert found["labels"] is None
    assert scores["mean"] == pytest.approx(0.08 * scale, rel=0.1)
    assert scores["far"] == scores["quantiles"]["0.95"]
    assert 40 <= scores["differ"] <= 50
    assert found["spread"] == pytest.approx(499.5 * scale)
    assert "of the target's interquartile range" in found["sentence"]


def test_classes_are_held_against_each_other_by_name() -> None:
    """Of several classes the log has one probability only, so labels alone are counted."""
    random = np.random.default_rng(0)
    champion = random.dirichlet((1, 1, 1), ROWS)
    mine = champion.copy()
    mine[:100] = np.roll(mine[:100], 1, axis=1)
    found = disagreement(side("multiclass", mine), side("multiclass", champion))
    assert found is not None
    assert found["labels"]["differ"] == 100
    assert found["scores"] is None


def test_the_same_answers_do_not_differ_by_the_noise_of_an_engine() -> None:
    """`far` is no smaller than what two engines may be apart for the same row."""
    scores = np.linspace(0.1, 0.9, ROWS)
    found = disagreement(side("binary", scores + 1e-9, 0.5), side("binary", scores, 0.5))
    assert found is not None
    assert found["scores"]["differ"] == 0
    assert found["scores"]["far"] == pytest.approx(1e-5)


def test_without_a_champion_that_answers_there_is_nothing_to_hold_it_against() -> None:
    """A first version, and a champion that the new columns lack something for."""
    assert disagreement(side("binary", np.full(9, 0.4), 0.5), None) is None
