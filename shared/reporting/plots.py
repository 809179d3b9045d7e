"""What people look at of a holdout: one named figure per question. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.reporting.svg import (
    ACCENT,
    FAINT,
    INK,
    SECOND,
    Axis,
    Frame,
    bars_across,
    short,
    table,
)
from shared.tabular.importances import Importance
from shared.tabular.metrics import PRIMARY, Floats, auroc, calibration_error, roc_points
from shared.tabular.rates import rate_interval

MAX_POINTS = 300
CALIBRATION_BINS = 15
HISTOGRAM_BINS = 30
MAX_CLASSES = 10
MAX_FEATURES = 20
_CHANGES = {"auroc": "loss of AUROC", "log_loss": "growth of log loss", "rmse": "growth of RMSE"}
_DASHES = "4 4"


def plots(
    task: str,
    target: Floats,
    answers: Floats,
    *,
    labels: Sequence[str] = (),
    threshold: float | None = None,
    unit: str = "",
    importances: Sequence[Importance] = (),
) -> dict[str, str]:
    """Self-contained SVG figures by name, in the order in which people want them. Figures that
    would show nothing (a curve of one class) are left out.

    Args:
        answers: As `metrics.primary` takes them.
        labels: Of a classifier; binary: (negative, positive).
        unit: Appended to axes that show the target.
    """
    if not len(target):
        found = {}
    elif task == "binary":
        names = (labels[0], labels[1]) if len(labels) > 1 else ("0", "1")
        found = _binary(target, answers, names, 0.5 if threshold is None else threshold)
    elif task == "regression":
        found = {
            "predicted_actual": predicted(target, answers, unit),
            "residuals": residuals(target, answers, unit),
            "residual_histogram": residual_histogram(target, answers, unit),
        }
    else:
        found = _multiclass(target, answers, labels)
    if importances:
        found["importances"] = important(importances, _CHANGES[PRIMARY[task]])
    return found


def _binary(
    target: Floats, scores: Floats, labels: tuple[str, str], threshold: float
) -> dict[str, str]:
    both = 0 < target.sum() < len(target)
    curves = {"roc": roc(target, scores, threshold)} if both else {}
    if both:
        curves["precision_recall"] = precision_recall(target, scores, threshold)
    chosen = (scores >= threshold).astype(np.intp)
    return {
        **curves,
        "calibration": calibration(target, scores, "score"),
        "confusion": confusion(target.astype(np.intp), chosen, labels, f" at {threshold:.3f}"),
        "scores": distribution(target, scores, labels, threshold),
    }


def _multiclass(target: Floats, answers: Floats, labels: Sequence[str]) -> dict[str, str]:
    chosen = answers.argmax(axis=1)
    names = labels or [str(position) for position in range(answers.shape[1])]
    right = (chosen == target).astype(np.float64)
    return {
        "confusion": confusion(target.astype(np.intp), chosen, names),
        "calibration": calibration(right, answers.max(axis=1), "probability of the chosen class"),
        "recall": recall(target.astype(np.intp), chosen, names),
    }


def roc(target: Floats, scores: Floats, threshold: float) -> str:
    false, true = roc_points(target, scores)
    pick = _spread(len(false))
    title = f"ROC, area {auroc(target, scores):.3f}"
    frame = Frame(title, Axis("false positive rate", 0, 1), Axis("true positive rate", 0, 1))
    said = scores >= threshold
    here = float(said[target == 0].mean()), float(said[target == 1].mean())
    return frame.draw(
        frame.line([0, 1], [0, 1], FAINT, _DASHES),
        frame.line(false[pick].tolist(), true[pick].tolist()),
        frame.dots([here[0]], [here[1]], 5),
        frame.key([("at the threshold", ACCENT)], low=True),
    )


def precision_recall(target: Floats, scores: Floats, threshold: float) -> str:
    """Precision at every recall; the dashed line is what guessing gives."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(target[order])
    last = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])
    found, precise = hits[last] / hits[-1], hits[last] / (last + 1)
    average = float((np.diff(np.r_[0.0, found]) * precise).sum())
    base = float(target.mean())
    frame = Frame(
        f"Precision and recall, average precision {average:.3f}",
        Axis("recall", 0, 1),
        Axis("precision", 0, 1),
    )
    pick = _spread(len(found))
    said = scores >= threshold
    chosen = ""
    if said.any():
        right = float(target[said].sum())
        chosen = frame.dots([right / float(target.sum())], [right / int(said.sum())], 5)
        chosen += frame.key([("at the threshold", ACCENT)])
    return frame.draw(
        frame.line([0, 1], [base, base], FAINT, _DASHES),
        frame.line(found[pick].tolist(), precise[pick].tolist()),
        chosen,
    )


def calibration(target: Floats, scores: Floats, what: str) -> str:
    """Mean score against observed share with its 95 % interval, in bins of equal mass."""
    order = np.argsort(scores, kind="stable")
    bins = [part for part in np.array_split(order, CALIBRATION_BINS) if len(part)]
    xs = [float(scores[part].mean()) for part in bins]
    ys = [float(target[part].mean()) for part in bins]
    ends = [rate_interval(float(target[part].sum()), len(part)) for part in bins]
    error = calibration_error(target, scores)
    top = min(1.0, max(*xs, *(high for _, high in ends)) * 1.02)
    frame = Frame(
        f"Calibration, expected error {error:.4f}",
        Axis(what, 0, top),
        Axis("observed share", 0, top),
    )
    return frame.draw(
        frame.line([0, top], [0, top], FAINT, _DASHES),
        *(
            frame.line([x, x], [low, min(high, top)], ACCENT, width=1)
            for x, (low, high) in zip(xs, ends, strict=True)
        ),
        frame.line(xs, ys),
        frame.dots(xs, ys),
    )


def confusion(
    target: NDArray[np.intp], chosen: NDArray[np.intp], labels: Sequence[str], when: str = ""
) -> str:
    """Rows are what it was, columns what was said; rare classes beyond the first share a place."""
    names, place = _places(target, labels)
    size = len(names)
    counts = np.bincount(place[target] * size + place[chosen], minlength=size * size)
    counts = counts.reshape(size, size)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return table(
        f"Confusion{when}",
        rows=names,
        columns=names,
        shares=shares.tolist(),
        counts=counts.tolist(),
        across="said",
        down="it was",
    )


def distribution(target: Floats, scores: Floats, labels: tuple[str, str], threshold: float) -> str:
    """Scores of each class as shares of the class, and where the threshold cuts."""
    edges = np.linspace(0.0, 1.0, HISTOGRAM_BINS + 1)
    shares = []
    for label in (0, 1):
        mine = scores[target == label]
        shares.append(np.histogram(mine, edges)[0] / max(len(mine), 1))
    top = float(max(share.max() for share in shares)) or 1.0
    frame = Frame("Scores by class", Axis("score", 0, 1), Axis("share of the class", 0, top))
    names = [(short(label, 30), color) for label, color in zip(labels, _PAIR, strict=True)]
    return frame.draw(
        *(
            frame.bars(edges.tolist(), share.tolist(), color)
            for share, color in zip(shares, _PAIR, strict=True)
        ),
        frame.line([threshold, threshold], [0, top], INK, _DASHES),
        frame.key(names),
    )


def recall(target: NDArray[np.intp], chosen: NDArray[np.intp], labels: Sequence[str]) -> str:
    """Which share of each class is found, with its 95 % interval and rows."""
    counts = np.bincount(target, minlength=len(labels))
    hits = np.bincount(target[target == chosen], minlength=len(labels))
    order = [at for at in np.argsort(-counts, kind="stable") if counts[at]][:MAX_FEATURES]
    shares = [float(hits[at] / counts[at]) for at in order]
    return bars_across(
        "Recall per class",
        names=[labels[at] for at in order],
        values=shares,
        label="share of the class that is found",
        ends=[
            rate_interval(share * int(counts[at]), int(counts[at]))
            for share, at in zip(shares, order, strict=True)
        ],
        notes=[f"n {counts[at]:,}" for at in order],
    )


def predicted(target: Floats, values: Floats, unit: str) -> str:
    pick = _spread(len(target))
    low, high = float(min(target.min(), values.min())), float(max(target.max(), values.max()))
    frame = Frame(
        "Predicted and actual",
        Axis(f"actual{unit}", low, high),
        Axis(f"predicted{unit}", low, high),
    )
    return frame.draw(
        frame.dots(target[pick].tolist(), values[pick].tolist(), 2),
        frame.line([low, high], [low, high], INK, _DASHES),
    )


def residuals(target: Floats, values: Floats, unit: str) -> str:
    """Errors along the predicted value; a shape in them is something the model missed."""
    errors = values - target
    pick = _spread(len(target))
    frame = Frame(
        "Errors along the prediction",
        Axis(f"predicted{unit}", float(values.min()), float(values.max())),
        Axis(f"predicted minus actual{unit}", float(errors[pick].min()), float(errors[pick].max())),
    )
    return frame.draw(
        frame.dots(values[pick].tolist(), errors[pick].tolist(), 2),
        frame.line([frame.x.low, frame.x.high], [0, 0], INK, _DASHES)
        if frame.y.low <= 0 <= frame.y.high
        else "",
    )


def residual_histogram(target: Floats, values: Floats, unit: str) -> str:
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


def important(importances: Sequence[Importance], change: str) -> str:
    """Bars with the spread over repeats, the most important on top."""
    shown = sorted(importances, key=lambda one: -one.drop)[:MAX_FEATURES]
    more = len(importances) - len(shown)
    title = "What the answers depend on" + (
        f" (first {len(shown)} of {more + len(shown)})" if more else ""
    )
    return bars_across(
        title,
        names=[one.feature for one in shown],
        values=[one.drop for one in shown],
        label=f"{change} when shuffled",
        ends=[(one.drop - one.spread, one.drop + one.spread) for one in shown],
    )


_PAIR = (ACCENT, SECOND)


def _places(target: NDArray[np.intp], labels: Sequence[str]) -> tuple[list[str], NDArray[np.intp]]:
    """Names of the rows of a matrix, and the row of each class."""
    place = np.arange(len(labels), dtype=np.intp)
    if len(labels) <= MAX_CLASSES:
        return list(labels), place
    order = np.argsort(-np.bincount(target, minlength=len(labels)), kind="stable")
    place[:] = MAX_CLASSES - 1
    place[order[: MAX_CLASSES - 1]] = np.arange(MAX_CLASSES - 1)
    others = len(labels) - MAX_CLASSES + 1
    return [*(labels[at] for at in order[: MAX_CLASSES - 1]), f"{others} others"], place


def _spread(count: int) -> NDArray[np.intp]:
    """Positions of at most MAX_POINTS of `count` points, ends included."""
    return np.unique(np.linspace(0, count - 1, min(count, MAX_POINTS)).astype(np.intp))
