"""`ports.Bucket` on google-cloud-storage, for jobs and the command line.

The library's sessions and checksums; our preconditions, pinned generations, retries and errors.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from google.api_core.exceptions import Forbidden
from google.cloud import storage

from shared.adapters.google_errors import Insistence, translated
from shared.adapters.google_reading import (
    CHUNK_BYTES,
    TIMEOUT,
    GoogleReader,
    info_from_blob,
    insist_reading,
    storage_client,
)
from shared.adapters.objects import (
    WRITE_MARKER,
    check_compose,
    check_name,
    marked,
    new_marker,
)
from shared.errors import ObjectNotFound, PreconditionFailed
from shared.ports import ObjectInfo

__all__ = ["GoogleBucket", "storage_client"]


class GoogleBucket(GoogleReader):
    """Implements `ports.VersionedBucket`. Give buckets of one process the same `client`.

    Names Cloud Storage would refuse raise ValueError.
    """

    def write(
        self,
        name: str,
        data: bytes,
        *,
        if_generation: int | None = None,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        blob = self._draft(name, content_type, metadata)
        return self._send(blob, io.BytesIO(data), len(data), if_generation)

    def upload(
        self,
        name: str,
        path: Path,
        *,
        if_generation: int | None = None,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        with path.open("rb") as source:
            size = path.stat().st_size
            blob = self._draft(name, content_type, metadata)
            return self._send(blob, source, size, if_generation)

    def copy(
        self,
        source_bucket: str,
        source: str,
        name: str,
        *,
        source_generation: int | None = None,
        if_generation: int | None = None,
    ) -> ObjectInfo:
        origin = self._client.bucket(source_bucket).blob(
            check_name(source), generation=source_generation
        )
        target = self._blob(name)
        insist = Insistence(repeatable=if_generation is not None)
        token: str | None = None
        try:
            with translated(source_bucket, source, source_generation):
                while True:
                    token, _, _ = target.rewrite(
                        origin,
                        token=token,
                        if_generation_match=if_generation,
                        timeout=TIMEOUT,
                        retry=insist.policy,
                    )
                    if token is None:
                        return info_from_blob(target)
        except (PreconditionFailed, Forbidden) as error:
            self._check_taken(name, if_generation, error)
            # A copy carries its source's metadata, hence no marker of ours. After a lost answer
            # the same content under the name counts as our copy.
            there = self._after_lost_answer(name, insist)
            if there is None:
                raise PreconditionFailed(self._name, name) from error
            with translated(source_bucket, source, source_generation):
                origin.reload(timeout=TIMEOUT, retry=insist_reading())
            if (there.crc32c, there.size) != (origin.crc32c, origin.size):
                raise PreconditionFailed(self._name, name) from error
            return info_from_blob(there)

    def compose(
        self, sources: Sequence[str], name: str, *, if_generation: int | None = None
    ) -> ObjectInfo:
        check_compose(sources)
        target = self._blob(name)
        target.content_type = self.stat(sources[0]).content_type
        target.metadata = marked(None, new_marker())
        insist = Insistence(repeatable=if_generation is not None)
        try:
            with translated(self._name, name):
                target.compose(
                    [self._blob(source) for source in sources],
                    if_generation_match=if_generation,
                    timeout=TIMEOUT,
                    retry=insist.policy,
                )
        except ObjectNotFound:
            for source in sources:
                self.stat(source)  # says which one is missing
            raise
        except PreconditionFailed:
            return self._ours(name, insist, dict(target.metadata))
        return info_from_blob(target)

    def delete(self, name: str, *, if_generation: int | None = None) -> None:
        insist = Insistence(repeatable=if_generation is not None)
        try:
            with translated(self._name, name):
                self._blob(name).delete(
                    if_generation_match=if_generation, timeout=TIMEOUT, retry=insist.policy
                )
        except ObjectNotFound:
            # Gone after a lost answer: that was us, or somebody with the same aim.
            if not insist.repeated:
                raise

    def delete_generation(self, name: str, generation: int) -> None:
        insist = Insistence(repeatable=True)
        with suppress(ObjectNotFound), translated(self._name, name, generation):
            self._blob(name, generation).delete(timeout=TIMEOUT, retry=insist.policy)

    # --- parts -----------------------------------------------------------------------------------

    def _draft(
        self, name: str, content_type: str, metadata: Mapping[str, str] | None
    ) -> storage.Blob:
        blob = self._blob(name)
        blob.chunk_size = CHUNK_BYTES
        blob.content_type = content_type
        blob.metadata = marked(metadata, new_marker())
        return blob

    def _send(
        self, blob: storage.Blob, source: BinaryIO, size: int, if_generation: int | None
    ) -> ObjectInfo:
        """Up to 8 MiB go in one request, which is repeated only under a precondition; more goes
        in chunks, and a chunk can always be repeated."""
        insist = Insistence(repeatable=if_generation is not None or size > CHUNK_BYTES)
        sent = dict(blob.metadata)
        try:
            with translated(self._name, blob.name):
                blob.upload_from_file(
                    source,
                    size=size,
                    content_type=blob.content_type,
                    if_generation_match=if_generation,
                    timeout=TIMEOUT,
                    retry=insist.policy,
                )
        except (PreconditionFailed, Forbidden) as error:
            self._check_taken(blob.name, if_generation, error)
            return self._ours(blob.name, insist, sent)
        return info_from_blob(blob)

    def _check_taken(self, name: str, if_generation: int | None, error: Exception) -> None:
        """Whoever may create objects but not replace them can be answered 403 where something is
        there already, before the precondition is looked at. Raises what is really forbidden."""
        if isinstance(error, Forbidden):
            try:
                taken = if_generation == 0 and self._look(name) is not None
            except ObjectNotFound:
                taken = False
            if not taken:
                raise error

    def _ours(self, name: str, insist: Insistence, sent: Mapping[str, str]) -> ObjectInfo:
        """What we wrote, when only the repeat of a write with a lost answer failed."""
        there = self._after_lost_answer(name, insist)
        if there and (there.metadata or {}).get(WRITE_MARKER) == sent[WRITE_MARKER]:
            return info_from_blob(there)
        raise PreconditionFailed(self._name, name)

    def _after_lost_answer(self, name: str, insist: Insistence) -> storage.Blob | None:
        if not insist.repeated:
            return None
        try:
            return self._look(name)
        except ObjectNotFound:
            return None
