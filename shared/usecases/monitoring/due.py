"""Which windows are due: closed ones with predictions that nobody judged, and judged ones whose
labels changed since.

Windows are as long as the spec says and start at multiples of that since 1970 (UTC midnight for a
day). Reads listings and small documents; the inference log is read for windows not looked at yet
only, and a window without predictions gets a mark, unless they always came at that time. Publishing
a window twice does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from shared import documents, paths
from shared.events import WindowDue, parse_time, publish
from shared.labelled import label_objects
from shared.manifests import served_models
from shared.ports import Bucket, ObjectInfo
from shared.predicted import log_days, read_log_day
from shared.spec.model import Monitoring
from shared.spec.registry import find_spec
from shared.tabular.traffic import expects_rows
from shared.usecases.monitor import Monitor
from shared.usecases.monitoring.rows import Window, labels_of, parse_window_folder, runs_of
from shared.usecases.monitoring.season import EMPTY, rows_at_same_time

CATCH_UP_WINDOWS = 7
# Short windows close more often than the schedule ticks: look at least this far back.
LEAST_LOOK_BACK = timedelta(hours=2)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A judgement reads labels at most this long before it writes its latest.json (its timeout is less).
LONGEST_JUDGEMENT = timedelta(hours=1)
CHANNELS = ("batch", "online")


def find_due(published: datetime, ports: Monitor) -> list[WindowDue]:
    """Publish one WindowDue per due window, as of the time the tick was published."""
    log = _OnlineLog(ports.lake)
    due: list[Window] = []
    for model in served_models(lake=ports.lake):
        registered = find_spec(model, lake=ports.lake)
        if registered is None:
            continue
        settings = registered.spec.monitoring
        labels = label_objects(model, lake=ports.lake)
        for channel in CHANNELS:
            stream = _Stream(model, channel, settings, _looked_at(model, channel, ports.lake))
            due += _new(stream, published, log, ports)
            due += _labels_changed(stream, labels, ports)
    found = [
        WindowDue(
            model=window.model,
            channel=window.channel,
            window_start=window.start,
            window_end=window.end,
        )
        for window in due
    ]
    for event in found:
        publish(event, publisher=ports.publisher, clock=ports.clock)
    return found


def closed_windows(
    published: datetime, length: timedelta, grace: timedelta
) -> list[tuple[datetime, datetime]]:
    """The last windows that had ended a grace ago, oldest first."""
    last_end = EPOCH + (published - grace - EPOCH) // length * length
    count = max(CATCH_UP_WINDOWS, -(-LEAST_LOOK_BACK // length))
    starts = [last_end - length * number for number in range(count, 0, -1)]
    return [(start, start + length) for start in starts]


@dataclass(frozen=True, slots=True)
class _Looked:
    """A window that was looked at; `judged_at` is None when it was found empty."""

    window: Window
    judged_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Stream:
    """One channel of one model, with the windows of it that were looked at."""

    model: str
    channel: str
    settings: Monitoring
    looked: dict[tuple[datetime, datetime], _Looked]

    def expects(self, window: Window, lake: Bucket) -> bool:
        """True when predictions used to come at this time of the week; reads nothing of a channel
        that has no judged windows."""
        if not any(found.judged_at for found in self.looked.values()):
            return False
        return expects_rows(rows_at_same_time(window, lake=lake))


def _looked_at(model: str, channel: str, lake: Bucket) -> dict[tuple[datetime, datetime], _Looked]:
    prefix = paths.reports(model, channel)
    found = {}
    for info in lake.list(prefix):
        folder, _, file_name = info.name.removeprefix(prefix).partition("/")
        if file_name in ("latest.json", EMPTY):
            start, end = parse_window_folder(folder)
            judged_at = None if file_name == EMPTY else info.created
            # In name order latest.json comes last, so a judgement wins over the mark.
            found[start, end] = _Looked(Window(model, channel, start, end), judged_at)
    return found


def _new(stream: _Stream, published: datetime, log: _OnlineLog, ports: Monitor) -> Iterator[Window]:
    settings = stream.settings
    for start, end in closed_windows(published, settings.window, settings.grace):
        if (start, end) in stream.looked:
            continue
        window = Window(stream.model, stream.channel, start, end)
        batch = stream.channel == "batch"
        if runs_of(window, lake=ports.lake) if batch else log.has(window):
            yield window
        elif stream.expects(window, ports.lake):
            yield window  # nothing came where something always did: that is judged
        else:
            mark = paths.reports(window.model, window.channel, window.folder, EMPTY)
            documents.create(ports.lake, mark, {"rows": 0})


def _labels_changed(stream: _Stream, labels: list[ObjectInfo], ports: Monitor) -> Iterator[Window]:
    if not labels:
        return
    now, newest = ports.clock.now(), max(info.created for info in labels)
    delay = stream.settings.label_delay
    for found in stream.looked.values():
        window, counting = found.window, found.window.end + delay
        if found.judged_at is None or counting > now:
            continue
        # Listings tell which windows cannot have changed; only the others are opened.
        if max(newest, counting) < found.judged_at - LONGEST_JUDGEMENT:
            continue
        name = paths.reports(window.model, window.channel, window.folder, "latest.json")
        judged = documents.require(ports.lake, name)
        runs = runs_of(window, lake=ports.lake)
        count = labels_of(
            window,
            runs,
            now=now,
            delay=delay,
            lake=ports.lake,
            objects=labels,
        )
        if count.fingerprint != judged["labels_fingerprint"]:
            yield window


class _OnlineLog:
    """Which model answered at which second; each day of the log is read once per tick."""

    def __init__(self, lake: Bucket) -> None:
        self._lake = lake
        self._days: dict[date, dict[str, set[int]]] = {}

    def has(self, window: Window) -> bool:
        first, last = window.start.timestamp(), window.end.timestamp()
        return any(
            first <= second < last
            for day in log_days(window.start, window.end)
            for second in self._seconds(day).get(window.model, ())
        )

    def _seconds(self, day: date) -> dict[str, set[int]]:
        if day not in self._days:
            found: dict[str, set[int]] = {}
            for line in read_log_day(day, lake=self._lake):
                second = int(parse_time(line["time"]).timestamp())
                found.setdefault(line["model"], set()).add(second)
            self._days[day] = found
        return self._days[day]
