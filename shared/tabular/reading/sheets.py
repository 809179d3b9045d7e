"""One reader of files for training and scoring: columns of texts, block by block.

    open_input (an object of the lake, generation pinned)  -.
    open_sheet (a stream)  ---------------------------------+-> CSV | JSON lines | JSON | Parquet
                                                                -> Sheet(names, blocks)

Bounded memory in every format. A record that has no columns (another number of fields, a JSON line
that is no object) is given as it stands, with its reason: good and ragged are all records.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from shared.errors import HeaderMismatch, UnreadableText
from shared.files import dialect
from shared.files.content import PARQUET, check_content
from shared.ports import Bucket
from shared.runs import InputRef
from shared.spec.model import Source
from shared.tabular.reading.blocks import BLOCK_ROWS, Block, Ragged, check_names, not_empty
from shared.tabular.reading.lines import Text
from shared.tabular.reading.records import column_names
from shared.tabular.reading.sheets_csv import CsvReader
from shared.tabular.reading.sheets_json import JsonReader
from shared.tabular.reading.sheets_parquet import ParquetReader, RangeFile, is_parquet

__all__ = ["BLOCK_ROWS", "Block", "Ragged", "Sheet", "open_input", "open_sheet"]


# One list of columns, or several to choose from.
Names = Sequence[str] | Sequence[Sequence[str]] | None


@dataclass(frozen=True, slots=True)
class Sheet:
    """An opened file. `source` has no `auto` left; `blocks` can be read once."""

    names: tuple[str, ...]
    source: Source
    blocks: Iterator[Block]


def open_sheet(
    stream: BinaryIO,
    source: Source,
    *,
    name: str = "",
    names: Names = None,
    expected: Collection[str] = (),
    block_rows: int = BLOCK_ROWS,
    enough: Sequence[str] | None = None,
) -> Sheet:
    """A file in blocks of at most `block_rows` rows.

    Args:
        stream: The file's bytes, maybe packed with gzip.
        source: How it is written; `auto` is settled here.
        name: The file's name, for its format.
        names: Columns of a file without header, or several lists to choose from by width.
        expected: Columns that the header should have, to tell delimiters apart.
        block_rows: Rows of a block, at most.
        enough: Columns that suffice where a block brings its `lines`.

    Raises EmptyFile, UnreadableText, HeaderMismatch; `blocks` raise the first two.
    """
    text = Text(stream, source, name=name, expected=expected)
    check_content(text.head)
    if text.source.format == "parquet":
        if text.packed or not (stream.seekable() and is_parquet(text.head)):
            raise UnreadableText(
                "the file is no Parquet file, or it is packed; drop it as Parquet, not packed"
            )
        return _parquet(stream, text.source, block_rows)
    found, blocks = _opened(text, source, names, block_rows, enough)
    return Sheet(tuple(found), text.source, not_empty(blocks))


@contextmanager
def open_input(
    lake: Bucket,
    ref: InputRef,
    source: Source,
    *,
    names: Names = None,
    expected: Collection[str] = (),
    block_rows: int = BLOCK_ROWS,
    enough: Sequence[str] | None = None,
) -> Iterator[Sheet]:
    """An accepted input, of exactly the generation that was accepted. Raises as `open_sheet`, and
    ObjectNotFound."""
    head = lake.read(ref.object, generation=ref.generation, end=len(PARQUET)).data
    if is_parquet(head) and source.format in ("auto", "parquet"):
        settled = dialect.settle(source, head, ref.object)
        yield _parquet(RangeFile(lake, ref), settled, block_rows)
        return
    with lake.open_reader(ref.object, generation=ref.generation) as stream:
        yield open_sheet(
            stream,
            source,
            name=ref.object,
            names=names,
            expected=expected,
            block_rows=block_rows,
            enough=enough,
        )


def _parquet(file: BinaryIO | RangeFile, source: Source, block_rows: int) -> Sheet:
    reader = ParquetReader(file, source.decimal, block_rows=block_rows)
    check_names(reader.names)
    return Sheet(tuple(reader.names), source, reader.blocks())


def _opened(
    text: Text, source: Source, names: Names, block_rows: int, enough: Sequence[str] | None
) -> tuple[list[str], Iterator[Block]]:
    """Columns and blocks of a text file."""
    if text.source.format != "csv":
        json = JsonReader(text, block_rows=block_rows)
        check_names(json.names)
        return json.names, json.blocks()
    reader = CsvReader(text, block_rows=block_rows)
    if source.header:
        found = column_names(reader.first)
    else:
        found = _names_for(len(reader.first), names, text.source)
    check_names(found)
    return found, reader.blocks(found, header=source.header, enough=enough)


def _names_for(width: int, names: Names, source: Source) -> list[str]:
    """The columns of a file without header whose first record has this width."""
    if not names:
        return column_names([""] * width)
    lists = [names] if isinstance(names[0], str) else names
    for choice in cast("Sequence[Sequence[str]]", lists):
        if len(choice) == width:
            return list(choice)
    widths = sorted({len(choice) for choice in lists})
    raise HeaderMismatch(
        f"the first row has {width} fields, the spec (source.header: false) names "
        f"{' or '.join(map(str, widths))} columns; is the delimiter really {source.delimiter!r}?"
    )
