"""A column of categories that remembers its different values: a batch has few of them, and what is
done to each of those need not be done to each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KINDS = {str, type(None)}


class Texts(np.ndarray):
    """An object array of str, not to be written to. Row `i` is `different[codes[i]]`; parts and
    copies have neither."""

    different: list[str] | None = None
    codes: NDArray[np.intp] | None = None


def texts_of(values: Sequence[Any], text_of: Callable[[Any], str]) -> Texts | None:
    """The column of texts and nulls, each different one turned to a text once; None where other
    values are among them."""
    try:
        raw = list(set(values))
    except TypeError:  # lists and objects
        return None
    # Nothing else in JSON is equal to a text or to null.
    if not set(map(type, raw)) <= _KINDS:
        return None
    place = {value: at for at, value in enumerate(raw)}
    different = list(map(text_of, raw))
    codes = np.fromiter(map(place.__getitem__, values), np.intp, len(values))
    found = np.array(different, object)[codes].view(Texts)
    found.flags.writeable = False
    found.different, found.codes = different, codes
    return found


def different_texts(column: NDArray[Any]) -> set[str]:
    """What stands in a column."""
    known = getattr(column, "different", None)
    return set(column.tolist() if known is None else known)


def numbers_of(column: NDArray[Any], number_of: Callable[[str], int]) -> NDArray[np.intp]:
    """A number for each row that depends on its text alone."""
    if isinstance(column, Texts) and column.different is not None and column.codes is not None:
        return np.array(list(map(number_of, column.different)), np.intp)[column.codes]
    values = column.tolist()
    numbers = {value: number_of(value) for value in set(values)}
    return np.fromiter(map(numbers.__getitem__, values), np.intp, len(values))
