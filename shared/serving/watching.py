"""What is odd about values that are answered all the same: categories that a version has no level
for (training saw them never or too rarely), and values outside of `expect`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.serving.columns import Columns
from shared.serving.encoder import CategoryCode, NumberCode
from shared.serving.features import Bounds, Feature
from shared.serving.texts import different_texts

UNSEEN = "unseen"
UNEXPECTED = "unexpected"
# (kind, column) -> how many values
Odd = dict[tuple[str, str], int]


class Watch:
    """Counts for one version, on values as the encoder gets them."""

    def __init__(
        self, codes: Sequence[NumberCode | CategoryCode], features: Iterable[Feature]
    ) -> None:
        expected = {feature.name: feature.expect for feature in features if feature.expect}
        self._items: list[tuple[int, str, frozenset[str] | None, Bounds | None]] = []
        for at, code in enumerate(codes):
            levels = None
            if isinstance(code, CategoryCode):
                levels = frozenset((*code.levels, ""))
            expect = expected.get(code.name)
            if levels is not None or expect is not None:
                self._items.append((at, code.name, levels, expect))

    def row(self, values: Sequence[float | str], odd: Odd) -> None:
        """Values of one row in the encoder's order."""
        for at, name, levels, expect in self._items:
            value = values[at]
            if levels is not None and value not in levels:
                odd[UNSEEN, name] = odd.get((UNSEEN, name), 0) + 1
            if expect is not None and expect.broken_by(value) is not None:
                odd[UNEXPECTED, name] = odd.get((UNEXPECTED, name), 0) + 1

    def columns(self, columns: Columns, odd: Odd) -> None:
        """Columns of many rows."""
        for _, name, levels, expect in self._items:
            column = columns[name]
            if levels is None:
                count = _outside(column, expect) if expect is not None else 0
                if count:
                    odd[UNEXPECTED, name] = odd.get((UNEXPECTED, name), 0) + count
                continue
            values = different_texts(column)
            unseen = values - levels
            broken = {value for value in values if expect and expect.broken_by(value)}
            for kind, found in ((UNSEEN, unseen), (UNEXPECTED, broken)):
                if found:
                    count = sum(value in found for value in column.tolist())
                    odd[kind, name] = odd.get((kind, name), 0) + count


def _outside(column: NDArray[Any], bounds: Bounds) -> int:
    """Numbers outside of their bounds; a missing one breaks only `present`."""
    count = 0
    with np.errstate(invalid="ignore"):
        if bounds.min is not None:
            count += int(np.count_nonzero(column < bounds.min))
        if bounds.max is not None:
            count += int(np.count_nonzero(column > bounds.max))
    return count + (int(np.count_nonzero(np.isnan(column))) if bounds.present else 0)
