"""One column as drafting looks at it: its levels, which of them are numbers, which mean nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.serving.cells import BadCell, CellRules
from shared.spec.model import Source

# A target of numbers may have this share of other cells, and a time this share of other texts.
MAX_ODD = 0.01
# A column of numbers may have this share of other cells: as many as `max_bad_rows` lets go to
# quarantine by default. Where there are few different numbers they may be codes among codes, so
# that hardly any other text is taken for a typing error.
MAX_ODD_CELLS = 0.05
MANY_NUMBERS = 20
MAX_ODD_LEVELS = 0.01
STANDARD_MISSING = frozenset(Source().missing)
# Spelled like these in a column of numbers, a cell says "nothing here".
MORE_MISSING = frozenset(
    {"-", "--", ".", "..", "...", "#n/a", "n/a", "n.a.", "na", "nan", "null", "none", "nil"}
    | {"missing", "unknown", "\\n", "#null!", "#value!", "#div/0!", "(null)", "n/d", "nd"}
)
# A number in clothes: thousands grouped, a currency, a percentage.
DRESSED = re.compile(
    r"[-+(]?\s*[€$£¥]?\s*[-+]?\d{1,3}(?:([,.'\u00a0 ])\d{3})*(?:[.,]\d+)?\s*"
    r"(?:[€$£¥%]|usd|eur|gbp)?\)?",
    re.IGNORECASE,
)


def are_numbers(cells: int, odd_cells: int, levels: float, odd_levels: float) -> bool:
    """Whether a column is one of numbers, by its known cells and its different texts, and by how
    many of both are none. Drafts and trainings without named columns decide by this."""
    plain = levels - odd_levels
    if plain <= 0 or odd_cells > MAX_ODD_CELLS * cells:
        return False
    return plain >= MANY_NUMBERS or odd_levels <= MAX_ODD_LEVELS * levels


@dataclass(frozen=True, slots=True)
class Look:
    """`cells` in file order with "" for missing; `levels` counts the others; `numbers` are those
    levels that spell one."""

    name: str
    cells: Sequence[str]
    levels: Counter[str]
    numbers: dict[str, float]

    @property
    def filled(self) -> int:
        return self.levels.total()

    @property
    def odd(self) -> list[str]:
        """Levels that are no numbers, the most frequent first."""
        return [cell for cell, _ in self.levels.most_common() if cell not in self.numbers]

    @property
    def odd_cells(self) -> int:
        return sum(self.levels[cell] for cell in self.odd)

    @property
    def numeric(self) -> bool:
        """Nearly all cells are numbers."""
        return are_numbers(self.filled, self.odd_cells, len(self.levels), len(self.odd))

    @property
    def nearly_numeric(self) -> bool:
        """So few cells are no numbers that they may be typing errors, whatever it is read as."""
        return bool(self.numbers) and self.odd_cells <= MAX_ODD_CELLS * self.filled

    @property
    def texts_for_numbers(self) -> bool:
        """Read as texts, because many cells are dressed."""
        return bool(self.dressed) and not self.nearly_numeric

    @property
    def dressed(self) -> str:
        """A cell that would be a number if it were written plainly, where nearly all would."""
        odd = [cell for cell in self.odd if DRESSED.fullmatch(cell)]
        plain = self.filled - self.odd_cells
        found = plain + sum(self.levels[cell] for cell in odd) >= 0.95 * self.filled
        return odd[0] if odd and found else ""


def look(name: str, cells: Sequence[str], rules: CellRules) -> Look:
    """A column under these rules for cells."""
    markers = {*rules.missing, ""}
    known = ["" if cell in markers else cell for cell in cells]
    levels = Counter(known)
    del levels[""]
    return Look(name, known, levels, numbers_of(levels, rules))


def numbers_of(cells: Iterable[str], rules: CellRules) -> dict[str, float]:
    """Those of the cells that training reads as numbers, with the numbers."""
    found = {}
    for cell in cells:
        try:
            found[cell] = rules.number_of(cell)
        except BadCell:
            continue
    return found


def more_markers(columns: Iterable[Sequence[str]], rules: CellRules) -> Counter[str]:
    """Texts beyond the usual markers that stand for missing values in columns of numbers."""
    found: Counter[str] = Counter()
    for cells in columns:
        levels = Counter(cell for cell in cells if cell not in STANDARD_MISSING)
        numbers = numbers_of(levels, rules)
        odd = Counter({cell: count for cell, count in levels.items() if cell not in numbers})
        marks = [cell for cell in odd if cell.lower() in MORE_MISSING]
        rest = odd.total() - sum(odd[cell] for cell in marks)
        if (
            numbers
            and odd.total() < 0.9 * levels.total()
            and rest <= MAX_ODD_CELLS * levels.total()
        ):
            found.update({cell: odd[cell] for cell in marks})
    return found


def rows_have(count: int) -> str:
    """The beginning of a sentence about rows."""
    return "1 row has" if count == 1 else f"{count:,} rows have"
