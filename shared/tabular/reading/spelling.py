"""Values of JSON and Parquet as the texts that a CSV file would hold.

Read back as a number the text is exactly the number; read as a category it is what serving makes of
the value (`shared.serving.cells`). Standard library only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal

_WORDS = {None: "", True: "true", False: "false"}


def texts_of(values: Iterable[object], decimal: str = ".") -> list[str]:
    """The texts of values; None is ""."""
    return [value if type(value) is str else text_of(value, decimal) for value in values]


def text_of(value: object, decimal: str = ".") -> str:
    """The text of one value. Objects and lists are their JSON text."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, (int, float, Decimal)):
        text = _number(value)
        return text if decimal == "." else text.replace(".", decimal)
    return _other(value)


def _other(value: object) -> str:
    if isinstance(value, (datetime, date, time)):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=text_of)
    return str(value)


def storable(text: str) -> str:
    """The text with halves of surrogate pairs, which JSON can spell and UTF-8 cannot, replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _number(value: int | float | Decimal) -> str:
    """Whole floats as integers, as categories are spelled; the sign of a zero is kept."""
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        if value.is_integer() and (value or math.copysign(1, value) > 0):
            return str(int(value))
        return repr(value)
    if isinstance(value, Decimal):
        return "" if value.is_nan() else str(value)
    return str(value)
