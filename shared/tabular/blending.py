"""A weighted average of the best candidates, and whether it earns its place. Pure.

Weights are tenths, found greedily (Caruana et al. 2004: with replacement, starting from the best):
few enough to learn from out-of-fold answers. Whether a blend is better than the best single
candidate is judged on answers whose weights were found without their fold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.serving.blend import BlendEngine, BlendPart, JoinedEncoder, join
from shared.serving.columns import Columns
from shared.serving.encoder import Encoder
from shared.serving.engine import Engine
from shared.tabular import metrics
from shared.tabular.candidates import Fitted
from shared.tabular.comparison import ALONE, Alike
from shared.tabular.compiling import compile_estimator
from shared.tabular.gains import paired_gain
from shared.tabular.metrics import Floats

STEPS = 10
MAX_PARTS = 3


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A part that was too large (`megabytes` of files) for the `share` of the error that it takes
    off."""

    candidate: str
    megabytes: float
    share: float


@dataclass(frozen=True, slots=True)
class Blend:
    """`gain` is over the best single candidate in the task's primary metric, `gain_lower` its
    one-sided 95 % lower bound."""

    weights: dict[str, float]
    score: float
    gain: float
    gain_lower: float
    left_out: tuple[LeftOut, ...] = ()

    @property
    def earned(self) -> bool:
        return len(self.weights) > 1 and self.gain_lower > 0

    def to_json(self) -> dict[str, Any]:
        lower = self.gain_lower if np.isfinite(self.gain_lower) else None
        return {**asdict(self), "gain_lower": lower, "earned": self.earned}


@dataclass(frozen=True, slots=True)
class Blended:
    """Fitted parts that answer together."""

    parts: tuple[Fitted, ...]
    weights: tuple[float, ...]

    def answer(self, columns: Columns) -> Floats:
        return average([part.answer(columns) for part in self.parts], self.weights)

    def compile(
        self, one: Callable[[Fitted], Engine] = compile_estimator
    ) -> tuple[Encoder | JoinedEncoder, BlendEngine]:
        """`one` compiles a part. Raises PackageInvalid, ValueError."""
        encoder, places = join([part.encoder for part in self.parts])
        engines = map(one, self.parts)
        found = zip(self.weights, places, engines, strict=True)
        return encoder, BlendEngine([BlendPart(w, *place, engine) for w, place, engine in found])


def find_blend(
    task: str,
    target: Floats,
    answers: Mapping[str, Floats],
    fold: NDArray[np.intp],
    alike: Alike = ALONE,
) -> Blend:
    """The blend of these candidates, which may be one alone.

    Args:
        answers: Out-of-fold answers by candidate, best first.
        fold: Each row's fold.
        alike: Which rows are no evidence of their own.
    """
    names = list(answers)
    every = [answers[name] for name in names]
    crossed = np.empty_like(every[0])
    numbers = np.unique(fold)
    for number in numbers:
        here = fold == number
        # With a single fold there is nothing else to find weights on: no blend can earn its place.
        alone = [1.0] + [0.0] * (len(every) - 1)
        elsewhere = [one[~here] for one in every]
        weights = weigh(task, target[~here], elsewhere) if len(numbers) > 1 else alone
        crossed[here] = average([one[here] for one in every], weights)
    gain = paired_gain(task, target, crossed, every[0], order=alike.order, groups=alike.groups)
    weights = weigh(task, target, every)
    return Blend(
        {name: weight for name, weight in zip(names, weights, strict=True) if weight},
        metrics.primary(task, target, crossed),
        gain.value,
        gain.lower,
    )


def weigh(task: str, target: Floats, answers: Sequence[Floats]) -> list[float]:
    """Weights that sum to 1, at most MAX_PARTS of them above 0."""

    def score(counts: list[int]) -> float:
        found = average(answers, [count / sum(counts) for count in counts])
        return metrics.gain(task, metrics.primary(task, target, found), 0.0)

    counts = [0] * len(answers)
    for _ in range(STEPS):
        full = sum(count > 0 for count in counts) >= MAX_PARTS
        tried = []
        for place in range(len(answers)):
            if counts[place] or not full:
                more = [count + (place == other) for other, count in enumerate(counts)]
                tried.append((score(more), more))
        counts = max(tried, key=lambda item: item[0])[1]
    return [count / STEPS for count in counts]


def average(answers: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """The weighted sum, in the order in which a package adds its parts up."""
    pairs = [(weight, answer) for weight, answer in zip(weights, answers, strict=True) if weight]
    total: Floats = pairs[0][0] * pairs[0][1]
    for weight, answer in pairs[1:]:
        total = total + weight * answer
    return total
