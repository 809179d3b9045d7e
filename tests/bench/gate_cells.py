"""The cells of the simulation of the gate: which champions meet which challengers, and how it ends.

The whole rule counts: `paired_gain` at the budget's alpha, what is enough evidence, and policy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import brentq

from shared import policy
from shared.budget import ALPHA, LOOKS
from shared.spec.model import Promotion
from shared.tabular.baseline import Baseline
from shared.tabular.comparison import Holdout, Judgement, holdout_of
from shared.tabular.gains import Gain, paired_gain
from shared.tabular.metrics import Floats
from tests.bench.gate_worlds import Drawn, Kind, draw, true_gain

RATES = (0.02, 0.1, 0.25)
POWER = 3.0  # standard errors
MOST = {"binary": 3.0, "multiclass": 3.0, "regression": 1.0}  # of strength
MARGIN = 0.005
BASELINE = Baseline("x", 0.0, 0.0, 1.0, 1.0, 1.0)
RULES = {
    "better": Promotion(rule="better", approval="auto"),
    "not_worse": Promotion(rule="not_worse", margin=MARGIN, approval="auto"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """`strength` of the challengers (0: no better), `looks` at each champion."""

    kind: Kind
    rows: int
    fresh: bool = False
    rule: Literal["better", "not_worse"] = "better"
    strength: float = 0.0
    looks: int = LOOKS


@dataclass(frozen=True, slots=True)
class Found:
    """Counts: trials, those with a promotion, those whose bound alone would have promoted, and
    comparisons that ask a person."""

    trials: int
    promoted: int
    bound: int
    asked: int

    def __add__(self, other: Found) -> Found:
        return Found(
            self.trials + other.trials,
            self.promoted + other.promoted,
            self.bound + other.bound,
            self.asked + other.asked,
        )

    @property
    def rate(self) -> float:
        return self.promoted / self.trials

    @property
    def error(self) -> float:
        """Monte Carlo standard error of the rate."""
        return math.sqrt(self.rate * (1 - self.rate) / self.trials)


def play(cell: Cell, trials: int, random: np.random.Generator) -> Found:
    """So many champions, each with its challengers."""
    promoted = bound = asked = 0
    for _ in range(trials):
        drawn = draw(cell.kind, cell.rows, random, cell.strength)
        wrong = alone = False
        for look in range(cell.looks):
            if cell.fresh and look:
                drawn = draw(cell.kind, cell.rows, random, cell.strength)
            action, above = judge(cell, drawn, drawn.challenger(random))
            wrong |= action == "promote"
            alone |= above
            asked += action == "ask"
        promoted += wrong
        bound += alone
    return Found(trials, promoted, bound, asked)


def judge(cell: Cell, drawn: Drawn, answers: Floats) -> tuple[str, bool]:
    """The gate's action, and whether the bound alone would have promoted."""
    kind, alike = cell.kind, drawn.alike
    gain = paired_gain(
        kind.task,
        drawn.target,
        answers,
        drawn.champion,
        alpha=ALPHA,
        order=alike.order,
        groups=alike.groups,
    )
    holdout = holdout_of(
        kind.task,
        drawn.target,
        "random",
        classes=0 if kind.task == "regression" else 2,
        overlap=0,
        removed=0,
        alike=alike,
    )
    above = gain.lower > (0.0 if cell.rule == "better" else -MARGIN)
    if holdout.enough and not above:
        return "decline", False  # as policy says (a test holds it to that), only faster
    return decide(cell, holdout, gain), above


def decide(cell: Cell, holdout: Holdout, gain: Gain) -> str:
    """What policy does with such a comparison."""
    judgement = Judgement("new", cell.kind.task, holdout, 0.5, BASELINE, [], "old", 0.5, gain)
    rule = RULES[cell.rule]
    return policy.judge(judgement.to_json(), rule, champion="old", pinned=False).action


# --- cells ---------------------------------------------------------------------------------------


def usual_kinds() -> Iterator[Kind]:
    for metric in ("auroc", "log_loss"):
        for rate in RATES:
            yield Kind(metric, "alike", rate)
    yield Kind("rmse", "alike")
    yield Kind("rmse", "t3 noise")


def unusual_kinds() -> Iterator[Kind]:
    yield Kind("auroc", "heavy", 0.25)
    yield Kind("log_loss", "bold", 0.25)
    for shape in ("t3 errors", "rare", "lasting", "grouped"):
        yield Kind("rmse", shape)


def equal_cells(sizes: Sequence[int]) -> list[Cell]:
    """On one holdout and on fresh ones; the latter, where nothing is shared, is the harder case,
    and enough for the unusual kinds."""
    usual = [
        Cell(kind, rows, fresh)
        for kind in usual_kinds()
        for rows in sizes
        for fresh in (False, True)
    ]
    return usual + [Cell(kind, rows, True) for kind in unusual_kinds() for rows in sizes]


def margin_cells(sizes: Sequence[int]) -> list[Cell]:
    """Challengers that are worse by just the margin that `not_worse` must not let through."""
    kinds = (Kind("auroc", "alike", 0.25), Kind("log_loss", "alike", 0.25), Kind("rmse", "alike"))
    return [
        Cell(kind, rows, True, "not_worse", strength_for(kind, -MARGIN))
        for kind in kinds
        for rows in sizes
    ]


def unseen_cells(sizes: Sequence[int]) -> list[Cell]:
    return [Cell(Kind("rmse", "rare, paid for"), rows, True) for rows in sizes]


def power_cells(sizes: Sequence[int]) -> list[Cell]:
    """One look each at a challenger that is better by three standard errors (of the gain between
    equal models), where a model can be as good as that."""
    cells = []
    for kind in usual_kinds():
        for rows in sizes:
            gain = POWER * usual_error(kind, rows)
            if gain < true_gain(kind, MOST[kind.task]):
                cells.append(Cell(kind, rows, True, "better", strength_for(kind, gain), 1))
    return cells


def usual_error(kind: Kind, rows: int) -> float:
    """The standard error of a gain where there is none."""
    random = np.random.default_rng(0)
    errors = []
    for _ in range(60):
        drawn = draw(kind, rows, random)
        answers = drawn.challenger(random)
        errors.append(paired_gain(kind.task, drawn.target, answers, drawn.champion).standard_error)
    return float(np.nanmedian(errors))


def strength_for(kind: Kind, gain: float) -> float:
    """How much more (less) a challenger must know to be better (worse) by so much."""
    found = brentq(lambda strength: true_gain(kind, strength) - gain, -1.0, MOST[kind.task])
    return float(found)
