"""Search spaces and first trials of the candidates: data, so that people can read and question it.

The first trial is what we would set by hand for a few thousand to a few hundred thousand rows; the
search goes on around it. Nothing in here was fitted to the holdout of any shipped use case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from shared.spec.model import Candidate

Value = float | int
Params = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Range:
    """Both ends included. `log`: equally likely per factor. `whole`: integers."""

    low: Value
    high: Value
    log: bool = False
    whole: bool = False


LAYOUTS = {
    "linear": "linear",
    "random_forest": "tree",
    "gradient_boosting": "tree",
    "xgboost": "tree",
}

SPACES: dict[Candidate, dict[str, Range]] = {
    # Strength of the L2 penalty relative to the data: C = 1 / penalty, Ridge's alpha = penalty.
    "linear": {"penalty": Range(0.01, 100.0, log=True)},
    "random_forest": {
        "max_features": Range(0.1, 0.6),
        "max_depth": Range(10, 20, whole=True),
        "min_samples_leaf": Range(2, 20, log=True, whole=True),
    },
    "gradient_boosting": {
        "learning_rate": Range(0.05, 0.25, log=True),
        "max_depth": Range(3, 6, whole=True),
        "min_samples_leaf": Range(5, 50, log=True, whole=True),
        "max_features": Range(0.1, 0.6),
    },
    "xgboost": {
        "learning_rate": Range(0.03, 0.15, log=True),
        "max_depth": Range(3, 8, whole=True),
        "min_child_weight": Range(1.0, 20.0, log=True),
        "subsample": Range(0.6, 1.0),
        "colsample_bytree": Range(0.2, 0.9),
        "reg_lambda": Range(0.3, 10.0, log=True),
    },
}

FIRST: dict[Candidate, Params] = {
    "linear": {"penalty": 1.0},
    "random_forest": {"max_features": 0.25, "max_depth": 16, "min_samples_leaf": 3},
    "gradient_boosting": {
        "learning_rate": 0.12,
        "max_depth": 5,
        "min_samples_leaf": 15,
        "max_features": 0.25,
    },
    "xgboost": {
        "learning_rate": 0.08,
        "max_depth": 5,
        "min_child_weight": 2.0,
        "subsample": 0.9,
        "colsample_bytree": 0.4,
        "reg_lambda": 1.0,
    },
}

# Not searched: more trees only cost time here, or early stopping finds the number (xgboost).
FIXED: dict[Candidate, Params] = {
    "linear": {},
    "random_forest": {"n_estimators": 100},
    "gradient_boosting": {"n_estimators": 150, "subsample": 0.7},
    "xgboost": {},
}
BOOSTING_ROUNDS = 1200
EARLY_STOPPING_ROUNDS = 40


def space_of(
    candidate: Candidate, search: Mapping[Candidate, Mapping[str, tuple[Value, Value]]]
) -> dict[str, Range]:
    """The candidate's ranges, with those of the spec (`training.search`) in their place."""
    space = dict(SPACES[candidate])
    for name, (low, high) in search.get(candidate, {}).items():
        space[name] = replace(space[name], low=low, high=high)
    return space


def first_of(candidate: Candidate, space: Mapping[str, Range]) -> Params:
    """The first trial, moved into the ranges where it lies outside."""
    return {
        name: min(max(value, space[name].low), space[name].high)
        for name, value in FIRST[candidate].items()
    }
