"""The parts of a scored file: create-only objects that hold whole rows, and how they become one.

    part 00000, 00001, ...   rows and errors counted in the object's own metadata
    CSV, JSON lines          --32 at a time--> predictions.csv, create-only
    Parquet                  every part is a file; predictions.json names them

A part that is there is done: whoever comes later, twice or after a crash, finds it and goes on. Two
that write one at the same time hold the same rows, and the first stays. Knows no models.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from shared import documents, paths
from shared.errors import ObjectNotFound, PreconditionFailed, Retryable
from shared.ports import Bucket, ObjectInfo
from shared.tabular.scored.writing import CONTENT_TYPES, Output

COMPOSED = 32  # what one compose call takes
# Another number where parts are cut in another way: those of an earlier version are no use then.
FOLDER = "parts-1/"
_PART = re.compile(r".*/(\d{5})\.(?:csv|jsonl|parquet)")


@dataclass(frozen=True, slots=True)
class Part:
    """A part that is there."""

    name: str
    rows: int
    errors: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one run."""

    lake: Bucket
    model: str
    run_id: str
    output: Output

    @property
    def target(self) -> str:
        """The object that people and readers ask for."""
        ending = "json" if self.output == "parquet" else self.output
        return paths.predictions(self.model, self.run_id, f"predictions.{ending}")

    def found(self) -> dict[int, Part]:
        """All that are there, by number."""
        return {
            int(match[1]): _part(info)
            for info in self.lake.list(self._folder)
            if (match := _PART.fullmatch(info.name)) and "rows" in info.metadata
        }

    def keep(self, number: int, data: bytes, *, rows: int, errors: int) -> None:
        """Store a part, unless it is there."""
        with suppress(PreconditionFailed):
            self.lake.write(
                self._name(number),
                data,
                if_generation=0,
                content_type=CONTENT_TYPES[self.output],
                metadata={"rows": str(rows), "errors": str(errors)},
            )

    def join(self, parts: Sequence[Part]) -> None:
        """Make the scored file of all its parts, in order. Raises Retryable where somebody takes
        them away at this moment, having made it."""
        if self.output == "parquet":
            body = {
                "format": "parquet",
                "rows": sum(part.rows for part in parts),
                "errors": sum(part.errors for part in parts),
                "parts": [{"object": part.name, "rows": part.rows} for part in parts if part.rows],
            }
            documents.create(self.lake, self.target, body)
            return
        try:
            self._compose([part.name for part in parts])
        except ObjectNotFound as error:
            raise Retryable(f"another task is finishing {self.target}") from error
        size = self.lake.stat(self.target).size_bytes
        if size != sum(part.size_bytes for part in parts):
            raise Retryable(f"{self.target} has {size} bytes, which are not those of its parts")

    def discard(self, *, all_of_them: bool = False) -> None:
        """Take away what is not needed any more; of Parquet the parts are the file."""
        keep_parts = self.output == "parquet" and not all_of_them
        for info in list(self.lake.list(self._folder)):
            if keep_parts and _PART.fullmatch(info.name):
                continue
            try:
                self.lake.delete(info.name)
            except ObjectNotFound:
                continue  # somebody else cleans up, too

    @property
    def _folder(self) -> str:
        return paths.predictions(self.model, self.run_id, FOLDER)

    def _name(self, number: int) -> str:
        return f"{self._folder}{number:05d}.{self.output}"

    def _compose(self, names: list[str]) -> None:
        level = 0
        while len(names) > COMPOSED:
            level += 1
            groups = [names[start : start + COMPOSED] for start in range(0, len(names), COMPOSED)]
            names = [f"{self._folder}joined-{level}-{at:05d}" for at in range(len(groups))]
            for name, group in zip(names, groups, strict=True):
                self.lake.compose(group, name)
        with suppress(PreconditionFailed):  # another task was faster, with the same parts
            self.lake.compose(names, self.target, if_generation=0)


def _part(info: ObjectInfo) -> Part:
    counts = info.metadata
    return Part(info.name, int(counts["rows"]), int(counts["errors"]), info.size_bytes)
