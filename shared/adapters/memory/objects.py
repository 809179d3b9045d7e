"""Stored objects as rows and as Google's JSON. Knows the form, not how they are kept."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from shared.adapters.memory.clock import from_micros, rfc3339
from shared.ports import ObjectInfo

GOOGLE_URL = "https://www.googleapis.com"


@dataclass(frozen=True, slots=True)
class BucketConfig:
    """`notify_topic` is the full topic name that hears of every change, or None."""

    name: str
    versioning: bool = False
    notify_topic: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """One generation with everything the JSON API shows. `properties` are Google's names of what
    only people read (`cacheControl`, `contentDisposition`, ...). `blob` names the bytes."""

    info: ObjectInfo
    updated: datetime
    deleted: datetime | None
    live: bool
    components: int | None
    properties: Mapping[str, str]
    blob: str


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a listing. `next` is the name and generation the following page starts with,
    None at the end."""

    items: list[Stored]
    prefixes: list[str]
    next: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class Describe:
    """What a writer says about an object besides its bytes."""

    content_type: str = "application/octet-stream"
    content_encoding: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)


def from_row(row: sqlite3.Row) -> Stored:
    info = ObjectInfo(
        bucket=row["bucket"],
        name=row["name"],
        generation=row["generation"],
        metageneration=row["metageneration"],
        size_bytes=row["size"],
        crc32c=row["crc32c"],
        md5=row["md5"],
        content_type=row["content_type"],
        content_encoding=row["content_encoding"],
        created=from_micros(row["created"]),
        metadata=json.loads(row["metadata"]),
    )
    return Stored(
        info=info,
        updated=from_micros(row["updated"]),
        deleted=from_micros(row["deleted"]) if row["deleted"] is not None else None,
        live=bool(row["live"]),
        components=row["components"],
        properties=json.loads(row["properties"]),
        blob=row["blob"],
    )


def resource(stored: Stored, base_url: str = GOOGLE_URL) -> dict[str, Any]:
    """The `storage#object` JSON: 64-bit numbers are strings, absent values are absent keys."""
    info = stored.info
    path = f"b/{quote(info.bucket, safe='')}/o/{quote(info.name, safe='')}"
    found: dict[str, Any] = {
        "kind": "storage#object",
        "id": f"{info.bucket}/{info.name}/{info.generation}",
        "selfLink": f"{base_url}/storage/v1/{path}",
        "mediaLink": f"{base_url}/download/storage/v1/{path}"
        f"?generation={info.generation}&alt=media",
        "name": info.name,
        "bucket": info.bucket,
        "generation": str(info.generation),
        "metageneration": str(info.metageneration),
        "contentType": info.content_type,
        "storageClass": "STANDARD",
        "size": str(info.size_bytes),
        "crc32c": info.crc32c,
        "etag": etag(info),
        "timeCreated": rfc3339(info.created),
        "updated": rfc3339(stored.updated),
        "timeStorageClassUpdated": rfc3339(info.created),
        **stored.properties,
    }
    optional = {
        "md5Hash": info.md5,
        "contentEncoding": info.content_encoding,
        "metadata": dict(info.metadata) or None,
        "componentCount": stored.components,
        "timeDeleted": rfc3339(stored.deleted) if stored.deleted else None,
    }
    return found | {key: value for key, value in optional.items() if value is not None}


def etag(info: ObjectInfo) -> str:
    return f"{info.generation:x}.{info.metageneration:x}"
