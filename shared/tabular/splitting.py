"""Which rows fit and which compare, by rules that later trainings keep. Pure.

A random holdout is a hash of what a model sees of the row (its canonical feature values) with a
salt that is frozen at the model's first training: equal rows are always on one side, today and in
the next file. With `split: time` the newest rows are the holdout. That of a retraining is the
newest labelled rows (design 7.4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shared.errors import NotTrainable
from shared.serving.columns import Columns
from shared.serving.features import Feature
from shared.serving.times import text_of
from shared.tabular.dataset import Side
from shared.tabular.validating.distinct import Distinct

NEW_LABELS_SHARE = 0.3
MIN_ROWS = 150
MIN_RARER = 50
MIN_UNITS = 8
# With fewer different rows a table is a list of combinations, and equal rows are draws, not copies.
MIN_GROUPS = 50


def row_keys(columns: Columns, features: Sequence[Feature]) -> list[bytes]:
    """One key per row; rows that are equal to a model have equal keys."""
    return _keys([_spelled(columns[feature.name]) for feature in features])


def distinct_keys(
    columns: Mapping[str, Distinct], features: Sequence[Feature], rows: NDArray[np.intp]
) -> list[bytes]:
    """The keys of these rows, as `row_keys` gives them, from columns by their different cells."""
    return _keys(
        [
            _spelled(columns[feature.name].values).take(pa.array(columns[feature.name].codes[rows]))
            for feature in features
        ]
    )


def _spelled(values: NDArray[Any]) -> pa.Array:
    """Values as they stand in a key."""
    # 0.0 is added so that -0.0 and 0.0 are one value.
    plain = values.tolist() if values.dtype == object else (values + 0.0).tolist()
    known = {value: repr(value) for value in set(plain)}
    return pa.array([known.get(value, "nan") for value in plain], pa.string())


def _keys(texts: list[pa.Array]) -> list[bytes]:
    joined = pc.binary_join_element_wise(*texts, "\x1f").cast(pa.binary()).to_pylist()
    blake = hashlib.blake2b
    return [blake(row, digest_size=16).digest() for row in joined]


def random_sides(keys: Sequence[bytes], salt: str, share: float) -> list[Side]:
    """`holdout` for about `share` of the keys."""
    return ["holdout" if _unit(key, salt) < share else "fit" for key in keys]


def time_cut(times: NDArray[np.float64], share: float) -> float:
    """From which moment on rows are in the holdout, so that about `share` of them are and all rows
    of one moment are on one side. Raises NotTrainable when all have the same."""
    moments, counts = np.unique(times[~np.isnan(times)], return_counts=True)
    if len(moments) < 2:
        raise NotTrainable(
            "split: time needs rows of two times or more; these have "
            + (f"only {text_of(float(moments[0]))}" if len(moments) else "none")
        )
    newest = counts[::-1].cumsum()[::-1] / counts.sum()
    # The oldest moment is never held out: something has to be fitted.
    return float(moments[1 + int(np.abs(newest[1:] - share).argmin())])


def time_sides(times: NDArray[np.float64], cut: float) -> list[Side]:
    """The newest rows are the holdout."""
    return ["holdout" if late else "fit" for late in (times >= cut).tolist()]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A labelled prediction: its place in time and what a model sees of it."""

    time: str
    record: int
    prediction_id: str
    key: bytes

    @property
    def order(self) -> tuple[str, int, str]:
        return self.time, self.record, self.prediction_id


def labelled_sides(
    rows: Sequence[Labelled],
    used: Mapping[bytes, Side],
    share: float = NEW_LABELS_SHARE,
) -> list[Side]:
    """Sides of new labelled rows, in their order: the newest `share` of them is the holdout.

    A row equal to one that was `used` before keeps that row's side, and one equal to an older new
    row goes with it: whatever is in the holdout is in no fit.
    """
    fresh = sorted(
        (position for position, row in enumerate(rows) if row.key not in used),
        key=lambda position: rows[position].order,
    )
    first_held = len(fresh) - int(len(fresh) * share)
    sides: dict[int, Side] = dict.fromkeys(fresh[:first_held], "fit")
    fitted = {rows[position].key for position in fresh[:first_held]}
    for position in fresh[first_held:]:
        sides[position] = "fit" if rows[position].key in fitted else "holdout"
    return [
        sides[position] if position in sides else _kept(used[row.key])
        for position, row in enumerate(rows)
    ]


def overlap(holdout: Sequence[bytes], fitted: Collection[bytes]) -> list[bool]:
    """Which holdout rows were fitted by somebody."""
    known = set(fitted)
    return [key in known for key in holdout]


def enough_evidence(rows: int, rarer: int | None, units: float | None = None) -> bool:
    """Whether a holdout can decide anything. `rarer` counts the rarer class (classification),
    `units` the blocks of time or groups that rows come in, where they do not stand alone."""
    return (
        rows >= MIN_ROWS
        and (rarer is None or rarer >= MIN_RARER)
        and (units is None or units >= MIN_UNITS)
    )


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


def _kept(side: Side) -> Side:
    """The champion's holdout stays out of fitting and is no new evidence either."""
    return "fit" if side == "fit" else "reserved"


def _unit(key: bytes, salt: str) -> float:
    """From 0 (inclusive) to 1 (exclusive)."""
    found = hashlib.blake2b(key, digest_size=8, key=salt.encode()[:64]).digest()
    return int.from_bytes(found, "big") / 2.0**64
