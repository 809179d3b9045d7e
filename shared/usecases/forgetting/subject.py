"""Who is to be forgotten, and what is known of where they are. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# What stands in a row that was emptied, where something has to.
GONE = "(forgotten)"
SHORTEST = 4  # a shorter text stands anywhere


@dataclass
class Subject:
    """A person, by the value of a key column or by one prediction. `records` are the places of
    their rows by run and role, `ids` their predictions; both grow while the lake is searched."""

    model: str
    column: str = ""
    key: str = ""
    ids: set[str] = field(default_factory=set)
    records: dict[tuple[str, str], set[int]] = field(default_factory=dict)

    @property
    def texts(self) -> list[str]:
        """What would tell who it is, if it stood somewhere."""
        return [text for text in (self.key, *sorted(self.ids)) if text]

    @property
    def sign(self) -> str:
        """What is in every text that spells the key: of a number, what stands before the point."""
        return self.key.partition(".")[0] if _is_plain(self.key) else self.key

    def is_key(self, cell: object) -> bool:
        """Whether a cell is the key: the same text, or the same number."""
        if not self.key or cell is None:
            return False
        text = str(cell).strip()
        return text == self.key or _same_number(text, self.key)

    def is_in(self, cells: Iterable[object]) -> bool:
        """Whether any cell is the key or one of the predictions, or has one as a word: for rows
        without columns, where a quote left open may make one cell of many."""
        pattern = pattern_of(self.texts)
        return any(
            self.is_key(cell)
            or str(cell).strip() in self.ids
            or (pattern is not None and pattern.search(str(cell)) is not None)
            for cell in cells
        )

    def owns(self, row: Mapping[str, Any]) -> bool:
        """Whether a row with columns is theirs."""
        if self.column and self.is_key(row.get(self.column)):
            return True
        return str(row.get("prediction_id") or "") in self.ids

    def found(self, run_id: str, role: str, record: int) -> None:
        self.records.setdefault((run_id, role), set()).add(record)

    def at(self, run_id: str, role: str = "") -> set[int]:
        return self.records.get((run_id, role), set())


def pattern_of(texts: Sequence[str]) -> re.Pattern[str] | None:
    """Finds the texts as whole words; None where all of them are too short to tell."""
    found = [re.escape(text) for text in texts if len(text) >= SHORTEST]
    return re.compile(rf"(?<![0-9A-Za-z])(?:{'|'.join(found)})(?![0-9A-Za-z])") if found else None


def _same_number(one: str, other: str) -> bool:
    """`17` and `17.0` are one number, as a file of another format spells it; `0017` is none."""
    if not (_is_plain(one) and _is_plain(other)):
        return False
    return math.isclose(float(one), float(other), rel_tol=0, abs_tol=0)


def _is_plain(text: str) -> bool:
    whole, _, rest = text.partition(".")
    digits = whole.removeprefix("-")
    if not digits.isdecimal() or not digits.isascii() or (len(digits) > 1 and digits[0] == "0"):
        return False
    return not rest or (rest.isascii() and rest.isdecimal())
