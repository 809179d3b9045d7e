"""What scores alone let expect: right for a calibrated model, silent for any other."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from shared.tabular.unlabelled import ASSUMES, estimate_sentence, expected_auroc


def test_a_calibrated_model_expects_what_it_will_get() -> None:
    """Over many draws of labels from the scores the mean AUROC is the expected one."""
    rng = np.random.default_rng(1)
    scores = np.round(rng.beta(1, 3, 500), 2)  # with ties
    drawn = [roc_auc_score(rng.random(500) < scores, scores) for _ in range(400)]
    assert expected_auroc(scores) == pytest.approx(np.mean(drawn), abs=0.003)


def test_scores_that_say_nothing_are_no_estimate() -> None:
    """Equal ones, too few, numbers that are no probabilities, and refused rows."""
    for scores in ([0.5, 0.5], [0.2], [], [0.2, 1.7], [np.nan, 0.3]):
        assert expected_auroc(np.array(scores, np.float64)) is None


def test_only_calibrated_classifiers_are_estimated_and_the_assumption_is_said() -> None:
    """By the calibration error on the holdout; regressions and old references never."""
    scores = np.linspace(0.01, 0.99, 300)
    performance = {"metric": "auroc", "value": 0.9}

    def told(error: float | None, task: str = "binary") -> str:
        metrics = {} if error is None else {"ece": {"value": error}}
        return estimate_sentence(
            {"task": task, "metrics": metrics, "performance": performance}, scores
        )

    assert told(0.01).endswith(ASSUMES)
    assert told(0.1) == told(None) == told(0.01, "regression") == ""
