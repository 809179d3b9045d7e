"""How numbers stand on pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.metric_names import figure

KEPT = "\u00a0"  # a blank at which no line ends
_MANY, _HUGE = 1000, 1e12


def number(value: float | None) -> str:
    """A measured value: four places, none for thousands; a dash for nothing."""
    if value is None:
        return "-"
    return _written(value, 4)


def share(value: float | None) -> str:
    """A part of a whole, in percent."""
    if value is None:
        return "-"
    return f"{value:.1%}" if 0 < value < 1 else f"{value:.0%}"


def span(measure: Mapping[str, Any]) -> str:
    """The interval of a measured value."""
    if measure.get("low") is None or measure.get("high") is None:
        return "not known"
    return f"{number(measure['low'])} to {number(measure['high'])}"


def measured(measure: Mapping[str, Any] | None) -> str:
    """A measured value with its interval, short enough for a table."""
    if not measure:
        return "-"
    if measure.get("low") is None or measure.get("high") is None:
        return _short(measure["value"])
    ends = f"({_short(measure['low'])} to {_short(measure['high'])})"
    return f"{_short(measure['value'])} {ends.replace(' ', KEPT)}"


def _short(value: float) -> str:
    return _written(value, 3)


def _written(value: float, places: int) -> str:
    return f"{value:,.0f}" if _MANY <= abs(value) < _HUGE else figure(value, places)


def cell(value: float) -> str:
    """A value as it stands in data."""
    return f"{value:,.6g}"


def about(value: float) -> str:
    """A mean or deviation of such values."""
    return f"{value:,.0f}" if abs(value) >= _MANY else f"{value:.4g}"


def moment(seconds: float) -> str:
    """A time that data are about, from seconds since 1970."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
