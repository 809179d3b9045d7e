"""The part of the prediction log that is new to a canary, within what one sweep can read.

The log lies in objects of all models, about one a minute; their lines name their canary. Each look
reads what was written since the look before (some minutes of it again in the listing, as objects do
not appear in strict order). Where that is more than MOST_BYTES, objects are left out evenly and
their bytes counted: the judge then says that it saw a sample.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from shared import paths
from shared.beside.canaries import Read
from shared.beside.second_version import SecondVersion
from shared.documents import timestamp
from shared.events import parse_time
from shared.ports import Bucket, ObjectInfo
from shared.predicted import CLOCK_SKEW, log_days

# Of a look. Fetching and filtering it takes a small function some seconds of its thirty.
MOST_BYTES = 32 * 2**20
MOST_OBJECTS = 150
FAR_BEHIND = 4  # looks
PART_BYTES = 8 * 2**20  # of an object
# How late an object may appear behind others that were written after it.
OVERLAP = timedelta(minutes=10)
_MARK = b'"canary":{'
# What the judge counts: rows of the challenger, and how many could not be dealt.
_COUNTED = (b'"arm":"challenger"', b'"left_out":"no_key"')
_READ = {"id", "arm", "share", "unit", "left_out"}

Lines = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class News:
    """Lines of one canary's present step, and how far the log is read with them."""

    lines: Lines
    read: Read
    skipped_bytes: int


@dataclass(slots=True)
class LogReader:
    """Reads objects of the log once, whichever models ask."""

    lake: Bucket
    now: datetime
    _lines: dict[str, Lines] = field(default_factory=dict)
    _days: dict[date, list[ObjectInfo]] = field(default_factory=dict)

    def news(self, canary: SecondVersion, read: Read | None) -> News:
        """What the log has of the canary's present step beyond what was read before."""
        began = parse_time(canary.step_started_at or canary.started_at) - CLOCK_SKEW
        until = parse_time(read.until) if read else began
        known = set(read.names) if read else set[str]()
        listed = self._since(max(until - OVERLAP, began))
        chosen, skipped = choose([one for one in listed if _id(one) not in known])
        lines = [
            line
            for info in chosen
            for line in self._marked(info)
            if line["canary"]["id"] == canary.id and line["canary"]["share"] == canary.share
        ]
        done = [*chosen, *skipped]
        until = max([until, *(one.created for one in done)])
        known.update(map(_id, done))
        # Older ones are not listed again.
        names = [_id(one) for one in listed if one.created >= until - OVERLAP]
        left = sum(one.size_bytes for one in skipped) + sum(map(_beyond, chosen))
        kept = tuple(name for name in names if name in known)
        return News(lines, Read(timestamp(until), kept), left)

    def _since(self, start: datetime) -> list[ObjectInfo]:
        """Objects of the log in the order in which they were written."""
        found = [info for day in log_days(start, self.now) for info in self._of_day(day)]
        late = [info for info in found if info.created >= start]
        return sorted(late, key=lambda info: (info.created, info.name))

    def _of_day(self, day: date) -> list[ObjectInfo]:
        if day not in self._days:
            self._days[day] = list(self.lake.list(paths.inference_log(day)))
        return self._days[day]

    def _marked(self, info: ObjectInfo) -> Lines:
        """Its lines that a canary is judged by."""
        if _id(info) not in self._lines:
            found, left = [], PART_BYTES
            with self.lake.open_reader(info.name, generation=info.generation) as stream:
                for raw in stream:
                    left -= len(raw)
                    if left < 0:
                        break
                    counted = _MARK in raw and any(text in raw for text in _COUNTED)
                    if counted and (line := _parsed(raw)):
                        found.append(line)
            self._lines[_id(info)] = found
        return self._lines[_id(info)]


def choose(new: list[ObjectInfo]) -> tuple[list[ObjectInfo], list[ObjectInfo]]:
    """Which objects a look reads and which it leaves out for good; others wait for the next one."""
    size, count = sum(map(_readable, new)), len(new)
    if size <= MOST_BYTES and count <= FAR_BEHIND * MOST_OBJECTS:
        return new[:MOST_OBJECTS], []
    chosen: list[ObjectInfo] = []
    skipped: list[ObjectInfo] = []
    taken = passed = 0
    for place, one in enumerate(new):
        # Evenly: what is taken keeps up with its share of what has passed, in bytes and objects.
        due = taken * size <= passed * MOST_BYTES and len(chosen) * count <= place * MOST_OBJECTS
        passed += _readable(one)
        if due and taken + _readable(one) <= MOST_BYTES:
            chosen.append(one)
            taken += _readable(one)
        else:
            skipped.append(one)
    return chosen, skipped


def _readable(info: ObjectInfo) -> int:
    return min(info.size_bytes, PART_BYTES)


def _beyond(info: ObjectInfo) -> int:
    return info.size_bytes - _readable(info)


def _id(info: ObjectInfo) -> str:
    return f"{info.name}#{info.generation}"


def _parsed(raw: bytes) -> dict[str, Any] | None:
    """A line with what the judge reads of it; None for a torn one."""
    try:
        line = json.loads(raw)
        found = {name: line[name] for name in ("prediction_id", "time", "canary")}
        return found if found["canary"].keys() >= _READ else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
