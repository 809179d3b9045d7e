"""What both storage adapters share: names that are safe to send, the write marker, files
that appear whole.

Knows the JSON form of Cloud Storage's object resource, but no client and no network.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.errors import ServiceUnavailable
from shared.ports import ObjectInfo

# A write with a precondition is repeated when its answer is lost. If the first one had arrived,
# the second one answers 412 although we won:
#
#   we ----- write if_generation=0, marker M ----> stored as generation 7
#   we  <-x- answer lost ------------------------- 200
#   we ----- the same again ---------------------> 412
#   we ----- stat -------------------------------> generation 7 carries M: it is ours
#
# So every write carries a marker of its own in the object's metadata. Comparing contents instead
# would not do: two deliveries of one event may well write the same bytes, and only one may win.
# If somebody has replaced our generation in the meantime the marker is gone and the caller sees a
# lost swap; it reads again and decides again, which is what a lost swap means anyway.
WRITE_MARKER = "millrace-write"

MAX_NAME_BYTES = 1024
MAX_COMPOSE = 32
_LOOKS = 12


def new_marker() -> str:
    return uuid.uuid4().hex


def marked(metadata: Mapping[str, str] | None, marker: str) -> dict[str, str]:
    return {**(metadata or {}), WRITE_MARKER: marker}


def unmarked(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """The caller's own metadata."""
    return {key: value for key, value in (metadata or {}).items() if key != WRITE_MARKER}


def check_name(name: str) -> str:
    """The name, if Cloud Storage would take it. Raises ValueError.

    `.` and `..` matter most: an HTTP client folds `/o/..` into `/`, the bucket itself.
    """
    size = len(name.encode())
    if not 1 <= size <= MAX_NAME_BYTES:
        raise ValueError(f"an object name has 1 to {MAX_NAME_BYTES} bytes, this one has {size}")
    if name in {".", ".."} or "\r" in name or "\n" in name:
        raise ValueError(f"{name!r} is not an object name Cloud Storage accepts")
    return name


def check_compose(sources: Sequence[str]) -> None:
    """Raises ValueError unless 1 to 32 sources are given."""
    if not 1 <= len(sources) <= MAX_COMPOSE:
        raise ValueError(f"compose joins 1 to {MAX_COMPOSE} objects, got {len(sources)}")


def looks(sleep: Callable[[float], None] = time.sleep) -> Iterator[int]:
    """Attempts at "look at the live object, then read that generation", with random pauses.

    An object in a busy compare-and-swap may be replaced in between; it will not be for ever, since
    Cloud Storage takes about one write a second for one name.
    """
    for attempt in range(_LOOKS):
        if attempt:
            sleep(random.uniform(0, min(0.5, 0.01 * 2**attempt)))  # noqa: S311 - no secret
        yield attempt


def restless(bucket: str, name: str) -> ServiceUnavailable:
    """What is to be said when the looks are over."""
    return ServiceUnavailable(f"gs://{bucket}/{name} is replaced faster than it can be read")


def appear(to: Path, write: Callable[[Path], ObjectInfo]) -> ObjectInfo:
    """What `write` puts into a file beside it appears at `to` whole, or not at all."""
    part = to.with_name(f"{to.name}.{new_marker()}.part")
    try:
        info = write(part)
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)
    return info


def info_from_resource(resource: Mapping[str, Any]) -> ObjectInfo:
    """From `storage#object`; its 64-bit numbers are strings."""
    return ObjectInfo(
        bucket=resource["bucket"],
        name=resource["name"],
        generation=int(resource["generation"]),
        metageneration=int(resource["metageneration"]),
        size_bytes=int(resource["size"]),
        crc32c=resource.get("crc32c", ""),
        md5=resource.get("md5Hash"),
        content_type=resource.get("contentType") or "application/octet-stream",
        content_encoding=resource.get("contentEncoding") or None,
        created=datetime.fromisoformat(resource["timeCreated"]),
        metadata=unmarked(resource.get("metadata")),
    )
