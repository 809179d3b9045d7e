"""A correction of probabilities from out-of-fold answers, where it is certain to help. Pure.

Sigmoid on the log odds (Platt 1999): two numbers, monotone, so that ranking stays as it is and
little data suffice. Judged on answers that were corrected without their fold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.serving.engine import Calibrator, expit, sigmoid
from shared.tabular import metrics
from shared.tabular.comparison import ALONE, Alike
from shared.tabular.estimates import estimate
from shared.tabular.gains import ALPHA
from shared.tabular.influence import influence
from shared.tabular.metrics import Floats

# Of log loss per row: less is no reason to carry a correction around.
MARGIN = 0.0005
_STEPS = 50
_EDGE = 1e-15


@dataclass(frozen=True, slots=True)
class Calibration:
    """`calibrator` is what would be applied; log losses are per out-of-fold row; `gain_lower` is
    the one-sided 95 % lower bound of what it takes off."""

    calibrator: Calibrator | None
    log_loss: float
    calibrated: float
    gain_lower: float

    @property
    def certain(self) -> bool:
        return self.calibrator is not None and self.gain_lower > MARGIN

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.calibrator.kind if self.calibrator else None,
            "log_loss": self.log_loss,
            "calibrated": self.calibrated,
            "gain_lower": self.gain_lower if np.isfinite(self.gain_lower) else None,
            "margin": MARGIN,
        }


def calibrate(
    target: Floats, answers: Floats, fold: NDArray[np.intp], alike: Alike = ALONE
) -> Calibration:
    """What a correction of these out-of-fold answers would bring."""
    crossed = np.empty_like(answers)
    for number in np.unique(fold):
        here = fold == number
        found = fit_sigmoid(target[~here], answers[~here])
        crossed[here] = answers[here] if found is None else found.apply(answers[here])
    before = metrics.row_losses("binary", target, answers)
    after = metrics.row_losses("binary", target, crossed)
    gain = influence("log_loss", target, answers) - influence("log_loss", target, crossed)
    lower = estimate(gain, alike.order, alike.groups).lower(ALPHA)
    whole = fit_sigmoid(target, answers)
    return Calibration(whole, float(before.mean()), float(after.mean()), lower)


def fit_sigmoid(target: Floats, answers: Floats) -> Calibrator | None:
    """The sigmoid of least log loss, by Newton's steps; None where none keeps the order of rows."""
    odds = np.clip(answers, _EDGE, 1 - _EDGE)
    x = np.column_stack([np.log(odds / (1 - odds)), np.ones(len(odds))])
    found = np.array([1.0, 0.0])
    for _ in range(_STEPS):
        guess = expit(x @ found)
        slope = x.T @ (guess - target)
        curve = (x * (guess * (1 - guess))[:, None]).T @ x + 1e-9 * np.eye(2)
        step = np.linalg.solve(curve, slope)
        # A long step from far away overshoots; the loss is convex, so short ones arrive.
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))
        found = found - step
        if float(np.abs(step).max()) < 1e-10:
            break
    if not (np.isfinite(found).all() and found[0] > 0):
        return None
    return sigmoid(found[0], found[1])
