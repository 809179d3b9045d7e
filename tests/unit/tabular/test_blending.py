"""Averages and corrections that are taken only when they are certain to help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.serving.blend import JoinedEncoder
from shared.serving.encoder import Encoder
from shared.serving.engine import sigmoid
from shared.serving.loaded_model import LoadedModel
from shared.spec.model import Candidate
from shared.tabular import candidates, parity, spaces
from shared.tabular.blending import Blended, find_blend, weigh
from shared.tabular.calibrating import calibrate, fit_sigmoid
from shared.tabular.comparison import Alike
from shared.tabular.metrics import Floats
from shared.tabular.parity import Spread, split_points
from shared.usecases.training.fitting import Corrected
from tests.unit.tabular.fits import FEATURES, package_of, rows_of, served


def _noisy(count: int, sizes: list[float]) -> tuple[Floats, list[Floats]]:
    """A target and answers that are wrong independently of each other, by so much."""
    random = np.random.default_rng(3)
    target = random.normal(size=count)
    return target, [target + random.normal(scale=size, size=count) for size in sizes]


def _folds(count: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    return np.arange(count) % 4


def test_answers_that_err_independently_are_averaged() -> None:
    """Two equally good ones share the weight, and the gain is certain."""
    target, answers = _noisy(2000, [0.5, 0.5])
    blend = find_blend("regression", target, dict(zip("ab", answers, strict=True)), _folds(2000))
    assert blend.weights == {"a": pytest.approx(0.5, abs=0.11), "b": pytest.approx(0.5, abs=0.11)}
    assert blend.earned
    assert blend.gain > blend.gain_lower > 0.1


def test_rows_that_belong_together_are_one_witness() -> None:
    """Twenty groups of copies make nobody as sure as two thousand rows."""
    target, answers = (one for one in _noisy(20, [0.5, 0.5]))
    copied = {name: np.repeat(one, 100) for name, one in zip("ab", answers, strict=True)}
    groups = np.repeat(np.arange(20), 100)
    folds = groups % 4
    alone = find_blend("regression", np.repeat(target, 100), copied, folds)
    together = find_blend("regression", np.repeat(target, 100), copied, folds, Alike(None, groups))
    assert together.gain == alone.gain
    assert together.gain_lower < alone.gain_lower


def test_an_average_that_might_be_luck_is_not_taken() -> None:
    """A second candidate that only adds noise gets no place beside the first."""
    target, (good, bad) = _noisy(300, [0.3, 3.0])
    blend = find_blend("regression", target, {"good": good, "bad": bad}, _folds(300))
    assert not blend.earned


def test_weights_are_tenths_of_at_most_three() -> None:
    """Few numbers are learned: they sum to 1, and a fourth part never joins."""
    target, answers = _noisy(500, [0.5, 0.5, 0.5, 0.5])
    weights = weigh("regression", target, answers)
    assert sum(weights) == pytest.approx(1)
    assert sum(weight > 0 for weight in weights) == 3


def test_a_blend_of_every_layout_passes_parity(tmp_path: Path) -> None:
    """Linear and trees read their own encodings of one row; equal encoders stand once; one row and
    many give the same; split points of every part are among the hostile rows."""
    rows = rows_of("binary")
    kinds: tuple[Candidate, ...] = ("linear", "xgboost", "random_forest")
    few = {"n_estimators": 20}
    parts = tuple(
        candidates.fit(
            kind,
            {**spaces.FIRST[kind], **({} if kind == "linear" else few)},
            "binary",
            rows,
            features=FEATURES,
            seed=0,
        )
        for kind in kinds
    )
    blended = Blended(parts, (0.2, 0.5, 0.3))
    encoder, engine = blended.compile()
    assert isinstance(encoder, JoinedEncoder)
    assert len(encoder.parts) == 2
    correction = sigmoid(1.2, -0.1)
    package = package_of(parts[0], encoder=encoder, engine=engine, calibrator=correction)
    model = served(package, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "package.json",
        "trees-2.onnx",
        "trees-3.onnx",
    ]
    found = parity.check(
        Corrected(blended, correction), model, rows.columns, FEATURES, Spread.of(rows.target)
    )
    assert found.passed, found
    points = split_points(encoder, engine)["n"]
    alone = [split_points(part.encoder, package_of(part).engine)["n"] for part in parts[1:]]
    assert points.min() == min(one.min() for one in alone)
    record = {"n": 0.25, "big": 2.0**24, "c": "b"}
    many = model.predict_records([record, record])
    assert model.predict_records([record]).score[0] == pytest.approx(many.score[0], abs=1e-6)


def test_parts_of_one_layout_share_their_encoder() -> None:
    """Two kinds of trees are encoded once."""
    rows = rows_of("regression")
    few = {"n_estimators": 5}
    parts = tuple(
        candidates.fit(
            kind, {**spaces.FIRST[kind], **few}, "regression", rows, features=FEATURES, seed=0
        )
        for kind in ("xgboost", "gradient_boosting")
    )
    encoder, engine = Blended(parts, (0.5, 0.5)).compile()
    assert isinstance(encoder, Encoder)
    package = package_of(parts[0], encoder=encoder, engine=engine)
    answer = LoadedModel(package).predict(rows.columns).score
    assert np.allclose(answer, 100 * Blended(parts, (0.5, 0.5)).answer(rows.columns), rtol=1e-5)


def _scores(count: int, factor: float) -> tuple[Floats, Floats]:
    """Outcomes and probabilities whose log odds are off by a factor (1: right)."""
    random = np.random.default_rng(5)
    odds = random.normal(size=count)
    target = (random.random(count) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    return target, 1 / (1 + np.exp(-odds * factor))


def test_scores_that_are_too_sure_are_corrected() -> None:
    """The factor is found again, and log loss certainly falls."""
    target, answers = _scores(4000, 3.0)
    found = calibrate(target, answers, _folds(4000))
    assert found.certain
    assert found.calibrator is not None
    assert found.calibrator.x[0] == pytest.approx(1 / 3, abs=0.03)
    assert found.calibrated < found.log_loss


def test_scores_that_are_right_stay_as_they_are() -> None:
    """No correction for the sake of a correction."""
    target, answers = _scores(4000, 1.0)
    assert not calibrate(target, answers, _folds(4000)).certain


def test_a_correction_never_turns_the_order_around() -> None:
    """Scores that rank the wrong way are not mended by a negative slope."""
    target, answers = _scores(4000, -1.0)
    assert fit_sigmoid(target, answers) is None


def test_the_correction_is_found_from_far_away() -> None:
    """Probabilities of exactly 0 and 1 and a large shift do not stop Newton's steps."""
    target, answers = _scores(4000, 1.0)
    odds = np.log(answers / (1 - answers)) * 5 - 8
    far = 1 / (1 + np.exp(-odds))
    found = fit_sigmoid(target, far)
    assert found is not None
    assert found.x[0] == pytest.approx(0.2, abs=0.02)
    assert found.y[0] == pytest.approx(1.6, abs=0.2)
    assert fit_sigmoid(np.array([0.0, 1.0, 1.0, 0.0] * 50), np.array([0.0, 1.0, 0.7, 0.4] * 50))


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_single_fold_earns_no_blend(task: str) -> None:
    """Where only the last fold can be judged (a class that appears late in time), there is nothing
    to find weights on that they are not judged by."""
    target, answers = _noisy(400, [0.5, 0.5])
    if task == "binary":
        target = (target > 0).astype(np.float64)
    blend = find_blend(task, target, dict(zip("ab", answers, strict=True)), np.full(400, 3))
    assert not blend.earned
    assert blend.gain == 0
