"""`ports.Bucket` on Cloud Storage's JSON API, for processes that start often.

The same contract as `google_storage.GoogleBucket`, without that library's import time.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from shared.adapters.objects import (
    WRITE_MARKER,
    check_compose,
    check_name,
    info_from_resource,
    marked,
    new_marker,
)
from shared.adapters.rest import Answer, Http, UnexpectedAnswer, reason_of
from shared.adapters.rest_reading import FIELDS, RestReader, quoted
from shared.adapters.rest_upload import CHUNK_BYTES, refusals, send_in_chunks, send_whole
from shared.config import Config
from shared.errors import ObjectNotFound, PreconditionFailed
from shared.ports import ObjectInfo


class RestBucket(RestReader):
    """Implements `ports.Bucket`. Give buckets of one process the same `http`: one connection pool.

    Names Cloud Storage would refuse raise ValueError before anything is sent.
    """

    def __init__(self, config: Config, name: str, http: Http | None = None) -> None:
        super().__init__(config, name, http)
        self._upload = f"{config.storage_endpoint}/upload/storage/v1/b/{quote(name, safe='')}/o"

    def write(
        self,
        name: str,
        data: bytes,
        *,
        if_generation: int | None = None,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        md5 = hashlib.md5(data, usedforsecurity=False)
        resource = _new_resource(name, content_type, metadata, md5.digest())
        query = {"ifGenerationMatch": if_generation}
        answer = send_whole(self._http, self._upload, query, resource, data)
        return self._stored(name, answer, resource)

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
            size = source.seek(0, io.SEEK_END)
            source.seek(0)
            if size <= CHUNK_BYTES:
                return self.write(
                    name,
                    source.read(),
                    if_generation=if_generation,
                    content_type=content_type,
                    metadata=metadata,
                )
            md5 = hashlib.file_digest(source, lambda: hashlib.md5(usedforsecurity=False))
            resource = _new_resource(name, content_type, metadata, md5.digest())
            query = {"ifGenerationMatch": if_generation}
            answer = send_in_chunks(self._http, self._upload, query, resource, source, size=size)
        return self._stored(name, answer, resource)

    def copy(
        self,
        source_bucket: str,
        source: str,
        name: str,
        *,
        source_generation: int | None = None,
        if_generation: int | None = None,
    ) -> ObjectInfo:
        origin = f"{self._objects_of(source_bucket)}/{quoted(source)}"
        url = f"{origin}/rewriteTo/b/{quote(self._name, safe='')}/o/{quoted(name)}"
        token: str | None = None
        while True:
            query = {
                "sourceGeneration": source_generation,
                "ifGenerationMatch": if_generation,
                "rewriteToken": token,
            }
            answer = self._http.request(
                "POST",
                url,
                query=query,
                body=b"",
                repeatable=if_generation is not None,
                accept={404, *refusals(query)},
            )
            if answer.status == 404:
                raise ObjectNotFound(source_bucket, source, source_generation)
            if answer.status in refusals(query):
                self._check_taken(name, answer)
                return self._copied_already(name, answer, origin, source_generation)
            body = answer.json()
            if body["done"]:
                return info_from_resource(body["resource"])
            token = body["rewriteToken"]

    def compose(
        self, sources: Sequence[str], name: str, *, if_generation: int | None = None
    ) -> ObjectInfo:
        check_compose(sources)
        first = self.stat(sources[0])
        resource = {
            "contentType": first.content_type,
            "metadata": marked(None, new_marker()),
        }
        answer = self._http.request(
            "POST",
            f"{self._object(name)}/compose",
            query={"ifGenerationMatch": if_generation},
            headers={"Content-Type": "application/json"},
            body=json.dumps(
                {
                    "sourceObjects": [{"name": check_name(source)} for source in sources],
                    "destination": resource,
                }
            ).encode(),
            repeatable=if_generation is not None,
            accept={404, 412},
        )
        if answer.status == 404:
            for source in sources:
                self.stat(source)  # says which one is missing
            raise ObjectNotFound(self._name, name)
        return self._stored(name, answer, resource)

    def delete(self, name: str, *, if_generation: int | None = None) -> None:
        answer = self._http.request(
            "DELETE",
            self._object(name),
            query={"ifGenerationMatch": if_generation},
            repeatable=if_generation is not None,
            accept={404, 412},
        )
        # Gone after a lost answer: that was us, or somebody with the same aim.
        if answer.status == 404 and not answer.repeated:
            raise ObjectNotFound(self._name, name)
        if answer.status == 412:
            raise PreconditionFailed(self._name, name)

    # --- after a lost answer ---------------------------------------------------------------------

    def _stored(self, name: str, answer: Answer, sent: Mapping[str, Any]) -> ObjectInfo:
        """What we wrote, also when only the repeat of a write with a lost answer failed."""
        if answer.status not in {403, 412}:
            return info_from_resource(answer.json())
        self._check_taken(name, answer)
        if answer.repeated:
            try:
                there = self._resource(name, None)
            except ObjectNotFound as error:
                raise PreconditionFailed(self._name, name) from error
            marker = sent["metadata"][WRITE_MARKER]
            if there.get("metadata", {}).get(WRITE_MARKER) == marker:
                return info_from_resource(there)
        raise PreconditionFailed(self._name, name)

    def _check_taken(self, name: str, answer: Answer) -> None:
        """A 403 to a write that was only to create means that the name is taken, or what it says.
        Raises UnexpectedAnswer."""
        if answer.status == 403:
            try:
                self._resource(name, None)
            except ObjectNotFound:
                reason = reason_of(answer.data)
                raise UnexpectedAnswer("POST", self._object(name), 403, reason) from None

    def _copied_already(
        self, name: str, answer: Answer, origin: str, generation: int | None
    ) -> ObjectInfo:
        """A copy carries its source's metadata, hence no marker of ours. After a lost answer the
        same content under the name counts as our copy: it is what the caller wanted there."""
        if answer.repeated:
            query = {"generation": generation, "fields": FIELDS}
            source = self._http.request("GET", origin, query=query, repeatable=True).json()
            try:
                there = self._resource(name, None)
            except ObjectNotFound as error:
                raise PreconditionFailed(self._name, name) from error
            if all(there.get(key) == source.get(key) for key in ("crc32c", "size")):
                return info_from_resource(there)
        raise PreconditionFailed(self._name, name)


def _new_resource(
    name: str, content_type: str, metadata: Mapping[str, str] | None, md5: bytes
) -> dict[str, Any]:
    return {
        "name": check_name(name),
        "contentType": content_type,
        "metadata": marked(metadata, new_marker()),
        "md5Hash": base64.b64encode(md5).decode(),  # the service refuses damaged bytes
    }
