"""What the schedules of the topology set off: how often a month, and which functions hear of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from infra.local.schedule import next_after
from infra.topology import Topology
from shared.adapters.memory.filters import parse

DAYS_PER_MONTH = 365 / 12
_WEEKS = timedelta(days=28)


def occasions(cron: str) -> float:
    """How often a schedule fires a month."""
    at = start = datetime(2026, 1, 1, tzinfo=UTC)
    count = 0
    while (at := next_after(cron, at)) <= start + _WEEKS:
        count += 1
    return count * DAYS_PER_MONTH / _WEEKS.days


def receivers(topology: Topology, topic: str, message: str) -> Iterator[str]:
    """The functions that a message reaches."""
    for item in topology.subscriptions.values():
        if item.topic == topic and item.push and parse(item.filter)({"type": message}):
            yield item.push
