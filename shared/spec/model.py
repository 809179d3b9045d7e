"""The model spec as pydantic models: minimal is `task` and `target`, everything else has defaults.

Knows no files and no buckets; `shared.spec.load` reads YAML, `shared.spec.draft` infers one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationInfo, model_validator

from shared.rules.expressions import parse_value
from shared.serving.times import format_duration, parse_duration
from shared.spec.base import Duration, Part
from shared.spec.consistency import Inconsistent, problems
from shared.spec.learning import Labels, Retrain
from shared.spec.parts import (
    Candidate,
    Checks,
    Column,
    Expect,
    JoinedSource,
    Promotion,
    Require,
    Source,
    Target,
    Training,
)
from shared.spec.scoring import Scoring
from shared.spec.serving import Serving
from shared.spec.watching import Monitoring

__all__ = [
    "Candidate",
    "Checks",
    "Column",
    "Duration",
    "Expect",
    "JoinedSource",
    "Labels",
    "Monitoring",
    "Promotion",
    "RegisteredSpec",
    "Require",
    "Retrain",
    "Scoring",
    "Serving",
    "Source",
    "Spec",
    "Target",
    "Training",
    "format_duration",
    "parse_duration",
]

_STORED = {"stored": True}


class Spec(Part):
    """A whole model spec. `columns` is in file order; with `source.header: false` it names the
    columns, target included where it stands in training files (score files omit it).

    `rules` are sentences about a whole row, such as `{ends_later: "ended >= started"}`; a row that
    breaks one goes to quarantine (`shared.rules.expressions` has the grammar). `derive` makes
    features of other columns, such as `{rooms_per_household: "total_rooms / households"}`: numbers
    only, and none of them of another one. A column that is used there is needed for predictions,
    also where it is no feature itself (excluded, or a time). `sources` is for
    models made of several files; columns that they add need not be listed, nor the key, which is a
    feature only where it is listed. Rules about the whole are in `shared.spec.consistency`."""

    task: Literal["binary", "multiclass", "regression"]
    target: Target
    source: Source = Source()
    sources: dict[str, JoinedSource] = Field(default_factory=dict)
    columns: dict[str, Column] = Field(default_factory=dict)
    rules: dict[str, str] = Field(default_factory=dict)
    derive: dict[str, str] = Field(default_factory=dict)
    checks: Checks = Checks()
    max_bad_rows: float = Field(default=0.05, ge=0, le=1)
    training: Training = Training()
    promotion: Promotion = Promotion()
    serving: Serving = Serving()
    scoring: Scoring = Scoring()
    monitoring: Monitoring = Monitoring()
    labels: Labels = Labels()
    retrain: Retrain = Retrain()
    size: Literal["s", "m", "l"] = "s"
    title: str = ""

    @model_validator(mode="before")
    @classmethod
    def _short_target(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("target"), str):
            return {**value, "target": {"column": value["target"]}}
        return value

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> Spec:
        found = [] if info.context == _STORED else problems(self)
        if found:
            raise Inconsistent(found)
        return self

    @property
    def primary(self) -> str:
        """The name of the source whose rows are learned and predicted; "" with one source."""
        return next((name for name, source in self.sources.items() if source.primary), "")

    @property
    def together(self) -> str | None:
        """The column that says which rows belong together: that of `split: grouped`, else the key
        of a model of several sources."""
        training = self.training
        key = self.sources[self.primary].key if self.primary else None
        return training.group_column or (key if training.split == "random" else None)

    @property
    def key(self) -> str | None:
        """The column that names a row: the key of a model of several sources, else the group."""
        return self.sources[self.primary].key if self.primary else self.training.group_column

    @property
    def main_source(self) -> Source:
        """How the files are written whose rows are learned and predicted."""
        return self.sources[self.primary] if self.sources else self.source

    @property
    def derived(self) -> dict[str, Column]:
        """The columns that joined sources add, in the order of `sources`."""
        return {
            name: self.columns.get(name, Column(type=kind))
            for source in self.sources.values()
            for name, kind in source.derived.items()
        }

    @property
    def all_columns(self) -> dict[str, Column]:
        """`columns`, then derived ones that are not listed there. Empty where none are named: the
        first training infers them."""
        return {**self.columns, **self.derived} if self.columns else {}

    def feature_names(self) -> list[str]:
        """Feature columns in file order, then those that joined sources add. What `derive` makes is
        not among them."""
        return [
            name
            for name, column in self.all_columns.items()
            if name != self.target.column and column.feature
        ]

    def carried_names(self) -> list[str]:
        """Columns that are no features, but of which `derive` makes some, in file order. Raises
        ExpressionError."""
        used = {name for text in self.derive.values() for name in parse_value(text).columns}
        used -= {*self.feature_names(), self.target.column}
        return [name for name in self.all_columns if name in used]

    def file_columns(self, *, with_target: bool) -> list[str]:
        """Columns of a (primary) file in order: training files have the target, score files may
        omit it. A key that is not listed comes first."""
        derived, key = self.derived, self.sources[self.primary].key if self.sources else ""
        unlisted = [key] if self.columns and key and key not in self.columns else []
        return [
            name
            for name in [*unlisted, *self.columns]
            if name not in derived and (with_target or name != self.target.column)
        ]


class RegisteredSpec(Part):
    """A generation (1, 2, ...) of a spec, with effective values. `replaces` is the generation that
    it may follow, 0 for the first; `written` are the keys that its file holds, so that a value
    that equals the default is known to be meant."""

    model: str
    generation: int
    spec: Spec
    registered: str
    source: str
    replaces: int | None = None
    written: tuple[str, ...] = ()

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> RegisteredSpec:
        """A generation as it was stored. A rule about the whole spec that was made since is for the
        next file; it does not make a spec unreadable that is in force."""
        return cls.model_validate(body, context=_STORED)
