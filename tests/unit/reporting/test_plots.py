"""Figures of a holdout: files that stand alone, whatever the data are called and however few."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from shared.reporting.plots import plots
from shared.reporting.svg import Axis, number
from shared.tabular.importances import Importance
from shared.tabular.metrics import Floats

NASTY = ("</svg><script>alert(1)</script>", "a & b \x00 \x1b\ud800" + "x" * 80)
BINARY = ["roc", "precision_recall", "calibration", "confusion", "scores", "importances"]
REGRESSION = ["predicted_actual", "residuals", "residual_histogram", "importances"]
MULTICLASS = ["confusion", "calibration", "recall", "importances"]
SVG = "{http://www.w3.org/2000/svg}"


def _holdout(task: str, rows: int, classes: int = 2) -> tuple[Floats, Floats]:
    random = np.random.default_rng(rows)
    if task == "regression":
        target = random.normal(3, 2, rows)
        return target, target + random.normal(0, 0.5, rows)
    target = random.integers(0, classes, rows).astype(np.float64)
    if task == "binary":
        return target, np.clip(0.4 * target + random.random(rows) * 0.6, 0, 1)
    raw = random.random((rows, classes)) + np.eye(classes)[target.astype(int)]
    return target, raw / raw.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("task", "names"),
    [("binary", BINARY), ("regression", REGRESSION), ("multiclass", MULTICLASS)],
)
@pytest.mark.parametrize("rows", [2, 40, 900])
def test_every_figure_is_a_file_that_loads_nothing(task: str, names: list[str], rows: int) -> None:
    """Well-formed SVG with a title, no script and no address, for hostile labels too."""
    target, answers = _holdout(task, rows)
    target[:2] = 0, 1
    found = plots(
        task,
        target,
        answers,
        labels=NASTY,
        threshold=0.5,
        unit=" <b>",
        importances=[Importance(NASTY[0], 0.1, 0.01), Importance(NASTY[1], -0.02, 0.03)],
    )
    assert list(found) == names
    for svg in found.values():
        root = ET.fromstring(svg.encode())  # noqa: S314  # our own text
        assert root.tag == f"{SVG}svg"
        assert root.findtext(f"{SVG}title")
        assert {part.tag for part in root.iter()} <= {
            SVG + tag for tag in ("svg", "title", "text", "line", "polyline", "rect", "circle")
        }
        assert "href" not in svg
        assert "nan" not in svg.lower()


def test_a_holdout_of_one_class_has_no_curves() -> None:
    """Nothing is drawn that could not be measured."""
    found = plots("binary", np.zeros(20), np.linspace(0, 1, 20), labels=("no", "yes"))
    assert list(found) == ["calibration", "confusion", "scores"]
    assert plots("binary", np.zeros(0), np.zeros(0)) == {}


def test_the_confusion_matrix_counts_at_the_threshold() -> None:
    """A score at the threshold is a positive answer, as serving has it."""
    target, scores = np.array([0.0, 0, 0, 1, 1]), np.array([0.1, 0.3, 0.6, 0.3, 0.2])
    svg = plots("binary", target, scores, labels=("no", "yes"), threshold=0.3)["confusion"]
    assert [text for text in _texts(svg) if "%" in text] == [
        "1 (33%)",
        "2 (67%)",
        "1 (50%)",
        "1 (50%)",
    ]


def test_many_classes_share_the_last_place_and_nothing_is_lost() -> None:
    """A matrix of 40 classes stays readable; its counts are all rows."""
    target, answers = _holdout("multiclass", 800, 40)
    labels = [f"class {at}" for at in range(40)]
    svg = plots("multiclass", target, answers, labels=labels)["confusion"]
    assert "31 others" in "".join(_texts(svg))
    assert sum(int(text) for text in _texts(svg) if text.isdigit()) == 800


def test_calibration_has_fifteen_bins_of_equal_mass() -> None:
    """The bins that the issue of quality is judged by, and their expected error in the title."""
    target, scores = _holdout("binary", 900)
    svg = plots("binary", target, scores, labels=("no", "yes"))["calibration"]
    assert svg.count("<circle") == 15
    order = np.argsort(scores).reshape(15, 60)
    error = np.abs(scores[order].mean(axis=1) - target[order].mean(axis=1)).mean()
    assert f"expected error {error:.4f}" in svg


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (-0.031, 0.044, ["-0.02", "0", "0.02", "0.04"]),
        (14_999, 500_001, ["100k", "200k", "300k", "400k", "500k"]),
        (3, 3, ["3"]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, ticks: list[str]) -> None:
    """As people would write them, for any range."""
    assert [number(tick) for tick in Axis("", low, high).ticks()] == ticks


def _texts(svg: str) -> list[str]:
    root = ET.fromstring(svg)  # noqa: S314  # our own text
    return [part.text or "" for part in root.iter(f"{SVG}text")]
