"""What earlier windows of a channel looked like: the same time of earlier weeks, and the last week;
and whether predictions and labels come as they used to.

Only reports of windows as long as this one are read; each of them at most once per judgement.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from shared import documents, paths
from shared.errors import ObjectNotFound
from shared.labelled import label_objects, open_summary
from shared.ports import Bucket
from shared.tabular.quality import Finding
from shared.tabular.season import WEEK, WEEKS, Season, window_of
from shared.tabular.season import Window as Judged
from shared.tabular.traffic import judge_arrivals, judge_volume
from shared.usecases.monitoring.rows import Window, window_folder

# A week of shorter windows is too many reports to read, one of longer ones has no weekends.
EMPTY = "empty.json"  # the mark of a window that was looked at and had no predictions
SHORTEST, LONGEST = timedelta(hours=6), timedelta(days=1)


class Earlier:
    """Reports of earlier windows, on demand."""

    def __init__(self, window: Window, *, lake: Bucket) -> None:
        self._window, self._lake = window, lake
        self._read: dict[timedelta, dict[str, Judged]] = {}

    def season(self, version: str) -> Season | None:
        """None for windows that have no place in a week."""
        length = self._window.end - self._window.start
        if not SHORTEST <= length <= LONGEST or WEEK % length:
            return None
        last = [self._of(length * number, version) for number in range(1, WEEK // length)]
        alike = [self._of(WEEK * number, version) for number in range(1, WEEKS + 1)]
        return Season(
            [found for found in alike if found is not None],
            [found for found in last if found is not None],
        )

    def _of(self, back: timedelta, version: str) -> Judged | None:
        """The judged columns of this version in the window so long before this one."""
        if back not in self._read:
            self._read[back] = self._versions(back)
        return self._read[back].get(version)

    def _versions(self, back: timedelta) -> dict[str, Judged]:
        window, lake = self._window, self._lake
        folder = window_folder(window.start - back, window.end - back)
        latest = documents.read(
            lake, paths.reports(window.model, window.channel, folder, "latest.json")
        )
        if not latest.exists:
            return {}
        found: dict[str, Judged] = {}
        for item in documents.require(lake, latest.body["report"])["versions"]:
            drift = item["drift"]
            if drift["verdict"] != "insufficient_data":
                found[item["version"]] = window_of(drift)
        return found


def rows_at_same_time(window: Window, *, lake: Bucket) -> list[int]:
    """The rows of the windows at the same time of the last weeks; one that was looked at and found
    empty has none. Only where a week is a number of such windows."""
    if WEEK % (window.end - window.start):
        return []
    found = []
    for number in range(1, WEEKS + 1):
        folder = window_folder(window.start - WEEK * number, window.end - WEEK * number)
        name = partial(paths.reports, window.model, window.channel, folder)
        latest = documents.read(lake, name("latest.json"))
        if latest.exists:
            found.append(int(latest.body["rows"]))
        elif documents.read(lake, name(EMPTY)).exists:
            found.append(0)
    return found


def judge_traffic(window: Window, rows: int, *, lake: Bucket) -> list[Finding]:
    """Whether predictions and labels come as they used to; labels in the channel that the newest of
    them are about."""
    volume = judge_volume(rows, rows_at_same_time(window, lake=lake))
    labels = judge_arrivals(*_arrivals(window, lake=lake))
    return [found for found in (volume, labels) if found is not None]


def _arrivals(window: Window, *, lake: Bucket) -> tuple[list[datetime], datetime]:
    files = [info for info in label_objects(window.model, lake=lake) if info.created <= window.end]
    newest = max(files, key=lambda info: info.created, default=None)
    if newest is None:
        return [], window.end
    try:
        summary = open_summary(window.model, newest, lake=lake).summary
    except ObjectNotFound:
        return [], window.end
    about = "online" if summary.online_hours else "batch"
    times = [info.created for info in files] if about == window.channel else []
    return times, window.end
