"""How many predictions of a model come into the log in a given time, by its last days.

The log is that of all models, so it is sampled: up to OBJECTS objects, spread evenly over the time,
PART_BYTES of each. An estimate, good enough to tell hundreds from ten thousands. The last hour
counts as well as the last days: traffic that has just begun is traffic.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shared import paths
from shared.ports import Bucket, ObjectInfo
from shared.predicted import log_days

LOOKS_BACK = (timedelta(hours=1), timedelta(days=3))
OBJECTS = 30
PART_BYTES = 256 * 1024
_LEAST = timedelta(minutes=1)


def expected_rows(
    model: str, during: timedelta, *, since: datetime, now: datetime, lake: Bucket
) -> int:
    """Rows of the log to be expected in such a time, by what came lately or, where that is shorter,
    since then."""
    days = log_days(max(since, now - max(LOOKS_BACK)), now)
    found = [info for day in days for info in lake.list(paths.inference_log(day))]
    found.sort(key=lambda info: (info.created, info.name))
    most = 0.0
    for back in LOOKS_BACK:
        start = max(since, now - back)
        rows = _rows(model, [info for info in found if info.created >= start], lake)
        most = max(most, rows * (during / max(now - start, _LEAST)))
    return round(most)


def _rows(model: str, found: list[ObjectInfo], lake: Bucket) -> float:
    """The model's rows in these objects, as far as a part of them tells."""
    step = max(len(found) / OBJECTS, 1.0)
    chosen = [found[int(place * step)] for place in range(min(len(found), OBJECTS))]
    begin = f'{{"model":"{model}",'.encode()
    rows = read = 0
    for info in chosen:
        data = lake.read(info.name, generation=info.generation, start=0, end=PART_BYTES).data
        rows += sum(line.startswith(begin) for line in data.splitlines())
        read += len(data)
    return rows * sum(info.size_bytes for info in found) / read if read else 0.0
