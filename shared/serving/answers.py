"""What the predictor answers to one request, before a protocol writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.serving.manifest import Beside
from shared.serving.unknown import UnknownFields
from shared.serving.watching import Odd


@dataclass(frozen=True, slots=True)
class Dealt:
    """`marks` are what the log says of each record, in order. Of the rows in `taken` the
    challenger's answers are in `answers`, to the records as it read them."""

    beside: Beside
    marks: list[dict[str, Any]]
    taken: Sequence[int] = ()
    records: Sequence[Any] = ()
    answers: Sequence[dict[str, Any]] = ()
    problem: Exception | None = None

    @property
    def left_out(self) -> Counter[str]:
        """Records by the reason why they are no part of the experiment."""
        return Counter(mark["left_out"] for mark in self.marks if mark["left_out"])


class Answer(NamedTuple):
    """`predictions` are in the records' order. `dealt` is there while an experiment runs: rows then
    say by themselves which version answered, and `version` is the champion unless the challenger
    answered all.

    `request_id` is the name of a request of several rows, which are its name and their number,
    save where a record brought its own. `odd` counts values that were answered all the same,
    `unknown` tells about fields that were ignored."""

    version: str
    predictions: list[dict[str, Any]]
    dealt: Dealt | None = None
    request_id: str | None = None
    odd: Odd | None = None
    unknown: UnknownFields | None = None
