"""A large object written in bounded memory: parts of 16 MiB, composed into one at the end.

    write ... write --> <folder>/0-00000, 0-00001, ... --32 at a time--> 1-00000 ... --> the object
                                                                     then the parts are deleted

Every part overwrites what an earlier attempt left under its name, so dying at any step and doing
all of it again gives the same object: equal writes are equal bytes. What fits into one part is
written at once. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from shared.errors import ObjectNotFound, Retryable
from shared.ports import Bucket

PART_BYTES = 16 * 1024 * 1024
COMPOSED = 32  # what one compose call takes


@dataclass(frozen=True, slots=True)
class Written:
    """An object that was written; `sha256` in hexadecimal."""

    name: str
    size_bytes: int
    sha256: str


class Parts:
    """Writes one object. `folder` (ending in `/`) is this object's own, for its parts."""

    def __init__(
        self,
        bucket: Bucket,
        name: str,
        folder: str,
        *,
        content_type: str = "application/octet-stream",
        part_bytes: int | None = None,
        if_generation: int | None = None,
    ) -> None:
        self._bucket, self._name, self._folder = bucket, name, folder
        self._content_type, self._part_bytes = content_type, part_bytes or PART_BYTES
        self._if_generation = if_generation
        self._waiting = bytearray()
        self._parts: list[str] = []
        self._sha256 = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> None:
        """Take the next bytes; full parts are stored."""
        self._sha256.update(data)
        self._size += len(data)
        self._waiting += data
        while len(self._waiting) > self._part_bytes:
            self._store(bytes(self._waiting[: self._part_bytes]))
            del self._waiting[: self._part_bytes]

    def close(self) -> Written:
        """Make the object of all that was written. Raises Retryable when somebody else wrote the
        same object and took the parts away, PreconditionFailed where `if_generation` does not
        hold."""
        if not self._parts:
            self._put(self._name, bytes(self._waiting), self._if_generation)
        else:
            self._store(bytes(self._waiting))
            try:
                self._compose()
            except ObjectNotFound as error:
                raise Retryable(f"another execution is writing {self._name}") from error
        self.discard()
        return Written(self._name, self._size, self._sha256.hexdigest())

    def discard(self) -> None:
        """Delete the parts, those of earlier attempts as well."""
        for found in list(self._bucket.list(self._folder)):
            try:
                self._bucket.delete(found.name)
            except ObjectNotFound:
                continue  # somebody else cleans up, too
        self._parts.clear()
        self._waiting.clear()

    def _store(self, data: bytes) -> None:
        name = f"{self._folder}0-{len(self._parts):05d}"
        self._put(name, data)
        self._parts.append(name)

    def _put(self, name: str, data: bytes, if_generation: int | None = None) -> None:
        self._bucket.write(name, data, if_generation=if_generation, content_type=self._content_type)

    def _compose(self) -> None:
        names, level = list(self._parts), 0
        while len(names) > COMPOSED:
            level += 1
            groups = [names[start : start + COMPOSED] for start in range(0, len(names), COMPOSED)]
            names = [f"{self._folder}{level}-{number:05d}" for number in range(len(groups))]
            for name, group in zip(names, groups, strict=True):
                self._bucket.compose(group, name)
        self._bucket.compose(names, self._name, if_generation=self._if_generation)
