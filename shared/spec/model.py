"""The model spec as pydantic models: minimal is `task` and `target`, everything else has defaults.

Knows no files and no buckets; `shared.spec.load` reads YAML, `shared.spec.draft` infers one.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(value: object) -> timedelta:
    """`30s`, `5m`, `24h`, `7d` or 0. Raises ValueError."""
    if isinstance(value, timedelta):
        return value
    if value == 0:
        return timedelta(0)
    match = re.fullmatch(r"(\d+)([smhd])", str(value))
    if not match:
        raise ValueError(f"{value!r} is no duration; write 30s, 5m, 24h or 7d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def format_duration(value: timedelta) -> str:
    """The shortest exact form: 86400 s -> `1d`."""
    seconds = int(value.total_seconds())
    for unit in "dhm":
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s"


Duration = Annotated[
    timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)
]
Candidate = Literal["linear", "random_forest", "gradient_boosting", "xgboost"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Target(_Part):
    """What is predicted. `positive` names the class whose probability is served (binary);
    without it the rarer class in the first training is taken. `scale` divides a regression
    target for training and reporting; predictions come back in the file's own unit."""

    column: str
    positive: str | None = None
    scale: float = Field(default=1.0, gt=0)


class Source(_Part):
    """How the files are written. `strip` removes blanks around cells; `missing` cells are one
    missing value, the same as JSON null."""

    format: Literal["csv"] = "csv"
    delimiter: Literal[",", ";", "\t", "|"] = ","
    encoding: Literal["utf-8", "latin-1", "cp1252"] = "utf-8"
    header: bool = True
    strip: bool = True
    missing: tuple[str, ...] = (
        *("", "?", "NA", "N/A", "#N/A", "<NA>"),
        *("NaN", "nan", "null", "NULL", "None"),
    )
    decimal: Literal[".", ","] = "."


class Expect(_Part):
    """Counted and monitored, never refused. `values` are the known categories."""

    min: float | None = None
    max: float | None = None
    values: tuple[str, ...] | None = None


class Require(Expect):
    """Violations quarantine the row or refuse the prediction. Only people write these."""

    present: bool = False


class Column(_Part):
    """One column of the file. `exclude` keeps it out of the features (it stays in outputs)."""

    type: Literal["number", "category"] = "category"
    exclude: bool = False
    expect: Expect = Expect()
    require: Require = Require()


class Training(_Part):
    """`holdout` is the share kept for the comparison; `trials` is the tuning budget per candidate;
    `false_positive_ceiling` bounds the threshold (binary)."""

    candidates: tuple[Candidate, ...] = ("linear", "random_forest", "gradient_boosting", "xgboost")
    trials: int = Field(default=8, ge=1, le=1000)
    folds: int = Field(default=4, ge=2, le=20)
    holdout: float = Field(default=0.2, gt=0, lt=0.9)
    seed: int = 0
    threshold_metric: Literal["f1", "accuracy", "youden"] = "f1"
    false_positive_ceiling: float | None = Field(default=0.10, gt=0, le=1)
    time_limit: Duration = timedelta(minutes=15)


class Promotion(_Part):
    """`approval`: `first` asks a person for a model's first version only, `always` for each,
    `auto` never (insufficient evidence still asks)."""

    rule: Literal["better", "not_worse"] = "better"
    min_gain: float = Field(default=0.0, ge=0)
    margin: float = Field(default=0.005, ge=0)
    approval: Literal["first", "always", "auto"] = "first"
    approval_expires: Duration = timedelta(days=14)


class Serving(_Part):
    """`log`: `sync` waits for the prediction log before answering, `off` keeps none."""

    log: Literal["sync", "off"] = "sync"


class Monitoring(_Part):
    """Windows are `window` long and judged `grace` after they close; labels count once they are
    `label_delay` old. `persistence` (m, n): an alert needs m of the last n windows."""

    window: Duration = timedelta(days=1)
    grace: Duration = timedelta(hours=1)
    label_delay: Duration = timedelta(days=7)
    min_rows: int = Field(default=200, ge=20)
    min_positives: int = Field(default=50, ge=5)
    min_coverage: float = Field(default=0.8, gt=0, le=1)
    drift_threshold: float = Field(default=0.1, gt=0)
    drift_share: float = Field(default=0.25, gt=0, le=1)
    min_effect: float | None = Field(default=None, gt=0)
    persistence: tuple[int, int] = (2, 3)

    @model_validator(mode="after")
    def _m_of_n(self) -> Monitoring:
        if not 1 <= self.persistence[0] <= self.persistence[1]:
            raise ValueError("persistence is [m, n] with 1 <= m <= n")
        return self


class Retrain(_Part):
    """When the loop may train again by itself. Broken data never retrains."""

    on_drift: Literal["ask", "train", "never"] = "ask"
    on_performance: Literal["ask", "train", "never"] = "train"
    min_new_labels: int = Field(default=500, ge=1)
    cooldown: Duration = timedelta(days=1)
    max_per_week: int = Field(default=2, ge=1)
    give_up_after: int = Field(default=3, ge=1)


class Spec(_Part):
    """A whole model spec. `columns` is in file order; with `source.header: false` it names the
    columns, target included where it stands in training files (score files omit it)."""

    task: Literal["binary", "multiclass", "regression"]
    target: Target
    source: Source = Source()
    columns: dict[str, Column] = {}
    max_bad_rows: float = Field(default=0.05, ge=0, le=1)
    training: Training = Training()
    promotion: Promotion = Promotion()
    serving: Serving = Serving()
    monitoring: Monitoring = Monitoring()
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
    def _consistent(self) -> Spec:
        if self.columns and self.target.column not in self.columns:
            raise ValueError(f"target.column {self.target.column!r} is not among columns")
        if self.columns and not self.feature_names():
            raise ValueError("every column but the target is excluded; nothing to learn from")
        if not self.source.header and not self.columns:
            raise ValueError("source.header is false, so columns must name the columns in order")
        return self

    def feature_names(self) -> list[str]:
        """Feature columns in file order."""
        return [
            name
            for name, column in self.columns.items()
            if name != self.target.column and not column.exclude
        ]

    def file_columns(self, *, with_target: bool) -> list[str]:
        """Columns of a file in order: training files have the target, score files may omit it."""
        return [name for name in self.columns if with_target or name != self.target.column]


class RegisteredSpec(_Part):
    """A spec in force: effective values plus its generation (1, 2, ...)."""

    model: str
    generation: int
    spec: Spec
    registered: str
    source: str
