"""Weekends, neighbours that are alike, and chance that hits another column each time: no alarms."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from shared.events import DriftDetected
from shared.tabular.alarms import Alarm, settle
from shared.tabular.distances import design_effect
from shared.tabular.drift import Drift, judge_drift
from shared.tabular.measures import Measures
from shared.tabular.season import Column, Key, Season, window_of
from shared.usecases.monitor import judge_window
from tests.unit.monitoring.test_statistics import draw_rows, reference_of
from tests.unit.monitoring.world import DAY, MONDAY, World, spec_of, window

WEEKENDS = (5, 6)


def judged(
    reference: dict[str, Any],
    rng: np.random.Generator,
    shift: float,
    season: Season,
    windows: int = 1,
) -> Drift:
    columns = draw_rows(rng, 1000)
    columns["n0"] = columns["n0"] + shift
    return judge_drift(
        reference,
        columns,
        rng.random(1000),
        None,
        measures=Measures(0.1),
        drift_share=0.25,
        min_rows=200,
        season=season,
        windows=windows,
    )


def told(found: Drift) -> dict[Key, Column]:
    return window_of(asdict(found))


def test_a_column_that_comes_and_goes_with_the_week_is_in_its_season() -> None:
    """Moved against the training, but as it was a week ago and near the training in between:
    stable. Moved further than a week ago: drifted."""
    rng = np.random.default_rng(3)
    reference = reference_of(draw_rows(rng, 8000), rng)
    unknown = Season([], [])
    last_weekend = judged(reference, rng, 0.8, unknown)
    weekdays = [told(judged(reference, rng, 0.0, unknown)) for _ in range(6)]
    assert last_weekend.verdict == "drifted"
    season = Season([told(last_weekend)], weekdays)
    again = judged(reference, rng, 0.8, season)
    assert again.verdict == "stable"
    (n0,) = [item for item in again.columns if item.column == "n0"]
    assert n0.moved
    assert n0.season is not None
    assert n0.season < 0.1
    assert again.in_season
    assert "n0 as at this time of earlier weeks" in again.sentence
    assert judged(reference, rng, 1.6, season).causes == ("n0",)


def test_what_moved_and_stayed_is_no_season_of_itself() -> None:
    """A week after a lasting shift the window is as a week ago, and drifted all the same."""
    rng = np.random.default_rng(4)
    reference = reference_of(draw_rows(rng, 8000), rng)
    days = [told(judged(reference, rng, 0.8, Season([], []))) for _ in range(7)]
    assert judged(reference, rng, 0.8, Season(days[:1], days[1:])).verdict == "drifted"


def test_rows_like_their_neighbours_are_worth_fewer() -> None:
    """Independent rows are worth about themselves; runs of ten equal rows a tenth."""
    rng = np.random.default_rng(5)
    alone = [design_effect(rng.integers(0, 10, 2000), 10) for _ in range(20)]
    assert float(np.mean(alone)) == pytest.approx(1.0, abs=0.1)
    runs = [design_effect(np.repeat(rng.integers(0, 10, 200), 10), 10) for _ in range(20)]
    assert float(np.mean(runs)) == pytest.approx(10.0, rel=0.15)


def test_a_sorted_file_still_shows_a_strong_drift() -> None:
    """Rows sorted by a column look alike to their neighbours; the column is judged nevertheless."""
    rng = np.random.default_rng(6)
    reference = reference_of(draw_rows(rng, 8000), rng)
    columns = draw_rows(rng, 1000)
    columns["n0"] = np.sort(columns["n0"] + 0.8)
    found = judge_drift(
        reference,
        columns,
        rng.random(1000),
        None,
        measures=Measures(0.1),
        drift_share=0.25,
        min_rows=200,
    )
    assert found.causes == ("n0",)


def test_an_alarm_needs_the_same_cause_again() -> None:
    """Two windows in breach for different columns are chance; for the same one they are an alarm.
    An older alarm that names no cause counts."""

    def firing(before: Alarm, *causes: str) -> bool:
        return settle(
            True,
            [before],
            incident_id="i",
            window_start="s",
            persistence=(2, 3),
            causes=causes,
        ).firing

    assert not firing(Alarm(True, causes=("age",)), "job")
    assert firing(Alarm(True, causes=("age", "town")), "job", "town")
    assert firing(Alarm(True), "job")
    assert firing(Alarm.from_json({"breach": True}), "job")
    kept = Alarm.from_json(replace(Alarm(True), causes=("age",)).to_json())
    assert not firing(kept, "job")


@pytest.mark.parametrize(("days", "alarms"), [(WEEKENDS, 0), (range(3, 7), 1)])
def test_weekends_alarm_nobody_not_even_the_first(days: Any, alarms: int) -> None:
    """Three weeks in which two days a week are another mix of people: silence from the first
    weekend on. Where more than a weekend is strange at once, the first week says so."""
    made = World(spec_of(monitoring={"persistence": [2, 3]}))
    made.ports = replace(made.ports, draw=lambda *_, **__: None)
    for day in range(21 if not alarms else 7):
        made.score(400, shift=1.0 if day % 7 in days else 0.0, seed=day)
        made.clock.advance_to(MONDAY + DAY * (day + 1))
        judge_window(window(MONDAY + DAY * day, timedelta(days=1)), made.ports)
    opened = [alert for alert in made.alerts() if isinstance(alert, DriftDetected)]
    assert len({alert.opened_by for alert in opened}) == alarms


def test_a_weekend_in_season_ends_no_drift_that_was_there() -> None:
    """Drift begins on a Thursday and alarms on Friday; the weekend looks as weekends do, which is
    no judgement: nobody is told that it is over."""
    made = World(spec_of(monitoring={"persistence": [2, 3]}))
    made.ports = replace(made.ports, draw=lambda *_, **__: None)
    for day in range(14):
        shift = 1.0 if day % 7 in WEEKENDS else 0.8 if day >= 10 else 0.0
        made.score(400, shift=shift, seed=day)
        made.clock.advance_to(MONDAY + DAY * (day + 1))
        verdict = judge_window(window(MONDAY + DAY * day, timedelta(days=1)), made.ports)
    assert verdict == "stable"
    assert {type(alert) for alert in made.alerts()} == {DriftDetected}
