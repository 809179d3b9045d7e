"""What earlier windows of a channel looked like: the same time of earlier weeks, and the last week.

Only reports of windows as long as this one are read; each of them at most once per judgement.
"""

from __future__ import annotations

from datetime import timedelta

from shared import documents, paths
from shared.ports import Bucket
from shared.tabular.season import WEEK, WEEKS, Season, window_of
from shared.tabular.season import Window as Judged
from shared.usecases.monitor_rows import Window, window_folder

# A week of shorter windows is too many reports to read, one of longer ones has no weekends.
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
