"""What the prediction log says about one step of a canary (or a shadow), as counts to go on with.

A line counts once, by its prediction id. Rows of one key value count as one trial (of its first
request), rows that were dealt by themselves each as one. What fails, fails by request, so a request
is one trial there: the share of its rows that the challenger failed on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any

FAILED = frozenset(
    {"challenger_failed", "challenger_slow", "challenger_refuses", "challenger_not_loaded"}
)
NO_KEY = "no_key"  # it could not be dealt, and is the champion's
# Of a step. Whoever has not passed it by then will not by more rows.
MOST_ROWS = 20_000
# With a key, a step is passed on no fewer values of it, however many rows they have: one busy
# caller, or one who wants a version to pass, is one of them.
FEWEST_UNITS = 20


@dataclass(slots=True)
class Trials:
    """`differ` of `rows` are what people are told, `total` of `count` trials are the evidence."""

    rows: int = 0
    differ: int = 0
    count: float = 0
    total: float = 0

    def add(self, values: list[bool], *, as_one: bool) -> None:
        self.rows += len(values)
        self.differ += sum(values)
        self.count += 1 if as_one else len(values)
        self.total += sum(values) / len(values) if as_one else sum(values)

    @property
    def share(self) -> float:
        return self.differ / self.rows if self.rows else 0.0


@dataclass(slots=True)
class Tally:
    """`dealt` rows were the challenger's to answer, `compared` of them both have answered;
    `left_out` counts the others by reason. `failed` is by request, `labels` and `scores` by row or
    key value. `seen` are short hashes of prediction ids, `units` the key values that had a trial;
    `skipped_bytes` of the log were more than looks could read."""

    dealt: int = 0
    compared: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    failed: Trials = field(default_factory=Trials)
    labels: Trials = field(default_factory=Trials)
    scores: Trials = field(default_factory=Trials)
    seen: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    skipped_bytes: int = 0

    @property
    def full(self) -> bool:
        return self.dealt >= MOST_ROWS

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Tally:
        trials = {name: Trials(**body[name]) for name in ("failed", "labels", "scores")}
        return cls(**{**body, **trials})


def add(
    tally: Tally, lines: Iterable[Mapping[str, Any]], *, sticky: bool, far: float | None
) -> None:
    """Count lines of the log, each with its mark (of a canary, or of a shadow) under `canary`.
    `far` is the distance of two scores beyond which they differ, None where scores are not
    counted."""
    seen, units = set(tally.seen), set(tally.units)
    requests: dict[str, list[Mapping[str, Any]]] = {}
    undealt, late = 0, set[str]()
    for line in lines:
        mark = line["canary"]
        undealt += mark["left_out"] == NO_KEY
        name = _short(str(line["prediction_id"]))
        if mark["arm"] == "champion" or name in seen:
            continue
        if tally.full:
            # One busy key value may have filled it: a row of each of the few others that it takes.
            unit = str(mark["unit"])
            enough = not sticky or len(units) + len(late) >= FEWEST_UNITS
            if enough or unit in units or unit in late:
                continue
            late.add(unit)
        seen.add(name)
        tally.dealt += 1
        requests.setdefault(str(line["time"]), []).append(mark)
    left_out = Counter(tally.left_out)
    left_out[NO_KEY] += undealt
    for _, marks in sorted(requests.items()):  # a request has one time
        reasons = [str(mark["left_out"]) for mark in marks if mark["left_out"]]
        left_out.update(reasons)
        asked = [mark for mark in marks if mark["left_out"] in {None, *FAILED}]
        if asked:
            tally.failed.add([mark["left_out"] is not None for mark in asked], as_one=True)
        _compare(tally, [mark for mark in marks if mark.get("challenger")], units, sticky, far)
    tally.left_out = {reason: count for reason, count in sorted(left_out.items()) if count}
    tally.seen, tally.units = sorted(seen), sorted(units)


def _compare(
    tally: Tally, marks: list[Mapping[str, Any]], units: set[str], sticky: bool, far: float | None
) -> None:
    """What both said of the same rows of one request."""
    tally.compared += len(marks)
    if not sticky:
        _count(tally, marks, as_one=False, far=far)
        return
    by_unit: dict[str, list[Mapping[str, Any]]] = {}
    for mark in marks:
        by_unit.setdefault(str(mark["unit"]), []).append(mark)
    for unit in sorted(by_unit.keys() - units):
        units.add(unit)
        _count(tally, by_unit[unit], as_one=True, far=far)


def _count(
    tally: Tally, marks: list[Mapping[str, Any]], *, as_one: bool, far: float | None
) -> None:
    if not marks:
        return
    pairs = [(mark["champion"], mark["challenger"]) for mark in marks]
    if pairs[0][0]["label"] is not None:
        tally.labels.add([a["label"] != b["label"] for a, b in pairs], as_one=as_one)
    if far is not None:
        tally.scores.add([abs(a["score"] - b["score"]) > far for a, b in pairs], as_one=as_one)


def _short(prediction_id: str) -> str:
    return blake2b(prediction_id.encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()
