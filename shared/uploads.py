"""An upload's identity, and how it is kept while it waits for something."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from shared.documents import timestamp
from shared.events import parse_time
from shared.ports import ObjectInfo


def source_of(upload: ObjectInfo) -> str:
    """The natural identity of an upload."""
    return f"gs://{upload.bucket}/{upload.name}#{upload.generation}"


def name_of(source: str) -> str:
    """The object's name in the identity of an upload."""
    return source.removeprefix("gs://").partition("/")[2].rpartition("#")[0]


def as_document(upload: ObjectInfo) -> dict[str, Any]:
    return {**asdict(upload), "created": timestamp(upload.created)}


def of_document(body: dict[str, Any]) -> ObjectInfo:
    return ObjectInfo(**{**body, "created": parse_time(body["created"])})
