"""What `training.search` may say: names, and how far each library lets a value go. Pure.

The ranges searched by default are in `shared.tabular.spaces`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shared.spec.parts import Training


@dataclass(frozen=True, slots=True)
class Limit:
    """Both ends included. `whole`: integers."""

    low: float
    high: float
    whole: bool = False

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


_SHARE = Limit(0.01, 1.0)
_DEPTH = Limit(1, 40, whole=True)
_LEAF = Limit(1, 1_000_000, whole=True)

LIMITS: dict[str, dict[str, Limit]] = {
    "linear": {"penalty": Limit(1e-6, 1e6)},
    "random_forest": {"max_features": _SHARE, "max_depth": _DEPTH, "min_samples_leaf": _LEAF},
    "gradient_boosting": {
        "learning_rate": Limit(0.001, 1.0),
        "max_depth": Limit(1, 20, whole=True),
        "min_samples_leaf": _LEAF,
        "max_features": _SHARE,
    },
    "xgboost": {
        "learning_rate": Limit(0.001, 1.0),
        "max_depth": Limit(1, 20, whole=True),
        "min_child_weight": Limit(0.001, 1e6),
        "subsample": Limit(0.05, 1.0),
        "colsample_bytree": _SHARE,
        "reg_lambda": Limit(1e-6, 1e6),
    },
}


def search_problems(training: Training) -> Iterator[tuple[tuple[str, ...], str]]:
    """Where below `training` something is wrong, and what."""
    for candidate, ranges in training.search.items():
        at: tuple[str, ...] = ("search", candidate)
        if candidate not in training.candidates:
            yield at, "is not among candidates; name it there, or leave its ranges out"
        for name, (low, high) in ranges.items():
            limit = LIMITS[candidate].get(name)
            text = (
                f"is nothing that is searched; {_known(name, LIMITS[candidate])}"
                if limit is None
                else _wrong(low, high, limit)
            )
            if text:
                yield (*at, name), text


def _wrong(low: float, high: float, limit: Limit) -> str:
    if low > high:
        return f"is [{low:g}, {high:g}]; write the smaller end first"
    if low < limit.low or high > limit.high:
        return f"is [{low:g}, {high:g}]; the library takes {limit}"
    if limit.whole and not (float(low).is_integer() and float(high).is_integer()):
        return f"is [{low:g}, {high:g}]; both ends are whole numbers"
    return ""


def _known(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"searched are {', '.join(names)}"
