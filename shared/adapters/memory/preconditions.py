"""The one place where a precondition is decided. Pure: no storage, no HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.errors import MillraceError

Verdict = Literal["holds", "failed", "not_modified"]


class NotModified(MillraceError):
    """A conditional read: the generation is still the one the caller knows."""


@dataclass(frozen=True, slots=True)
class Preconditions:
    """Google's four. Generation 0 stands for "no live object"."""

    if_generation: int | None = None
    if_generation_not: int | None = None
    if_metageneration: int | None = None
    if_metageneration_not: int | None = None


NONE = Preconditions()


def decide(wanted: Preconditions, generation: int, metageneration: int) -> Verdict:
    """Compare with what is there (0 and 0 when there is nothing). A `not` that is not met is
    `not_modified`: 304 for a read, the same as failed for a write."""
    if wanted.if_generation is not None and wanted.if_generation != generation:
        return "failed"
    if wanted.if_metageneration is not None and wanted.if_metageneration != metageneration:
        return "failed"
    if wanted.if_generation_not is not None and wanted.if_generation_not == generation:
        return "not_modified"
    if wanted.if_metageneration_not is not None and wanted.if_metageneration_not == metageneration:
        return "not_modified"
    return "holds"
