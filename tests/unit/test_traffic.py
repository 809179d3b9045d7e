"""How much traffic is to be expected, by a sample of the log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared import paths
from shared.adapters.memory import FixedClock, MemoryCloud
from shared.usecases.beside.traffic import OBJECTS, expected_rows
from tests.support.system import memory_cloud

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def cloud(clock: FixedClock) -> MemoryCloud:
    return memory_cloud(clock)


def log(cloud: MemoryCloud, clock: FixedClock, **rows: int) -> None:
    """One object with so many rows of each model, then a minute passes."""
    lines = [
        f'{{"model":"{model}","version":"v","time":"t","prediction_id":"p{row}"}}\n'
        for model, count in rows.items()
        for row in range(count)
    ]
    now = clock.now()
    name = f"{paths.inference_log(now.date())}{now:%H-%M-%S}"
    cloud.lake.write(name, "".join(lines).encode())
    clock.advance(60)


def rows_in(cloud: MemoryCloud, clock: FixedClock, during: timedelta, model: str = "m") -> int:
    return expected_rows(model, during, since=LONG_AGO, now=clock.now(), lake=cloud.lake)


def test_a_models_rows_are_counted_among_those_of_others(
    cloud: MemoryCloud, clock: FixedClock
) -> None:
    """By name, not by what merely begins like it; nothing in an empty log."""
    assert rows_in(cloud, clock, DAY) == 0
    for _ in range(10):
        log(cloud, clock, m=12, mm=30, other=100)
    assert rows_in(cloud, clock, HOUR) == pytest.approx(120, abs=2)
    assert rows_in(cloud, clock, DAY, model="nobody") == 0


def test_a_long_log_is_sampled(cloud: MemoryCloud, clock: FixedClock) -> None:
    """Every object has as many rows, so a part of them tells."""
    for _ in range(3 * OBJECTS):
        log(cloud, clock, m=20, other=20)
    assert rows_in(cloud, clock, HOUR) == pytest.approx(20 * 60, rel=0.05)


def test_traffic_that_has_just_begun_counts(cloud: MemoryCloud, clock: FixedClock) -> None:
    """By its last hour, though the days before had none; and of a model that serves for some
    minutes only, by those."""
    for _ in range(10):
        log(cloud, clock, m=60)
    assert rows_in(cloud, clock, DAY) == pytest.approx(600 * 24, rel=0.05)
    since = clock.now() - timedelta(minutes=10)
    found = expected_rows("m", DAY, since=since, now=clock.now(), lake=cloud.lake)
    assert found == pytest.approx(60 * 60 * 24, rel=0.05)


def test_what_was_days_ago_counts_less_and_less(cloud: MemoryCloud, clock: FixedClock) -> None:
    """Three days are looked back, no more."""
    log(cloud, clock, m=300)
    clock.advance(int(2 * DAY.total_seconds()))
    assert rows_in(cloud, clock, DAY) == pytest.approx(100, rel=0.1)
    clock.advance(int(2 * DAY.total_seconds()))
    assert rows_in(cloud, clock, DAY) == 0
