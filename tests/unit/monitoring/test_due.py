"""Which windows a tick finds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.events import WindowDue
from shared.usecases.monitor import judge_window
from shared.usecases.monitoring.due import closed_windows, find_due
from tests.support.crashing import Crash, Fuse
from tests.unit.monitoring.world import DAY, HOUR, MONDAY, World, spec_of, window


def world(**monitoring: object) -> World:
    made = World(spec_of(monitoring=monitoring))
    made.ports = replace(made.ports, draw=lambda *_, **__: None)
    return made


def tick(made: World) -> list[tuple[str, object, object]]:
    due = find_due(made.clock.now(), made.ports)
    return [(event.channel, event.window_start, event.window_end) for event in due]


def test_closed_windows_start_on_multiples_and_respect_the_grace() -> None:
    """A day's windows are UTC days; one counts as closed a grace after its end."""
    before = closed_windows(MONDAY + timedelta(minutes=59), DAY, HOUR)
    assert before[-1] == (MONDAY - 2 * DAY, MONDAY - DAY)
    after = closed_windows(MONDAY + HOUR, DAY, HOUR)
    assert after[-1] == (MONDAY - DAY, MONDAY)
    assert len(after) == 7


def test_short_windows_are_looked_for_between_two_ticks() -> None:
    """Five-minute windows between hourly ticks are not lost."""
    found = closed_windows(MONDAY + HOUR, timedelta(minutes=5), timedelta(0))
    assert found[0][0] <= MONDAY - HOUR


def test_a_tick_finds_unjudged_windows_with_predictions_of_both_channels() -> None:
    """Batch and online windows apart; windows without predictions are not due."""
    made = world()
    made.score()
    made.clock.advance(DAY)
    made.ask_online(10)
    made.clock.advance(DAY + HOUR)
    assert tick(made) == [
        ("batch", MONDAY, MONDAY + DAY),
        ("online", MONDAY + DAY, MONDAY + 2 * DAY),
    ]


def test_judged_windows_are_not_due_again() -> None:
    """After judging, the next tick has nothing to do; the published events were WindowDue."""
    made = world()
    made.score()
    made.clock.advance(DAY + HOUR)
    (event,) = find_due(made.clock.now(), made.ports)
    assert made.events(WindowDue) == [event]
    judge_window(event, made.ports)
    assert tick(made) == []


def test_after_an_outage_the_last_seven_windows_are_caught_up() -> None:
    """Ten days without a tick: the seven newest windows are due, oldest first."""
    made = world()
    for _ in range(10):
        made.score(30)
        made.clock.advance(DAY)
    made.clock.advance(HOUR)
    due = tick(made)
    assert [start for _, start, _ in due] == [MONDAY + DAY * day for day in range(3, 10)]


def test_new_labels_make_judged_windows_due_even_odd_ones() -> None:
    """Labels arrive: the window they are about is due again, also one asked for by hand with odd
    bounds; windows they are not about are not."""
    made = world()
    made.score(300, seed=1)
    made.clock.advance(DAY)
    run_id, truths = made.score(300, seed=2)
    made.clock.advance(DAY + HOUR)
    for event in find_due(made.clock.now(), made.ports):
        judge_window(event, made.ports)
    odd = window(MONDAY + DAY - timedelta(minutes=7), timedelta(minutes=13))
    judge_window(odd, made.ports)
    assert tick(made) == []
    made.clock.advance(HOUR)
    made.label(run_id, truths)
    assert set(tick(made)) == {
        ("batch", MONDAY + DAY, MONDAY + 2 * DAY),
        ("batch", odd.window_start, odd.window_end),
    }
    for event in find_due(made.clock.now(), made.ports):
        judge_window(event, made.ports)
    assert tick(made) == []


def test_labels_that_come_early_count_when_they_are_old_enough() -> None:
    """Labels recorded before `label_delay` has passed make the window due once it has."""
    made = world(label_delay="3d")
    run_id, truths = made.score(300)
    made.label(run_id, truths)
    made.clock.advance(DAY + HOUR)
    (event,) = find_due(made.clock.now(), made.ports)
    judge_window(event, made.ports)
    assert tick(made) == []
    made.clock.advance(3 * DAY)
    assert tick(made) == [("batch", MONDAY, MONDAY + DAY)]
    assert judge_window(event, made.ports) == "stable"
    assert made.report(event)["revision"] == 1


def test_online_labels_reach_their_window() -> None:
    """Labels by the caller's own prediction ids: the online window is judged again."""
    made = world()
    made.ask_online(300)
    made.clock.advance(DAY + HOUR)
    (event,) = find_due(made.clock.now(), made.ports)
    judge_window(event, made.ports)
    made.clock.advance(HOUR)
    rows = "".join(f"call-{row},yes\n" for row in range(300))
    made.run_labels(made.request_labels("prediction_id,label\n" + rows))
    assert tick(made) == [("online", MONDAY, MONDAY + DAY)]
    judge_window(event, made.ports)
    performance = made.report(event, "report-r1.json")["versions"][0]["performance"]
    assert performance["labelled"] == 300


def test_a_model_without_champion_has_no_windows() -> None:
    """Only served models are watched."""
    made = world()
    made.score()
    made.clock.advance(DAY + HOUR)
    made.lake.delete("serving/m.json")
    assert tick(made) == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_tick_that_dies_is_made_good_by_its_redelivery(after: bool) -> None:
    """Kill find_due at every port call; the redelivery publishes every due window."""
    at = 0
    while True:
        fuse = Fuse(at, after=after)
        made = World(spec_of(), fuse.wrap)
        made.score()
        made.ask_online(10)
        made.clock.advance(DAY + HOUR)
        try:
            find_due(made.clock.now(), made.ports)
        except Crash:
            find_due(made.clock.now(), made.ports)
        if not fuse.blown:
            break
        assert len(made.events(WindowDue)) == 2, f"call {at}: {fuse.trail[at]}"
        at += 1
    assert at > 5
