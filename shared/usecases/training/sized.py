"""Whether a blend is worth the size of its parts: what is large has to take more off the error.

    blend that earned its place -> its parts fitted and compiled
                                -> a large one that takes too little off the error is left out
                                -> the blend without it, if that one earns its place, and so on

A part that is large makes every cold start slower and every package dearer to keep, for good. What
it takes off is known from out-of-fold answers, how large it is from its own files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from shared.errors import PackageInvalid
from shared.serving.blend import JoinedEncoder
from shared.serving.encoder import Encoder
from shared.serving.engine import Engine
from shared.tabular import candidates, metrics
from shared.tabular.blending import Blend, Blended, LeftOut
from shared.tabular.candidates import Fitted
from shared.tabular.compiling import compile_estimator
from shared.usecases.training.choosing import BLEND, Choice, Choices
from shared.usecases.training.loaded import Prepared
from shared.usecases.training.stages import Training

# Loading takes about 12 ms a MB: what is smaller is not felt.
LARGE_MB = 5.0
# Of the error without the part: RMSE, log loss, or what AUROC is short of 1.
LEAST_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Parts:
    """Recipes on all rows that fit, each fitted and compiled once, whatever it is part of."""

    run: Training
    prepared: Prepared
    _fitted: dict[str, Fitted] = field(default_factory=dict)
    _engines: dict[str, Engine] = field(default_factory=dict)

    def model(self, choice: Choice) -> Fitted | Blended:
        """The parts side by side. Raises ValueError when a library cannot fit one."""
        todo = [part for part in choice.parts if part["candidate"] not in self._fitted]
        with ThreadPoolExecutor(self.run.workers) as pool:
            for made in pool.map(self._fit, todo):
                self._fitted[made.candidate] = made
        parts = tuple(self._fitted[part["candidate"]] for part in choice.parts)
        return Blended(parts, choice.weights) if choice.name == BLEND else parts[0]

    def megabytes(self, name: str) -> float:
        """Of the files that a fitted part adds to a package. Raises PackageInvalid, ValueError."""
        files = self._engine(self._fitted[name]).files()
        return sum(map(len, files.values())) / 1e6

    def compiled(self, model: Fitted | Blended) -> tuple[Encoder | JoinedEncoder, Engine]:
        """What a package serves the model with. Raises PackageInvalid, ValueError."""
        if isinstance(model, Blended):
            return model.compile(self._engine)
        return model.encoder, self._engine(model)

    def _engine(self, part: Fitted) -> Engine:
        if part.candidate not in self._engines:
            self._engines[part.candidate] = compile_estimator(part)
        return self._engines[part.candidate]

    def _fit(self, part: dict[str, Any]) -> Fitted:
        fit, _ = self.prepared.sides()
        training = self.run.spec.training
        return candidates.fit(
            part["candidate"],
            part["params"],
            self.prepared.outcome.task,
            fit,
            features=self.prepared.schema.seen,
            seed=training.seed,
            balanced=training.class_weight == "balanced",
        )


def worth_their_size(
    task: str, parts: Parts, choose: Callable[[Collection[str]], Choices]
) -> Choices:
    """What to try, with no large part in a blend that takes less than LEAST_SHARE off the error.
    `choose` gives the choices without some candidates in the blend. A part that cannot be fitted or
    compiled is refused when its turn comes."""
    found, out = choose(()), list[LeftOut]()
    while worse := _not_worth(task, found, parts, choose, [one.candidate for one in out]):
        left_out, found = worse
        out.append(left_out)
    if found.blend is None or not out:
        return found
    return replace(found, blend=replace(found.blend, left_out=tuple(out)))


def _not_worth(
    task: str,
    found: Choices,
    parts: Parts,
    choose: Callable[[Collection[str]], Choices],
    out: list[str],
) -> tuple[LeftOut, Choices] | None:
    """The largest part of a blend that is not worth its size, and what to try without it."""
    if found.blend is None or found.ordered[0].name != BLEND:
        return None
    try:
        sizes = _sizes(found, parts)
    except (PackageInvalid, ValueError):
        return None
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if sizes[name] > LARGE_MB:
            lighter = choose([*out, name])
            share = _share(task, found.blend, lighter.blend)
            if share < LEAST_SHARE:
                return LeftOut(name, round(sizes[name], 1), share), lighter
    return None


def _sizes(found: Choices, parts: Parts) -> dict[str, float]:
    """The parts of a blend beside the best single candidate, with the megabytes that they add."""
    blend, alone = found.ordered[0], found.ordered[1].name
    parts.model(blend)
    names = [part["candidate"] for part in blend.parts if part["candidate"] != alone]
    return {name: parts.megabytes(name) for name in names}


def _share(task: str, blend: Blend, lighter: Blend | None) -> float:
    """Which part of the error the blend takes off that is left by what there is without it."""
    error = 1 - blend.score if metrics.PRIMARY[task] == "auroc" else blend.score
    rest = lighter.gain if lighter is not None and lighter.earned else 0.0
    without = error + blend.gain - rest
    return (blend.gain - rest) / without if without > 0 else 0.0
