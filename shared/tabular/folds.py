"""Fold numbers: which rows are judged together, by a model that learned from the others. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# With fewer different rows a table is a list of combinations, and equal rows are draws, not copies.
MIN_GROUPS = 50


def folds(
    rows: int,
    count: int,
    seed: int,
    classes: np.ndarray | None = None,
    keys: Sequence[bytes] | None = None,
) -> np.ndarray:
    """Fold numbers [rows], shuffled; with `classes` each fold has its share of every class. Rows of
    one key are in one fold: a model that saw a row's double has seen the row."""
    groups = {key: number for number, key in enumerate(dict.fromkeys(keys or ()))}
    if keys is not None and len(groups) >= MIN_GROUPS:
        group = np.array([groups[key] for key in keys], np.intp)
        first = np.unique(group, return_index=True)[1]
        different = folds(len(groups), count, seed, None if classes is None else classes[first])
        return different[group]
    random = np.random.default_rng(seed)
    order = random.permutation(rows)
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
    found = np.empty(rows, np.intp)
    found[order] = np.arange(rows) % count
    return found


def group_folds(keys: Sequence[bytes], count: int, seed: int) -> NDArray[np.intp]:
    """Fold numbers [rows], the rows of a key in one and folds of about one size: the largest groups
    are dealt first, each to the smallest fold; which of equal ones comes first is chance."""
    groups = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    group = np.array([groups[key] for key in keys], np.intp)
    sizes = np.bincount(group, minlength=len(groups))
    shuffled = np.random.default_rng(seed).permutation(len(groups))
    found, filled = np.empty(len(groups), np.intp), [0] * count
    for number in shuffled[np.argsort(-sizes[shuffled], kind="stable")].tolist():
        fold = min(range(count), key=filled.__getitem__)
        found[number] = fold
        filled[fold] += int(sizes[number])
    return found[group]


def time_folds(times: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Fold numbers [rows] in the order of time, of about one size, rows of one moment in one."""
    moments, moment, rows = np.unique(times, return_inverse=True, return_counts=True)
    before = rows.cumsum() - rows
    fold = np.minimum(before * count // max(1, len(times)), count - 1).astype(np.intp)
    found: NDArray[np.intp] = fold[moment] if len(moments) else np.empty(0, np.intp)
    return found
