"""What may be served, best first: single recipes, and their blend where it earns its place.

All of it is decided on out-of-fold answers: blend, calibrator, threshold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from shared.errors import PackageInvalid
from shared.serving.engine import Calibrator
from shared.tabular import blending, calibrating, threshold
from shared.tabular.blending import Blend
from shared.tabular.comparison import Alike
from shared.tabular.inner import Folds
from shared.tabular.metrics import Floats
from shared.usecases.training.loaded import Prepared
from shared.usecases.training.stages import Training
from shared.usecases.training.tuned import read_answers

BLEND = "blend"


@dataclass(frozen=True, slots=True)
class Choice:
    """One recipe, or several with weights; `answers` are out of fold, NaN where not judged."""

    name: str
    parts: tuple[dict[str, Any], ...]
    weights: tuple[float, ...]
    score: float
    answers: Floats

    @property
    def params(self) -> dict[str, Any]:
        """The recipe's parameters, or the weights of a blend."""
        if self.name != BLEND:
            return dict(self.parts[0]["params"])
        names = [part["candidate"] for part in self.parts]
        return dict(zip(names, self.weights, strict=True))


@dataclass(frozen=True, slots=True)
class Choices:
    """`blend` says what averaging would bring, taken or not."""

    ordered: tuple[Choice, ...]
    blend: Blend | None


def choices(
    run: Training,
    prepared: Prepared,
    folds: Folds,
    recipes: list[dict[str, Any]],
    *,
    without: Collection[str] = (),
) -> Choices:
    """What to try. Takes records that are judged on all rows, best first; `without` are candidates
    that stay out of a blend."""
    single = [
        Choice(record["candidate"], (record,), (1.0,), record["score"], read_answers(run, record))
        for record in recipes
    ]
    together = [one for one in single if one.name not in without]
    if len(single) < 2 or not run.spec.training.blend:
        return Choices(tuple(single), None)
    there = folds.judged
    blend = blending.find_blend(
        prepared.outcome.task,
        folds.rows.target[there],
        {one.name: one.answers[there] for one in together},
        folds.fold[there],
        alike_of(prepared).take(there),
    )
    return Choices((*_blended(single, blend), *single), blend)


def alike_of(prepared: Prepared) -> Alike:
    """Which rows that fit are no evidence of their own."""
    return Alike(prepared.marks("fit").times, prepared.groups("fit"))


def _blended(single: list[Choice], blend: Blend) -> Iterator[Choice]:
    if blend.earned:
        parts = [one for one in single if one.name in blend.weights]
        weights = tuple(blend.weights[one.name] for one in parts)
        answers = blending.average([one.answers for one in parts], weights)
        records = tuple(one.parts[0] for one in parts)
        yield Choice(BLEND, records, weights, blend.score, answers)


@dataclass(frozen=True, slots=True)
class Decided:
    """What turns a binary model's scores into answers, and why; nothing for other tasks."""

    calibrator: Calibrator | None = None
    threshold: threshold.Choice | None = None
    calibration: calibrating.Calibration | None = None

    @property
    def level(self) -> float | None:
        return self.threshold.threshold if self.threshold else None


def decide(run: Training, prepared: Prepared, folds: Folds, choice: Choice) -> Decided:
    """Calibrator and threshold. Raises PackageInvalid for weighted classes that no calibrator can
    undo."""
    if prepared.outcome.task != "binary":
        return Decided()
    training, there = run.spec.training, folds.judged
    target, scores = folds.rows.target[there], choice.answers[there]
    found = calibrating.calibrate(target, scores, folds.fold[there], alike_of(prepared).take(there))
    weighted = training.class_weight == "balanced"
    if weighted and found.calibrator is None:
        raise PackageInvalid("class_weight: no calibrator gives its scores back as probabilities")
    calibrator = found.calibrator if weighted or found.certain else None
    level = threshold.choose_threshold(
        target,
        scores if calibrator is None else calibrator.apply(scores),
        training.threshold_metric,
        training.false_positive_ceiling,
    )
    return Decided(calibrator, level, found)
