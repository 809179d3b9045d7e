"""CSV in blocks: the fast reader and the careful one give the same records as the csv module."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.errors import EmptyFile, HeaderMismatch, MillraceError, UnreadableText
from shared.spec.model import Source
from shared.tabular.reading.blocks import Block
from shared.tabular.reading.lines import MAX_LINE_BYTES, Text
from shared.tabular.reading.records import read_records
from shared.tabular.reading.sheets import Sheet, open_sheet
from shared.tabular.reading.sheets_csv import CsvReader

PIECES = [
    *("a", "b1", "é", "東", " ", "  ", "\t", "\x0b", "\x1c", "\u2028", "\xa0", "\ufeff", "\x00"),
    *(",", ",", ",", ";", "\n", "\n", "\n", "\r\n", "\r", '"', '"', '""', "NA", "null", "1,5"),
]
texts = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


def everything(sheet: Sheet) -> list[tuple[int, list[str]]]:
    """All records of a sheet, ragged ones too, in order."""
    found: list[tuple[int, list[str]]] = []
    for block in sheet.blocks:
        found += records_of(block)
    return found


def records_of(block: Block) -> list[tuple[int, list[str]]]:
    columns = [column.to_pylist() for column in block.cells.values()]
    assert all(column.null_count == 0 for column in block.cells.values())
    assert {len(column) for column in columns} <= {len(block)}
    rows = [list(row) for row in zip(*columns, strict=True)]
    good = list(zip(block.record.tolist(), rows, strict=True))
    return sorted(good + [(item.record, list(item.cells)) for item in block.ragged])


def refused_or_read(open_it: Callable[[], Sheet]) -> bool:
    """Whether all records come out, or one of our refusals that says more than a word."""
    try:
        everything(open_it())
    except MillraceError as error:
        return len(str(error)) > 20
    return True


def by_csv_module(data: bytes, source: Source) -> list[list[str]]:
    """What the csv module reads, without blank records: the definition."""
    text = io.StringIO(data.decode().removeprefix("\ufeff"), newline="")
    rows = csv.reader(text, delimiter=source.delimiter, skipinitialspace=source.strip)
    return [row for row in rows if any(cell.strip() for cell in row)]


@settings(max_examples=400, deadline=None)
@given(
    text=texts,
    strip=st.booleans(),
    step_bytes=st.integers(1, 30),
    block_rows=st.integers(1, 4),
)
@example(text="a\n\ufeffb\n", strip=True, step_bytes=2, block_rows=4)
@example(text='a,b\n1,2\n"3\n",4\n', strip=True, step_bytes=5, block_rows=1)
@example(text="a,b\n ,\n,  \n1\n\n2,3", strip=False, step_bytes=30, block_rows=4)
def test_every_way_of_reading_gives_the_same_records(
    text: str, strip: bool, step_bytes: int, block_rows: int
) -> None:
    """Wherever steps are cut and blocks end, with quotes or without: the csv module's records, with
    their numbers, ragged ones included."""
    source = Source(delimiter=",", format="csv", strip=strip, encoding="utf-8", header=False)
    data = text.encode()
    expected = by_csv_module(data, source)
    assert list(read_records(io.BytesIO(data), source)) == expected
    opened = Text(io.BytesIO(data), source, step_bytes=step_bytes)
    try:
        reader = CsvReader(opened, block_rows=block_rows)
    except EmptyFile:
        assert not expected
        return
    names = [f"c{place}" for place in range(len(reader.first))]
    found = []
    for block in reader.blocks(names, header=False):
        assert len(block) <= block_rows
        found += records_of(block)
        for item in block.ragged:
            wrong_width = f"has {len(item.cells)} fields, expected {len(names)}"
            assert item.code == "quote" or item.reason == wrong_width
    assert found == list(enumerate(expected, start=1))


@settings(max_examples=100, deadline=None)
@given(text=texts, step_bytes=st.integers(1, 30))
def test_records_below_a_header_count_from_one(text: str, step_bytes: int) -> None:
    """The header is the first record and no row, however it is written."""
    source = Source(delimiter=",", format="csv", encoding="utf-8")
    data = ('"x",y\n' + text).encode()
    reader = CsvReader(Text(io.BytesIO(data), source, step_bytes=step_bytes), block_rows=7)
    assert reader.first == ["x", "y"]
    found = [item for block in reader.blocks(["x", "y"], header=True) for item in records_of(block)]
    assert found == list(enumerate(by_csv_module(data, source)[1:], start=1))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["", "x.csv", "x.json", "x.jsonl", "x.parquet"]))
def test_any_bytes_are_read_or_refused(data: bytes, name: str) -> None:
    """Nothing but our own refusals comes out, whatever goes in; packed or not."""
    for content in (data, gzip.compress(data), gzip.compress(data)[:-3], b"\x1f\x8b" + data):
        assert refused_or_read(partial(open_sheet, io.BytesIO(content), Source(), name=name))


def sheet(data: bytes, **more: Any) -> list[tuple[int, list[str]]]:
    names = more.pop("names", None)
    return everything(open_sheet(io.BytesIO(data), Source(**more), names=names))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("a;b\nä;1,5\n", [["ä", "1,5"]]),
        ("a;b\nä;1,5\n".encode("cp1252"), [["ä", "1,5"]]),
        ("\ufeffa,b\nä,1\n", [["ä", "1"]]),
        (b"a,b\n" + b"x,1\n" * 30_000 + "ö,€\n".encode("cp1252"),
         [["x", "1"]] * 30_000 + [["ö", "€"]]),
        (b"a,b\nx\x81,\x80\n", [["x\x81", "€"]]),
        (gzip.compress(b"a\tb\n1\t2\n", mtime=0) + gzip.compress(b"3\t4\n", mtime=0),
         [["1", "2"], ["3", "4"]]),
    ],
)  # fmt: skip
def test_encodings_are_found(data: bytes | str, expected: list[list[str]]) -> None:
    """UTF-8 with and without mark, cp1252 from the first byte that says so, gzip in parts."""
    found = sheet(data.encode() if isinstance(data, str) else data)
    assert [row for _, row in found] == expected


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("é\n".encode() + b"x\n" * 40_000 + b"\xff\n", "line 40002 .* not utf-8; save the file"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], "packed with gzip, and broken"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0) + b"rubbish", "packed with gzip, and broken"),
        (b"a,b\n1," + b"x" * (MAX_LINE_BYTES + 100), "longer than 16 MiB"),
        (gzip.compress(b"a,b\n1," + b"\x20" * (MAX_LINE_BYTES * 2), mtime=0), "longer than 16 MiB"),
        (b'a,b\n"1,' + b"x,\n" * 500_000, "is a quote left open"),
        (b'a,b\n' + b'"1\n",' * 8_000_000, "is a quote left open"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("a,b\n1,2\n".encode("utf-16-be"), "UTF-16"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_why(data: bytes, said: str) -> None:
    """Broken packing, endless lines and open quotes are refused in bounded memory."""
    with pytest.raises(UnreadableText, match=said):
        sheet(data, delimiter=",")


def test_a_declared_encoding_is_not_guessed() -> None:
    """Bytes that are not what the spec says are a refusal; one with every character is not."""
    data = "a,b\nä,1\n".encode("cp1252")
    with pytest.raises(UnreadableText, match=r"line 2 .* save the file as UTF-8"):
        sheet(data, encoding="utf-8")
    assert sheet(data, encoding="latin-1") == [(1, ["ä", "1"])]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_utf8_is_never_read_as_something_else(encoding: str) -> None:
    """The spec says how files are written that are not UTF-8: read by it, UTF-8 would bring other
    categories and other classes (`Ã¤`), and nobody would be told. A second encoding further down
    is refused, and not answered with the advice to declare one."""
    assert sheet("a,b\nKöln,1\n".encode(), encoding=encoding) == [(1, ["Köln", "1"])]
    assert sheet(b"a,b\nK\xf6ln,1\n", encoding=encoding) == [(1, ["Köln", "1"])]
    mixed = b"a,b\n" + "Köln,1\n".encode() * 20_000 + b"K\xf6ln,1\n"
    with pytest.raises(UnreadableText, match=r"line 20002 .* two encodings are mixed"):
        sheet(mixed, encoding=encoding)


def test_a_file_without_header_takes_its_names_by_width() -> None:
    """The first list that fits; none that fits is a refusal, none at all are numbered columns."""
    names = [["a", "b"], ["a", "b", "target"]]
    for data, width in ((b"1,2\n", 2), (b"1,2,3\n", 3)):
        found = open_sheet(io.BytesIO(data), Source(header=False), names=names)
        assert found.names == tuple(names[width - 2])
    with pytest.raises(HeaderMismatch, match=r"4 fields, .* names 2 or 3 columns"):
        open_sheet(io.BytesIO(b"1,2,3,4\n"), Source(header=False), names=names)
    found = open_sheet(io.BytesIO(b"1,2\n"), Source(header=False))
    assert found.names == ("column_1", "column_2")


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (b"", EmptyFile, "blank"),
        (b" \n,,\n\n", EmptyFile, "blank"),
        (b"a,b\n", EmptyFile, "no rows"),
        (b"a,b\n , \n\n,\n", EmptyFile, "no rows"),
        (b"a,a\n1,2\n", HeaderMismatch, "a more than once"),
        (b"," * 6000 + b"\n1\n", EmptyFile, "no rows|blank"),
        (",".join(map(str, range(6000))).encode() + b"\n1\n", HeaderMismatch, "at most 5000"),
    ],
)
def test_what_has_no_rows_or_no_names(data: bytes, error: type, said: str) -> None:
    """Empty in each of its forms, names that stand twice, and more columns than anybody means."""
    with pytest.raises(error, match=said):
        sheet(data, delimiter=",")


@pytest.mark.parametrize("quoted", ['"never', 'x,"never', '3,"n",x\n4,"never'])
@pytest.mark.parametrize("step_bytes", [16, 4096])
def test_a_quote_that_is_never_closed_makes_no_good_row(quoted: str, step_bytes: int) -> None:
    """All that follows is in one cell then, of a record that may even have the right width."""
    data = f"a,b\n1,2\n{quoted} closed\n5,6\n7,8\n".encode()
    text = Text(io.BytesIO(data), Source(), step_bytes=step_bytes)
    reader = CsvReader(text, block_rows=10)
    blocks = list(reader.blocks(["a", "b"], header=True))
    (torn,) = [item for block in blocks for item in block.ragged if item.code == "quote"]
    assert "never closed" in torn.reason
    assert torn.cells[-1] == "never closed\n5,6\n7,8\n"
    assert sum(len(block) for block in blocks) == 1


def test_a_quote_that_is_closed_by_the_last_character_is_closed() -> None:
    """With a line end behind it or without one."""
    for end in ("", "\n", "\r\n"):
        data = f'a,b\n1,2\n3,"4\n5"{end}'.encode()
        found = open_sheet(io.BytesIO(data), Source())
        assert everything(found) == [(1, ["1", "2"]), (2, ["3", "4\n5"])]
        blocks = open_sheet(io.BytesIO(data), Source()).blocks
        assert not any(block.ragged for block in blocks)
