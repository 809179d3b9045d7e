"""Columns of texts as CSV, without a Python object for each cell.

The bytes are those of `records.record_writer`: commas, LF, quotes where a reader needs them. A
property test holds the two to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

_NEEDS_QUOTES = '[",\r\n]'


def csv_bytes(columns: Sequence[pa.Array]) -> bytes:
    """The records of string columns of one length, without nulls."""
    if not len(columns[0]):
        return b""
    quoted = [_quoted(column) for column in columns]
    if len(quoted) == 1:  # an empty cell alone would be a blank line
        empty = pc.equal(quoted[0], "")
        quoted = [pc.if_else(empty, '""', quoted[0])]
    lines = pc.binary_join_element_wise(*quoted, ",")
    text = pc.binary_join_element_wise(lines, "", "\n")
    _, offsets, data = text.buffers()
    starts = memoryview(offsets).cast("i")
    first, last = starts[text.offset], starts[text.offset + len(text)]
    return bytes(memoryview(data)[first:last])


def _quoted(column: pa.Array) -> pa.Array:
    needs = pc.match_substring_regex(column, _NEEDS_QUOTES)
    if not pc.any(needs).as_py():
        return column
    doubled = pc.replace_substring(column, '"', '""')
    return pc.if_else(needs, pc.binary_join_element_wise('"', doubled, '"', ""), column)
