"""Blocks: records of a file in columns, cells as texts, with their place in the file.

What every reader of `shared.tabular.reading.sheets` gives, whatever the format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shared.errors import EmptyFile, HeaderMismatch, UnreadableText
from shared.tabular.reading.records import MAX_FIELD_CHARACTERS

# A record is held in memory with all its cells: fewer where they are long.
BLOCK_ROWS = 50_000
MAX_COLUMNS = 5_000
_BLOCK_CELLS = 2_000_000


@dataclass(frozen=True, slots=True)
class Ragged:
    """A record without columns: another number of fields than the header, or a JSON line that is
    no object. `cells` are what stands there; `code` is a key of ROW_REASONS."""

    record: int
    cells: tuple[str, ...]
    reason: str
    code: str


@dataclass(frozen=True, slots=True)
class Block:
    """At most `block_rows` records. `cells[name]` is a string array without nulls; `record[n]` is
    the place of row n among the records of its file (from 1, ragged ones count).

    `lines` are the records as they are written with commas, a line feed before each; where a
    reader was asked for some columns only, a block has either those and its lines, or all."""

    cells: dict[str, pa.Array]
    record: NDArray[np.int64]
    ragged: list[Ragged]
    lines: pa.Array | None = None

    def __len__(self) -> int:
        """Rows with columns."""
        return len(self.record)


def block_of(
    names: Sequence[str],
    columns: Sequence[Sequence[str]],
    record: Sequence[int],
    ragged: list[Ragged],
) -> Block:
    """A block of Python texts; `columns` may be empty where there are no rows."""
    if not columns:
        columns = [()] * len(names)
    cells = {
        name: pa.array(column, pa.string()) for name, column in zip(names, columns, strict=True)
    }
    return Block(cells, np.array(record, np.int64), ragged)


def slices(
    cells: Mapping[str, pa.Array],
    record: NDArray[np.int64],
    ragged: Sequence[Ragged],
    block_rows: int,
    lines: pa.Array | None = None,
) -> Iterator[Block]:
    """Rows and ragged records, both in file order, as blocks of at most `block_rows` rows."""
    left = list(ragged)
    for start in range(0, len(record), block_rows) or (0,):
        part = record[start : start + block_rows]
        last = start + block_rows >= len(record)
        count = len(left) if last else sum(item.record < part[-1] for item in left)
        found, left = left[:count], left[count:]
        if len(part) or found:
            columns = {name: column.slice(start, block_rows) for name, column in cells.items()}
            written = None if lines is None else lines.slice(start, block_rows)
            yield Block(columns, part, found, written)


def rows_for(width: int, block_rows: int) -> int:
    """How many rows a block may have whose cells take no place in the file where they are empty."""
    return max(1, min(block_rows, _BLOCK_CELLS // max(1, width)))


def wrong_width(record: int, row: Iterable[str], width: int) -> Ragged:
    """A record with another number of fields."""
    cells = tuple(row)
    return Ragged(record, cells, f"has {len(cells)} fields, expected {width}", "width")


def not_empty(blocks: Iterator[Block]) -> Iterator[Block]:
    """The blocks. Raises EmptyFile after none."""
    found = False
    for block in blocks:
        found = True
        yield block
    if not found:
        raise EmptyFile("the file has a header and no rows")


def check_names(names: Sequence[str]) -> None:
    """Raises HeaderMismatch for a name that stands twice, and for too many."""
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise HeaderMismatch(
            f"the header names {', '.join(twice)[:300]} more than once; rename one of each"
        )
    if len(names) > MAX_COLUMNS:
        raise HeaderMismatch(
            f"the file has {len(names)} columns, at most {MAX_COLUMNS} can be read; leave out what "
            f"is not needed"
        )


def check_lengths(block: Block) -> None:
    """Raises UnreadableText for a text that is longer than a field of a CSV file may be: what was
    read is written as CSV, and read again."""
    for name, column in block.cells.items():
        if (pc.max(pc.binary_length(column)).as_py() or 0) <= MAX_FIELD_CHARACTERS:
            continue
        lengths = pc.utf8_length(column).to_numpy()
        if lengths.max() > MAX_FIELD_CHARACTERS:
            record = block.record[int(lengths.argmax())]
            raise UnreadableText(
                f"record {record} has {lengths.max():,} characters in {name[:60]!r}, at most "
                f"{MAX_FIELD_CHARACTERS:,} can be read; leave the column out"
            )
