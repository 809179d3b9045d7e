"""The reference of a model version: what its inputs, scores and targets looked like at training.

The train job writes it once (`datasets/<model>/<run_id>/reference.json`), monitoring compares every
window with it. Plain JSON, numpy only, no files; `shared.tabular.drift` reads it.

    reference = build_reference(
        fit_columns, schema.features,          # the rows the model was fitted on
        scores=scores, labels=labels, targets=targets,   # of the holdout (or out-of-fold) rows
        task="binary", positive=">50K",
        metrics={"auroc": 0.927, "f1": 0.71},  # on those same rows
    )

Scores must not come from rows the model was fitted on: a forest's scores on its own training rows
look drifted (PSI 0.28) when nothing drifted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.serving.columns import Columns
from shared.serving.features import Bounds, Feature
from shared.tabular.performance import Measured, measurable, realised, worth_measuring
from shared.tabular.sliced import reference_slices

FORMAT = 1
BINS = 10
LEVELS = 50
SAMPLE_ROWS = 2000
NO_BOUNDS = Bounds()


def build_reference(
    columns: Columns,
    features: Sequence[Feature],
    *,
    scores: ArrayLike,
    labels: Sequence[str] | None,
    targets: ArrayLike,
    task: str,
    metrics: Mapping[str, float],
    positive: str | None = None,
    seed: int = 0,
    made_of: Mapping[str, Sequence[str]] | None = None,
    slices: Mapping[str, NDArray[Any]] | None = None,
) -> dict[str, Any]:
    """Everything monitoring needs to know about a version, as plain JSON (no NaN).

    Args:
        columns: The rows the model was fitted on.
        scores: Of unseen rows, float [n]: binary probability of the positive label, multiclass
            probability of the predicted label, regression value in the file's own unit.
        labels: Predicted labels of the same rows; None for regression.
        targets: True labels (texts as the data spells them) or values of the same rows, [n].
        metrics: Holdout metrics by name, on the same rows.
        positive: Binary only: the label whose probability `scores` are.
        made_of: Features that are derived of others, with those.
        slices: Category columns of the rows that have scores, whose levels are looked at apart.

    Raises ValueError for lengths that differ or a binary task without `positive`.
    """
    if task == "binary" and positive is None:
        raise ValueError("a binary reference needs the positive label")
    score = np.asarray(scores, np.float64)
    target: NDArray[Any] = np.asarray(targets, np.float64 if task == "regression" else object)
    if len(score) != len(target) or (labels is not None and len(labels) != len(score)):
        raise ValueError(
            f"{len(score)} scores, {len(target)} targets and "
            f"{'no' if labels is None else len(labels)} labels are not of the same rows"
        )
    predicted = None if labels is None else _texts(labels)
    rows = len(next(iter(columns.values()))) if columns else 0
    return {
        "format": FORMAT,
        "task": task,
        "positive": positive,
        "rows": rows,
        "features": [feature.to_json() for feature in features],
        "columns": {
            feature.name: profile(columns[feature.name], feature.kind, feature.expect)
            for feature in features
        },
        **({"made_of": {name: list(of) for name, of in made_of.items()}} if made_of else {}),
        "prediction": {
            "rows": len(score),
            "score": number_profile(score),
            "label": None if predicted is None else category_profile(predicted),
        },
        "target": _target(target, task, positive),
        "metrics": {
            name: {"value": value, "rows": len(score)}
            for name, value in metrics.items()
            if math.isfinite(value)
        },
        "performance": _performance(
            task, score, predicted, target, positive=positive, slices=slices or {}
        ),
        "sample": _sample(columns, features, score, rows, seed),
    }


def profile(values: NDArray[Any], kind: str, expect: Bounds = NO_BOUNDS) -> dict[str, Any]:
    """The profile of one column; `outside` is the share of rows that break `expect`."""
    made = number_profile(values) if kind == "number" else category_profile(values)
    return {**made, "outside": outside_share(values, kind, expect)}


def number_profile(values: NDArray[Any]) -> dict[str, Any]:
    """Missing share, moments, and shares over bins of about equal size. A bin ends with its edge
    (`edge[i-1] < value <= edge[i]`); the outer bins are open. NaN is missing."""
    present = values[~np.isnan(values)]
    found: dict[str, Any] = {
        "kind": "number",
        "rows": len(values),
        "present": len(present),
        "missing": 1 - len(present) / len(values) if len(values) else 0.0,
        "edges": [],
        "shares": [],
        "mean": None,
        "std": None,
        "min": None,
        "max": None,
    }
    if not len(present):
        return found
    edges = bin_edges(present)
    counts = number_counts(present, edges)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = float(present.mean()), float(present.std())
    return found | {
        "edges": edges.tolist(),
        "shares": (counts / len(present)).tolist(),
        # Sums and squares of 1e200 leave the numbers.
        "mean": mean if math.isfinite(mean) else None,
        "std": deviation if math.isfinite(deviation) else None,
        "min": float(present.min()),
        "max": float(present.max()),
    }


def category_profile(values: NDArray[Any]) -> dict[str, Any]:
    """Missing share and the shares of the most frequent levels; `rest` is the share of all others,
    0 when `levels` is all there is, `once` that of levels seen exactly once. "" is missing."""
    # Not as an array of texts: that gives every cell the room of the longest.
    seen = Counter(str(value) for value in values.tolist())
    del seen[""]
    present = sum(seen.values())
    order = sorted(seen, key=lambda level: (-seen[level], level))
    top = order[:LEVELS]
    return {
        "kind": "category",
        "rows": len(values),
        "present": present,
        "missing": 1 - present / len(values) if len(values) else 0.0,
        "levels": {level: seen[level] / present for level in top},
        "rest": sum(seen[level] for level in order[LEVELS:]) / present if present else 0.0,
        "distinct": len(seen),
        "once": sum(count == 1 for count in seen.values()) / len(values) if len(values) else 0.0,
    }


def bin_edges(present: NDArray[np.float64]) -> NDArray[np.float64]:
    """Upper ends of all bins but the last. Few values get a bin each; a constant gets one between
    two empty ones, so that leaving it is seen."""
    distinct = np.unique(present)
    if len(distinct) == 1:
        return np.array([np.nextafter(distinct[0], -np.inf), distinct[0]])
    if len(distinct) <= BINS:
        return distinct[:-1]
    shares = np.arange(1, BINS) / BINS
    edges = np.unique(np.quantile(present, shares, method="inverted_cdf"))
    if len(edges) < BINS // 2:
        # One value holds most rows (capital gain: 0). Spread the other edges over the others.
        others = present[~np.isin(present, edges)]
        more = np.quantile(others, [0.25, 0.5, 0.75], method="inverted_cdf")
        edges = np.unique(np.concatenate([edges, more]))
    inner: NDArray[np.float64] = edges[edges < distinct[-1]]
    return inner


def number_counts(present: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Values per bin, [n_edges + 1]."""
    return np.bincount(np.searchsorted(edges, present, side="left"), minlength=len(edges) + 1)


def outside_share(values: NDArray[Any], kind: str, expect: Bounds) -> float:
    """Share of rows whose value breaks `expect`; a missing value breaks nothing here."""
    if not expect or not len(values):
        return 0.0
    if kind == "number":
        low = -np.inf if expect.min is None else expect.min
        high = np.inf if expect.max is None else expect.max
        return float(((values < low) | (values > high)).mean())
    if expect.values is None:
        return 0.0
    known = {"", *expect.values}
    return sum(value not in known for value in values.tolist()) / len(values)


def _target(target: NDArray[Any], task: str, positive: str | None) -> dict[str, Any]:
    if task == "regression":
        return {**number_profile(target), "base_rate": None}
    base_rate = float((target == positive).mean()) if task == "binary" and len(target) else None
    return {**category_profile(target), "base_rate": base_rate}


def _performance(
    task: str,
    score: NDArray[np.float64],
    predicted: NDArray[Any] | None,
    target: NDArray[Any],
    *,
    positive: str | None,
    slices: Mapping[str, NDArray[Any]],
) -> dict[str, Any] | None:
    """The one metric that realised performance is held against, by the very same code."""
    rows = worth_measuring(task, score, predicted, target, positive)
    if rows is None:
        return None
    return {
        "metric": rows.metric,
        "value": realised(rows),
        "rows": rows.rows,
        "positives": rows.positives,
        "slices": _slices(rows, slices, measurable(task, score, target)),
    }


def _slices(
    rows: Measured, slices: Mapping[str, NDArray[Any]], kept: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    return reference_slices(rows, {name: column[kept] for name, column in slices.items()})


def _sample(
    columns: Columns,
    features: Sequence[Feature],
    score: NDArray[np.float64],
    rows: int,
    seed: int,
) -> dict[str, Any]:
    """Rows for drawing. Columns and scores are of different rows and are not to be paired."""
    rng = np.random.default_rng(seed)
    picked = np.sort(rng.choice(rows, min(rows, SAMPLE_ROWS), replace=False))
    scored = np.sort(rng.choice(len(score), min(len(score), SAMPLE_ROWS), replace=False))
    return {
        "columns": {
            feature.name: _plain(columns[feature.name][picked], feature.kind)
            for feature in features
        },
        "score": score[scored].tolist(),
    }


def _plain(values: NDArray[Any], kind: str) -> list[float | str | None]:
    if kind == "number":
        return [None if math.isnan(value) else value for value in values.tolist()]
    return [str(value) for value in values.tolist()]


def _texts(labels: Sequence[str]) -> NDArray[Any]:
    found: NDArray[Any] = np.empty(len(labels), object)
    found[:] = list(labels)
    return found
