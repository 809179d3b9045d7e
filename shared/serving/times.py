"""One moment: the seconds that a date or time of a file or of JSON stands for.

Dates are ISO 8601: `2026-01-31`, `2026-01-31T08:00`, `2026-01-31 08:00:00.5`, each time with an
offset (`Z`, `UTC`, `+01:00`) or without one, which means UTC; a date alone is its first moment.

Refused on purpose: `31/01/2026` (day or month first?), and numbers, as JSON or as text (seconds,
milliseconds, or the day 20260131?). Python's standard library only: jobs and the predictor share
this.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container
from datetime import UTC, datetime, timedelta

from shared.serving.cells import MISSING, BadCell

RULE = "must be a date or time such as 2026-01-31 or 2026-01-31T08:00:00Z"
_SHAPE = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ](?P<time>(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?)"
    r"(?:[.,](?P<part>[0-9]{1,9}))?"
    r"(?P<offset> ?(?:[Zz]|UTC|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9]))?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def moment_of(value: object, missing: Container[str] = MISSING) -> float:
    """Seconds since 1970-01-01T00:00:00Z, exact to the microsecond; NaN for a missing value.

    Args:
        value: A text, a `datetime`, or a missing value (None, NaN, "", a marker).
        missing: Texts that mean "no value".

    Raises BadCell.
    """
    if isinstance(value, str):
        text = value.strip()
        if not text or text in missing:
            return math.nan
        return (_parse(text) - _EPOCH).total_seconds()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return math.nan
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return (aware - _EPOCH).total_seconds()
    raise BadCell(RULE, "time")


def text_of(moment: float) -> str:
    """The moment as a text that `moment_of` reads: `2026-01-31T08:00:00Z`."""
    found = datetime.fromtimestamp(moment, UTC).isoformat()
    return found.removesuffix("+00:00") + "Z"


def before(moment: float, seconds: int) -> float:
    """The moment so many seconds earlier: the very float that `moment_of` gives for it, which a
    difference of floats is not always."""
    return (round(moment * 1_000_000) - seconds * 1_000_000) / 1_000_000


def parse_duration(value: object) -> timedelta:
    """`30s`, `5m`, `24h`, `7d` or 0. Raises ValueError."""
    if isinstance(value, timedelta):
        return value
    if value == 0:
        return timedelta(0)
    match = re.fullmatch(r"([0-9]{1,18})([smhd])", str(value))
    try:
        if match:
            return timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    except OverflowError:
        pass  # longer than there are years
    raise ValueError(f"{value!r} is no duration; write 30s, 5m, 24h or 7d")


def format_duration(value: timedelta) -> str:
    """The shortest exact form: 86400 s -> `1d`."""
    seconds = int(value.total_seconds())
    for unit in "dhm":
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s"


def _parse(text: str) -> datetime:
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise BadCell(RULE, "time")
    day, time, part, offset = found.group("day", "time", "part", "offset")
    # Digits below a microsecond are cut, as Python's parser cuts them.
    fraction = "" if part is None else "." + part[:6].ljust(6, "0")
    if fraction and time.count(":") == 1:
        raise BadCell(RULE, "time")
    zone = (offset or "").strip()
    zone = "+00:00" if zone.upper() in {"", "Z", "UTC"} else zone
    clock = "00:00" if time is None else time + fraction
    try:
        return datetime.fromisoformat(f"{day}T{clock}{zone}").astimezone(UTC)
    except (ValueError, OverflowError) as error:  # 31 February; before year 1 in UTC
        raise BadCell(f"{RULE}; this day does not exist", "time") from error
