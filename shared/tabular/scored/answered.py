"""Rows of a file with what a model says of each, on their way into a scored file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

LONGEST_ERROR = 100_000  # characters: whoever reads the file again has a limit for a cell


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """Rows in input order.

    Args:
        cells: Texts without nulls by the names they are written under; maybe fewer columns than
            the input has, and none where `lines` are given.
        lines: All cells as CSV records, a line feed before each, where they are known so.
        record: The place of each row among the records of its file, from 1.
        score: [n_rows]; of a refused row nothing that anybody may see.
        labels: The labels there are; none for a regression.
        label: [n_rows], positions in `labels`.
        errors: Why a row has no answer, by position.
    """

    cells: Mapping[str, pa.Array]
    record: NDArray[np.int64]
    score: NDArray[np.float64]
    labels: tuple[str, ...]
    label: NDArray[np.intp] | None
    errors: Mapping[int, str]
    lines: pa.Array | None = None

    def __len__(self) -> int:
        return len(self.record)

    @property
    def refused(self) -> NDArray[np.bool_]:
        found = np.zeros(len(self), np.bool_)
        found[list(self.errors)] = True
        return found

    def error_texts(self, nothing: str | None) -> pa.Array:
        """`nothing` stands for no error."""
        texts: list[str | None] = [nothing] * len(self)
        for position, reason in self.errors.items():
            texts[position] = reason[:LONGEST_ERROR]
        return pa.array(texts, pa.string())

    def label_texts(self) -> pa.Array | None:
        """Null where there is no answer."""
        if self.label is None:
            return None
        found = pa.array(self.labels, pa.string()).take(pa.array(self.label))
        return _without(found, self.refused)

    def scores(self) -> pa.Array:
        """Null where there is no answer."""
        return pa.array(self.score, pa.float64(), mask=self.refused)


def _without(column: pa.Array, gone: NDArray[np.bool_]) -> pa.Array:

    return (
        pc.if_else(pa.array(gone), pa.scalar(None, column.type), column) if gone.any() else column
    )
