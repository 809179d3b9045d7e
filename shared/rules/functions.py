"""The functions that rules and row expressions may call, each for one number and for an array.

One row and many rows give the same bits: + - * / // and the square root are exactly rounded
wherever they run, and logarithms are numpy's for a single number too. numpy is imported where a
value needs it: who only checks a spec does without.

Times are seconds since 1970 in UTC. The calendar is Hinnant's `civil_from_days` in floor divisions
(http://howardhinnant.github.io/date_algorithms.html), which take arrays and numbers alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

# Each with how many values it takes.
FUNCTIONS = {
    "log": 1,
    "log1p": 1,
    "sqrt": 1,
    "abs": 1,
    "min": 2,
    "max": 2,
    "year": 1,
    "month": 1,
    "day": 1,
    "weekday": 1,
    "hour": 1,
}
OF_TIMES = frozenset({"year", "month", "day", "weekday", "hour"})

_DAY = 86_400.0
_HOUR = 3_600.0


class _Date(NamedTuple):
    year: Any
    month: Any
    day: Any


def function(name: str) -> Callable[..., Any]:
    """The function of this name. What is missing (NaN), or not defined, gives NaN or an infinity.
    The caller silences its library's warnings."""
    return _OF_NUMBERS.get(name) or _OF_MOMENTS[name]


def _log(x: Any) -> Any:
    import numpy as np

    if type(x) is float:
        return float(np.log(x)) if x > 0 else math.nan
    return np.log(x)


def _log1p(x: Any) -> Any:
    import numpy as np

    if type(x) is float:
        return float(np.log1p(x)) if x > -1 else math.nan
    return np.log1p(x)


def _sqrt(x: Any) -> Any:
    if type(x) is float:
        return math.sqrt(x) if x >= 0 else math.nan
    import numpy as np

    return np.sqrt(x)


def _smaller(x: Any, y: Any) -> Any:
    if type(x) is type(y) is float:
        return x + y if x != x or y != y else min(x, y)  # noqa: PLR0124  # NaN
    import numpy as np

    return np.minimum(x, y)


def _larger(x: Any, y: Any) -> Any:
    if type(x) is type(y) is float:
        return x + y if x != x or y != y else max(x, y)  # noqa: PLR0124  # NaN
    import numpy as np

    return np.maximum(x, y)


def _date(moment: Any) -> _Date:
    """Year, month and day: eras of 400 years that begin on 1 March."""
    days = moment // _DAY + 719_468
    era = days // 146_097
    of_era = days - era * 146_097
    years = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * years + years // 4 - years // 100)
    march = (5 * of_year + 2) // 153
    month = (march + 2) % 12 + 1
    day = of_year - (153 * march + 2) // 5 + 1
    return _Date(years + era * 400 + (month <= 2), month, day)


_OF_NUMBERS: dict[str, Callable[..., Any]] = {
    "log": _log,
    "log1p": _log1p,
    "sqrt": _sqrt,
    "abs": abs,
    "min": _smaller,
    "max": _larger,
}
_OF_MOMENTS: dict[str, Callable[[Any], Any]] = {
    "year": lambda moment: _date(moment).year,
    "month": lambda moment: _date(moment).month,
    "day": lambda moment: _date(moment).day,
    # 1970-01-01 was a Thursday; 1 is Monday, 7 is Sunday.
    "weekday": lambda moment: (moment // _DAY + 3) % 7 + 1,
    "hour": lambda moment: moment % _DAY // _HOUR,
}
