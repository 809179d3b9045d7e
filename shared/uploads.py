"""An upload's identity, and how it is kept while it waits for something."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from shared.documents import timestamp
from shared.events import parse_time
from shared.ports import ObjectInfo

# Generations between are moments from 2015 to 2100.
_EARLIEST, _LATEST = 1_420_070_400_000_000, 4_102_444_800_000_000


def source_of(upload: ObjectInfo) -> str:
    """The natural identity of an upload."""
    return f"gs://{upload.bucket}/{upload.name}#{upload.generation}"


def name_of(source: str) -> str:
    """The object's name in the identity of an upload."""
    return source.removeprefix("gs://").partition("/")[2].rpartition("#")[0]


def uploaded_at(source: str) -> datetime | None:
    """When it was uploaded, of its identity: Cloud Storage numbers generations by the microsecond.
    None where that is no such number."""
    generation = source.rpartition("#")[2]
    if not generation.isdigit() or not _EARLIEST <= int(generation) < _LATEST:
        return None
    return datetime.fromtimestamp(int(generation) / 1_000_000, UTC)


def as_document(upload: ObjectInfo) -> dict[str, Any]:
    return {**asdict(upload), "created": timestamp(upload.created)}


def of_document(body: dict[str, Any]) -> ObjectInfo:
    return ObjectInfo(**{**body, "created": parse_time(body["created"])})
