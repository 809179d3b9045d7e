"""The lane moves on: a request wants a place, or an outcome freed one."""

from __future__ import annotations

from shared import runs
from shared.errors import MalformedMessage, ObjectNotFound
from shared.events import ModelPromoted, RunEvent
from shared.lane import Lane
from shared.lanes import advance
from shared.ports import Bucket, Clock, JobRunner, Publisher


def take_request(
    event: RunEvent, *, lake: Bucket, jobs: JobRunner, publisher: Publisher, clock: Clock
) -> Lane:
    """Give a requested run its place in the lane. Raises MalformedMessage when nothing was
    asked under that id (the request is written before its message)."""
    try:
        request = runs.read_request(event.model, event.run_id, lake=lake)
    except ObjectNotFound as error:
        raise MalformedMessage(f"{event.type} for {event.run_id}, which has no request") from error
    return advance(
        event.model, request=request, lake=lake, jobs=jobs, publisher=publisher, clock=clock
    )


def take_outcome(
    event: RunEvent, *, lake: Bucket, jobs: JobRunner, publisher: Publisher, clock: Clock
) -> Lane:
    """Free the place of a run that ended; a promotion lets waiting scores start (and says nothing
    about the run that made the version: a person may have promoted it before it ended)."""
    heard = None if isinstance(event, ModelPromoted) else event.run_id
    return advance(event.model, heard=heard, lake=lake, jobs=jobs, publisher=publisher, clock=clock)
