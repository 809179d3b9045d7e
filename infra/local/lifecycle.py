"""Lifecycle of buckets: what is past its retention in the topology goes, as Google lets it go.

Google looks about once a day and may be late; here it is at start and once an hour.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from infra.local.wake import Wake
from infra.topology import Bucket
from shared.adapters.memory.cloud import Engine
from shared.adapters.memory.listing import Query
from shared.adapters.memory.objects import Stored
from shared.errors import ObjectNotFound

_HOUR_SECONDS = 3600.0


def is_over(stored: Stored, bucket: Bucket, now: datetime) -> bool:
    """Whether a generation is past its retention: a live one by its age and prefix, an older one
    by how long it has not been live."""
    if stored.live:
        name = stored.info.name
        days = min(
            (days for prefix, days in bucket.retention.items() if name.startswith(prefix)),
            default=None,
        )
        since = stored.info.created
    else:
        days, since = bucket.noncurrent_days, stored.deleted or now
    return days is not None and now - since >= timedelta(days=days)


def expire(engine: Engine, buckets: Iterable[Bucket]) -> int:
    """Delete what is over, generation by generation; how many went comes back."""
    now, count = engine.clock.now(), 0
    for bucket in buckets:
        for stored in list(_generations(engine, bucket)):
            if is_over(stored, bucket, now):
                count += _delete(engine, stored, bucket)
    return count


def _generations(engine: Engine, bucket: Bucket) -> Iterator[Stored]:
    versioned = bucket.noncurrent_days is not None
    for prefix in [""] if versioned else sorted(bucket.retention):
        at: tuple[str, int] | None = ("", 0)
        while at is not None:
            query = Query(
                prefix=prefix, start=at[0], start_generation=at[1], versions=bucket.versioning
            )
            page = engine.storage.page(bucket.name, query)
            yield from page.items
            at = page.next


def _delete(engine: Engine, stored: Stored, bucket: Bucket) -> int:
    """In a versioned bucket a live generation only stops being live."""
    info = stored.info
    generation = None if stored.live and bucket.versioning else info.generation
    try:
        engine.storage.delete(info.bucket, info.name, generation=generation)
    except ObjectNotFound:  # somebody was faster
        return 0
    return 1


class Lifecycle:
    """Looks now and then until it is closed."""

    def __init__(self, engine: Engine, buckets: Mapping[str, Bucket]) -> None:
        self._engine, self._buckets = engine, buckets
        self._wake = Wake()
        self._thread = threading.Thread(target=self._run, name="lifecycle", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._wake.closed:
            seen = self._wake.mark()
            expire(self._engine, self._buckets.values())
            self._wake.wait(seen, seconds=_HOUR_SECONDS)

    def close(self) -> None:
        self._wake.close()
        self._thread.join(timeout=10)
