"""The trend page and the window's input statistics: offline, escaped, for people."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from shared import documents, paths
from shared.reporting.trend import trend_page
from shared.serving.columns import Columns
from shared.usecases.monitor import judge_window
from tests.unit.monitoring.world import HOUR, MODEL, MONDAY, World, spec_of, window

EVIL = "</script><script>alert(1)</script>"


def lived(hours: int, **more: Any) -> World:
    """So many judged windows, each a little further from the training."""
    made = World(spec_of(**more))
    made.ports = replace(made.ports, draw=lambda *_, **__: None)
    for hour in range(hours):
        made.score(300, shift=hour * 0.3, seed=hour, change=_poison)
        made.clock.advance_to(MONDAY + HOUR * (hour + 1))
        judge_window(window(MONDAY + HOUR * hour), made.ports)
    return made


def _poison(columns: Columns) -> None:
    columns["town"][:5] = EVIL


def page_of(made: World) -> str:
    return made.lake.read(paths.reports(MODEL, "batch", "", "trend.html")).data.decode()


def test_every_judgement_writes_the_page_of_the_channel_anew() -> None:
    """It has a row per window, the newest first, figures with thresholds, and says what alarms."""
    page = page_of(lived(4))
    starts = [page.index(f">2026-01-05{at}</td>") for at in (" 03:00", " 02:00", " 01:00", "")]
    assert starts == sorted(starts)
    assert page.count("<svg") >= 4
    assert "stroke-dasharray" in page
    assert "Open alarms: data quality since 2026-01-05; drift since 2026-01-05 01:00." in page


def test_an_alarm_is_open_until_a_judgement_ends_it() -> None:
    """Headline and rows agree with the messages: a window that merely looks as it did at this time
    of earlier weeks, or has too few rows, leaves the alarm open; one in bounds ends it."""
    open_since = {"breach": True, "firing": True, "since": "2026-01-05T00:00:00Z"}
    none = {"breach": None, "firing": False}
    over = {"breach": False, "firing": False, "resolves": "i"}
    first = {"breach": True, "firing": False}

    def told(*states: dict[str, Any]) -> str:
        windows = [
            {
                "window": {"start": f"2026-01-0{5 + day}T00:00:00Z", "end": f"2026-01-0{6 + day}"},
                "verdict": "stable",
                "rows": 300,
                "alarms": {"drift": state},
                "trend": {"in_season": state is none},
            }
            for day, state in enumerate(states)
        ]
        return trend_page("m", "batch", windows)

    page = told(first, open_since, none)
    assert "Open alarms: drift since 2026-01-05 (no judgement on it in the newest window)" in page
    assert "stable, in season" in page
    assert page.index("drift (still open)") < page.index("drift (first sign)")
    assert "No alarm is open." in told(open_since, none, over)
    assert "drift over" in told(open_since, over)
    assert "No alarm is open." in told(first, none)


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    """Names and values from files are text."""
    page = page_of(lived(2))
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "default-src 'none'" in page


def test_windows_of_before_the_page_have_gaps() -> None:
    """A latest.json of an older version has no facts for it: the window is listed all the same."""
    made = lived(2)
    (folder, *_) = made.lake.folders(paths.reports(MODEL, "batch"))
    name = f"{folder}latest.json"
    old = documents.read(made.lake, name)
    body = {
        key: value for key, value in old.body.items() if not key.startswith(("trend", "drift_"))
    }
    documents.swap(made.lake, name, body, generation=old.generation)
    made.score(300, seed=9)
    made.clock.advance_to(MONDAY + HOUR * 3)
    judge_window(window(MONDAY + HOUR * 2), made.ports)
    assert page_of(made).count("</tr>") == 4


def test_the_inputs_of_a_window_are_there_in_numbers() -> None:
    """input_stats_<date>.json: means, quantiles and levels per version and column."""
    made = lived(1)
    name = paths.reports(
        MODEL, "batch", "20260105T000000Z_20260105T010000Z", "input_stats_2026-01-05.json"
    )
    stats = json.loads(made.lake.read(name).data)
    (version,) = stats["versions"]
    assert (version["rows"], version["refused"]) == (300, 0)
    assert abs(version["columns"]["age"]["mean"]) < 0.3
    assert version["columns"]["age"]["p5"] < version["columns"]["age"]["p95"]
    assert set(version["columns"]["job"]["levels"]) == {"a", "b", "c"}
    assert 0 < version["score"]["p50"] < 1
