"""JSON objects in a bucket: read, create once, swap. The only place that turns bytes into JSON.

`Document.generation` is 0 for "does not exist", which is also the precondition for creating it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shared.errors import ObjectNotFound, PreconditionFailed, Retryable
from shared.ports import Bucket

_SWAPS = 20  # lost to others, one after the other


@dataclass(frozen=True, slots=True)
class Document:
    body: dict[str, Any]
    generation: int

    @property
    def exists(self) -> bool:
        return self.generation != 0


def dumps(body: Mapping[str, Any]) -> bytes:
    """Readable JSON. Keys keep their order: a spec's columns stand in file order."""
    return (json.dumps(body, indent=1, ensure_ascii=False) + "\n").encode()


def read(bucket: Bucket, name: str) -> Document:
    """The document, or an empty one with generation 0."""
    try:
        blob = bucket.read(name)
    except ObjectNotFound:
        return Document({}, 0)
    return Document(json.loads(blob.data), blob.info.generation)


def require(bucket: Bucket, name: str) -> dict[str, Any]:
    """The body of a document that must exist. Raises ObjectNotFound."""
    body: dict[str, Any] = json.loads(bucket.read(name).data)
    return body


def create(bucket: Bucket, name: str, body: Mapping[str, Any]) -> bool:
    """Write once; False when it was there already (and stays as it was)."""
    try:
        swap(bucket, name, body, generation=0)
    except PreconditionFailed:
        return False
    return True


def swap(
    bucket: Bucket,
    name: str,
    body: Mapping[str, Any],
    *,
    generation: int,
    metadata: Mapping[str, str] | None = None,
) -> int:
    """Replace exactly that generation; the new generation comes back. Listings tell `metadata`.
    Raises PreconditionFailed."""
    info = bucket.write(
        name,
        dumps(body),
        if_generation=generation,
        content_type="application/json",
        metadata=metadata,
    )
    return info.generation


def change(bucket: Bucket, name: str, step: Callable[[Document], Mapping[str, Any] | None]) -> None:
    """Swap a document for what `step` makes of it (None: it stays), again from the start when
    somebody else was faster. Raises Retryable."""
    for _ in range(_SWAPS):
        found = read(bucket, name)
        body = step(found)
        if body is None:
            return
        try:
            swap(bucket, name, body, generation=found.generation)
        except PreconditionFailed:
            continue
        return
    raise Retryable(f"{name} changes faster than it can be written")


def timestamp(time: datetime) -> str:
    """RFC 3339 in UTC, ending in Z."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
