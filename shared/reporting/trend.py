"""How a channel went over its last windows: one page, offline, written anew with every judgement.

What it shows of a window stands in that window's latest.json (`facts_of`), so that only these small
documents are read. Pure; everything from people's files is escaped by the page and the figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.reporting.page import Figures, Grid, Page, Section, Words, as_html
from shared.reporting.svg import ACCENT, SECOND, Axis, Frame, short

WINDOWS = 60
# Columns that are drawn, and that a window tells about: those that moved most.
DRAWN, TOLD = 6, 20

Facts = Mapping[str, Any]


def facts_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of one judged window, of the version with most rows."""
    if not report["versions"]:
        return {"version": "", "rows": 0, "refused": 0}
    item = report["versions"][0]
    drift, performance = item["drift"], item["performance"]
    moved = [(one["column"], one["value"]) for one in drift["columns"] if one["value"] is not None]
    score = next((one for one in drift["predictions"] if one["column"] == "score"), None)
    return {
        "version": item["version"],
        "rows": report["rows"],
        "refused": item["refused"],
        "score": None if score is None else score["value"],
        "columns": {name: round(value, 4) for name, value in moved[:TOLD]},
        "metric": performance["metric"],
        "value": performance["value"],
        "limit": performance["limit"],
    }


def trend_page(model: str, channel: str, windows: Sequence[Mapping[str, Any]]) -> str:
    """`windows` are their latest.json, the oldest first."""
    shown = windows[-WINDOWS:]
    firing = [
        kind.replace("_", " ") for kind, alarm in shown[-1]["alarms"].items() if alarm["firing"]
    ]
    lead = f"Alarms now: {', '.join(firing)}." if firing else "No alarm now."
    return as_html(
        Page(
            title=f"{model}, {channel}",
            subtitle=f"{len(shown)} windows to {shown[-1]['window']['end']}",
            lead=lead,
            facts=(),
            sections=(
                Section("Over time", [Words(_AXES), Figures(dict(_figures(shown)))]),
                Section("Windows", [_table(shown)]),
            ),
        )
    )


_AXES = (
    "Every point is a window, the newest on the right. Dashed lines are thresholds. A window that "
    "could not be judged has no point."
)


def _figures(shown: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    facts = [window.get("trend", {}) for window in shown]
    threshold = _threshold(shown)
    rows = [float(window["rows"]) for window in shown]
    frame = Frame("Rows", _across(shown), Axis("rows", 0.0, max(*rows, 1.0)))
    yield "rows", frame.draw(frame.bars([n - 0.5 for n in range(len(rows) + 1)], rows))
    yield (
        "predictions",
        _line("Predictions", "PSI", [one.get("score") for one in facts], shown, threshold),
    )
    metric = next((one["metric"] for one in reversed(facts) if one.get("metric")), "")
    values = [one.get("value") for one in facts]
    if any(value is not None for value in values):
        limit = next(
            (one["limit"] for one in reversed(facts) if one.get("limit") is not None), None
        )
        yield "performance", _line("Realised performance", metric, values, shown, limit)
    for number, name in enumerate(_most_moved(facts)):
        found = [one.get("columns", {}).get(name) for one in facts]
        yield f"column-{number}", _line(short(name, 30), "PSI", found, shown, threshold)


def _most_moved(facts: Sequence[Facts]) -> list[str]:
    """The columns that went farthest in any of the windows."""
    most: dict[str, float] = {}
    for one in facts:
        for name, value in one.get("columns", {}).items():
            most[name] = max(value, most.get(name, 0.0))
    return sorted(most, key=lambda name: (-most[name], name))[:DRAWN]


def _line(
    title: str,
    label: str,
    values: Sequence[float | None],
    shown: Sequence[Mapping[str, Any]],
    limit: float | None,
) -> str:
    known = [(float(place), value) for place, value in enumerate(values) if value is not None]
    heights = [value for _, value in known] + ([] if limit is None else [limit])
    high = max(heights, default=1.0)
    low = 0.0 if label == "PSI" else min(heights, default=0.0)
    room = (high - low or abs(high) or 1.0) * 0.08
    frame = Frame(
        title, _across(shown), Axis(label, low - (0 if label == "PSI" else room), high + room)
    )
    marks = []
    if limit is not None:
        ends = (frame.x.low, frame.x.high)
        marks.append(frame.line(ends, (limit, limit), SECOND, dash="4 3", width=1))
    xs, ys = [x for x, _ in known], [y for _, y in known]
    if len(known) > 1:
        marks.append(frame.line(xs, ys, ACCENT, width=1))
    marks.append(frame.dots(xs, ys, radius=2))
    return frame.draw(*marks)


def _across(shown: Sequence[Mapping[str, Any]]) -> Axis:
    first, last = shown[0]["window"]["start"][:10], shown[-1]["window"]["start"][:10]
    return Axis(f"windows, {first} to {last}", -0.5, len(shown) - 0.5)


def _threshold(shown: Sequence[Mapping[str, Any]]) -> float | None:
    return next(
        (one["drift_threshold"] for one in reversed(shown) if "drift_threshold" in one), None
    )


def _table(shown: Sequence[Mapping[str, Any]]) -> Grid:
    rows = []
    for window in reversed(shown):
        facts = window.get("trend", {})
        alarms = [
            kind.replace("_", " ") + ("" if alarm["firing"] else " (first sign)")
            for kind, alarm in window["alarms"].items()
            if alarm["breach"]
        ]
        moved = list(facts.get("columns", {}).items())[:1]
        rows.append(
            [
                window["window"]["start"],
                window["verdict"],
                f"{window['rows']:,}",
                _number(facts.get("score")),
                ", ".join(f"{short(name, 24)} {value:.2f}" for name, value in moved),
                _number(facts.get("value")),
                ", ".join(alarms),
            ]
        )
    head = ["from", "verdict", "rows>", "PSI of predictions>", "moved most", "realised>", "breach"]
    return Grid(head, rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
