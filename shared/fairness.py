"""Where a pass over everything begins, so that what it has no time for is not the same each time.

A pass goes through its names from some place on, once around. The places follow from the time alone
and need no memory: the golden ratio's multiples lie as evenly as points that come one by one can
(the three-distance theorem), so passes that reach one name in k each have been everywhere after
about 2.6 k of them. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeVar

T = TypeVar("T")

_BITS = 64
_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio


def turn_of(now: datetime, every: timedelta) -> int:
    """The number of the pass, where there is one in each stretch of time."""
    return int(now.timestamp() // every.total_seconds())


def rotated(names: Sequence[T], turn: int) -> list[T]:
    """All names, from the place on where this turn begins."""
    start = (turn * _GOLDEN % 2**_BITS) * len(names) >> _BITS
    return [*names[start:], *names[:start]]
