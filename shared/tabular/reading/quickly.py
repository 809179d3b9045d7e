"""Lines of CSV whose quotes say nothing that others could understand in another way: split by
pyarrow, and where nothing is odd about them kept as they stand, so that nobody has to write again
what was only read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from shared.files.dialect import BOM
from shared.spec.model import Source

_LF, _CR, _QUOTE = 10, 13, 34
_LONGEST_LINE = 1024 * 1024


class Quick(NamedTuple):
    """Some columns of records, and the records with a line feed before each."""

    cells: dict[str, pa.Array]
    lines: pa.Array


def read_quickly(
    step: bytes, names: Sequence[str], enough: Sequence[str], source: Source
) -> Quick | None:
    """The columns that are `enough`, and the lines; None where a line is blank or has another
    number of fields, or would be written in another way than it stands."""
    if source.delimiter != "," or len(names) == 1 or has_blanks(step, source):
        return None
    if b'"' in step or step.startswith(BOM):  # a mark that pyarrow would take away
        return None
    text = step.replace(b"\r\n", b"\n") if b"\r" in step else step
    lines = _lines(text.removesuffix(b"\n"))
    if lines is None:
        return None
    odd: list[pa.csv.InvalidRow] = []

    def stop(row: pa.csv.InvalidRow) -> str:
        odd.append(row)
        return "skip"

    places = [names.index(name) for name in enough]
    columns = split_lines(text, len(names), places, source, stop)
    if odd or len(columns[0]) != len(lines) or _may_be_blank(columns):
        return None
    return Quick(dict(zip(enough, columns, strict=True)), lines)


def split_lines(
    step: bytes,
    width: int,
    places: Iterable[int],
    source: Source,
    handler: Callable[[pa.csv.InvalidRow], str],
) -> list[pa.Array]:
    """The cells at some places of lines of `width` fields, as texts. Quotes are none, or as
    `has_clean_quotes` wants them. Empty lines are left out, others go to `handler`."""
    names = [str(place) for place in range(width)]
    wanted = [str(place) for place in places]
    table = pa.csv.read_csv(
        pa.BufferReader(step),
        read_options=pa.csv.ReadOptions(
            column_names=names, use_threads=False, block_size=len(step) + 1
        ),
        parse_options=pa.csv.ParseOptions(
            delimiter=source.delimiter,
            quote_char='"' if b'"' in step else False,
            double_quote=False,
            escape_char=False,
            ignore_empty_lines=True,
            invalid_row_handler=handler,
        ),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(wanted, pa.string()),
            include_columns=wanted,
            strings_can_be_null=False,
            check_utf8=False,  # the steps are UTF-8
        ),
    )
    return [_one(column) for column in table.columns]


def has_clean_quotes(step: bytes, source: Source) -> bool:
    """Whether every quote opens a cell or closes it, in the same line, and none is text: then all
    readers see the same cells."""
    data = np.frombuffer(step, np.uint8)
    quotes = np.flatnonzero(data == _QUOTE)
    if len(quotes) % 2 or has_blanks(step, source):
        return False
    opened, closed = quotes[::2], quotes[1::2]
    edge = np.zeros(256, np.bool_)
    edge[[_LF, ord(source.delimiter)]] = True
    before = edge[data[np.maximum(opened - 1, 0)]] | (opened == 0)
    edge[_CR] = True  # before a line feed, as `is_plain` wants it
    behind = edge[data[np.minimum(closed + 1, len(data) - 1)]] | (closed == len(data) - 1)
    ends = np.flatnonzero(data == _LF)
    same_line = np.searchsorted(ends, opened) == np.searchsorted(ends, closed)
    return bool(before.all() and behind.all() and same_line.all())


def has_blanks(step: bytes, source: Source) -> bool:
    """Whether blanks before a cell may have to go."""
    if not source.strip:
        return False
    return f"{source.delimiter} ".encode() in step or b"\n " in step or step[:1] == b" "


def _lines(text: bytes) -> pa.Array | None:
    """Lines with the line feed before them; None where one is very long."""
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == _LF)
    offsets = np.concatenate([[0], ends + 1, [len(text) + 1]]).astype(np.int32)
    if np.diff(offsets).max() > _LONGEST_LINE:
        return None
    data = pa.py_buffer(b"\n" + text)
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), data)


def _may_be_blank(columns: Sequence[pa.Array]) -> bool:
    """Whether all cells of a row are blank, as far as these columns tell."""
    blank: pa.Array | None = None
    nothing = pa.scalar("")
    for column in columns:
        empty = pc.equal(pc.utf8_trim_whitespace(column), nothing)
        blank = empty if blank is None else pc.and_(blank, empty)
        if not pc.any(blank).as_py():
            return False
    return True


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
