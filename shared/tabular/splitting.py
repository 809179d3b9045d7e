"""Which rows fit and which compare, by rules that later trainings keep. Pure.

A random holdout is a hash of who a row is about (the key of a model of several sources), else of
the features in its file, with a salt that is frozen at the model's first training: equal rows are
always on one side, today and in the next file. With `split: grouped` it is a hash of the group,
with `split: time` the newest rows are the holdout. That of a retraining is the newest labelled rows
(design 7.4).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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

By = Literal["features", "key", "group", "time"]
Kind = Literal["random", "grouped", "time"]
_KINDS: dict[By, Kind] = {
    "features": "random",
    "key": "random",
    "group": "grouped",
    "time": "time",
}
NEW_LABELS_SHARE = 0.3
MIN_ROWS = 150
MIN_RARER = 50
MIN_UNITS = 8


@dataclass(frozen=True, slots=True)
class Split:
    """How rows get their side. `column` says which rows belong together (`key`, `group`) or when
    they were; rows from `cut` on (seconds since 1970) are held out."""

    by: By
    salt: str
    share: float
    column: str | None = None
    cut: float | None = None

    @property
    def kind(self) -> Kind:
        return _KINDS[self.by]

    @property
    def mark(self) -> str | None:
        """What a dataset keeps of each row beside its cells, of `dataset.MARKS`."""
        return {"key": "group", "group": "group", "time": "time"}.get(self.by)

    def sides(
        self,
        keys: Sequence[bytes],
        *,
        groups: Sequence[str] | None = None,
        times: NDArray[np.float64] | None = None,
    ) -> list[Side]:
        """Of rows with these keys (by their features), groups and times."""
        if self.cut is not None and times is not None:
            return time_sides(times, self.cut)
        together = keys if groups is None else group_keys(groups, keys)
        return random_sides(together, self.salt, self.share)

    def to_json(self) -> dict[str, Any]:
        return {"by": self.by, "column": self.column}


def group_keys(groups: Sequence[str], keys: Sequence[bytes]) -> list[bytes]:
    """A key for each group; that of its features for a row of which none is known."""
    known = {group: hashlib.blake2b(group.encode(), digest_size=16).digest() for group in {*groups}}
    known.pop("", None)
    return [known.get(group, key) for group, key in zip(groups, keys, strict=True)]


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
    """A labelled prediction: its place in time, and a key of its group or, where it has none, of
    what a model sees of it. `row` is a key of both."""

    time: str
    record: int
    prediction_id: str
    key: bytes
    row: bytes = b""

    @property
    def order(self) -> tuple[str, int, str]:
        return self.time, self.record, self.prediction_id


_REPEATED = "repeated"


def labelled_sides(
    rows: Sequence[Labelled],
    used: Mapping[bytes, Side],
    share: float = NEW_LABELS_SHARE,
    *,
    held: Collection[bytes] | None = None,
) -> list[Side]:
    """Sides of new labelled rows, in their order: the newest `share` of them is the holdout.

    A row equal to one that was `used` before keeps that row's side. Of rows that are among the
    newest and, with the same key, among the older ones as well (the same customers are scored every
    month), a `share` of the keys compares and its older rows are reserved; the other keys fit. So
    whatever is in the holdout is in no fit, and something is in it.

    Where rows have groups, `held` are those that were kept out of all fits before: their new rows
    compare. Of new groups, those that began last are held out as a whole.
    """

    def known_side(row: Labelled) -> Side | None:
        if held is not None and row.key in held:
            return "reserved" if row.row in used else "holdout"
        return _kept(used[row.key]) if row.key in used else None

    known = [known_side(row) for row in rows]
    fresh = sorted(
        (position for position, side in enumerate(known) if side is None),
        key=lambda position: rows[position].order,
    )
    if held is not None:
        newest = _newest_groups([rows[position].key for position in fresh], share)
        late: dict[int, Side] = {
            position: "holdout" if rows[position].key in newest else "fit" for position in fresh
        }
        return [side or late[position] for position, side in enumerate(known)]
    first_held = len(fresh) - int(len(fresh) * share)
    older = {rows[position].key for position in fresh[:first_held]}
    again = {rows[position].key for position in fresh[first_held:]} & older
    compared = {key for key in again if _unit(key, _REPEATED) < share}
    sides: dict[int, Side] = {}
    for place, position in enumerate(fresh):
        key, is_old = rows[position].key, place < first_held
        if key in compared:
            sides[position] = "reserved" if is_old else "holdout"
        else:
            sides[position] = "fit" if is_old or key in again else "holdout"
    return [side or sides[position] for position, side in enumerate(known)]


def _newest_groups(keys: Sequence[bytes], share: float) -> set[bytes]:
    """The groups whose first row comes last, so many that they have about `share` of the rows at
    most. `keys` are in the order of time."""
    sizes, left = Counter(keys), int(len(keys) * share)
    found: set[bytes] = set()
    for key in reversed(list(sizes)):
        left -= sizes[key]
        if left < 0:
            break
        found.add(key)
    return found


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


def _kept(side: Side) -> Side:
    """The champion's holdout stays out of fitting and is no new evidence either."""
    return "fit" if side == "fit" else "reserved"


def _unit(key: bytes, salt: str) -> float:
    """From 0 (inclusive) to 1 (exclusive)."""
    found = hashlib.blake2b(key, digest_size=8, key=salt.encode()[:64]).digest()
    return int.from_bytes(found, "big") / 2.0**64
