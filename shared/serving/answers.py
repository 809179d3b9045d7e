"""What the predictor answers to one request, before a protocol writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from shared.serving.served import Beside
from shared.serving.unknown import UnknownFields
from shared.serving.watching import Odd


@dataclass(frozen=True, slots=True)
class Dealt:
    """What a second version did with a request. `marks` are what the log says of each record, in
    order, None where it says nothing.

    Rows in `compared` both versions scored, the second one in `seconds`. Those in `taken` callers
    get from it: `answers`, to the `records` as it read them. `problem` is what went wrong in words,
    `stops` that it is not asked again by this instance."""

    beside: Beside
    marks: list[dict[str, Any] | None]
    compared: Sequence[int] = ()
    seconds: float = 0.0
    taken: Sequence[int] = ()
    records: Sequence[Any] = ()
    answers: Sequence[dict[str, Any]] = ()
    problem: str | None = None
    stops: bool = False

    def giving(self, records: Sequence[Any], answers: Sequence[dict[str, Any]]) -> Dealt:
        """The same, with the second version's answers for callers."""
        return replace(self, taken=self.compared, records=records, answers=answers)

    @property
    def left_out(self) -> Counter[str]:
        """Records by the reason why they do not count."""
        return Counter(mark["left_out"] for mark in self.marks if mark and mark["left_out"])

    @property
    def disagreed(self) -> int:
        """Rows that the two versions gave different labels."""
        pairs = [mark for row in self.compared if (mark := self.marks[row])]
        return sum(mark["champion"]["label"] != mark["challenger"]["label"] for mark in pairs)

    @property
    def told(self) -> str | None:
        """What callers hear about it; a shadow is not their concern."""
        second = self.beside.second
        if not second.answers:
            return None
        return f"{second.kind} {'by key' if second.sticky else 'by prediction_id, at random'}"


class Answer(NamedTuple):
    """`predictions` are in the records' order. `dealt` is there while a second version runs: rows
    then say by themselves which version answered, and `version` is the champion unless the
    challenger answered all.

    `request_id` is the name of a request of several rows, which are its name and their number,
    save where a record brought its own. `odd` counts values that were answered all the same,
    `unknown` tells about fields that were ignored."""

    version: str
    predictions: list[dict[str, Any]]
    dealt: Dealt | None = None
    request_id: str | None = None
    odd: Odd | None = None
    unknown: UnknownFields | None = None

    def headers(self) -> dict[str, str]:
        """What callers hear in every protocol."""
        found = {}
        if self.dealt is not None and self.dealt.told is not None:
            found["X-Millrace-Dealt"] = self.dealt.told
        if self.unknown is not None:
            found["X-Millrace-Unknown-Fields"] = self.unknown.header()
        return found
