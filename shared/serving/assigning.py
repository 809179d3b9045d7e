"""Which version a record gets in an experiment. Pure: no state, no clock, no randomness.

    unit = sha256("<experiment id>|<key value>"), its first 8 bytes
    the challenger answers when unit < share * 2^64

The same key value gets the same version in every instance, in every order, after every restart;
another experiment deals the values anew. SHA-256 spreads any set of values evenly, numbers in a row
as well as texts that differ in one character.
"""

from __future__ import annotations

import hashlib

from shared.serving.cells import BadCell, CellRules

_BITS = 64
_CELLS = CellRules()


def key_text(value: object) -> str:
    """A key value as one text, whatever type a caller writes it in (7, 7.0 and "7" are one key);
    "" for a missing one and for what is no value of a column (a list, an object)."""
    try:
        return _CELLS.category_of(value)
    except BadCell:
        return ""


def unit_of(experiment_id: str, key: str) -> int:
    """The place of a key value in an experiment: uniform in 0..2^64-1."""
    digest = hashlib.sha256(f"{experiment_id}|{key}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[: _BITS // 8])


def takes(unit: int, share: float) -> bool:
    """True where the challenger answers."""
    return unit < share * 2.0**_BITS


def unit_text(unit: int) -> str:
    """As the inference log has it: the key value itself stays out of it."""
    return f"{unit:0{_BITS // 4}x}"
