"""report.html of a window: our verdicts on top, Evidently's drawings below. Everything that comes
from people's files is escaped. Pure but for the drawing.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.documents import timestamp
from shared.serving.columns import Columns
from shared.tabular.alarms import KINDS, Kind
from shared.tabular.measures import Measures
from shared.tabular.performance import metric_name
from shared.usecases.monitoring.realised import Realised
from shared.usecases.monitoring.report import Judged
from shared.usecases.monitoring.verdict import VersionJudged, measures_of

_STYLE = """<style>
.mr{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:1.5rem auto;padding:0 1rem;color:#222}
.mr h1{font-size:1.4rem}.mr table{border-collapse:collapse;margin:.5rem 0}
.mr td,.mr th{border:1px solid #ccc;padding:.2rem .6rem;text-align:left;vertical-align:top}
.mr .bad{color:#a40000;font-weight:600}
</style>"""


class Draw(Protocol):
    """Makes the HTML page of a reference beside a window's rows, None when nothing can be drawn."""

    def __call__(
        self,
        reference: Mapping[str, Any],
        columns: Columns,
        scores: NDArray[np.float64],
        *,
        measures: Measures,
        drift_share: float,
    ) -> str | None: ...


_BAD: dict[Kind, str] = {"data_quality": "broken", "drift": "drifted", "performance": "worse"}


def report_page(judged: Judged, body: Mapping[str, Any], draw: Draw) -> str:
    """Our verdicts on top, Evidently's drawings below where there is enough to draw."""
    settings, page = judged.registered.spec.monitoring, None
    if judged.versions and judged.versions[0].drift.verdict != "insufficient_data":
        main = judged.versions[0]
        page = draw(
            main.facts.reference or {},
            main.rows.columns,
            main.rows.scores,
            measures=measures_of(judged.registered.spec),
            drift_share=settings.drift_share,
        )
    if page is None:
        title = escape(f"{judged.window.model} {judged.window.folder}")
        page = (
            f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            "</head><body></body></html>"
        )
    head, opening, rest = page.partition("<body>")
    return f"{head}{opening}{_section(judged, body)}{rest}"


def _section(judged: Judged, body: Mapping[str, Any]) -> str:
    window = judged.window
    tables = "".join(_version_table(item) for item in judged.versions)
    drawn = "Evidently's drawings below compare a sample of the window with one of the training."
    return (
        f'{_STYLE}<div class="mr"><h1>{escape(window.model)}, {window.channel}: '
        f"{escape(judged.verdict)}</h1>"
        f"<p>{timestamp(window.start)} to {timestamp(window.end)}, {body['rows']:,} predictions, "
        f"revision {judged.revision}, judged {judged.judged_at}</p>{_alarms(judged)}"
        f"{tables or '<p>No predictions in this window.</p>'}<p>{drawn}</p></div>"
    )


def _alarms(judged: Judged) -> str:
    """What people hear of the window, or why they do not, kind by kind; empty where all is well."""
    said = []
    for kind in KINDS:
        alarm, lead = judged.alarms[kind], judged.lead
        name = kind.replace("_", " ").capitalize()
        if alarm.firing:
            decides = f" {lead.sentence}" if lead is not None and lead.follower == kind else ""
            said.append(f"{name}: alarm since {alarm.since}, incident {alarm.row}.{decides}")
        elif alarm.breach:
            said.append(f"{name}: out of bounds, and no alarm yet: {_patience(judged)}.")
        elif alarm.resolves:
            said.append(f"{name}: in order again, the alarm since {alarm.since} is over.")
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in said)}</ul>" if said else ""


def _patience(judged: Judged) -> str:
    needed, among = judged.registered.spec.monitoring.persistence
    return (
        f"it has to last (monitoring.persistence: {needed} of {among} windows, for one same cause; "
        "longer for drift of a version that has not seen a week yet)"
    )


def _version_table(item: VersionJudged) -> str:
    rows = []
    for kind in KINDS:
        breach = item.breach(kind)
        word = {None: "no judgement", True: _BAD[kind], False: "fine"}[breach]
        lines = "<br>".join(escape(line) for line in item.lines(kind))
        css = ' class="bad"' if breach else ""
        name = kind.replace("_", " ")
        rows.append(
            f"<tr><th>{name}</th><td{css}>{word}</td><td>{escape(item.sentence(kind))}</td>"
            f"<td>{lines}</td></tr>"
        )
    return (
        f"<h2>Version {escape(item.version)}: {item.rows.rows:,} rows, "
        f"{item.rows.refused:,} refused</h2><table>{''.join(rows)}</table>"
        f"{_sampled(item)}{_slices(item.realised)}"
    )


def _slices(realised: Realised) -> str:
    """Realised performance by slice, the worst first."""
    if not realised.slices:
        return ""
    metric = escape(metric_name(realised.performance.metric))
    words = {None: "", True: "worse", False: "fine"}
    unsaid = {True: "too little to tell", False: "no holdout value"}
    rows = []
    for item in realised.slices:
        css = ' class="bad"' if item.worse else ""
        word = words[item.worse] or unsaid[item.value is None]
        between = "" if item.value is None else f"{item.low:.3g} to {item.high:.3g}"
        cells = [f"{item.rows}", _figure(item.value), between, _figure(item.reference)]
        numbers = "".join(f"<td>{cell}</td>" for cell in [*cells, _figure(item.limit)])
        rows.append(f"<tr><th>{escape(item.name)}</th>{numbers}<td{css}>{word}</td></tr>")
    heads = ("slice", "labelled rows", metric, "95 %", "holdout", "limit", "")
    head = "".join(f"<th>{one}</th>" for one in heads)
    return f"<h3>By slice</h3><table><tr>{head}</tr>{''.join(rows)}</table>"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _sampled(item: VersionJudged) -> str:
    """What was left out of very long windows."""
    found, rows = [], item.rows
    if rows.one_in > 1:
        found.append(
            f"one row in {rows.one_in} of the log was read, counts are what these stand for"
        )
    if rows.labels_one_in > 1:
        found.append(f"one label in {rows.labels_one_in} was")
    if rows.profiled * rows.one_in < rows.rows:
        found.append(f"columns and scores are judged on {rows.profiled} rows, evenly spread")
    return f"<p>Of so many rows {'; '.join(found)}.</p>" if found else ""
