"""Which windows are due: closed ones with predictions that nobody judged, and judged ones whose
labels changed since.

Windows are as long as the spec says and start at multiples of that since 1970 (UTC midnight for a
day). One pass per model, of listings and few documents (`shared.usecases.monitoring.arrivals`). A
window without predictions gets a mark, unless they always came at that time. Publishing a window
twice does no harm. Each tick begins with another model, for when time runs out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain

from shared import documents, paths
from shared.boundary import apart
from shared.events import WindowDue, parse_time, publish
from shared.fairness import rotated, turn_of
from shared.manifests import served_models
from shared.ports import Bucket, ObjectInfo
from shared.spec.model import Monitoring
from shared.spec.registry import find_spec
from shared.tabular.traffic import expects_rows
from shared.usecases.monitor import Monitor
from shared.usecases.monitoring.arrivals import LabelledWindows, ScoredWindows, answered_windows
from shared.usecases.monitoring.rows import Window, labels_of, parse_window_folder, runs_of
from shared.usecases.monitoring.season import EMPTY, rows_at_same_time

# As often as the schedule of infra/topology.yaml says.
EVERY = timedelta(hours=1)
CATCH_UP_WINDOWS = 7
# Short windows close more often than the schedule ticks: look at least this far back.
LEAST_LOOK_BACK = timedelta(hours=2)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A judgement reads labels at most this long before it writes its latest.json (its timeout is less).
LONGEST_JUDGEMENT = timedelta(hours=1)
# Labels that came earlier were looked at then, by as many ticks.
LABELS_LOOK_BACK = timedelta(days=14)
CHANNELS = ("batch", "online")


def find_due(published: datetime, ports: Monitor) -> list[WindowDue]:
    """Publish one WindowDue per due window, as of the time the tick was published, model by
    model. One model's trouble does not keep the others waiting; it is raised at the end as
    Retryable."""
    models = rotated(served_models(lake=ports.lake), turn_of(published, EVERY))
    streams: list[_Stream] = []
    due: list[WindowDue] = []

    def begin(model: str) -> int:
        streams.extend(_streams(model, ports.lake))
        return 1

    def look(stream: _Stream, unseen: list[Window], answered: set[Window]) -> int:
        new = _new(stream, unseen, answered, ports)
        for window in dict.fromkeys(chain(new, _labels_changed(stream, ports))):
            event = WindowDue(
                model=window.model,
                channel=window.channel,
                window_start=window.start,
                window_end=window.end,
            )
            publish(event, publisher=ports.publisher, clock=ports.clock)
            due.append(event)
        return 1

    def look_at_all() -> int:
        unseen = [_unseen(stream, published) for stream in streams]
        online = [window for found in unseen for window in found if window.channel == "online"]
        answered = answered_windows(online, lake=ports.lake)
        return apart(
            (f"{stream.model} {stream.channel}", partial(look, stream, windows, answered))
            for stream, windows in zip(streams, unseen, strict=True)
        )

    begun = [(model, partial(begin, model)) for model in models]
    apart([*begun, ("windows", look_at_all)])
    return due


def _streams(model: str, lake: Bucket) -> Iterator[_Stream]:
    """Both channels of a model that serves."""
    registered = find_spec(model, lake=lake)
    if registered is None:
        return
    labels, scored = LabelledWindows(model, lake), ScoredWindows(model, lake)
    for channel in CHANNELS:
        looked = _looked_at(model, channel, lake)
        yield _Stream(model, channel, registered.spec.monitoring, looked, labels, scored)


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
    """A window that was looked at; `judged_at` is None when it was found empty. `labels_read` is
    since when its judgement may have missed label files, `counted` whether they counted then, None
    where nobody knows."""

    window: Window
    judged_at: datetime | None
    labels_read: datetime | None = None
    counted: bool | None = None


@dataclass(frozen=True, slots=True)
class _Stream:
    """One channel of one model, with the windows of it that were looked at, the label files of the
    model and its scoring runs."""

    model: str
    channel: str
    settings: Monitoring
    looked: dict[tuple[datetime, datetime], _Looked]
    labels: LabelledWindows
    scored: ScoredWindows

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
            window = Window(model, channel, start, end)
            # In name order latest.json comes last, so a judgement wins over the mark.
            found[start, end] = _Looked(window, None) if file_name == EMPTY else _of(window, info)
    return found


def _of(window: Window, info: ObjectInfo) -> _Looked:
    """A judgement, by the listing of its latest.json."""
    told = info.metadata
    if "labels-read" not in told:  # of an older version
        return _Looked(window, info.created, info.created - LONGEST_JUDGEMENT)
    counted = told["labels-count"] == "true"
    return _Looked(window, info.created, parse_time(told["labels-read"]), counted)


def _unseen(stream: _Stream, published: datetime) -> list[Window]:
    """Closed windows that nobody looked at yet."""
    settings = stream.settings
    return [
        Window(stream.model, stream.channel, start, end)
        for start, end in closed_windows(published, settings.window, settings.grace)
        if (start, end) not in stream.looked
    ]


def _new(
    stream: _Stream, unseen: list[Window], answered: set[Window], ports: Monitor
) -> Iterator[Window]:
    for window in unseen:
        batch = stream.channel == "batch"
        if stream.scored.has(window) if batch else window in answered:
            yield window
        elif stream.expects(window, ports.lake):
            yield window  # nothing came where something always did: that is judged
        else:
            mark = paths.reports(window.model, window.channel, window.folder, EMPTY)
            documents.create(ports.lake, mark, {"rows": 0})


def _labels_changed(stream: _Stream, ports: Monitor) -> Iterator[Window]:
    now, labels = ports.clock.now(), stream.labels
    for found in stream.looked.values():
        window, counting = found.window, found.window.end + stream.settings.label_delay
        seen, lately = found.labels_read, now - LABELS_LOOK_BACK
        if seen is None or counting > now:
            continue
        # Labels that were there but too young when it was judged, else those that came since.
        young = seen <= counting if found.counted is None else not found.counted
        ripe = young and lately <= counting
        new = labels.since(window.start if ripe else max(seen, lately))
        if not new:
            continue
        runs = stream.scored.runs(window) if window.channel == "batch" else []
        if labels.about(window, runs, new) and _differs(stream, window, ports):
            yield window


def _differs(stream: _Stream, window: Window, ports: Monitor) -> bool:
    """True when other label files count than those that the window was judged by."""
    name = paths.reports(window.model, window.channel, window.folder, "latest.json")
    judged = documents.require(ports.lake, name)
    count = labels_of(
        window,
        runs_of(window, lake=ports.lake),
        now=ports.clock.now(),
        delay=stream.settings.label_delay,
        lake=ports.lake,
        objects=stream.labels.since(window.start),
    )
    return count.fingerprint != str(judged["labels_fingerprint"])
