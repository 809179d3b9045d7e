"""Score a file in batch: its columns come back, in order, with what the champion says.

    input --tasks--> parts (create-only) --> predictions.csv --> summary.json --> latest.json
                                             by who sees all                  --> outcome

Rows out are rows in: a record that cannot be scored keeps its place and gets an `error`. Each step
is create-only or moves forward, so a retry after a crash between any two of them ends the same.
The scored file is UTF-8, comma separated, with a header, however the input was written, or what
`scoring.output` of the spec says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shared import documents, paths, runs
from shared.documents import Document
from shared.errors import NotServed, Rejected, Retryable
from shared.events import ScoringCompleted, parse_time
from shared.ports import Bucket, Clock, Publisher
from shared.runs import RunRequest
from shared.usecases.scoring.apart import score_apart
from shared.usecases.scoring.in_order import score_in_order
from shared.usecases.scoring.inputs import Scoring, load_version
from shared.usecases.scoring.parts import Part, Parts
from shared.usecases.scoring.plan import Task, plan_of

__all__ = ["BLOCK_ROWS", "Task", "load_version", "score_file"]

BLOCK_ROWS = 20_000
_SUMMARY = "summary.json"
ALONE = Task()


def score_file(
    request: RunRequest,
    *,
    lake: Bucket,
    publisher: Publisher,
    clock: Clock,
    task: Task = ALONE,
    threads: int = 1,
    block_rows: int = BLOCK_ROWS,
) -> ScoringCompleted | None:
    """Do a task's share of scoring the run's input with the champion that launch resolved, in
    bounded memory, and end the run once all is done; None while others have theirs to do.

    Raises Rejected (EmptyFile, BinaryFile, UnreadableText, HeaderMismatch) for a file that can
    never be scored, NotServed when launch found no champion.
    """
    model, run_id = request.model, request.run_id
    version = runs.read_launch(model, run_id, lake=lake)["champion"]
    if version is None:
        raise NotServed(f"{model} has no champion; launch should have let {run_id} wait")
    name = paths.predictions(model, run_id, _SUMMARY)

    def is_over() -> bool:
        return documents.read(lake, name).exists

    def now() -> str:
        return documents.timestamp(clock.now())

    if not is_over():
        started = now()
        scoring = Scoring.of(request, version, lake=lake, workers=threads, block_rows=block_rows)
        parts = Parts(lake, model, run_id, scoring.spec.scoring.output)
        found = _score(scoring, parts, task, is_over)
        if found is None and not is_over():
            return None
        if found is not None and not _joined(parts, found, is_over):
            body = _summary(request, version, parts, found, times=(started, now()))
            if not documents.create(lake, name, body):
                return None  # another task ends the run, or its next attempt does
    return _end(request, documents.require(lake, name), lake, publisher, clock)


def _score(
    scoring: Scoring, parts: Parts, task: Task, is_over: Callable[[], bool]
) -> list[Part] | None:
    """This task's share; all parts where they are complete."""
    try:
        plan = plan_of(scoring, task)
        if plan.looks:
            return score_apart(scoring, plan, parts, task, is_over)
        return score_in_order(scoring, parts) if task.index == 0 else None
    except Rejected:
        parts.discard(all_of_them=True)
        raise


def _joined(parts: Parts, found: list[Part], is_over: Callable[[], bool]) -> bool:
    """Make the scored file; True where another task did, and has said so."""
    try:
        parts.join(found)
    except Retryable:
        if is_over():
            return True
        raise
    return False


def _end(
    request: RunRequest, summary: dict[str, Any], lake: Bucket, publisher: Publisher, clock: Clock
) -> ScoringCompleted:
    """All that follows from a summary; as often as anybody likes."""
    model, run_id = request.model, request.run_id
    Parts(lake, model, run_id, summary.get("format", "csv")).discard()
    _point_latest(model, summary, lake)
    event = ScoringCompleted(
        model=model,
        run_id=run_id,
        version=summary["version"],
        rows=summary["rows"],
        errors=summary["errors"],
        output=summary["object"],
    )
    if not runs.announced(model, run_id, lake=lake):
        runs.finish(event, lake=lake, publisher=publisher, clock=clock)
    return event


def _summary(
    request: RunRequest, version: str, parts: Parts, found: list[Part], *, times: tuple[str, str]
) -> dict[str, Any]:
    return {
        "run_id": request.run_id,
        "version": version,
        "rows": sum(part.rows for part in found),
        "errors": sum(part.errors for part in found),
        "started": times[0],
        "finished": times[1],
        "channel": "batch",
        "object": parts.target,
        "format": parts.output,
    }


def _point_latest(model: str, summary: dict[str, Any], lake: Bucket) -> None:
    """Let latest.json name this run, unless a run that finished later is there already."""

    def unless_later(there: Document) -> dict[str, Any] | None:
        finished = there.body.get("finished")
        later = finished and parse_time(finished) >= parse_time(summary["finished"])
        return None if later else summary

    documents.change(lake, paths.latest_predictions(model), unless_later)
