"""A move whose size one window of few rows shows poorly is seen over several in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from shared.tabular.alarms import Alarm, settle
from shared.tabular.column_drift import ColumnDrift
from shared.tabular.lasting import with_earlier
from shared.tabular.season import Column, Season, Window
from tests.bench.simulate_alarms import USUAL, shifted
from tests.unit.monitoring.test_season import judged, told
from tests.unit.monitoring.test_statistics import draw_rows, reference_of

WEEK_AGO: list[Window] = [{}]


def column(value: float, **other: Any) -> ColumnDrift:
    base = ColumnDrift("age", "number", value, 0.1, 0.0, 1000, value >= 0.1, "", sure=True)
    return replace(base, **other)


def season(*earlier: ColumnDrift | Column, alike: Sequence[Window] = WEEK_AGO) -> Season:
    """The windows before, newest first."""
    found = [asdict(item) if isinstance(item, ColumnDrift) else item for item in earlier]
    return Season(alike, [{("feature", "age"): item} for item in found])


def test_windows_that_wobble_around_the_threshold_are_one_move() -> None:
    """Under the threshold now, above it on average of three: drifted, and said with the average."""
    found = with_earlier(column(0.08), season(column(0.19), column(0.06)), 3)
    assert found.lasting == pytest.approx(0.11)
    assert found.drifted
    assert found.lasts
    assert found.measured == "PSI 0.11 on average of several windows"
    assert found.far == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("now", "past", "windows"),
    [
        (column(0.08), season(column(0.12), column(0.06)), 3),  # 0.087 on average
        (column(0.09), season(column(0.4), column(0.04)), 3),  # one of them hardly moved
        (column(0.04), season(column(0.4), column(0.4)), 3),  # it is over
        (column(0.09), season(column(0.4), column(0.4, sure=False)), 3),
        (column(0.09, sure=False), season(column(0.4), column(0.4)), 3),
        (column(0.09), season(column(0.4)), 3),  # the first two windows
        (column(0.09), season(column(0.4), column(0.4), alike=[]), 3),  # weekends are unknown
        (column(0.09), season(column(0.4), column(0.4, season=0.02)), 3),  # it was in its season
        (column(0.09), season(column(0.4), column(0.4, statistic="js")), 3),
        (column(0.09), season(column(0.4), {}), 3),
        (column(0.09), season(column(0.4), column(0.4)), 1),  # every window counts for itself
        (column(0.09), None, 3),
    ],
)
def test_what_does_not_last(now: ColumnDrift, past: Season | None, windows: int) -> None:
    """Each window must show the move surely and by half the threshold, and all on average."""
    found = with_earlier(now, past, windows)
    assert not found.lasts
    assert not found.drifted


def test_reports_of_older_versions_count_where_they_say_drifted() -> None:
    """They do not say what was sure."""
    old = {key: value for key, value in asdict(column(0.2)).items() if key not in ("sure", "role")}
    assert with_earlier(column(0.09), season({**old, "drifted": True}, column(0.06)), 3).lasts
    assert not with_earlier(column(0.09), season({**old, "drifted": False}, column(0.06)), 3).lasts


def test_a_lasting_move_of_one_column_drifts_and_ends() -> None:
    """A column alone that stays a little over the threshold is chance in one window, drift in the
    third, and over with the first window that is as the training was."""
    rng = np.random.default_rng(15)
    reference = reference_of(draw_rows(rng, 8000), rng)
    past = [told(judged(reference, rng, 0.0, Season([], []))) for _ in range(7)]
    found = []
    for shift in (0.36, 0.36, 0.36, 0.0):
        known = Season([past[6]], past[:6])
        found.append(judged(reference, rng, shift, known, windows=3))
        past.insert(0, told(found[-1]))
    assert [item.verdict for item in found] == ["stable", "stable", "drifted", "stable"]
    assert found[2].causes == found[2].lasting == ("n0",)
    assert "n0 went far" in found[2].sentence


def test_a_lasting_breach_needs_no_other_window() -> None:
    """It has seen all of them already, though none was a breach by itself."""

    def firing(lasting: bool) -> bool:
        alarm = settle(
            True,
            [Alarm(False), Alarm(False)],
            incident_id="i",
            window_start="s",
            persistence=(2, 3),
            causes=["age"],
            lasting=lasting,
        )
        return alarm.firing

    assert firing(True)
    assert not firing(False)


def test_a_column_that_was_near_a_week_ago_has_no_season() -> None:
    """Few rows may stray the same way by chance: only what was away returns."""
    at = ("feature", "age")
    between = [{at: asdict(column(0.01))} for _ in range(6)]

    def week_ago(value: float) -> Window:
        return {at: asdict(column(value, counts=(400, 600), worth=500.0))}

    assert Season([week_ago(0.04)], between).counts_of(at, 2) is None
    away = Season([week_ago(0.04), week_ago(0.08)], between).counts_of(at, 2)
    assert away is not None
    assert away.tolist() == [400, 600]


@pytest.mark.parametrize("number", [1, 45])
def test_what_single_windows_miss_alarms_within_three(number: int) -> None:
    """A year's stream as monitoring judges it, rows that resemble each other: PSI 0.2 on a column
    that was in breach by itself once in three days. The first is away on average on the third day,
    the second goes far on that day for the first time."""
    assert shifted("strongly autocorrelated", "one feature", USUAL, (1, 1, 3, number)) == (
        3,
        "drift",
    )
