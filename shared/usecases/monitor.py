"""Judge one window of one channel of one model, and say what is new about it.

    latest.json -> revision -> claim -> rows + labels -> verdicts -> report.html,
        drift_summary.csv, input_stats_<date>.json
        -> report-r<revision>.json (create-only: from here on this revision is decided)
        -> publish what it says -> latest.json (swap) -> trend.html of the channel -> complete

Whatever crashes after report-r<revision>.json is finished from it by the next delivery; before it,
the next delivery starts again. A window is judged again only when its labels changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared import claims, documents, paths
from shared.claims import Claim
from shared.decoding import decode
from shared.documents import Document, timestamp
from shared.errors import InProgress, MalformedMessage, PreconditionFailed, UnknownModel
from shared.events import WindowDue, publish
from shared.paths import is_model_name
from shared.ports import Bucket, Clock, Publisher
from shared.reporting.trend import WINDOWS, facts_of, trend_page
from shared.spec.model import RegisteredSpec, Spec
from shared.spec.registry import find_spec
from shared.tabular import drift_page
from shared.tabular.alarms import KINDS, Alarm
from shared.tabular.input_stats import input_stats
from shared.usecases.monitoring.leading import Now, lead_of
from shared.usecases.monitoring.page import Draw, report_page
from shared.usecases.monitoring.report import (
    Judged,
    alert_events,
    report_body,
    summary_csv,
)
from shared.usecases.monitoring.rows import (
    Labels,
    Window,
    labels_of,
    no_rows,
    parse_window_folder,
    read_window,
    runs_of,
    window_folder,
)
from shared.usecases.monitoring.season import Earlier, judge_traffic
from shared.usecases.monitoring.verdict import VersionJudged, judge_version, settle_kinds

# A window that ends later than this is a mistake, not a window to wait for.
FARTHEST_END = timedelta(days=1)
# How many earlier windows are looked at for persistence and open alarms.
LOOK_BACK_WINDOWS = 30


@dataclass(frozen=True, slots=True)
class Monitor:
    """The ports of monitoring and how long a claim lives. `draw` makes a report's drawings."""

    lake: Bucket
    publisher: Publisher
    clock: Clock
    claim_seconds: int
    draw: Draw = drift_page.draw


def judge_window(event: WindowDue, ports: Monitor) -> str:
    """Judge the window if that is due; a word for what became of it comes back. Raises
    MalformedMessage, UnknownModel, InProgress (not closed yet, or held by another delivery)."""
    window, registered = _checked(event, ports)
    latest = documents.read(ports.lake, _name(window, "latest.json"))
    revision = int(latest.body["revision"]) + 1 if latest.exists else 0
    report = documents.read(ports.lake, _name(window, f"report-r{revision}.json"))
    # A report without its latest.json: a delivery that decided it died, or is at work. Finish that.
    labels = None if report.exists else _labels(window, registered, ports)
    labels_fingerprint = labels.fingerprint if labels else str(report.body["labels"]["fingerprint"])
    if labels and latest.exists and latest.body["labels_fingerprint"] == labels_fingerprint:
        return "already judged"
    key = f"{event.id}:r{revision}:{labels_fingerprint}"
    claim = claims.take(
        paths.claim(key), key, lake=ports.lake, clock=ports.clock, seconds=ports.claim_seconds
    )
    if claim.done:
        return "already judged"
    body = _judge(window, registered, labels, latest, ports) if labels else report.body
    _finish(window, body, latest, claim, ports)
    return str(body["verdict"])


def _checked(event: WindowDue, ports: Monitor) -> tuple[Window, RegisteredSpec]:
    start, end, now = event.window_start, event.window_end, ports.clock.now()
    if event.channel not in ("batch", "online"):
        raise MalformedMessage(f"channel {event.channel!r} is none of batch, online")
    if end <= start:
        raise MalformedMessage(f"the window ends at {timestamp(end)}, not after {timestamp(start)}")
    if end > now + FARTHEST_END:
        raise MalformedMessage(f"the window ends at {timestamp(end)}, far in the future")
    if parse_window_folder(window_folder(start, end)) != (start, end):
        raise MalformedMessage("a window starts and ends on whole seconds")
    registered = find_spec(event.model, lake=ports.lake) if is_model_name(event.model) else None
    if registered is None:
        raise UnknownModel(f"there is no model {event.model!r} to judge a window of")
    if end > now:
        raise InProgress(f"the window closes at {timestamp(end)}")
    return Window(event.model, event.channel, start, end), registered


def _labels(window: Window, registered: RegisteredSpec, ports: Monitor) -> Labels:
    return labels_of(
        window,
        runs_of(window, lake=ports.lake),
        now=ports.clock.now(),
        delay=registered.spec.monitoring.label_delay,
        lake=ports.lake,
    )


def _judge(
    window: Window, registered: RegisteredSpec, labels: Labels, latest: Document, ports: Monitor
) -> dict[str, Any]:
    """Everything up to the report that decides this revision; that report comes back."""
    lake, settings = ports.lake, registered.spec.monitoring
    versions = _versions(window, registered.spec, labels, lake)
    before = {kind: Alarm.from_json(latest.body["alarms"][kind]) for kind in KINDS if latest.exists}
    past = past_alarms(window, lake=lake)
    alarms = settle_kinds(versions, past, window, settings.persistence)
    now = Now(window, versions, alarms, before)
    judged = Judged(
        window=window,
        revision=int(latest.body["revision"]) + 1 if latest.exists else 0,
        judged_at=timestamp(ports.clock.now()),
        registered=registered,
        labels=labels,
        versions=versions,
        alarms=alarms,
        lead=lead_of(now, past["performance"], registered.spec.retrain, lake=lake),
    )
    body = report_body(judged, alert_events(judged, before, latest.body.get("led", "")))
    _write(lake, _name(window, "report.html"), report_page(judged, body, ports.draw), "text/html")
    _write(lake, _name(window, "drift_summary.csv"), summary_csv(judged), "text/csv")
    stats = f"input_stats_{window.start:%Y-%m-%d}.json"
    numbers = documents.dumps(input_stats(item.rows for item in versions))
    lake.write(_name(window, stats), numbers, content_type="application/json")
    if not documents.create(lake, _name(window, f"report-r{judged.revision}.json"), body):
        raise InProgress(f"revision {judged.revision} of {window.folder} was decided meanwhile")
    return body


def _versions(
    window: Window, spec: Spec, labels: Labels, lake: Bucket
) -> tuple[VersionJudged, ...]:
    """What is said of each version; of the champion where no rows came though they always did.
    What is wrong with the rows as such is said of the version with most of them."""
    earlier = Earlier(window, lake=lake)
    found: list[VersionJudged] = []
    sliced = spec.promotion.slices.columns
    read = read_window(window, runs_of(window, lake=lake), labels, lake=lake, sliced=sliced)
    traffic = judge_traffic(window, sum(rows.rows for _, rows in read), lake=lake)
    for facts, rows in read or (no_rows(window.model, lake=lake) if traffic else []):
        season = earlier.season(rows.version)
        found.append(
            judge_version(
                facts,
                rows,
                spec,
                labels,
                channel=window.channel,
                season=season,
                traffic=traffic if not found else (),
            )
        )
    return tuple(found)


def _finish(
    window: Window, body: dict[str, Any], latest: Document, claim: Claim, ports: Monitor
) -> None:
    """Publish what a decided report says and make it the window's latest. Repeatable."""
    for item in body["events"]:
        publish(decode(item), publisher=ports.publisher, clock=ports.clock)
    summary = {
        "revision": body["revision"],
        "report": _name(window, f"report-r{body['revision']}.json"),
        "window": body["window"],
        "judged_at": body["judged_at"],
        "labels_fingerprint": body["labels"]["fingerprint"],
        "verdict": body["verdict"],
        "rows": body["rows"],
        "alarms": body["alarms"],
        "led": body.get("led", ""),
        "drift_threshold": body["thresholds"]["drift_threshold"],
        "trend": facts_of(body),
    }
    name = _name(window, "latest.json")
    try:
        generation = latest.generation
        documents.swap(
            ports.lake, name, summary, generation=generation, metadata=labels_told(body["labels"])
        )
    except PreconditionFailed as error:
        raise InProgress(f"{name} was moved on by another delivery") from error
    _write_trend(window, ports.lake)
    result = {"verdict": body["verdict"], "revision": body["revision"]}
    claims.complete(claim, result, lake=ports.lake, clock=ports.clock)


def labels_told(labels: dict[str, Any]) -> dict[str, str]:
    """What a listing of latest.json says about the labels of its judgement: when they were read,
    and whether they counted by then."""
    if not labels.get("read_at"):
        return {}
    return {"labels-read": str(labels["read_at"]), "labels-count": str(labels["mature"]).lower()}


def _write_trend(window: Window, lake: Bucket) -> None:
    """The page of the channel, from the newest windows that were judged. Two deliveries may write
    it at once and either may be the last: the next judgement writes it anew."""
    known = sorted(judged_windows(window.model, window.channel, lake=lake))[-WINDOWS:]
    read = [
        documents.read(lake, _name(replace(window, start=start, end=end), "latest.json"))
        for start, end in known
    ]
    bodies = [found.body for found in read if found.exists]
    if bodies:
        name = paths.reports(window.model, window.channel, "", "trend.html")
        _write(lake, name, trend_page(window.model, window.channel, bodies), "text/html")


def past_alarms(window: Window, *, lake: Bucket) -> dict[str, list[Alarm]]:
    """Alarms of the windows of the channel that ended before this one began, newest first."""
    ends = [
        (end, start)
        for start, end in judged_windows(window.model, window.channel, lake=lake)
        if end <= window.start
    ]
    found: dict[str, list[Alarm]] = {kind: [] for kind in KINDS}
    for end, start in sorted(ends, reverse=True)[:LOOK_BACK_WINDOWS]:
        earlier = Window(window.model, window.channel, start, end)
        latest = documents.read(lake, _name(earlier, "latest.json"))
        for kind in KINDS if latest.exists else ():
            found[kind].append(Alarm.from_json(latest.body["alarms"][kind]))
    return found


def judged_windows(model: str, channel: str, *, lake: Bucket) -> list[tuple[datetime, datetime]]:
    """(start, end) of every window that has a report folder."""
    prefix = paths.reports(model, channel)
    return [
        parse_window_folder(folder.removeprefix(prefix).rstrip("/"))
        for folder in lake.folders(prefix)
    ]


def _name(window: Window, file_name: str) -> str:
    return paths.reports(window.model, window.channel, window.folder, file_name)


def _write(lake: Bucket, name: str, text: str, content_type: str) -> None:
    lake.write(name, text.encode(), content_type=f"{content_type}; charset=utf-8")
