"""Score a file in batch: its columns come back, in order, with what the champion says.

    input --> parts (create-only) --> predictions.csv --> summary.json --> latest.json
                                                                       --> outcome

Rows out are rows in: a record that cannot be scored keeps its place and gets an `error`. Each step
is create-only or moves forward, so a retry after a crash between any two of them ends the same.
The scored file is UTF-8, comma separated, with a header, however the input was written, or what
`scoring.output` of the spec says.
"""

from __future__ import annotations

from typing import Any

from shared import documents, paths, runs
from shared.errors import AliasMoved, NotServed, PreconditionFailed, Rejected, Retryable
from shared.events import ScoringCompleted, parse_time
from shared.ports import Bucket, Clock, Publisher
from shared.runs import RunRequest
from shared.usecases.scoring.in_order import score_in_order
from shared.usecases.scoring.inputs import Scoring, load_version
from shared.usecases.scoring.parts import Part, Parts

__all__ = ["BLOCK_ROWS", "load_version", "score_file"]

BLOCK_ROWS = 20_000
_SUMMARY = "summary.json"
_SWAPS = 5


def score_file(
    request: RunRequest,
    *,
    lake: Bucket,
    publisher: Publisher,
    clock: Clock,
    threads: int = 1,
    block_rows: int = BLOCK_ROWS,
) -> ScoringCompleted:
    """Score the run's input with the champion that launch resolved, in bounded memory.

    Raises Rejected (EmptyFile, BinaryFile, UnreadableText, HeaderMismatch) for a file that can
    never be scored, NotServed when launch found no champion.
    """
    model, run_id = request.model, request.run_id
    version = runs.read_launch(model, run_id, lake=lake)["champion"]
    if version is None:
        raise NotServed(f"{model} has no champion; launch should have let {run_id} wait")
    name = paths.predictions(model, run_id, _SUMMARY)

    def now() -> str:
        return documents.timestamp(clock.now())

    if not documents.read(lake, name).exists:
        started = now()
        scoring = Scoring.of(request, version, lake=lake, threads=threads, block_rows=block_rows)
        parts = Parts(lake, model, run_id, scoring.spec.scoring.output)
        try:
            found = score_in_order(scoring, parts)
        except Rejected:
            parts.discard(all_of_them=True)
            raise
        if found is None:
            raise Retryable(f"parts of {parts.target} were taken away")
        parts.join(found)
        body = _summary(request, version, parts, found, times=(started, now()))
        documents.create(lake, name, body)
    summary = documents.require(lake, name)
    Parts(lake, model, run_id, summary.get("format", "csv")).discard()
    _point_latest(model, summary, lake)
    event = ScoringCompleted(
        model=model,
        run_id=run_id,
        version=version,
        rows=summary["rows"],
        errors=summary["errors"],
        output=summary["object"],
    )
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
    name = paths.latest_predictions(model)
    for _ in range(_SWAPS):
        found = documents.read(lake, name)
        if found.exists:
            there = parse_time(found.body["finished"])
            if there >= parse_time(summary["finished"]):
                return
        try:
            documents.swap(lake, name, summary, generation=found.generation)
        except PreconditionFailed:
            continue
        return
    raise AliasMoved(f"{name} changes faster than it can be written")
