"""One cell: the number or category that a JSON value or a text of a CSV file stands for.

The rules, for texts and JSON values alike:

- number: ints, floats and texts that spell one (`"3"`, `" 3.5 "`, `"1e3"`); booleans, other types,
  infinities and other texts break the rule. With `decimal: ","` a text has no point.
- category: text as it is (stripped where the spec strips), with three spellings made one so that
  forms agree: an integer stored as a float (`3.0`, `"3.0"`, `3`) is `"3"`, a boolean (`true`,
  `"True"`, `"TRUE"`) is `"true"`, any other JSON number is its shortest decimal text. So two
  categories that differ only in a fraction of zero are one category.

JSON null, NaN, an empty cell and every declared missing marker are one missing value: NaN for a
number, "" for a category.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import lru_cache

MISSING = ("", "?", "NA", "N/A", "#N/A", "<NA>", "NaN", "nan", "null", "NULL", "None")

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)\.0+")
_BOOLEANS = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}
_MEMO_SIZE = 20_000


class Rule(str):
    """The phrase of a broken rule; `code` is its key in `shared.tabular.validating.row_reasons`."""

    code: str

    def __new__(cls, phrase: str, code: str) -> Rule:
        made = super().__new__(cls, phrase)
        made.code = code
        return made


class BadCell(ValueError):
    """A value that a column cannot take; the text is the rule it breaks."""

    def __init__(self, phrase: str, code: str = "number") -> None:
        super().__init__(phrase)
        self.rule = _rule_of(phrase, code)


@lru_cache(maxsize=256)
def _rule_of(phrase: str, code: str) -> Rule:
    """One for all cells that break it: a batch may have a hundred thousand."""
    return Rule(phrase, code)


@dataclass(frozen=True, kw_only=True)
class CellRules:
    """How cells are written.

    Args:
        missing: Texts that mean "no value", compared after stripping.
        strip: Whether blanks around texts are removed.
        decimal: The decimal mark of numbers in texts.
    """

    missing: tuple[str, ...] = MISSING
    strip: bool = True
    decimal: str = "."
    _memo: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)
    _markers: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_markers", frozenset(self.missing) | {""})

    def number_of(self, value: object) -> float:
        """The number that a JSON value or a text stands for, NaN for missing. Raises BadCell."""
        kind = type(value)
        if kind is str:
            number = self._number_of_text(str(value))
        elif value is None:
            return math.nan
        elif kind is float or kind is int:
            try:
                number = float(value)  # type: ignore[arg-type]  # kind says what it is
            except OverflowError as error:
                raise BadCell("must be a number below 1.8e308") from error
        else:
            raise BadCell(f"must be a number, got {_json_type(value)}")
        if number in {math.inf, -math.inf}:
            raise BadCell("must be a finite number")
        return number

    def category_of(self, value: object) -> str:
        """The category that a JSON value or a text stands for, "" for missing. Raises BadCell."""
        kind = type(value)
        if kind is str:
            found = self._memo.get(value)  # type: ignore[call-overload]  # kind says what it is
            return self._category_of_text(str(value)) if found is None else str(found)
        if value is None:
            return ""
        if kind is bool:
            return "true" if value else "false"
        if kind is int:
            return str(value)
        if kind is float:
            number = float(value)  # type: ignore[arg-type]  # kind says what it is
            if math.isnan(number):
                return ""
            return str(int(number)) if number.is_integer() else repr(number)
        raise BadCell(f"must be a text, got {_json_type(value)}")

    def _number_of_text(self, text: str) -> float:
        stripped = text.strip() if self.strip else text
        if stripped in self._markers:
            return math.nan
        if self.decimal != ".":
            # A point could as well group thousands; nobody is helped by a guess.
            stripped = "." if "." in stripped else stripped.replace(self.decimal, ".")
        try:
            if "_" in stripped:  # Python reads 1_000, nobody else does
                raise ValueError  # noqa: TRY301
            return float(stripped)
        except ValueError:
            raise BadCell("must be a number") from None

    def _category_of_text(self, text: str) -> str:
        found = text.strip() if self.strip else text
        if found in self._markers:
            found = ""
        elif found in _BOOLEANS:
            found = _BOOLEANS[found]
        elif found[-1] == "0" and _WHOLE.fullmatch(found):
            whole = found.partition(".")[0]
            found = "0" if whole == "-0" else whole
        if len(self._memo) < _MEMO_SIZE:
            self._memo[text] = found
        return found


def _json_type(value: object) -> str:
    names = {bool: "a boolean", dict: "an object", list: "an array", str: "a text"}
    return names.get(type(value), "a number")
