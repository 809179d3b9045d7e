"""A lake that is a folder: what a scoring task needs of a bucket, for several processes at once, at
the price of reading and writing files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from shared.errors import ObjectNotFound, PreconditionFailed
from shared.ports import Blob, ObjectInfo

_FACTS = ".facts"
_COPIED = 1 << 30


class FolderLake:
    """The part of `ports.Bucket` that scoring calls. Every object has generation 1; a precondition
    of 0 holds for whoever links its file first."""

    name = "lake"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def stat(self, name: str, *, generation: int | None = None) -> ObjectInfo:
        try:
            found = self._path(name).stat()
        except FileNotFoundError as error:
            raise ObjectNotFound(self.name, name, generation) from error
        facts = self._path(name + _FACTS)
        return ObjectInfo(
            bucket=self.name,
            name=name,
            generation=1,
            metageneration=1,
            size_bytes=found.st_size,
            crc32c="",
            md5=None,
            content_type="",
            content_encoding=None,
            created=datetime.fromtimestamp(found.st_mtime, UTC),
            metadata=json.loads(facts.read_text()) if facts.exists() else {},
        )

    def read(
        self, name: str, *, generation: int | None = None, start: int = 0, end: int | None = None
    ) -> Blob:
        info = self.stat(name, generation=generation)
        with self._path(name).open("rb") as file:
            file.seek(start)
            data = file.read() if end is None else file.read(end - start)
        return Blob(info, data)

    def open_reader(self, name: str, *, generation: int | None = None) -> BinaryIO:
        self.stat(name, generation=generation)
        return self._path(name).open("rb")

    def write(
        self,
        name: str,
        data: bytes,
        *,
        if_generation: int | None = None,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        del content_type
        part = self._part(name)
        part.write_bytes(data)
        if metadata:
            self._path(name + _FACTS).write_text(json.dumps(dict(metadata)))
        return self._put(part, name, if_generation)

    def compose(
        self, sources: Sequence[str], name: str, *, if_generation: int | None = None
    ) -> ObjectInfo:
        part = self._part(name)
        with part.open("wb") as out:
            for source in sources:
                self.stat(source)
                with self._path(source).open("rb") as file:
                    # By the kernel: in Cloud Storage this is no work of the task's, either.
                    while os.copy_file_range(file.fileno(), out.fileno(), _COPIED):
                        pass
        return self._put(part, name, if_generation)

    def delete(self, name: str) -> None:
        self.stat(name)
        self._path(name).unlink(missing_ok=True)
        self._path(name + _FACTS).unlink(missing_ok=True)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        for path in sorted(self._folder.rglob("*")):
            name = str(path.relative_to(self._folder))
            hidden = name.endswith((_FACTS, ".part"))
            if path.is_file() and name.startswith(prefix) and not hidden:
                yield self.stat(name)

    def _path(self, name: str) -> Path:
        return self._folder / name

    def _part(self, name: str) -> Path:
        part = self._path(f"{name}.{os.getpid()}.part")
        part.parent.mkdir(parents=True, exist_ok=True)
        return part

    def _put(self, part: Path, name: str, if_generation: int | None) -> ObjectInfo:
        if if_generation is None:
            part.replace(self._path(name))
        else:
            try:
                self._path(name).hardlink_to(part)
            except FileExistsError as error:
                raise PreconditionFailed(self.name, name) from error
            finally:
                part.unlink()
        return self.stat(name)
