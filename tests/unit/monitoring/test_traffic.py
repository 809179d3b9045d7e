"""Rows, labels and units that are not what they were; weekends and mere drift are fine."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from shared.events import DataQualityBroken, DataQualityRestored
from shared.tabular.profile import number_profile
from shared.tabular.traffic import expects_rows, judge_arrivals, judge_volume
from shared.tabular.units import unit_jump
from shared.usecases.monitor import judge_window
from shared.usecases.monitoring.due import find_due
from tests.unit.monitoring.world import DAY, HOUR, MONDAY, World, spec_of

# --- volume --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "weeks", "broken"),
    [
        (400, [1000, 900], True),
        (600, [1000, 900], False),
        (0, [1000, 900, 0, 800], True),
        (3000, [1000, 900], False),
        (4100, [1000, 900], True),
        (11, [24, 24], False),  # half as many as usual, by chance
        (2, [30, 30], True),
    ],
)
def test_rows_are_held_against_the_same_time_of_earlier_weeks(
    rows: int, weeks: list[int], broken: bool
) -> None:
    """Under half of the least, over four times the most, and not by chance."""
    found = judge_volume(rows, weeks)
    assert found is not None
    assert found.broken is broken


@pytest.mark.parametrize("weeks", [[], [1000], [5, 5, 5], [0, 900, 0, 900]])
def test_what_is_not_usual_is_not_missed(weeks: list[int]) -> None:
    """A week or less of history, a handful of rows, every other week: nothing is said."""
    assert not expects_rows(weeks)
    assert judge_volume(0, weeks) is None


def quiet_world() -> World:
    made = World(spec_of(monitoring={"persistence": [2, 3]}))
    made.ports = replace(made.ports, draw=lambda *_, **__: None)
    return made


def live(made: World, day: int, rows: int) -> int:
    """A day with so many rows, then its tick; how many windows were due."""
    made.clock.advance_to(MONDAY + DAY * day + 9 * HOUR)
    if rows:
        made.score(rows, seed=day)
    made.clock.advance_to(MONDAY + DAY * (day + 1) + 2 * HOUR)
    due = find_due(made.clock.now(), made.ports)
    for event in due:
        judge_window(event, made.ports)
    return len(due)


def test_predictions_that_stop_are_noticed_and_weekends_are_not() -> None:
    """Three weeks of working days with empty weekends: silence. Then nothing comes on Monday and
    Tuesday: one alarm, which ends when rows come again."""
    made = quiet_world()
    for day in range(21):
        assert live(made, day, 0 if day % 7 >= 5 else 250) == (0 if day % 7 >= 5 else 1)
    assert made.alerts() == []
    assert live(made, 21, 0) == 1
    assert made.alerts() == []
    assert live(made, 22, 0) == 1
    (alert,) = made.alerts()
    assert isinstance(alert, DataQualityBroken)
    assert "no predictions, 250 are usual here" in alert.sentence
    assert alert.findings[0] | {"change": ""} == {
        "what": "volume",
        "value": 0.0,
        "reference": 250.0,
        "threshold": 125.0,
        "change": "",
    }
    live(made, 23, 250)
    assert isinstance(made.alerts()[-1], DataQualityRestored)


def test_a_model_that_is_no_longer_asked_is_forgotten() -> None:
    """It was new and stays silent: after a week without a row its windows are no longer due."""
    made = quiet_world()
    for day in range(14):
        live(made, day, 250)
    assert [live(made, day, 0) for day in range(14, 35)] == [1] * 7 + [0] * 14


# --- labels --------------------------------------------------------------------------------------


def test_labels_that_stop_are_noticed_after_twice_their_longest_pause() -> None:
    """They came on working days; a weekend is no pause, nine days are one."""
    days = [MONDAY + DAY * day for day in range(19) if day % 7 < 5]
    for silent, broken in ((3, False), (6, False), (9, True)):
        found = judge_arrivals(days, days[-1] + DAY * silent)
        assert found is not None
        assert found.broken is broken


def test_labels_that_never_came_regularly_are_not_missed() -> None:
    """Three files on three days are no habit; files after the window are not known yet."""
    days = [MONDAY + DAY * day for day in range(3)]
    assert judge_arrivals(days, MONDAY + 30 * DAY) is None
    assert judge_arrivals([MONDAY + DAY * day for day in range(9)], MONDAY + 2 * DAY) is None


# --- units ---------------------------------------------------------------------------------------

INCOME = np.random.default_rng(1).lognormal(10, 0.6, 5000)
HEAT = np.random.default_rng(2).normal(60, 15, 5000)


@pytest.mark.parametrize(
    ("before", "factor", "offset", "what"),
    [
        (INCOME, 1000.0, 0.0, "1000 times what it was"),
        (INCOME, 0.01, 0.0, "a 100th of what it was"),
        (INCOME, 1 / 2.54, 0.0, "a 2.54th of what it was"),
        (HEAT, 5 / 9, -160 / 9, "Celsius instead of Fahrenheit"),
        (np.where(np.arange(5000) % 10 < 8, 0.0, INCOME), 1000.0, 0.0, "1000 times what it was"),
    ],
)
def test_a_change_of_units_is_named(
    before: np.ndarray, factor: float, offset: float, what: str
) -> None:
    """Rows of the reference's distribution in another unit, also where most are 0."""
    rows = np.random.default_rng(3).choice(before, 1000)
    found = unit_jump(number_profile(before), rows * factor + offset)
    assert found is not None
    assert found.what == what


@pytest.mark.parametrize("factor", [1.0, 1.3, 1.8, 2.0, 3.0, 5.0])
def test_what_merely_moved_is_no_change_of_units(factor: float) -> None:
    """Prices may rise, even by a lot."""
    rows = np.random.default_rng(4).choice(INCOME, 1000) * factor
    assert unit_jump(number_profile(INCOME), rows) is None


def test_a_window_in_another_unit_is_broken_data() -> None:
    """The alert names the column and what it looks like, and no retraining follows from it."""
    made = World(spec_of())
    made.ports = replace(made.ports, draw=lambda *_, **__: None)
    made.score(change=lambda columns: columns.update(age=columns["age"] * 1000))
    made.clock.advance_to(MONDAY + timedelta(days=1, hours=2))
    (event,) = find_due(made.clock.now(), made.ports)
    judge_window(event, made.ports)
    (alert,) = [item for item in made.alerts() if isinstance(item, DataQualityBroken)]
    assert "age: another unit? It is as if it were 1000 times what it was" in alert.sentence
