"""What every `ports.Clock` promises."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.adapters.memory import FixedClock
from shared.adapters.system_clock import SystemClock
from shared.ports import Clock


@pytest.mark.parametrize("clock", [SystemClock(), FixedClock()])
def test_times_are_aware_utc(clock: Clock) -> None:
    """Times know that they are UTC and do not run backwards."""
    first, second = clock.now(), clock.now()
    assert first.utcoffset() == timedelta(0)
    assert first <= second
