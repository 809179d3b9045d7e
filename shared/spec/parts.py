"""The leaves of the model spec: durations, how files are written, columns, policies.

`shared.spec.model` puts them together. Knows no files and no buckets.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from shared.rules.regexes import Pattern, RegexError
from shared.spec.base import Part, Stretch
from shared.spec.guarding import Guardrail, Slices

Candidate = Literal["linear", "random_forest", "gradient_boosting", "xgboost"]
# In units of the target's scale: beyond it no engine keeps its precision, and squares of errors
# stop being numbers.
LARGEST_TARGET = 1e30


class Target(Part):
    """What is predicted. `positive` names the class whose probability is served (binary);
    without it the rarer class in the first training is taken. `scale` divides a regression
    target for training and reporting; predictions come back in the file's own unit, and never
    below `low` or above `high`, which are in that unit, too."""

    column: str
    positive: str | None = None
    scale: float = Field(default=1.0, gt=0)
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}; swap them")
        for name, end in (("low", self.low), ("high", self.high)):
            if end is not None and not abs(end / self.scale) <= LARGEST_TARGET:
                raise ValueError(f"{name} {end:g} is beyond {LARGEST_TARGET:g} times scale")
        return self


class Source(Part):
    """How the files are written. `auto` is settled by a file's name and first bytes
    (`shared.files.dialect`); `strip` removes blanks around cells; `missing` cells are one missing
    value, the same as JSON null."""

    format: Literal["auto", "csv", "json", "jsonl", "parquet"] = "auto"
    delimiter: Literal["auto", ",", ";", "\t", "|"] = "auto"
    encoding: Literal["auto", "utf-8", "latin-1", "cp1252"] = "auto"
    header: bool = True
    strip: bool = True
    missing: tuple[str, ...] = (
        *("", "?", "NA", "N/A", "#N/A", "<NA>"),
        *("NaN", "nan", "null", "NULL", "None"),
    )
    decimal: Literal[".", ","] = "."


class JoinedSource(Source):
    """One of several sources. The one without `aggregates` and `sql` is the primary: its rows are
    what is learned and predicted; the others add columns to them by `key`.

    `aggregates` maps new columns to `count`, `sum(x)`, `mean(x)`, `min(x)`, `max(x)`, `last(x)`,
    `distinct(x)` or `recency` (days from the latest `time` to `as_of`). All but `recency` may go
    on with a window such as `over 90d`: of rows at most that long before `as_of`. `sql` is one
    SELECT that gives `key` and the columns named in `sql_columns`. `as_of` is a date, or a time
    column of the primary: only rows with `time` before it are seen. `wait_hours` and `on_timeout`
    say how long a batch waits for this source and whether it is refused or goes on `without`."""

    key: str
    columns: tuple[str, ...] = ()
    aggregates: dict[str, str] = Field(default_factory=dict)
    sql: str | None = None
    sql_columns: dict[str, Literal["number", "category"]] = Field(default_factory=dict)
    time: str | None = None
    as_of: str | None = None
    join: Literal["left", "inner"] = "left"
    defaults: dict[str, float | str] = Field(default_factory=dict)
    max_age: Stretch | None = None
    too_old: Literal["flag", "refuse"] = "flag"
    wait_hours: float = Field(default=24, gt=0, le=8760)
    on_timeout: Literal["reject", "without"] = "reject"

    @property
    def primary(self) -> bool:
        return not self.aggregates and self.sql is None

    @property
    def derived(self) -> dict[str, Literal["number", "category"]]:
        """The columns that this source adds, with their types."""
        return {**dict.fromkeys(self.aggregates, "number"), **self.sql_columns}

    @model_validator(mode="after")
    def _one_way(self) -> JoinedSource:
        if self.aggregates and self.sql is not None:
            raise ValueError("aggregates and sql exclude each other; SQL can aggregate by itself")
        if (self.sql is None) != (not self.sql_columns):
            raise ValueError(
                "sql and sql_columns go together; name the columns that the SELECT adds, such as "
                "sql_columns: {visits: number}"
            )
        if self.as_of is not None and self.time is None:
            raise ValueError("as_of needs `time`, the column that says when a row happened")
        return self


class Expect(Part):
    """Counted and monitored, never refused. `values` are the known categories."""

    min: float | None = None
    max: float | None = None
    values: tuple[str, ...] | None = None

    @field_validator("values")
    @classmethod
    def _named(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not value:
            raise ValueError("is empty; name the values there may be, or leave the key out")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}; swap them")
        return self


class Require(Expect):
    """Violations quarantine the row or refuse the prediction. Only people write these. Of rows
    with the same `unique` value the first stays; `max_age` (time columns) is counted from the
    moment the file arrived. `unique` and `max_age` concern files, not predictions."""

    present: bool = False
    regex: str | None = None
    unique: bool = False
    max_age: Stretch | None = None

    @field_validator("regex")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                Pattern(value)
            except RegexError as error:
                raise ValueError(f"{value!r} is no regular expression: {error}") from error
        return value


class Column(Part):
    """One column of the file. `exclude` keeps it out of the features (it stays in outputs), as
    does `available_at_prediction: false`: known only afterwards. A `time` column is no feature
    either; it orders rows. `allow_leak` says why a column that nearly predicts the target may."""

    type: Literal["number", "category", "time"] = "category"
    exclude: bool = False
    available_at_prediction: bool = True
    allow_leak: str | None = None
    expect: Expect = Expect()
    require: Require = Require()

    @field_validator("allow_leak")
    @classmethod
    def _said(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("is empty; say why this column may know the target")
        return value

    @property
    def feature(self) -> bool:
        return not self.exclude and self.available_at_prediction and self.type != "time"


class Checks(Part):
    """What a training does about data that people should look at first: `stop` it, `warn`, or
    `off`. `leakage` can stop a model's first training only."""

    leakage: Literal["stop", "warn", "off"] = "stop"
    sorted_by_target: Literal["stop", "warn", "off"] = "warn"
    duplicates: Literal["stop", "warn", "off"] = "warn"
    identifiers: Literal["stop", "warn", "off"] = "warn"
    target_pile: Literal["stop", "warn", "off"] = "warn"
    small_class: Literal["stop", "warn", "off"] = "warn"
    schema_drift: Literal["stop", "warn", "off"] = "warn"
    min_class_rows: int = Field(default=50, ge=10)


class Training(Part):
    """`holdout` is the share kept for the comparison; `trials` is the tuning budget per candidate;
    `false_positive_ceiling` bounds the threshold (binary). `split: time` keeps the newest rows by
    `time_column` for the comparison, `split: grouped` whole groups of `group_column`, of which no
    model then sees a part. `search` replaces ranges of what is searched, by candidate and
    name (`shared.spec.search` has the limits); `blend` lets a weighted average of the candidates
    compete. `class_weight: balanced` (binary) lets both classes count the same; scores are then
    always recalibrated."""

    candidates: tuple[Candidate, ...] = ("linear", "random_forest", "gradient_boosting", "xgboost")
    trials: int = Field(default=8, ge=1, le=1000)
    folds: int = Field(default=4, ge=2, le=20)
    holdout: float = Field(default=0.2, gt=0, lt=0.9)
    seed: int = 0
    split: Literal["random", "grouped", "time"] = "random"
    group_column: str | None = None
    time_column: str | None = None
    threshold_metric: Literal["f1", "accuracy", "youden"] = "f1"
    false_positive_ceiling: float | None = Field(default=0.10, gt=0, le=1)
    time_limit: Stretch = timedelta(minutes=15)
    search: dict[Candidate, dict[str, tuple[float, float]]] = Field(default={})
    blend: bool = True
    class_weight: Literal["none", "balanced"] = "none"

    @field_validator("candidates")
    @classmethod
    def _some(cls, value: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        if not value:
            raise ValueError("is empty; name at least one, such as [linear]")
        if len(value) != len(set(value)):
            raise ValueError("names one candidate twice; name each once")
        return value

    @model_validator(mode="after")
    def _split_by(self) -> Training:
        if (self.split == "grouped") != (self.group_column is not None):
            raise ValueError(
                "split: grouped and group_column go together; write both, such as "
                "{split: grouped, group_column: patient}, or neither"
            )
        if (self.split == "time") != (self.time_column is not None):
            raise ValueError(
                "split: time and time_column go together; write both, such as "
                "{split: time, time_column: started}, or neither"
            )
        return self


class Promotion(Part):
    """`approval`: `first` asks a person for a model's first version only, `always` for each,
    `auto` never (insufficient evidence still asks). `guardrails` are limits by metric; a package
    above `max_package_mb` megabytes is declined."""

    rule: Literal["better", "not_worse"] = "better"
    min_gain: float = Field(default=0.0, ge=0)
    margin: float = Field(default=0.005, ge=0)
    approval: Literal["first", "always", "auto"] = "first"
    approval_expires: Stretch = timedelta(days=14)
    guardrails: dict[str, Guardrail] = Field(default_factory=dict)
    slices: Slices = Slices()
    max_package_mb: float = Field(default=100, gt=0)
