"""How differently two versions answer the same holdout rows: what a canary is held against. Pure.

    {"rows", "labels": {differ, share, upper} | None,
     "scores": {mean, quantiles, far, differ, share, upper} | None, "spread", "sentence"}

Scores are as they are served: a probability, or a value in the file's own unit. `far` is the
distance that one row in twenty exceeds here, so that live rows can be counted the same way,
whatever the unit; `differ` counts the rows beyond it. `upper` is a 99 % bound of the share (Clopper
and Pearson 1934, which is also the distribution of what lies beyond an order statistic). Several
classes have no `scores`: the log keeps the probability of the answered class only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shared.tabular.measuring import Answered
from shared.tabular.metrics import Floats
from shared.tabular.rates import rate_upper

CONFIDENCE = 0.99
QUANTILES = (0.5, 0.9, 0.95, 0.99)
_FAR = 0.95
# Two engines may differ by this and still mean the same (the parity gate's tolerance).
_ALIKE = 1e-5


def disagreement(
    mine: Answered, champion: Answered | None, *, scale: float = 1.0
) -> dict[str, Any] | None:
    """Facts for comparison.json; None where the champion could not answer. `scale` is that of a
    regression's target, in whose units the answers are."""
    rows = len(mine.target)
    if champion is None or not rows:
        return None
    labels = scores = spread = None
    if mine.task != "regression":
        labels = _counted(int((_labels(mine) != _labels(champion)).sum()), rows)
    if mine.task != "multiclass":
        spread = _spread(mine.target * scale) if mine.task == "regression" else 1.0
        scores = _distances(np.abs(mine.answers - champion.answers) * scale, spread or 1.0)
    found = {"rows": rows, "labels": labels, "scores": scores, "spread": spread}
    return {**found, "sentence": _sentence(mine.task, found)}


def _labels(side: Answered) -> Floats:
    """The class that is named to the caller, as a number."""
    if side.answers.ndim == 2:
        best: Floats = side.answers.argmax(axis=1).astype(np.float64)
        return best
    named: Floats = (side.answers >= (side.threshold or 0.0)).astype(np.float64)
    return named


def _spread(target: Floats) -> float | None:
    """The interquartile range, or where that is nothing the standard deviation."""
    low, high = np.quantile(target, [0.25, 0.75])
    return float(high - low) or float(np.std(target)) or None


def _distances(distance: Floats, spread: float) -> dict[str, Any]:
    at = np.quantile(distance, QUANTILES, method="higher")
    far = max(float(np.quantile(distance, _FAR, method="higher")), _ALIKE * spread)
    return {
        "mean": float(distance.mean()),
        "quantiles": {f"{q:g}": float(value) for q, value in zip(QUANTILES, at, strict=True)},
        "far": far,
        **_counted(int((distance > far).sum()), len(distance)),
    }


def _counted(differ: int, rows: int) -> dict[str, Any]:
    upper = float(rate_upper(float(differ), float(rows), CONFIDENCE))
    return {"differ": differ, "share": differ / rows, "upper": upper}


def _sentence(task: str, found: dict[str, Any]) -> str:
    labels, scores, parts = found["labels"], found["scores"], []
    if labels:
        parts.append(f"it names another label for {labels['share']:.1%}")
    if scores:
        unit = " of the target's interquartile range" if task == "regression" else ""
        spread = found["spread"] or 1.0
        mean, far = (scores[key] / spread for key in ("mean", "far"))
        shown = "{:.1%}" if unit else "{:.3f}"
        parts.append(
            f"its {'values' if unit else 'scores'} are {shown.format(mean)}{unit} away on average "
            f"and more than {shown.format(far)} on one row in twenty"
        )
    return (
        f"On the {found['rows']:,} rows compared on, held against the champion's answers, "
        f"{'; '.join(parts)}."
    )
