"""Versions of a model in the lake: which are complete, and what they say of themselves.

version.json is written last and once, so a version that has it is complete.
"""

from __future__ import annotations

from typing import Any

from shared import documents, paths
from shared.ports import Bucket


def read_version(model: str, version: str, *, lake: Bucket) -> dict[str, Any]:
    """version.json; empty for a version that is not complete."""
    return documents.read(lake, paths.version(model, version, "version.json")).body


def is_stored(model: str, version: str, *, lake: Bucket) -> bool:
    """True for a version that is complete."""
    return bool(read_version(model, version, lake=lake))


def version_ids(model: str, *, lake: Bucket) -> list[str]:
    """Every version that was begun, newest first (ids start with their time)."""
    folders = lake.folders(paths.version(model, "").removesuffix("/"))
    return sorted((folder.rstrip("/").rpartition("/")[2] for folder in folders), reverse=True)


def number_of(model: str, version: str, *, lake: Bucket) -> str | None:
    """The semantic version; None for a version that was stored before there were any."""
    number: str | None = read_version(model, version, lake=lake).get("semantic_version")
    return number


def numbered(model: str, semantic_version: str, *, lake: Bucket) -> str | None:
    """The id of the complete version with this semantic version."""
    body = documents.read(lake, paths.number(model, semantic_version)).body
    return str(body["version"]) if body and is_stored(model, body["version"], lake=lake) else None
