"""A blend has to be worth the size of its parts, by what they take off the error out of fold."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

import numpy as np
import pytest

from shared.errors import PackageInvalid
from shared.tabular.blending import find_blend
from shared.tabular.metrics import Floats
from shared.usecases.training.choosing import BLEND, Choice, Choices
from shared.usecases.training.sized import LARGE_MB, LEAST_SHARE, Parts, worth_their_size

ROWS = 50_000
TARGET = np.random.default_rng(1).normal(size=ROWS)
FOLD = np.arange(ROWS) % 4
# How much of the first one's error a candidate shares, and how large its own is.
Errs = tuple[float, float]


class _Weighs(Parts):
    """Parts of known size that nobody fits; one of no size cannot be compiled."""

    def __init__(self, sizes: Mapping[str, float | None]) -> None:
        super().__init__(cast("Any", None), cast("Any", None))
        object.__setattr__(self, "sizes", sizes)

    def model(self, choice: Choice) -> Any:
        return choice

    def megabytes(self, name: str) -> float:
        size = cast("dict[str, float | None]", cast("Any", self).sizes)[name]
        if size is None:
            raise PackageInvalid(name)
        return size


def _chosen(errs: Mapping[str, Errs], sizes: Mapping[str, float | None]) -> Choices:
    """What is left to try of candidates that err like that, best first."""
    random = np.random.default_rng(2)
    common = random.normal(scale=0.5, size=ROWS)
    answers = {
        name: TARGET + shared * common + random.normal(scale=own, size=ROWS)
        for name, (shared, own) in errs.items()
    }

    def choice(name: str, parts: Collection[str], score: float, values: Floats) -> Choice:
        return Choice(name, tuple({"candidate": part} for part in parts), (1.0,), score, values)

    single = [choice(name, [name], 0.5, answers[name]) for name in errs]

    def choose(out: Collection[str]) -> Choices:
        names = {name: answers[name] for name in errs if name not in out}
        blend = find_blend("regression", TARGET, names, FOLD)
        together = [choice(BLEND, blend.weights, blend.score, TARGET)] if blend.earned else []
        return Choices((*together, *single), blend)

    return worth_their_size("regression", _Weighs(sizes), choose)


def _parts(found: Choices) -> list[Any]:
    return [part["candidate"] for part in found.ordered[0].parts]


LITTLE = {"xgboost": (1.0, 0.0), "random_forest": (0.97, 0.13)}
MUCH = {"xgboost": (1.0, 0.0), "random_forest": (0.0, 0.6)}


def test_a_large_part_that_takes_little_off_the_error_is_left_out() -> None:
    """The gain is certain, and not worth the megabytes: the best one serves alone, and it is said
    who was left out, why, and for how little."""
    found = _chosen(LITTLE, {"random_forest": 17.34})
    assert _parts(found) == ["xgboost"]
    assert found.blend is not None
    assert found.blend.weights == {"xgboost": 1.0}
    (out,) = found.blend.to_json()["left_out"]
    assert (out["candidate"], out["megabytes"]) == ("random_forest", 17.3)
    assert 0 < out["share"] < LEAST_SHARE


@pytest.mark.parametrize(
    ("errs", "size"), [(LITTLE, LARGE_MB), (MUCH, 100.0)], ids=["small", "worth it"]
)
def test_a_part_that_is_small_or_worth_it_stays(errs: dict[str, Errs], size: float) -> None:
    """Little is enough from what nobody feels; what takes a lot off may be large."""
    found = _chosen(errs, {"random_forest": size})
    assert _parts(found) == ["xgboost", "random_forest"]
    assert found.blend is not None
    assert found.blend.left_out == ()


def test_the_others_stay_together() -> None:
    """Without the large part the rest is blended as if it had not been there."""
    errs = {**LITTLE, "gradient_boosting": (0.0, 0.55)}
    found = _chosen(errs, {"gradient_boosting": 2.0, "random_forest": 30.0})
    assert _parts(found) == ["xgboost", "gradient_boosting"]
    assert found.blend is not None
    assert [one.candidate for one in found.blend.left_out] == ["random_forest"]
    assert found.blend.earned


def test_the_best_one_alone_has_its_size_whatever_that_is() -> None:
    """A blend adds to the package of the best candidate; that one is not asked."""
    found = _chosen({"random_forest": (1.0, 0.0), "xgboost": (0.0, 0.6)}, {"xgboost": 2.0})
    assert _parts(found) == ["random_forest", "xgboost"]


def test_a_part_that_does_not_compile_is_refused_in_its_turn() -> None:
    """Not here: the list of what to try stays, and says later why the blend was refused."""
    assert _parts(_chosen(LITTLE, {"random_forest": None})) == ["xgboost", "random_forest"]
