"""Claims: who works on a thing, decided by a create-only object.

    take ----create-only----> ours          work, publish          complete (swap)
      \\--exists, completed--> done already
      \\--exists, live-------> InProgress    (another delivery has it)
      \\--exists, expired----> take over     (swap; attempt + 1, same run id)
    release: expired from now on

The run id is fixed when the claim is created, so a retry continues the same run. Completing and
taking over swap the claim's generation: a zombie that wakes up late loses its complete.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared import documents
from shared.documents import timestamp
from shared.errors import InProgress, PreconditionFailed
from shared.events import parse_time
from shared.paths import digest
from shared.ports import Bucket, Clock


@dataclass(frozen=True, slots=True)
class Claim:
    """`result` is None while the work is not completed."""

    path: str
    key: str
    run_id: str
    attempt: int
    generation: int
    created: datetime
    result: dict[str, Any] | None

    @property
    def done(self) -> bool:
        return self.result is not None


def run_id_for(key: str, time: datetime) -> str:
    """`<UTC yyyymmddThhmmss>-<8 hex of sha256(key)>`."""
    return f"{time.astimezone(UTC):%Y%m%dT%H%M%S}-{digest(key, 8)}"


def take(path: str, key: str, *, lake: Bucket, clock: Clock, seconds: int) -> Claim:
    """The claim, ours or completed. Raises InProgress while somebody else holds it."""
    now = clock.now()
    body: dict[str, Any] = {
        "key": key,
        "run_id": run_id_for(key, now),
        "attempt": 1,
        "created": timestamp(now),
        "expires": timestamp(now + timedelta(seconds=seconds)),
        "result": None,
    }
    try:
        return _claim(path, body, documents.swap(lake, path, body, generation=0))
    except PreconditionFailed:
        pass
    found = documents.read(lake, path)
    if not found.exists:
        raise InProgress(f"{path} vanished while it was read")
    if found.body["result"] is not None:
        return _claim(path, found.body, found.generation)
    if parse_time(found.body["expires"]) > now:
        raise InProgress(f"{key} is claimed until {found.body['expires']}")
    body |= {"run_id": found.body["run_id"], "created": found.body["created"]}
    body["attempt"] = int(found.body["attempt"]) + 1
    try:
        return _claim(path, body, documents.swap(lake, path, body, generation=found.generation))
    except PreconditionFailed as error:
        raise InProgress(f"{key} was taken over by another delivery") from error


def complete(claim: Claim, result: dict[str, Any], *, lake: Bucket, clock: Clock) -> None:
    """Mark the work done. Raises InProgress when the claim was taken over meanwhile."""
    try:
        _end(claim, result, lake=lake, clock=clock)
    except PreconditionFailed as error:
        raise InProgress(f"the claim on {claim.key} was taken over before completion") from error


def release(claim: Claim, *, lake: Bucket, clock: Clock) -> None:
    """Let the next delivery have it at once: what was tried is known not to have happened. Harmless
    when somebody took it over."""
    with suppress(PreconditionFailed):
        _end(claim, None, lake=lake, clock=clock)


def _end(claim: Claim, result: dict[str, Any] | None, *, lake: Bucket, clock: Clock) -> None:
    body = {
        "key": claim.key,
        "run_id": claim.run_id,
        "attempt": claim.attempt,
        "created": timestamp(claim.created),
        "expires": timestamp(clock.now()),
        "result": result,
    }
    documents.swap(lake, claim.path, body, generation=claim.generation)


def peek(path: str, *, lake: Bucket) -> Claim | None:
    """The claim as it stands, without taking it."""
    found = documents.read(lake, path)
    return _claim(path, found.body, found.generation) if found.exists else None


def _claim(path: str, body: dict[str, Any], generation: int) -> Claim:
    return Claim(
        path=path,
        key=body["key"],
        run_id=body["run_id"],
        attempt=int(body["attempt"]),
        generation=generation,
        created=parse_time(body["created"]),
        result=body["result"],
    )
