"""The metrics there are, by name: what they mean, which way is better, between which ends.

Plain words and numbers, for specs, policy, command line and cards; `shared.tabular.metrics` has the
formulas.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class About:
    """`share`: a count by a count, such as recall. `guard`: may stand in a guardrail."""

    meaning: str
    higher_is_better: bool = True
    low: float | None = 0.0
    high: float | None = 1.0
    share: bool = False
    guard: bool = True

    def worse_by(self, value: float, other: float) -> float:
        """How much worse `value` is than `other`; below 0 when it is better."""
        return other - value if self.higher_is_better else value - other


METRICS = {
    "auroc": About("share of pairs ranked in the right order"),
    "log_loss": About("mean surprise; lower is better", higher_is_better=False, high=None),
    "brier": About("mean squared error of the probability; lower is better", False),
    "ece": About("how far probabilities are off on average (15 equal bins)", False),
    "f1": About("balance of precision and recall"),
    "precision": About("share of positive answers that are right", share=True),
    "recall": About("share of positives that are found", share=True),
    "false_positive_rate": About("share of negatives that are called positive", False, share=True),
    "accuracy": About("share of right answers", share=True),
    "auroc_ovr": About("AUROC of one class against the rest, mean"),
    "rmse": About("typical error, large ones count more", False, high=None),
    "mae": About("mean size of the error", False, high=None),
    "r2": About("share of the variance that is explained", low=None),
    "base_rate": About("share of positives in the holdout", share=True, guard=False),
    "n": About("holdout rows", low=0.0, high=None, guard=False),
}
OF_TASK = {
    "binary": (
        *("auroc", "log_loss", "brier", "ece", "f1", "precision", "recall"),
        *("false_positive_rate", "accuracy"),
    ),
    "multiclass": ("log_loss", "brier", "ece", "accuracy", "auroc_ovr"),
    "regression": ("rmse", "mae", "r2"),
}
# What a report says of every slice; declared ones come on top.
OF_SLICES = {
    "binary": ("auroc", "log_loss", "recall", "precision", "false_positive_rate"),
    "multiclass": ("log_loss", "accuracy"),
    "regression": ("rmse", "mae"),
}


_HUGE = 1e12
_OF_UNIT = ("rmse", "mae")
_WRITTEN = {
    "auroc": "AUROC",
    "auroc_ovr": "AUROC, one against the rest",
    "brier": "Brier score",
    "ece": "ECE",
    "f1": "F1",
    "mae": "MAE",
    "n": "rows",
    "r2": "R2",
    "rmse": "RMSE",
}


def words(metric: str) -> str:
    """As people write it."""
    return _WRITTEN.get(metric, metric.replace("_", " "))


def figure(value: float, places: int = 4, sign: str = "") -> str:
    """A measured value as people read it: so many decimals, and two digits of a smaller one (an
    RMSE of a target in millionths is not 0.000); powers of ten where digits would fill a line."""
    size = abs(value)
    if 0 < size < 10 ** (1 - places):
        return f"{value:{sign}.2g}"
    return f"{value:{sign}.4g}" if size >= _HUGE else f"{value:{sign}.{places}f}"


def figure_of(metric: str, value: float, places: int = 4, sign: str = "") -> str:
    """As `figure` for what is in the target's unit. Of a share or a log loss so many decimals are
    enough, and what is smaller is nothing."""
    if metric in _OF_UNIT:
        return figure(value, places, sign)
    return f"{value:{sign}.{places}f}"
