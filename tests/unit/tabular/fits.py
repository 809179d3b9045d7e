"""Small rows of every task, and packages made from estimators that were fitted on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from shared.serving.columns import Schema
from shared.serving.features import Feature
from shared.serving.loaded_model import LoadedModel, load
from shared.serving.package import Package, TargetScale, write
from shared.spec.model import Candidate
from shared.tabular import candidates
from shared.tabular.compiling import compile_estimator
from shared.tabular.dataset import Examples

FEATURES = (Feature("n", "number"), Feature("big", "number"), Feature("c", "category"))
CANDIDATES: tuple[Candidate, ...] = ("linear", "random_forest", "gradient_boosting", "xgboost")


def rows_of(task: str, count: int = 400) -> Examples:
    random = np.random.default_rng(0)
    number = np.round(random.normal(size=count), 2)
    number[::15] = np.nan
    big = random.integers(2**24, 2**25, count).astype(np.float64)
    city = random.choice(np.array(["a", "b", "c", ""], object), count)
    signal = np.nan_to_num(number) + (city == "b") + (big > 1.5 * 2**24)
    if task == "regression":
        target = 3 + signal + random.normal(0, 0.1, count)
    else:
        cuts = [0.5] if task == "binary" else [0.0, 1.0]
        target = np.digitize(signal + random.normal(0, 0.3, count), cuts).astype(np.float64)
    return Examples({"n": number, "big": big, "c": city.astype(object)}, target)


def package_of(fitted: candidates.Fitted, **changes: Any) -> Package:
    labels = {"binary": ("no", "yes"), "multiclass": ("a", "b", "c"), "regression": ()}
    body: dict[str, Any] = {
        "model": "m",
        "version": "v",
        "task": fitted.task,
        "schema": Schema(FEATURES),
        "encoder": fitted.encoder,
        "engine": compile_estimator(fitted),
        "created": "2026-01-05T09:00:00Z",
        "labels": labels[fitted.task],
        "threshold": 0.4 if fitted.task == "binary" else None,
        "target": TargetScale(100.0 if fitted.task == "regression" else 1.0),
        **changes,
    }
    return Package(**body)


def served(package: Package, folder: Path) -> LoadedModel:
    files = write(package, folder)
    return load(lambda name: (folder / name).read_bytes(), files)
