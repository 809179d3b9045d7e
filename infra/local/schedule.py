"""Cloud Scheduler: five-field cron in UTC, one published message per occasion."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta

from infra.local.wake import Wake
from infra.topology import Schedule
from shared.ports import Clock, Publisher

_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_LOOK_AHEAD_DAYS = 4 * 366  # 29 February comes at the latest then


class BadCron(ValueError):
    """Not five fields of `*`, numbers, ranges, steps and lists."""


def next_after(cron: str, time: datetime) -> datetime:
    """The first full minute after `time` that the expression names. Raises BadCron."""
    minutes, hours, days, months, weekdays = _parse(cron)
    fields = cron.split()
    at = time.replace(second=0, microsecond=0) + timedelta(minutes=1)
    last = at + timedelta(days=_LOOK_AHEAD_DAYS)
    while at < last:
        in_month = at.day in days
        in_week = at.isoweekday() % 7 in weekdays
        # cron's old rule: with both fields given, either one is enough.
        either = fields[2] != "*" and fields[4] != "*"
        if at.month not in months or not (in_month or in_week if either else in_month and in_week):
            at = at.replace(hour=0, minute=0) + timedelta(days=1)
        elif at.hour not in hours:
            at = at.replace(minute=0) + timedelta(hours=1)
        elif at.minute not in minutes:
            at += timedelta(minutes=1)
        else:
            return at
    raise BadCron(f"{cron!r} never happens")


def _parse(cron: str) -> list[set[int]]:
    fields = cron.split()
    if len(fields) != len(_RANGES):
        raise BadCron(f"{cron!r} has {len(fields)} fields, expected 5")
    found = [
        set().union(*(_part(cron, part, *limits) for part in field.split(",")))
        for field, limits in zip(fields, _RANGES, strict=True)
    ]
    found[4] = {day % 7 for day in found[4]}  # Sunday is 0 and 7
    return found


def _part(cron: str, part: str, low: int, high: int) -> set[int]:
    span, _, step = part.partition("/")
    first, _, last = span.partition("-")
    try:
        start = low if span == "*" else int(first)
        end = high if span == "*" or (step and not last) else int(last or first)
        found = set(range(start, end + 1, int(step or 1)))
    except ValueError as error:
        raise BadCron(f"{cron!r}: {part!r} is not understood") from error
    if not found or min(found) < low or max(found) > high:
        raise BadCron(f"{cron!r}: {part!r} is outside {low} to {high}")
    return found


def tick(schedule: Schedule, publisher: Publisher) -> str:
    """Publish what the schedule would publish now; the message id comes back."""
    body = json.dumps({"type": schedule.message}).encode()
    return publisher.publish(schedule.topic, body, {"type": schedule.message})


class Scheduler:
    """Sleeps until the next occasion. One that was slept through (a closed laptop) is made up for
    once."""

    def __init__(
        self, schedules: Mapping[str, Schedule], publisher: Publisher, clock: Clock
    ) -> None:
        self._schedules, self._publisher, self._clock = schedules, publisher, clock
        self._wake = Wake()
        self._thread = threading.Thread(target=self._run, name="schedule", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        now = self._clock.now()
        due = {name: next_after(item.cron, now) for name, item in self._schedules.items()}
        while due and not self._wake.closed:
            seen = self._wake.mark()
            now = self._clock.now()
            for name in [name for name, at in due.items() if at <= now]:
                tick(self._schedules[name], self._publisher)
                due[name] = next_after(self._schedules[name].cron, now)
            wait = (min(due.values()) - self._clock.now()).total_seconds()
            self._wake.wait(seen, seconds=max(wait, 0.01))

    def wake(self) -> None:
        """Look at the clock now."""
        self._wake.set()

    def close(self) -> None:
        self._wake.close()
        self._thread.join(timeout=5)
