"""Drifting streams: what retrained models do on the block after the one they were judged on.

Rows come in time, half an hour apart, as electricity data do: features and an unseen state that
last, labels that depend on both, relations that wander and, in half of the streams, change all at
once. A model of nearest neighbours learns the state of the weeks it has seen, which a random
holdout inside these weeks rewards and the next week does not.

    history -> champion | window -> challenger, holdout -> judged | next window: who was right?
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.spatial import cKDTree

from shared.budget import ALPHA, LOOKS
from shared.tabular.comparison import ALONE, Alike, holdout_of
from shared.tabular.gains import paired_gain
from shared.tabular.metrics import Floats

HISTORY, WINDOW, HELD = 4_000, 1_000, 300
DAY = 48
NEIGHBOURS = 25
CERTAIN = 0.025  # each side of a 95 % interval
Model = Callable[[Floats], Floats]
Kinds = ("calm", "shift")
# name -> is the holdout the last block (else drawn at random from the window), and alpha
RULES = {
    "random holdout in the newest window, 95 %": (False, 0.05),
    "random holdout in the newest window, budget": (False, ALPHA),
    "last contiguous block, budget (the gate)": (True, ALPHA),
}


@dataclass(frozen=True, slots=True)
class Stream:
    features: Floats
    target: Floats


@dataclass(frozen=True, slots=True)
class Tally:
    """Of one rule: comparisons, promotions, and those that were worse on the next window, and
    certainly worse or better there."""

    looks: int = 0
    promoted: int = 0
    worse: int = 0
    certainly_worse: int = 0
    certainly_better: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.looks + other.looks,
            self.promoted + other.promoted,
            self.worse + other.worse,
            self.certainly_worse + other.certainly_worse,
            self.certainly_better + other.certainly_better,
        )


def stream(kind: str, random: np.random.Generator) -> Stream:
    """Features [n, 5] (the first two are slow), and labels 0/1."""
    rows = HISTORY + (LOOKS + 1) * WINDOW
    time = np.arange(rows)
    slow = [_lasting(0.999, rows, random) for _ in range(2)]
    daily = np.sin(2 * np.pi * time / DAY)
    quick = [_lasting(0.9, rows, random) for _ in range(2)]
    features = np.column_stack([*slow, daily, *quick])
    wander = np.cumsum(random.normal(0, 0.004, (rows, 5)), axis=0)
    effects = np.array([0.3, -0.3, 0.8, 0.9, -0.9]) + wander
    if kind == "shift":
        start = HISTORY + int(random.integers(2, LOOKS - 2)) * WINDOW
        effects[start:, 2:] *= -1
    state = 1.2 * _lasting(0.98, rows, random)
    odds = (features * effects).sum(axis=1) + state
    return Stream(features, (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.float64))


def _lasting(weight: float, rows: int, random: np.random.Generator) -> Floats:
    """A series of variance 1 that remembers."""
    first = random.normal(size=1)
    drawn = np.sqrt(1 - weight**2) * random.normal(size=rows)
    series: Floats = lfilter([1.0], [1.0, -weight], drawn, zi=weight * first)[0]
    return series


def fit(features: Floats, target: Floats) -> Model:
    """Share of positives among the nearest rows, every feature in its own units of spread."""
    scale = features.std(axis=0)
    tree = cKDTree(features / scale)

    def answer(asked: Floats) -> Floats:
        near = tree.query(asked / scale, k=NEIGHBOURS)[1]
        found: Floats = target[near].mean(axis=1)
        return found

    return answer


def follow(rule: str, found: Stream, random: np.random.Generator) -> Tally:
    """One champion and its successors under one rule."""
    by_block, alpha = RULES[rule]
    champion = fit(found.features[:HISTORY], found.target[:HISTORY])
    tally = Tally()
    for look in range(LOOKS):
        start = HISTORY + look * WINDOW
        window = np.arange(start, start + WINDOW)
        held = window[-HELD:] if by_block else np.sort(random.choice(window, HELD, replace=False))
        learned = np.setdiff1d(window, held)
        challenger = fit(found.features[learned], found.target[learned])
        after = window + WINDOW
        if not _passes(found, held, challenger, champion, by_block=by_block, alpha=alpha):
            tally += Tally(looks=1)
            continue
        tally += _afterwards(found, after, challenger, champion)
        champion = challenger
    return tally


def _passes(
    found: Stream,
    held: NDArray[np.intp],
    challenger: Model,
    champion: Model,
    *,
    by_block: bool,
    alpha: float,
) -> bool:
    target, rows = found.target[held], found.features[held]
    alike = Alike(order=held) if by_block else ALONE
    holdout = holdout_of("binary", target, "time", classes=2, overlap=0, removed=0, alike=alike)
    gain = paired_gain(
        "binary", target, challenger(rows), champion(rows), alpha=alpha, order=alike.order
    )
    return holdout.enough and gain.lower > 0


def _afterwards(
    found: Stream, after: NDArray[np.intp], challenger: Model, champion: Model
) -> Tally:
    """How a promoted model does on the next window, against the one that it took over from."""
    target, rows = found.target[after], found.features[after]
    new, old = challenger(rows), champion(rows)
    better = paired_gain("binary", target, new, old, alpha=CERTAIN, order=after)
    worse = paired_gain("binary", target, old, new, alpha=CERTAIN, order=after)
    return Tally(1, 1, int(better.value < 0), int(worse.lower > 0), int(better.lower > 0))


def _one(seed: np.random.SeedSequence, kind: str) -> list[Tally]:
    random = np.random.default_rng(seed)
    found = stream(kind, random)
    return [follow(rule, found, random) for rule in RULES]


def run(kind: str, streams: int, seed: int, workers: int) -> list[Tally]:
    """A tally for each rule, over so many streams."""
    seeds = np.random.SeedSequence([seed, Kinds.index(kind)]).spawn(streams)
    work = partial(_one, kind=kind)
    if workers == 1:
        return _added(list(map(work, seeds)))
    with get_context("spawn").Pool(workers) as pool:
        return _added(pool.map(work, seeds, chunksize=4))


def _added(found: Sequence[Sequence[Tally]]) -> list[Tally]:
    return [sum(of_rule, Tally()) for of_rule in zip(*found, strict=True)]


def tell(streams: int, seed: int, workers: int) -> None:
    """The table, for streams that only wander and for those that change at once."""
    print(f"\n### Drifting streams: {streams} of each kind, {LOOKS} retrained models each\n")
    print("| stream | rule | promoted | of these worse next | certainly worse | certainly better |")
    print("|---|---|---:|---:|---:|---:|")
    for kind in Kinds:
        for rule, tally in zip(RULES, run(kind, streams, seed, workers), strict=True):
            print(
                f"| {kind} | {rule} | {tally.promoted:,} of {tally.looks:,} | {tally.worse:,} | "
                f"{tally.certainly_worse:,} | {tally.certainly_better:,} |"
            )
