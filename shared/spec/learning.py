"""The leaves of the model spec about what happens after predictions: labels, and training again."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator, model_validator

from shared.spec.base import Duration, Part, Stretch

_LAST = re.compile(r"last ([1-9]\d{0,9})")


class Labels(Part):
    """How labels come back. With `key` a labels file may name the rows by that column instead of
    `prediction_id`: the label is that of the last prediction of the key before the label's `time`
    column, at most `look_back` before it. `selection: only_acted_on` says that only predictions
    somebody acted on get a label: metrics of them are biased, and nothing is learned from them."""

    key: str | None = None
    time: str = "label_time"
    look_back: Stretch = timedelta(days=90)
    selection: Literal["all", "only_acted_on"] = "all"

    @property
    def biased(self) -> bool:
        return self.selection == "only_acted_on"

    @model_validator(mode="after")
    def _apart(self) -> Labels:
        for name, value in (("key", self.key), ("time", self.time)):
            if value is not None and not value.strip():
                raise ValueError(f"{name} is empty; name a column of the labels files")
        if self.key in ("prediction_id", "label", self.time):
            raise ValueError(
                f"key {self.key} has a meaning of its own in labels files; name the column that "
                "says what a prediction was about"
            )
        return self


class Retrain(Part):
    """When the loop may train again by itself, and on what. Broken data never retrains.

    `min_new_labels: null` asks for 5 % as many new labelled rows as the champion learned from, but
    for 500 at most and 200 at least. `data`: `accumulate` learns from the champion's rows and the
    new labelled ones, `latest` from the new ones only, `last 20000` from the newest 20,000 of
    both. `refresh` trains on a schedule, too: once the champion is so old, and then again and
    again; the result is promoted where it is not worse."""

    on_drift: Literal["ask", "train", "never"] = "ask"
    on_performance: Literal["ask", "train", "never"] = "train"
    min_new_labels: int | None = Field(default=None, ge=1)
    data: str = Field(
        default="accumulate",
        json_schema_extra={"pattern": f"^(accumulate|latest|{_LAST.pattern})$"},
    )
    refresh: Stretch | None = None
    cooldown: Duration = timedelta(days=1)
    max_per_week: int = Field(default=2, ge=1)
    give_up_after: int = Field(default=3, ge=1)

    @field_validator("data")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ("accumulate", "latest") and not _LAST.fullmatch(value):
            raise ValueError(
                f"{value!r} is none of accumulate, latest and last N (rows), such as last 20000"
            )
        return value

    @field_validator("refresh")
    @classmethod
    def _seldom(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value < timedelta(days=1):
            raise ValueError("is shorter than 1d; the guard lets two trainings a week pass anyway")
        return value

    @property
    def last_rows(self) -> int | None:
        """N of `last N`."""
        match = _LAST.fullmatch(self.data)
        return int(match[1]) if match else None
