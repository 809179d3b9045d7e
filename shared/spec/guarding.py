"""Guardrails and slices as a spec declares them, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from shared.metric_names import METRICS, OF_TASK, About
from shared.spec.base import Part
from shared.spec.nearest import nearest

if TYPE_CHECKING:
    from shared.spec.model import Spec

Found = tuple[tuple[str, ...], str]


class Guardrail(Part):
    """A limit on one metric of the holdout: `min` where more is better, `max` where less is.
    `max_drop` is how much worse than the champion a version may be."""

    min: float | None = None
    max: float | None = None
    max_drop: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _says_something(self) -> Guardrail:
        if self.min is None and self.max is None and self.max_drop is None:
            raise ValueError("says nothing; write min, max or max_drop, such as {min: 0.6}")
        return self


class Slices(Part):
    """Parts of the rows on which a version is looked at separately: every level of `columns` that
    at least `min_rows` holdout rows have. `worst` is what each may have at worst, `max_gap` how
    much worse each may be than all other rows, both by metric."""

    columns: tuple[str, ...] = ()
    min_rows: int = Field(default=100, ge=30)
    worst: dict[str, float] = Field(default_factory=dict)
    max_gap: dict[str, float] = Field(default_factory=dict)


def guarding_problems(spec: Spec) -> Iterator[Found]:
    """What is wrong with the guardrails and slices of a spec whose single keys are right."""
    promotion = spec.promotion
    for metric, rail in promotion.guardrails.items():
        at = ("promotion", "guardrails", metric)
        about, text = _known(metric, spec.task)
        if about is None:
            yield at, text
            continue
        wrong = "max" if about.higher_is_better else "min"
        if getattr(rail, wrong) is not None:
            yield (*at, wrong), _turned(metric, about)
        for key in ("min", "max"):
            value = getattr(rail, key)
            if value is not None and key != wrong:
                yield from _in_range((*at, key), metric, value, about)
    yield from _slices(spec)


def _slices(spec: Spec) -> Iterator[Found]:
    slices, at = spec.promotion.slices, ("promotion", "slices")
    for key, limits in (("worst", slices.worst), ("max_gap", slices.max_gap)):
        yield from _limits((*at, key), limits, spec.task)
        if limits and not slices.columns:
            text = "is for named columns only; write columns beside it, such as columns: [sex]"
            yield (*at, key), text
    known = spec.all_columns
    for name in slices.columns if known else ():
        column = known.get(name)
        if name == spec.target.column:
            yield (*at, "columns"), f"{name!r} is the target; slices are of what is known before"
        elif column is None:
            yield (*at, "columns"), f"{name!r} is no column; {nearest(name, known)}"
        elif not column.feature:
            text = (
                f"{name!r} is no feature, and the stored rows of a version hold features only; "
                f"slice by one of them"
            )
            yield (*at, "columns"), text
        elif column.type != "category":
            text = f"{name!r} is a {column.type}; slices are the levels of a category"
            yield (*at, "columns"), text


def _limits(at: tuple[str, ...], limits: Mapping[str, float], task: str) -> Iterator[Found]:
    for metric, value in limits.items():
        about, text = _known(metric, task)
        if about is None:
            yield (*at, metric), text
        elif metric == "ece":
            yield (*at, metric), "is not for slices: on few rows it is large for every model"
        elif at[-1] == "max_gap" and value < 0:
            yield (*at, metric), f"is {value:g}; a gap is 0 or more"
        elif at[-1] == "worst":
            yield from _in_range((*at, metric), metric, value, about)


def _known(metric: str, task: str) -> tuple[About | None, str]:
    if metric in OF_TASK[task]:
        return METRICS[metric], ""
    return None, f"is no metric of a {task} model; {nearest(metric, OF_TASK[task], 10)}"


def _turned(metric: str, about: About) -> str:
    better, other = ("more", "min") if about.higher_is_better else ("less", "max")
    return f"is the wrong end: {better} {metric} is better; write {other}"


def _in_range(at: tuple[str, ...], metric: str, value: float, about: About) -> Iterator[Found]:
    low, high = about.low, about.high
    if (low is not None and value < low) or (high is not None and value > high):
        ends = f"{low:g} to {high:g}" if low is not None and high is not None else "0 or more"
        if low is None:
            ends = f"at most {high:g}"
        yield at, f"is {value:g}, but {metric} is {ends}"
