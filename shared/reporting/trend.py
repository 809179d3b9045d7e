"""How a channel went over its last windows: one page, offline, written anew with every judgement.

What it shows of a window stands in that window's latest.json (`facts_of`), so that only these small
documents are read. Pure; everything from people's files is escaped by the page and the figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.reporting.page import Figures, Grid, Page, Section, Words, as_html
from shared.reporting.svg import ACCENT, SECOND, Axis, Frame, short
from shared.statistic_names import WRITTEN

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
    moved = [one for one in drift["columns"] if one["value"] is not None][:TOLD]
    score = next((one for one in drift["predictions"] if one["column"] == "score"), None)
    return {
        "version": item["version"],
        "rows": report["rows"],
        "refused": item["refused"],
        "score": None if score is None else score["value"],
        "in_season": _in_season(drift),
        "score_by": None if score is None else _measured(score),
        "columns": {one["column"]: round(one["value"], 4) for one in moved},
        "columns_by": {one["column"]: _measured(one) for one in moved},
        "metric": performance["metric"],
        "value": performance["value"],
        "limit": performance["limit"],
    }


def _in_season(drift: Mapping[str, Any]) -> bool:
    """Stable only because columns are as they were at this time of earlier weeks."""
    judged = [*drift["columns"], *drift["predictions"], *filter(None, [drift.get("target")])]
    quieted = any(one.get("season") is not None and not one["drifted"] for one in judged)
    return drift["verdict"] == "stable" and quieted


# Of windows that were judged before there was a choice.
_PSI: Mapping[str, Any] = {"statistic": "psi", "threshold": 0.1}


def _measured(column: Mapping[str, Any]) -> dict[str, Any]:
    return {"statistic": column.get("statistic", "psi"), "threshold": column["threshold"]}


def trend_page(model: str, channel: str, windows: Sequence[Mapping[str, Any]]) -> str:
    """`windows` are their latest.json, the oldest first."""
    shown = windows[-WINDOWS:]
    return as_html(
        Page(
            title=f"{model}, {channel}",
            subtitle=f"{len(shown)} windows to {_moment(shown[-1]['window']['end'])} (UTC)",
            lead=_lead(shown),
            facts=(),
            sections=(
                Section("Over time", [Words(_AXES), Figures(dict(_figures(shown)))]),
                Section("Windows", [Words(_ROWS), _table(shown)]),
            ),
        )
    )


_AXES = (
    "Every point is a window, the newest on the right. Dashed lines are thresholds. A window that "
    "could not be judged has no point."
)
_ROWS = (
    "A first sign is a window out of bounds that is not enough for an alarm yet. An alarm stays "
    "open until a window that can be judged is in bounds again: one with too few rows, or one "
    "that merely looks as it did at this time of earlier weeks, ends none."
)


def _lead(shown: Sequence[Mapping[str, Any]]) -> str:
    """What is open now, by the same rule as messages: a window without a judgement changes
    nothing."""
    found = []
    for kind, alarm in open_alarms(shown).items():
        since = f"since {_moment(alarm['since'])}" if alarm.get("since") else "still"
        now = shown[-1]["alarms"].get(kind, {}).get("breach")
        unjudged = " (no judgement on it in the newest window)" if now is None else ""
        found.append(f"{kind.replace('_', ' ')} {since}{unjudged}")
    return f"Open alarms: {'; '.join(found)}." if found else "No alarm is open."


def open_alarms(windows: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """By kind, the alarm of the newest window that was judged, where that alarms."""
    found: dict[str, Mapping[str, Any]] = {}
    for window in windows:
        for kind, alarm in window["alarms"].items():
            if alarm["firing"]:
                found[kind] = alarm
            elif alarm["breach"] is not None:
                found.pop(kind, None)
    return found


def _figures(shown: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    facts = [window.get("trend", {}) for window in shown]
    rows = [float(window["rows"]) for window in shown]
    frame = Frame("Rows", _across(shown), Axis("rows", 0.0, max(*rows, 1.0)))
    yield "rows", frame.draw(frame.bars([n - 0.5 for n in range(len(rows) + 1)], rows))
    scores = [(one.get("score"), one.get("score_by")) for one in facts]
    yield "predictions", _drift_line("Predictions", scores, shown)
    metric = next((one["metric"] for one in reversed(facts) if one.get("metric")), "")
    values = [one.get("value") for one in facts]
    if any(value is not None for value in values):
        limit = next(
            (one["limit"] for one in reversed(facts) if one.get("limit") is not None), None
        )
        yield "performance", _line("Realised performance", metric, values, shown, limit)
    for number, name in enumerate(_most_moved(facts)):
        found = [
            (one.get("columns", {}).get(name), one.get("columns_by", {}).get(name)) for one in facts
        ]
        yield f"column-{number}", _drift_line(short(name, 30), found, shown)


def _most_moved(facts: Sequence[Facts]) -> list[str]:
    """The columns that went farthest in any of the windows, in thresholds."""
    most: dict[str, float] = {}
    for one in facts:
        for name, value in one.get("columns", {}).items():
            threshold = one.get("columns_by", {}).get(name, _PSI)["threshold"]
            most[name] = max(value / threshold, most.get(name, 0.0))
    return sorted(most, key=lambda name: (-most[name], name))[:DRAWN]


def _drift_line(
    title: str,
    values: Sequence[tuple[float | None, Mapping[str, Any] | None]],
    shown: Sequence[Mapping[str, Any]],
) -> str:
    """By the newest statistic: a value by another one is of another unit and no point."""
    by = next((one for _, one in reversed(values) if one), None)
    statistic = by["statistic"] if by else "psi"
    kept = [value if (one or _PSI)["statistic"] == statistic else None for value, one in values]
    limit = by["threshold"] if by else _threshold(shown)
    return _line(title, WRITTEN[statistic], kept, shown, limit, from_zero=True)


def _line(
    title: str,
    label: str,
    values: Sequence[float | None],
    shown: Sequence[Mapping[str, Any]],
    limit: float | None,
    *,
    from_zero: bool = False,
) -> str:
    known = [(float(place), value) for place, value in enumerate(values) if value is not None]
    heights = [value for _, value in known] + ([] if limit is None else [limit])
    high = max(heights, default=1.0)
    low = 0.0 if from_zero else min(heights, default=0.0)
    room = (high - low or abs(high) or 1.0) * 0.08
    frame = Frame(title, _across(shown), Axis(label, low - (0 if from_zero else room), high + room))
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
    starts = [_moment(window["window"]["start"]) for window in shown]
    first, last = starts[0][:10], starts[-1][:10]
    names = [start[11:16] or start[5:] for start in starts]
    return Axis(f"windows, {first} to {last}", -0.5, len(shown) - 0.5, names)


def _moment(text: str) -> str:
    """A time as people write it, to the minute; midnight is the day."""
    return text[:10] if text.endswith("T00:00:00Z") else f"{text[:10]} {text[11:16]}"


def _threshold(shown: Sequence[Mapping[str, Any]]) -> float | None:
    return next(
        (one["drift_threshold"] for one in reversed(shown) if "drift_threshold" in one), None
    )


def _table(shown: Sequence[Mapping[str, Any]]) -> Grid:
    rows = []
    for place in reversed(range(len(shown))):
        window = shown[place]
        facts = window.get("trend", {})
        moved = list(facts.get("columns", {}).items())[:1]
        rows.append(
            [
                _moment(window["window"]["start"]),
                window["verdict"] + (", in season" if facts.get("in_season") else ""),
                f"{window['rows']:,}",
                _number(facts.get("score")),
                ", ".join(f"{short(name, 24)} {value:.2f}" for name, value in moved),
                _number(facts.get("value")),
                _states(window, open_alarms(shown[: place + 1])),
            ]
        )
    by = next((one for window in reversed(shown) if (one := _score_by(window))), _PSI)
    score = f"{WRITTEN[by['statistic']]} of predictions>"
    head = ["from", "verdict", "rows>", score, "moved most", "realised>", "alarms"]
    return Grid(head, rows)


def _score_by(window: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = window.get("trend", {}).get("score_by")
    return found


def _states(window: Mapping[str, Any], still: Mapping[str, Any]) -> str:
    """What the window says of each kind of alarm, and what is open without its saying so."""
    found = []
    for kind, alarm in window["alarms"].items():
        word = kind.replace("_", " ")
        if alarm["firing"]:
            found.append(word)
        elif alarm["breach"]:
            found.append(f"{word} (first sign)")
        elif kind in still:
            found.append(f"{word} (still open)")
        elif alarm.get("resolves"):
            found.append(f"{word} over")
    return ", ".join(found)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
