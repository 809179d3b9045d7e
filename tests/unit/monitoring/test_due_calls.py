"""What a tick costs: listings by model, bodies only where they are needed, the log read once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from shared import documents, paths
from shared.usecases.monitor import judge_window
from shared.usecases.monitoring.due import find_due
from shared.usecases.monitoring.rows import window_folder
from shared.usecases.monitoring.season import EMPTY
from tests.support.counting import Counted
from tests.unit.monitoring.world import DAY, HOUR, MODEL, MONDAY, World, spec_of

MODELS = 50
# Its spec, scored runs, label files and what was judged in both channels.
LISTINGS, READS = 5, 1


def world() -> World:
    made = World(spec_of())
    made.ports = replace(made.ports, draw=lambda *_, **__: None)
    return made


def tick(made: World) -> tuple[int, Counted]:
    """How many windows are due, and what finding them asked of the lake."""
    lake = Counted(made.lake)
    ports = replace(made.ports, lake=lake)
    return len(find_due(made.clock.now(), ports)), lake


def multiply(made: World, models: int = MODELS) -> None:
    """All that there is of the model, under other names, so that there are so many."""
    there = [(info.name, made.lake.read(info.name).data) for info in list(made.lake.list())]
    for number in range(1, models):
        for name, data in there:
            parts = name.split("/")
            if MODEL in parts or f"{MODEL}.json" in parts:
                other = "/".join(
                    {MODEL: f"m{number}", f"{MODEL}.json": f"m{number}.json"}.get(part, part)
                    for part in parts
                )
                made.lake.write(other, data.replace(b'"model": "m"', b'"model": "m%d"' % number))


def lived(models: int) -> World:
    """A day of predictions and labels of each model, judged."""
    made = world()
    run_id, truths = made.score(220, seed=3)
    made.label(run_id, truths)
    if models > 1:
        multiply(made)
    made.clock.advance(DAY + HOUR)
    due = find_due(made.clock.now(), made.ports)
    assert len(due) == models
    for event in due:
        judge_window(event, made.ports)
    made.clock.advance(3 * HOUR)
    return made


def test_a_quiet_tick_asks_a_fixed_number_of_things_of_each_of_fifty_models() -> None:
    """Nothing is due: no body of a prediction, report or label file is read, no log is opened."""
    made = lived(MODELS)
    due, lake = tick(made)
    assert due == 0
    assert lake.of("list") + lake.of("folders") <= MODELS * LISTINGS + 1
    assert lake.of("read") <= MODELS * READS
    assert lake.of("read", "predictions/") == lake.of("read", "reports/") == 0
    assert lake.of("open_reader") == lake.of("write") == 0


def test_a_long_history_costs_no_more_calls() -> None:
    """Sixty windows that were judged long ago, and nothing new about them: as many calls as one."""
    made = lived(1)
    tick(made)
    _, before = tick(made)
    summary = paths.reports(MODEL, "batch", window_folder(MONDAY, MONDAY + DAY), "latest.json")
    body = documents.require(made.lake, summary)
    for back in range(1, 60):
        start = MONDAY - back * DAY
        folder = window_folder(start, start + DAY)
        documents.create(made.lake, paths.reports(MODEL, "batch", folder, "latest.json"), body)
    _, after = tick(made)
    assert after.calls.total() == before.calls.total()


def test_the_log_is_read_once_for_fifty_models_and_left_when_all_is_known() -> None:
    """Each object at most once, however many models ask; those written before the windows in
    question are not opened, nor any after the last answer that was looked for."""
    made = world()
    made.ask_online(20)
    made.clock.advance(DAY)
    for number in range(1, MODELS):
        made.ask_online(5, model=f"m{number}")
    made.clock.advance(DAY + HOUR)
    multiply(made)
    due, lake = tick(made)
    assert due == MODELS
    opened = {name: count for (how, name), count in lake.calls.items() if how == "open_reader"}
    assert max(opened.values()) == 1
    for number in range(MODELS):  # as if they had been judged
        model = f"m{number}" if number else MODEL
        for back in range(7):
            folder = window_folder(MONDAY + (1 - back) * DAY, MONDAY + (2 - back) * DAY)
            documents.create(made.lake, paths.reports(model, "online", folder, EMPTY), {})
    made.ask_online(5)
    made.clock.advance(DAY)
    _, later = tick(made)
    assert later.of("open_reader") == 1


def test_the_end_of_a_run_is_read_only_where_it_may_be_on_either_side() -> None:
    """A run begun and written well within a window is of it by its name and date; one that was
    written about when the window ended is opened, and counted where it finished."""
    made = world()
    made.clock.advance(12 * HOUR)
    made.score(30, seed=1)
    made.clock.advance_to(MONDAY + DAY - timedelta(minutes=1))
    made.score(30, seed=2)
    made.clock.advance(DAY + HOUR)
    due, lake = tick(made)
    assert due == 1
    assert lake.of("read", "predictions/") <= 1
