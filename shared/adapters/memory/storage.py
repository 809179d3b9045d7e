"""Cloud Storage as an engine: generations, preconditions, versions, listings, notifications.

An object and the message about it commit in one transaction. Bytes are staged before it and opened
inside it, so the lock is never held while they flow. Bytes never change: copies share them, and a
file goes when no object refers to it any more.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from shared.adapters.memory import listing
from shared.adapters.memory.blobs import Blobs
from shared.adapters.memory.buckets import Buckets
from shared.adapters.memory.clock import micros
from shared.adapters.memory.database import Database
from shared.adapters.memory.messages import Messages
from shared.adapters.memory.objects import Describe, Page, Stored, from_row
from shared.adapters.memory.preconditions import NONE, NotModified, Preconditions, decide
from shared.adapters.memory.staging import Content, Staging
from shared.adapters.objects import check_compose, check_name
from shared.errors import ObjectNotFound, PreconditionFailed
from shared.ports import Clock


@dataclass(frozen=True, slots=True)
class _Bytes:
    """Where contents lie and what is known about them."""

    blob: str
    size: int
    crc32c: str
    md5: str | None
    components: int | None = None


class Storage(Buckets):
    def __init__(
        self, database: Database, messages: Messages, clock: Clock, directory: Path | None = None
    ) -> None:
        """`directory` holds contents above 64 KiB; without it everything stays in the database."""
        super().__init__(database, messages, clock)
        self._blobs = Blobs(database, directory)

    # --- reading ---------------------------------------------------------------------------------

    def get(
        self, bucket: str, name: str, *, generation: int | None = None, when: Preconditions = NONE
    ) -> Stored:
        """Raises BucketNotFound, ObjectNotFound, PreconditionFailed, NotModified."""
        with self._db.reading() as tx:
            found = self._find(tx, bucket, name, generation)
        if found is None:
            self.bucket(bucket)
            raise ObjectNotFound(bucket, name, generation)
        verdict = decide(when, found.info.generation, found.info.metageneration)
        if verdict == "failed":
            raise PreconditionFailed(bucket, name)
        if verdict == "not_modified":
            raise NotModified(f"gs://{bucket}/{name} is still generation {found.info.generation}")
        return found

    def open(
        self, bucket: str, name: str, *, generation: int | None = None, when: Preconditions = NONE
    ) -> tuple[Stored, BinaryIO]:
        """An object with its bytes, opened under the lock: what replaces it later cannot tear it.
        Raises as `get`."""
        with self._db.reading() as tx:
            found = self.get(bucket, name, generation=generation, when=when)
            return found, self._blobs.open(tx, found.blob)

    def page(self, bucket: str, query: listing.Query) -> Page:
        """A page of live objects (or all generations) in name order. Raises BucketNotFound."""
        self.bucket(bucket)
        with self._db.reading() as tx:
            return listing.page(tx, bucket, query)

    @staticmethod
    def _find(
        tx: sqlite3.Connection, bucket: str, name: str, generation: int | None
    ) -> Stored | None:
        wanted, more = ("live = 1", ()) if generation is None else ("generation = ?", (generation,))
        row = tx.execute(
            f"SELECT * FROM objects WHERE bucket = ? AND name = ? AND {wanted}",  # noqa: S608
            (bucket, name, *more),
        ).fetchone()
        return from_row(row) if row else None

    # --- writing ---------------------------------------------------------------------------------

    def stage(self) -> Staging:
        return self._blobs.stage()

    def put(
        self,
        bucket: str,
        name: str,
        content: Content,
        describe: Describe,
        *,
        when: Preconditions = NONE,
    ) -> Stored:
        """Make staged content the live generation and tell the bucket's topic, or neither.
        Raises BucketNotFound, PreconditionFailed, ValueError (the name)."""
        return self._put(bucket, name, content, describe, when, components=None)

    def copy(
        self,
        source: tuple[str, str, int | None],
        bucket: str,
        name: str,
        *,
        describe: Describe | None = None,
        when: Preconditions = NONE,
        source_when: Preconditions = NONE,
    ) -> Stored:
        """Copy bucket, name, generation to here. `describe` replaces the source's metadata.
        Raises ObjectNotFound (source), PreconditionFailed (either), BucketNotFound."""
        with self._db.transaction() as tx:
            found = self.get(source[0], source[1], generation=source[2], when=source_when)
            info = found.info
            kept = Describe(
                info.content_type, info.content_encoding, info.metadata, found.properties
            )
            contents = _Bytes(found.blob, info.size_bytes, info.crc32c, info.md5, found.components)
            return self._insert(tx, (bucket, name), contents, describe or kept, when)

    def compose(
        self,
        bucket: str,
        sources: Sequence[tuple[str, int | None, Preconditions]],
        name: str,
        *,
        describe: Describe | None = None,
        when: Preconditions = NONE,
    ) -> Stored:
        """Join 1 to 32 (name, generation, preconditions). Raises as `copy`, ValueError (count)."""
        check_compose([source[0] for source in sources])
        opened = [
            self.open(bucket, item, generation=generation, when=wanted)
            for item, generation, wanted in sources
        ]
        components = sum(stored.components or 1 for stored, _ in opened)
        wanted = describe or Describe(opened[0][0].info.content_type)
        with self.stage() as staging:
            for _, stream in opened:
                with stream:
                    staging.drain(stream)
            content = staging.finish()
            return self._put(bucket, name, content, wanted, when, components=components)

    def patch(
        self,
        bucket: str,
        name: str,
        *,
        changes: Mapping[str, Any],
        generation: int | None = None,
        when: Preconditions = NONE,
    ) -> Stored:
        """Change `contentType`, `contentEncoding`, `metadata` (merged; None removes a key) or a
        property. Raises as `get`."""
        with self._db.transaction() as tx:
            found = self._for_change(bucket, name, generation, when)
            info, metadata = found.info, dict(found.info.metadata)
            if "metadata" in changes and changes["metadata"] is None:
                metadata = {}
            metadata |= changes.get("metadata") or {}
            properties = dict(found.properties) | {
                key: value for key, value in changes.items() if key not in _NOT_PROPERTIES
            }
            tx.execute(
                "UPDATE objects SET metageneration = metageneration + 1, updated = ?,"
                " content_type = ?, content_encoding = ?, metadata = ?, properties = ?"
                " WHERE bucket = ? AND name = ? AND generation = ?",
                (
                    micros(self._clock.now()),
                    changes.get("contentType") or info.content_type,
                    changes.get("contentEncoding", info.content_encoding),
                    _json(metadata),
                    _json(properties),
                    *(bucket, name, info.generation),
                ),
            )
            changed = self.get(bucket, name, generation=info.generation)
            self._notify(tx, "OBJECT_METADATA_UPDATE", changed)
            return changed

    def delete(
        self, bucket: str, name: str, *, generation: int | None = None, when: Preconditions = NONE
    ) -> None:
        """Without a generation the live one goes (or becomes an old version); with one, exactly
        that one goes for good. Raises ObjectNotFound, PreconditionFailed."""
        with self._db.transaction() as tx:
            found = self._for_change(bucket, name, generation, when)
            self._retire(tx, found, for_good=generation is not None, replaced_by=None)

    def _for_change(
        self, bucket: str, name: str, generation: int | None, when: Preconditions
    ) -> Stored:
        try:
            return self.get(bucket, name, generation=generation, when=when)
        except NotModified as error:  # 304 is an answer to reads only
            raise PreconditionFailed(bucket, name) from error

    def _put(
        self,
        bucket: str,
        name: str,
        content: Content,
        describe: Describe,
        when: Preconditions,
        *,
        components: int | None,
    ) -> Stored:
        blob = self._blobs.adopt(content)
        md5 = None if components else content.md5
        contents = _Bytes(blob, content.size_bytes, content.crc32c, md5, components)
        try:
            with self._db.transaction() as tx:
                self._blobs.insert(tx, blob, content)
                return self._insert(tx, (bucket, name), contents, describe, when)
        except BaseException:
            self._blobs.disown(blob)
            raise

    def _insert(
        self,
        tx: sqlite3.Connection,
        at: tuple[str, str],
        contents: _Bytes,
        describe: Describe,
        when: Preconditions,
    ) -> Stored:
        bucket, name = at
        self.bucket(bucket)
        check_name(name)
        old = self._find(tx, bucket, name, None)
        there = (old.info.generation, old.info.metageneration) if old else (0, 0)
        if decide(when, *there) != "holds":
            raise PreconditionFailed(bucket, name)
        now = micros(self._clock.now())
        generation = self._db.count("generation", at_least=now)
        if old:
            self._retire(tx, old, for_good=False, replaced_by=generation)
        tx.execute(
            "INSERT INTO objects (bucket, name, generation, metageneration, live, blob, size,"
            " crc32c, md5, components, content_type, content_encoding, metadata, properties,"
            " created, updated) VALUES (?, ?, ?, 1, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(bucket, name, generation, contents.blob, contents.size),
                *(contents.crc32c, contents.md5, contents.components),
                *(describe.content_type, describe.content_encoding),
                *(_json(describe.metadata), _json(describe.properties), now, now),
            ),
        )
        stored = self.get(bucket, name)
        more = {"overwroteGeneration": str(old.info.generation)} if old else {}
        self._notify(tx, "OBJECT_FINALIZE", stored, more)
        return stored

    def _retire(
        self, tx: sqlite3.Connection, old: Stored, *, for_good: bool, replaced_by: int | None
    ) -> None:
        """The live generation becomes an old version, or a generation goes altogether."""
        info, now = old.info, self._clock.now()
        key = (info.bucket, info.name, info.generation)
        keep = self.bucket(info.bucket).versioning and not for_good
        if keep:
            tx.execute(
                "UPDATE objects SET live = 0, deleted = ?"
                " WHERE bucket = ? AND name = ? AND generation = ?",
                (micros(now), *key),
            )
        else:
            tx.execute("DELETE FROM objects WHERE bucket = ? AND name = ? AND generation = ?", key)
            self._blobs.release(tx, old.blob)
        more = {"overwrittenByGeneration": str(replaced_by)} if replaced_by else {}
        gone = replace(old, deleted=now, live=False)
        self._notify(tx, "OBJECT_ARCHIVE" if keep else "OBJECT_DELETE", gone, more)


_NOT_PROPERTIES = {"contentType", "contentEncoding", "metadata"}


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps({key: item for key, item in value.items() if item is not None})
