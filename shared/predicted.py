"""Predictions we made: batch runs by their summaries, online answers by the inference log.

    predictions/<model>/<run_id>/summary.json    when a scoring run finished, how many rows
    inference-log/dt=<day>/*                      JSON lines of all models, by day of export

The log's day is that of its export, so readers take neighbouring days; a line may be there twice.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from shared import documents, paths
from shared.beside.second_version import Kind, mark_in
from shared.events import parse_time
from shared.ports import Bucket, ObjectInfo

# A summary is written when its run has finished; clocks of two machines may differ by this.
CLOCK_SKEW = timedelta(minutes=5)
DAY = timedelta(days=1)
# Scoring run, record number: of so many digits that it is one.
BATCH_ID = re.compile(r"([0-9]{8}T[0-9]{6}-[0-9a-f]{8})-([1-9][0-9]{0,17})")
_LOG_DAY = re.compile(r"inference-log/dt=(\d{4}-\d\d-\d\d)/")
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class BatchRun:
    """One completed scoring run. `errors` of its `rows` have a reason instead of a score."""

    run_id: str
    version: str
    rows: int
    errors: int
    finished: datetime
    object: str

    @classmethod
    def of(cls, body: dict[str, Any]) -> BatchRun:
        return cls(
            run_id=body["run_id"],
            version=body["version"],
            rows=int(body["rows"]),
            errors=int(body["errors"]),
            finished=parse_time(body["finished"]),
            object=body["object"],
        )


@dataclass(frozen=True, slots=True)
class OnlineLine:
    """One row that was asked about; a refused one has an `error` and no score. `beside` says how it
    was dealt where a second version ran, and `kind` of what kind that was; `redacted` which cells
    of `instance` are not told."""

    version: str
    time: datetime
    prediction_id: str
    instance: dict[str, Any]
    score: float | None
    label: str | None
    error: str | None
    kind: Kind | None = None
    beside: Mapping[str, Any] | None = None
    redacted: tuple[str, ...] = ()

    @property
    def by_challenger(self) -> bool:
        """True when it was the second version that answered. A shadow never does."""
        mark = self.beside
        return bool(mark and mark["arm"] == "challenger" and mark["left_out"] is None)


def find_batch_run(model: str, run_id: str, *, lake: Bucket) -> BatchRun | None:
    """None when there is no such run, or not yet."""
    found = documents.read(lake, paths.predictions(model, run_id, "summary.json"))
    return BatchRun.of(found.body) if found.exists else None


def batch_runs(model: str, start: datetime, end: datetime, *, lake: Bucket) -> list[BatchRun]:
    """Scoring runs that finished in [start, end), oldest first."""
    found = []
    for info in lake.list(paths.predictions(model, "").rstrip("/") + "/"):
        parts = info.name.split("/")
        if len(parts) != 4 or parts[3] != "summary.json" or info.created < start - CLOCK_SKEW:
            continue
        run = BatchRun.of(documents.require(lake, info.name))
        if start <= run.finished < end:
            found.append(run)
    return sorted(found, key=lambda run: (run.finished, run.run_id))


def log_days(start: datetime, end: datetime) -> list[date]:
    """The days of export that may hold lines of [start, end)."""
    first, last = (start - CLOCK_SKEW).date(), end.date() + DAY
    return [first + DAY * number for number in range((last - first).days + 1)]


def days_told(prediction_id: str) -> list[date]:
    """The days of export that the log may hold this answer under: an id of ours tells when it was
    made. None for an id that a caller made up."""
    if not _UUID7.fullmatch(prediction_id):
        return []
    milliseconds = int(prediction_id.replace("-", "")[:12], 16)
    try:
        made = datetime.fromtimestamp(milliseconds / 1000, tz=UTC).date()
        return [made - DAY, made, made + DAY]
    except (ValueError, OverflowError):  # beyond the year 9999
        return []


def logged_days(*, lake: Bucket) -> set[date]:
    """Days of export that have a log."""
    found = map(_LOG_DAY.fullmatch, lake.folders("inference-log/"))
    return {date.fromisoformat(match[1]) for match in found if match}


def find_line(
    prediction_id: str, days: Iterable[date], *, lake: Bucket, model: str = ""
) -> dict[str, Any] | None:
    """The log's line of an answer, of one model or of any; None where these days have none."""
    for day in days:
        for line in read_log_day(day, lake=lake, about=prediction_id):
            if line["prediction_id"] == prediction_id and model in ("", line["model"]):
                return line
    return None


def read_log_day(
    day: date, *, lake: Bucket, about: str = "", one_in: int = 1
) -> Iterator[dict[str, Any]]:
    """All lines of one day, of all models; with `about` at least those that hold this text, with
    `one_in` about so few, and a line that is there twice both times or never. What is no JSON
    object with a model and a time is left out: the log holds lines of ours only, save for a torn
    one."""
    # As JSON may spell it, so that most lines need not be parsed to know that they do not matter.
    spelled = [
        json.dumps(about, ensure_ascii=way)[1:-1].encode(errors="surrogatepass")
        for way in (True, False)
    ]

    def wanted(raw: bytes) -> bool:
        if one_in > 1 and zlib.crc32(raw.rstrip()) % one_in:
            return False
        return any(text in raw for text in spelled)

    for info in lake.list(paths.inference_log(day)):
        yield from log_lines(info, wanted, lake=lake)


def log_lines(
    info: ObjectInfo, wanted: Callable[[bytes], bool], *, lake: Bucket
) -> Iterator[dict[str, Any]]:
    """The lines of one object of the log, of those whose bytes are `wanted`."""
    with lake.open_reader(info.name, generation=info.generation) as stream:
        for raw in stream:
            line = _object(raw) if wanted(raw) else None
            if line is not None and {"model", "version", "time", "prediction_id"} <= line.keys():
                yield line


def online_lines(
    model: str, start: datetime, end: datetime, *, lake: Bucket, one_in: int = 1
) -> Iterator[OnlineLine]:
    """The model's answers and refused rows of [start, end), each prediction id once; with `one_in`
    a sample of them."""
    seen: set[str] = set()
    for day in log_days(start, end):
        for line in read_log_day(day, lake=lake, one_in=one_in):
            if line["model"] != model or line["prediction_id"] in seen:
                continue
            time = parse_time(line["time"])
            if start <= time < end:
                kind, mark = mark_in(line) or (None, None)
                seen.add(line["prediction_id"])
                yield OnlineLine(
                    version=line["version"],
                    time=time,
                    prediction_id=line["prediction_id"],
                    instance=line.get("instance") or {},
                    score=line.get("score"),
                    label=line.get("label"),
                    error=line.get("error"),
                    kind=kind,
                    beside=mark,
                    redacted=tuple(line.get("redacted", ())),
                )


def find_online(
    model: str, ids: Iterable[str], days: Iterable[date], *, lake: Bucket
) -> dict[str, datetime]:
    """When these predictions were made, as far as the given days of the log know them."""
    wanted = set(ids)
    found: dict[str, datetime] = {}
    for day in days:
        if not wanted:
            break
        for line in read_log_day(day, lake=lake):
            answered = not line.get("error")
            if answered and line["model"] == model and line["prediction_id"] in wanted:
                found[line["prediction_id"]] = parse_time(line["time"])
                wanted.discard(line["prediction_id"])
    return found


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(raw)
    except (ValueError, UnicodeDecodeError):
        return None
    return line if isinstance(line, dict) else None
