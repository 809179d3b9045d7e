"""In which windows predictions were made, at the price of listings: bodies are read only where
names and dates of objects leave it open.

    batch    a scoring run begins when its id says, and has finished before its summary is there
    online   a line is in an object that was written after it; objects are read until all is known
    labels   a file's summary says which runs and hours it is about
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from shared import documents, paths
from shared.errors import ObjectNotFound
from shared.events import parse_time
from shared.labelled import LabelSummary, hours_between, label_objects, open_summary
from shared.ports import Bucket, ObjectInfo
from shared.predicted import CLOCK_SKEW, BatchRun, log_days, log_lines
from shared.usecases.monitoring.rows import Window

_SUMMARY = re.compile(r"predictions/[^/]+/(\d{8}T\d{6})-[0-9a-f]{8}/summary\.json")
# Whichever keys of that name a line has, nested ones too.
_MODEL = re.compile(rb'"model"\s*:\s*"((?:[^"\\]|\\.)*)"')


class ScoredWindows:
    """Scoring runs of one model; its folder is listed once, when the first window is asked for."""

    def __init__(self, model: str, lake: Bucket) -> None:
        self._model, self._lake = model, lake
        self._finished: dict[str, datetime] = {}

    def has(self, window: Window) -> bool:
        return any(self._is_in(begun, info, window) for begun, info in self._summaries)

    def runs(self, window: Window) -> list[str]:
        """Ids of the runs that may have finished in it, as far as listings tell."""
        found = (info for begun, info in self._summaries if _may_be_in(begun, info, window))
        return [info.name.split("/")[2] for info in found]

    @cached_property
    def _summaries(self) -> list[tuple[datetime, ObjectInfo]]:
        found = []
        for info in self._lake.list(paths.predictions(self._model, "").rstrip("/") + "/"):
            if match := _SUMMARY.fullmatch(info.name):
                begun = datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
                found.append((begun, info))
        return found

    def _is_in(self, begun: datetime, info: ObjectInfo, window: Window) -> bool:
        if not _may_be_in(begun, info, window):
            return False
        if window.start + CLOCK_SKEW <= begun and info.created < window.end - CLOCK_SKEW:
            return True
        return window.start <= self._end(info.name) < window.end

    def _end(self, name: str) -> datetime:
        if name not in self._finished:
            run = BatchRun.of(documents.require(self._lake, name))
            self._finished[name] = run.finished
        return self._finished[name]


def _may_be_in(begun: datetime, info: ObjectInfo, window: Window) -> bool:
    return begun - CLOCK_SKEW < window.end and info.created >= window.start - CLOCK_SKEW


class LabelledWindows:
    """Label files of one model; they are listed once, and the summary of each read at most once."""

    def __init__(self, model: str, lake: Bucket) -> None:
        self._model, self._lake = model, lake
        self._read: dict[str, LabelSummary | None] = {}

    @cached_property
    def _files(self) -> list[ObjectInfo]:
        return label_objects(self._model, lake=self._lake)

    def since(self, moment: datetime) -> list[ObjectInfo]:
        """Those that arrived from then on, in order of arrival."""
        return [info for info in self._files if info.created >= moment - CLOCK_SKEW]

    def about(self, window: Window, runs: list[str], files: list[ObjectInfo]) -> bool:
        """True when one of these files is about predictions of the window. Newest first: most of
        the time it is one of these."""
        online = window.channel == "online"
        hours = hours_between(window.start, window.end) if online else set[str]()
        summaries = map(self._summary, reversed(files))
        return any(found is not None and found.is_about(runs, hours) for found in summaries)

    def _summary(self, info: ObjectInfo) -> LabelSummary | None:
        if info.name not in self._read:
            try:
                file = open_summary(self._model, info, lake=self._lake)
            except ObjectNotFound:  # put there by hand: nobody checked it
                self._read[info.name] = None
            else:
                self._read[info.name] = file.summary
        return self._read[info.name]


def answered_windows(windows: Iterable[Window], *, lake: Bucket) -> set[Window]:
    """Those of these online windows that have a line in the log. An object is read at most once,
    and none when all is known."""
    wanted: dict[str, set[Window]] = {}
    for window in windows:
        wanted.setdefault(window.model, set()).add(window)
    found: set[Window] = set()
    if not wanted:
        return found
    for line in _lines_about(wanted, lake):
        time = parse_time(line["time"])
        hit = {one for one in wanted.get(line["model"], ()) if one.start <= time < one.end}
        if hit:
            found |= hit
            wanted[line["model"]] -= hit
            if not wanted[line["model"]]:
                del wanted[line["model"]]
    return found


def _lines_about(wanted: dict[str, set[Window]], lake: Bucket) -> Iterator[dict[str, Any]]:
    """Lines of models that are still wanted, from objects that may have some."""
    everything = [window for of_model in wanted.values() for window in of_model]
    first = min(window.start for window in everything)
    days = log_days(first, max(window.end for window in everything))
    for day in days:
        for info in lake.list(paths.inference_log(day)):
            if not wanted:
                return
            if info.created < first - CLOCK_SKEW:
                continue
            yield from log_lines(info, lambda raw: _names_one(raw, wanted), lake=lake)


def _names_one(raw: bytes, wanted: dict[str, set[Window]]) -> bool:
    # Names of models have no letters that JSON would spell in another way.
    return any(name.decode(errors="replace") in wanted for name in _MODEL.findall(raw))
