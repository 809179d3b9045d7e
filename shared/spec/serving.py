"""How a spec says that a version is to answer and to come in, and what can be wrong with that."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from shared.serving.times import format_duration
from shared.spec.base import Part, Stretch
from shared.spec.nearest import nearest

if TYPE_CHECKING:
    from shared.spec.model import Spec

Found = tuple[tuple[str, ...], str]
# Below it the log of a first step has next to nothing to judge.
LEAST_LOGGED = 0.01


class Canary(Part):
    """A promotion by `steps`: shares of the predictions that the new version answers, one after
    the other, before it answers all. A step is passed once `min_rows` of its rows are judged and
    nothing speaks against it. `key` is the column whose values keep their version; without one
    each prediction is dealt at random. `tolerance` is how much larger the share of rows that both
    versions answer differently may be than the gate measured it. After `max_duration` the canary
    is ended as `on_timeout` says."""

    steps: tuple[float, ...] = (0.05, 0.25)
    key: str | None = None
    min_rows: int = Field(default=500, ge=20, le=10_000)
    tolerance: float = Field(default=0.05, gt=0, lt=1)
    max_duration: Stretch = timedelta(days=7)
    on_timeout: Literal["promote", "back", "ask"] = "ask"

    @field_validator("steps")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        steps = value[:-1] if value[-1:] == (1.0,) else value  # the end, said or not
        if not steps or list(steps) != sorted(set(steps)) or not 0 < steps[0] <= steps[-1] < 1:
            raise ValueError(
                "shares are between 0 and 1, each larger than the one before, such as [0.05, 0.25]"
            )
        return steps

    @property
    def predictions(self) -> int:
        """How many predictions it takes until every step has its rows."""
        return sum(math.ceil(self.min_rows / share) for share in self.steps)


class Shadow(Part):
    """While a version waits for a person, it scores a `share` of the predictions after the
    champion; nobody gets its answers."""

    share: float = Field(default=0.1, gt=0, le=1)


class Serving(Part):
    """`log`: `sync` waits for the prediction log before answering, `buffered` writes it every few
    hundred rows or few seconds, `off` keeps none. `redact` are columns whose cells are not kept
    there, `log_sample` the share of rows that is, by a hash of their prediction id.

    `unknown_fields` of a request are ignored: `count` counts and names them, `ignore` does not
    look, `refuse` refuses their rows. `coerce`: `lenient` takes a text that spells a number for
    one and a number for a category, `strict` refuses both. `canary` and `shadow` are off unless
    they are written."""

    log: Literal["sync", "buffered", "off"] = "sync"
    log_sample: float = Field(default=1.0, gt=0, le=1)
    redact: tuple[str, ...] = ()
    unknown_fields: Literal["ignore", "count", "refuse"] = "count"
    coerce: Literal["lenient", "strict"] = "lenient"
    canary: Canary | None = None
    shadow: Shadow | None = None


def serving_problems(spec: Spec) -> Iterator[Found]:
    """What is wrong with `serving` in a spec whose single keys are right."""
    serving = spec.serving
    for name in serving.redact:
        if found := _no_column(spec, name):
            yield ("serving", "redact"), found
    for name in ("canary", "shadow"):
        at = ("serving", name)
        if getattr(serving, name) is None:
            continue
        if serving.log == "off":
            yield at, "is judged from the prediction log, which serving.log: off does not keep"
        elif serving.log_sample < LEAST_LOGGED:
            text = (
                f"is judged from the prediction log, of which log_sample {serving.log_sample:g} "
                f"keeps too little; write {LEAST_LOGGED:g} or more"
            )
            yield at, text
    key = serving.canary.key if serving.canary else None
    if key is not None and (found := _no_column(spec, key)):
        yield ("serving", "canary", "key"), found
    elif key is not None and key in serving.redact:
        text = f"{key!r} is redacted, and the log would have a hash of it; deal by another column"
        yield ("serving", "canary", "key"), text


def _no_column(spec: Spec, name: str) -> str:
    """Why this is no column that a prediction is asked with; nothing where it is one, or where the
    first training names the columns."""
    if name == spec.target.column:
        return f"{name!r} is the target, which no prediction is asked with; leave it out"
    keys = [one for item in spec.sources.values() for one in (item.key, item.as_of) if one]
    known = {**spec.all_columns, **dict.fromkeys(keys)}
    if not spec.columns or name in known:
        return ""
    return f"{name!r} is no column; {nearest(name, known)}"


def redaction_costs(spec: Spec | None) -> Iterator[str]:
    """What cannot be done with a prediction log that lacks columns; None: nothing is asked."""
    if spec is None or not spec.serving.redact or spec.serving.log == "off":
        return
    needed = {*spec.feature_names(), *spec.carried_names(), spec.together}
    lost = [name for name in spec.serving.redact if name in needed or not spec.columns]
    if lost:
        yield (
            f"serving.redact: online predictions are kept without {', '.join(lost)}, which "
            "training needs: labels that come back for them count in monitoring and cannot be "
            "learned from, so only scored files and new training files teach. Drift of such a "
            "column is not watched online."
        )


def canary_plan(old: Spec | None, new: Spec) -> Iterator[str]:
    """What a changed canary or shadow will do."""
    before = old.serving if old is not None else None
    canary, shadow = new.serving.canary, new.serving.shadow
    if canary != (before.canary if before else None):
        yield _canary_sentence(canary, new)
    if shadow != (before.shadow if before else None):
        yield (
            "serving.shadow: a version that waits for a person waits without a shadow."
            if shadow is None
            else f"serving.shadow: the next version that waits for a person scores "
            f"{shadow.share:.0%} of the predictions after the champion until it is decided."
        )


def _canary_sentence(canary: Canary | None, spec: Spec) -> str:
    if canary is None:
        return (
            "serving.canary: the next promotion is done at once; a canary that runs goes on, and "
            "is judged by the defaults."
        )
    shares = ", ".join(f"{100 * share:.3g} %" for share in (*canary.steps, 1.0))
    needed = math.ceil(canary.predictions / spec.serving.log_sample)
    asked = {
        "promote": "it is promoted",
        "back": "it is taken back",
        "ask": "a person is asked",
    }[canary.on_timeout]
    return (
        f"serving.canary: the next promotion goes by {shares} of the predictions. That takes "
        f"{needed:,} predictions; after {format_duration(canary.max_duration)} {asked}. A canary "
        "that runs keeps its steps and is judged by the new values."
    )
