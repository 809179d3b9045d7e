"""What each column of a sample is drafted as, and why some are left out."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from itertools import pairwise

from shared.serving.cells import BadCell
from shared.serving.times import moment_of
from shared.spec.drafting.looking import MAX_ODD, Look
from shared.spec.model import Column, Expect

MAX_LEVELS = 30
MAX_LEVEL_CHARACTERS = 240  # of all levels, so that a column stays a line that people read
MANY_LEVELS = 50
MIN_ROWS = 20  # below, nothing is said about uniqueness
FREE_TEXT_CHARACTERS = 25
IDENTIFIER = re.compile(r"(?:^|[\W_])(?:id|uuid|guid|key|number|nr|no|code)$")
IDENTIFIER_CAMEL = re.compile(r"[a-z](?:Id|ID|Key|Number|Nr|No|Code)$")
CLOCK = re.compile(r"\d{1,2}[:.h]\d{2}(?:[:.]\d{2}(?:\.\d+)?)?(?: ?[aApP]\.?[mM]\.?)?")
_MONTH = r"(?:jan|feb|mar|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-z]*"
DATE = re.compile(
    rf"(?:\d{{1,4}}[-/.]\d{{1,2}}[-/.]\d{{1,4}}|\d{{1,2}}[- ]{_MONTH}[- ]\d{{2,4}}"
    rf"|{_MONTH}[- ]\d{{1,2}},?[- ]\d{{2,4}})(?:[T ].*)?",
    re.IGNORECASE,
)


def column_of(look: Look) -> tuple[Column, str]:
    """The column, and why it is left out or an empty string."""
    if len(look.levels) < 2:
        why = f"always {next(iter(look.levels))!r}" if look.levels else "empty"
        return Column(type="number" if look.numbers else "category", exclude=True), why
    if look.numeric:
        why = "numbers the rows" if _numbers_rows(look) else ""
        return Column(type="number", exclude=bool(why), expect=_bounds(look, why)), why
    if _are_moments(look):
        return Column(type="time"), ""
    why = _useless(look)
    if why:
        return Column(exclude=True), why
    return Column(expect=Expect(values=listed(look))), ""


def listed(look: Look) -> tuple[str, ...] | None:
    """The levels, where they are few enough to be read."""
    levels = tuple(sorted(look.levels))
    short = sum(map(len, levels)) + 2 * len(levels) <= MAX_LEVEL_CHARACTERS
    return levels if short and len(levels) <= MAX_LEVELS else None


def are_dates(levels: Iterable[str]) -> bool:
    """Whether texts are dates as people write them."""
    return all(DATE.fullmatch(level) for level in levels)


def _bounds(look: Look, why: str) -> Expect:
    finite = [value for value in look.numbers.values() if math.isfinite(value)]
    if why or not finite:
        return Expect()
    return Expect(min=min(finite), max=max(finite))


def _are_moments(look: Look) -> bool:
    """Whether nearly all texts are times as training reads them."""
    wrong = 0
    for level in look.levels:
        wrong += not _is_moment(level)
        if wrong > MAX_ODD * len(look.levels):
            return False
    return True


def _is_moment(text: str) -> bool:
    try:
        return math.isfinite(moment_of(text))
    except BadCell:
        return False


def _useless(look: Look) -> str:
    """Why a column of texts cannot help a model, or an empty string."""
    count, filled = len(look.levels), look.filled
    if count > MANY_LEVELS and are_dates(look.levels):
        first = next(iter(look.levels))
        return f"dates like {first!r} (a time is written 2026-01-31 or 2026-01-31T08:00:00Z)"
    if count > MANY_LEVELS and all(CLOCK.fullmatch(level) for level in look.levels):
        first = next(iter(look.levels))
        return f"times of day like {first!r} (write the hour as a number to have it used)"
    if count > MANY_LEVELS and look.dressed:
        return f"numbers written like {look.dressed!r} (write them plainly to have them used)"
    if filled < MIN_ROWS:
        return ""
    if count > 0.9 * filled or (count > 0.5 * filled and count > MANY_LEVELS):
        characters = sum(map(len, look.levels)) / count
        free = characters >= FREE_TEXT_CHARACTERS or sum(" " in t for t in look.levels) > count / 2
        return "free text" if free else "nearly every row has a text of its own"
    return ""


def _numbers_rows(look: Look) -> bool:
    """Whole numbers, all different, that rise by one or are called an identifier. Where nothing has
    a name, identifiers stand first."""
    if look.filled < MIN_ROWS or len(look.levels) < look.filled:
        return False
    if not all(re.fullmatch(r"[-+]?\d+", cell) for cell in look.levels):
        return False
    # Only the first cells of a sample are neighbours in the file.
    numbers = [int(cell) for cell in look.cells if cell]
    first = all(b == a + 1 for a, b in pairwise(numbers[:1000]))
    rising = first and all(b > a for a, b in pairwise(numbers))
    return rising or called_identifier(look.name) or look.name == "column_1"


def called_identifier(name: str) -> bool:
    """Whether a column is called `id`, `customer_id`, `PassengerId`, `Order No` ..."""
    return bool(IDENTIFIER.search(name.lower()) or IDENTIFIER_CAMEL.search(name))
