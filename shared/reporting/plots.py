"""What a model card shows of a holdout: ROC and calibration, or predictions and residuals."""

from __future__ import annotations

import numpy as np

from shared.reporting.svg import FAINT, INK, Axis, Frame
from shared.tabular.metrics import Floats, auroc, roc_points

MAX_POINTS = 300
CALIBRATION_BINS = 10
HISTOGRAM_BINS = 30


def plots(task: str, target: Floats, answers: Floats, unit: str) -> list[str]:
    """SVG figures for a holdout; answers as `metrics.primary` takes them."""
    if task == "binary":
        return [roc(target, answers), calibration(target, answers)]
    if task == "regression":
        return [predicted(target, answers, unit), residuals(target, answers, unit)]
    chosen = answers.argmax(axis=1)
    right = (chosen == target).astype(np.float64)
    return [calibration(right, answers.max(axis=1))]


def roc(target: Floats, scores: Floats) -> str:
    false, true = roc_points(target, scores)
    pick = _spread(len(false))
    title = f"ROC, area {auroc(target, scores):.3f}"
    frame = Frame(title, Axis("false positive rate", 0, 1), Axis("true positive rate", 0, 1))
    return frame.draw(
        frame.line([0, 1], [0, 1], FAINT, "4 4"),
        frame.line(false[pick].tolist(), true[pick].tolist()),
    )


def calibration(target: Floats, scores: Floats) -> str:
    """Mean score against observed share, in bins of equal size."""
    order = np.argsort(scores, kind="stable")
    bins = [part for part in np.array_split(order, CALIBRATION_BINS) if len(part)]
    xs = [float(scores[part].mean()) for part in bins]
    ys = [float(target[part].mean()) for part in bins]
    frame = Frame("Calibration", Axis("score", 0, 1), Axis("observed share", 0, 1))
    return frame.draw(
        frame.line([0, 1], [0, 1], FAINT, "4 4"), frame.line(xs, ys), frame.dots(xs, ys)
    )


def predicted(target: Floats, values: Floats, unit: str) -> str:
    pick = _spread(len(target))
    low, high = float(min(target.min(), values.min())), float(max(target.max(), values.max()))
    frame = Frame(
        "Predicted and actual", Axis(f"actual{unit}", low, high), Axis("predicted", low, high)
    )
    return frame.draw(
        frame.line([low, high], [low, high], INK, "4 4"),
        frame.dots(target[pick].tolist(), values[pick].tolist(), 2),
    )


def residuals(target: Floats, values: Floats, unit: str) -> str:
    errors = values - target
    # The outermost hundredth would leave nothing to see of the rest.
    low, high = (float(end) for end in np.quantile(errors, [0.005, 0.995]))
    counts, edges = np.histogram(errors, HISTOGRAM_BINS, (low, high if high > low else low + 1))
    frame = Frame(
        "Errors",
        Axis(f"predicted minus actual{unit}", float(edges[0]), float(edges[-1])),
        Axis("rows", 0, float(counts.max() or 1)),
    )
    return frame.draw(frame.bars(edges.tolist(), counts.tolist()))


def _spread(count: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Positions of at most MAX_POINTS of `count` points, ends included."""
    return np.unique(np.linspace(0, count - 1, min(count, MAX_POINTS)).astype(np.intp))
