"""A part of a file as somebody who drafts a spec sees it: names, cells and how they are written.

Files are read by `shared.tabular.reading.sampling`, with the reader that training uses. Standard
library only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.spec.model import Source

Decimal = Literal[".", ","]
POINT_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
COMMA_NUMBER = re.compile(r"[-+]?(\d*),(\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class Sample:
    """Cells stripped; `names` in file order; `columns[i]` are the cells of `names[i]`, those of the
    file's first rows and then of rows in equal steps. `classes` counts the target's cells in all
    `rows` that were looked at; `ragged` of them have another number of cells than names. `whole`
    says that there are no more rows."""

    names: tuple[str, ...]
    columns: tuple[Sequence[str], ...]
    source: Source
    classes: Counter[str]
    rows: int
    ragged: int = 0
    whole: bool = True

    @property
    def share(self) -> float:
        """The share of rows whose cells are here."""
        return len(self.columns[0]) / max(1, self.rows - self.ragged)


def decimal_of(columns: Iterable[Sequence[str]]) -> Decimal:
    """The decimal mark of most columns that need one.

    `1,234` alone may as well group thousands, so a column speaks for the comma only with a cell
    like `1,5`, `0,125` or `1234,567`, and only without any point."""
    comma = point = 0
    for cells in columns:
        levels = Counter(cells)
        matches = {cell: COMMA_NUMBER.fullmatch(cell) for cell in levels if "," in cell}
        commas = sum(levels[cell] for cell, match in matches.items() if match)
        numbers = {cell for cell in levels if POINT_NUMBER.fullmatch(cell)}
        pointed = any("." in cell for cell in numbers)
        filled = levels.total() - levels[""]
        if commas and not pointed:
            certain = any(_is_fraction(match) for match in matches.values() if match)
            comma += certain and commas + sum(levels[cell] for cell in numbers) >= 0.5 * filled
        elif pointed:
            point += sum(levels[cell] for cell in numbers) >= 0.5 * filled
    return "," if comma > point else "."


def _is_fraction(match: re.Match[str]) -> bool:
    whole, behind = match[1], match[2]
    return len(behind) != 3 or len(whole) != len(whole.lstrip("0")) or not 1 <= len(whole) <= 3
