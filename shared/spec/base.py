"""What every part of a spec is made of: closed models and durations."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from shared.serving.times import format_duration, parse_duration

LONGEST = timedelta(days=36500)  # a longer one, added to a date, soon leaves the calendar


def _within(value: timedelta) -> timedelta:
    if value > LONGEST:
        raise ValueError(f"is longer than {format_duration(LONGEST)}; write a shorter one")
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    AfterValidator(_within),
    PlainSerializer(format_duration, return_type=str),
]


def _positive(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("is 0; write a stretch of time such as 30m or 1d")
    return value


Stretch = Annotated[Duration, AfterValidator(_positive)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
