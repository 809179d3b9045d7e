"""Columns of texts as CSV, without a Python object for each cell.

The bytes are those of `records.record_writer`: commas, LF, quotes where a reader needs them. A
property test holds the two to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

_NEEDS_QUOTES = '[",\r\n]'
_MARKS = (b'"', b",", b"\r", b"\n")


def csv_bytes(columns: Sequence[pa.Array]) -> bytes:
    """The records of string columns of one length, without nulls."""
    if not len(columns[0]):
        return b""
    texts = [quoted(column) for column in columns]
    if len(texts) == 1:  # an empty cell alone would be a blank line
        empty = pc.equal(texts[0], "")
        texts = [pc.if_else(empty, '""', texts[0])]
    lines = pc.binary_join_element_wise(*texts, ",")
    return bytes_of(pc.binary_join_element_wise(lines, "", "\n"))


def bytes_of(texts: pa.Array) -> bytes:
    """Texts without nulls, one behind the other."""
    if not len(texts):
        return b""
    _, offsets, data = texts.buffers()
    starts = memoryview(offsets).cast("i")
    first, last = starts[texts.offset], starts[texts.offset + len(texts)]
    return bytes(memoryview(data)[first:last])


def quoted(column: pa.Array) -> pa.Array:
    """Texts as they stand in a record."""
    data = bytes_of(column)
    if not any(mark in data for mark in _MARKS):  # nearly always, and much faster
        return column
    needs = pc.match_substring_regex(column, _NEEDS_QUOTES)
    if not pc.any(needs).as_py():
        return column
    doubled = pc.replace_substring(column, '"', '""')
    return pc.if_else(needs, pc.binary_join_element_wise('"', doubled, '"', ""), column)
