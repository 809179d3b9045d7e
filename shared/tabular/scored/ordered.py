"""A block with its ragged records at their places: all rows of a file, in file order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.tabular.reading.blocks import Block


@dataclass(frozen=True, slots=True, eq=False)
class Ordered:
    """`cells` are texts by column (some, where the block has `lines`), `record` the place of each
    row, `errors` what is wrong with it as a record, by position."""

    cells: dict[str, pa.Array]
    record: NDArray[np.int64]
    errors: dict[int, str]


def in_order(block: Block, names: Sequence[str]) -> Ordered:
    """All records of a block; a ragged one is padded or cut, and has its error."""
    if block.lines is not None:
        return Ordered(block.cells, block.record, {})
    cells = {name: block.cells[name] for name in names}
    if not block.ragged:
        return Ordered(cells, block.record, {})
    width = len(names)
    padded = [(*item.cells, *[""] * width)[:width] for item in block.ragged]
    record = np.concatenate([block.record, [item.record for item in block.ragged]])
    order = np.argsort(record, kind="stable")
    places = pa.array(order)
    for name, more in zip(names, zip(*padded, strict=True), strict=True):
        added = pa.array(more, pa.string())
        cells[name] = pa.concat_arrays([cells[name], added]).take(places)
    position = np.empty(len(order), np.intp)
    position[order] = np.arange(len(order))
    errors = {
        int(position[len(block) + number]): item.reason for number, item in enumerate(block.ragged)
    }
    return Ordered(cells, record[order], dict(sorted(errors.items())))
