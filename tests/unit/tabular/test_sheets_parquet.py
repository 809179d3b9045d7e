"""Parquet: read by ranges, as the texts that a CSV file with those values would hold."""

from __future__ import annotations

import io
import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.memory import BucketConfig, MemoryCloud
from shared.errors import EmptyFile, ObjectNotFound, UnreadableText
from shared.runs import InputRef
from shared.serving.times import moment_of
from shared.spec.model import Source
from shared.tabular.reading.records import MAX_FIELD_CHARACTERS
from shared.tabular.reading.sheets import open_input
from tests.unit.tabular.test_sheets_csv import everything, refused_or_read
from tests.unit.tabular.test_sheets_json import sheet


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    out = io.BytesIO()
    pa.parquet.write_table(pa.table(columns), out, **options)
    return out.getvalue()


def test_parquet_columns_become_texts() -> None:
    """Each type in the spelling that serving and the time rule read; null is empty."""
    moment = datetime(2026, 1, 31, 8, 0, 0, 500000, tzinfo=UTC)
    day = moment.replace(hour=0, microsecond=0, tzinfo=None)
    data = parquet(
        {
            "id": pa.array([1, None, 3], pa.int32()),
            "x": pa.array([1.5, 3.0, float("nan")]),
            "f": pa.array([0.5, None, 1e10], pa.float32()),
            "s": pa.array(["a", None, "é"]),
            "c": pa.array(["k", None, "k"]).dictionary_encode(),
            "b": pa.array([True, None, False]),
            "d": pa.array([date(2026, 1, 31), None, None]),
            "t": pa.array([moment, None, None], pa.timestamp("ns", "Europe/Berlin")),
            "u": pa.array([day, None, None], pa.timestamp("ms")),
            "m": pa.array([Decimal("1.50"), None, Decimal("-2.00")]),
            "l": pa.array([[1, 2], None, []]),
            "o": pa.array([{"k": 1}, None, {"k": None}]),
            "y": pa.array([b"raw", None, b"\xff"]),
            "n": pa.array([None, None, None]),
        }
    )
    found = sheet(data)
    assert found.source.format == "parquet"
    rows = [dict(zip(found.names, row, strict=True)) for _, row in everything(sheet(data))]
    assert rows[0] == {
        "id": "1",
        "x": "1.5",
        "f": "0.5",
        "s": "a",
        "c": "k",
        "b": "true",
        "d": "2026-01-31",
        "t": "2026-01-31T08:00:00.500000Z",
        "u": "2026-01-31T00:00:00",
        "m": "1.50",
        "l": "[1, 2]",
        "o": '{"k": 1}',
        "y": "raw",
        "n": "",
    }
    assert set(rows[1].values()) == {"", "3"}
    assert (rows[2]["x"], rows[2]["f"], rows[2]["y"]) == ("", "10000000000", "\\xff")
    assert moment_of(rows[0]["t"]) == moment.timestamp()
    assert not math.isnan(moment_of(rows[0]["d"]) + moment_of(rows[0]["u"]))


def test_parquet_of_the_lake_is_read_by_ranges_of_its_generation() -> None:
    """No more rows than a block are held, and another generation is not taken instead."""
    cloud = MemoryCloud(buckets=[BucketConfig("lake")])
    rows = 10_000
    data = parquet({"n": range(rows), "s": [f"text {n}" for n in range(rows)]}, row_group_size=3000)
    info = cloud.lake.write("inputs/m/train/r/x", data)
    with open_input(cloud.lake, InputRef.of(info, "x"), Source(), block_rows=999) as found:
        blocks = list(found.blocks)
    assert max(map(len, blocks)) == 999
    assert [n for block in blocks for n in block.record.tolist()] == list(range(1, rows + 1))
    assert [n for block in blocks for n in block.cells["n"].to_pylist()] == list(
        map(str, range(rows))
    )
    cloud.lake.write("inputs/m/train/r/x", data)
    with (
        pytest.raises(ObjectNotFound),
        open_input(cloud.lake, InputRef.of(info, "x"), Source()) as found,
    ):
        list(found.blocks)


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (parquet({"a": [1, 2]})[:-30], UnreadableText, "cannot be read as Parquet"),
        (b"PAR1" + b"\x00" * 50, UnreadableText, "cannot be read as Parquet"),
        (b"PAR1" + b"\xff" * 8 + b"PAR1", UnreadableText, "cannot be read as Parquet"),
        (parquet({"a": pa.array([], pa.int64())}), EmptyFile, "no rows"),
        (b"a,b\n1,2\n", UnreadableText, "no Parquet file"),
    ],
)
def test_parquet_that_cannot_be_read(data: bytes, error: type, said: str) -> None:
    """Cut, damaged, empty, or something else under that name."""
    with pytest.raises(error, match=said):
        everything(sheet(data, "x.parquet"))


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 700), st.integers(0, 255))
def test_a_damaged_byte_of_parquet_is_no_crash(place: int, value: int) -> None:
    """Values may be others, for Parquet has no checksum; an error is one of ours."""
    data = bytearray(parquet({"a": [1, 2, 3], "b": ["x", "y", None]}))
    data[place % len(data)] = value
    assert refused_or_read(partial(sheet, bytes(data), "x.parquet"))


def test_days_beyond_every_calendar_are_texts_that_are_no_days() -> None:
    """One wrong number among dates costs its row, not the file, and never becomes another day."""
    far = [0, 2**60, -(2**60)]
    columns = {unit: pa.array(far, pa.timestamp(unit, "UTC")) for unit in ("ms", "us")}
    columns["day"] = pa.array([0, 2**30, -(2**30)], pa.date32())
    columns["ns"] = pa.array([0, 2**62, -(2**62)], pa.timestamp("ns"))
    (block,) = sheet(parquet(columns)).blocks
    assert block.cells["ms"].to_pylist() == ["1970-01-01T00:00:00Z", str(far[1]), str(far[2])]
    assert block.cells["us"].to_pylist() == ["1970-01-01T00:00:00Z", str(far[1]), str(far[2])]
    assert block.cells["day"].to_pylist() == ["1970-01-01", str(2**30), str(-(2**30))]
    assert block.cells["ns"].to_pylist()[1] == "2116-02-20T23:53:38.427387"


def test_text_that_is_none_is_refused() -> None:
    """Other writers store any bytes as text; the refusal comes from the reader."""
    texts = pa.StringArray.from_buffers(
        1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")
    )
    with pytest.raises(UnreadableText, match="Invalid UTF8"):
        everything(sheet(parquet({"x": texts})))


def test_half_floats_are_numbers() -> None:
    """As pandas writes them to save room."""
    column = pa.array([1.5, None, 3.0], pa.float32()).cast(pa.float16())
    assert everything(sheet(parquet({"x": column}))) == [(1, ["1.5"]), (2, [""]), (3, ["3"])]


def test_a_text_that_no_csv_field_may_have_is_refused_in_words() -> None:
    """Datasets are CSV: what is written there has to be read again. Bytes are no characters."""
    longest = "é" * MAX_FIELD_CHARACTERS
    assert everything(sheet(parquet({"x": ["a", longest]})))[1] == (2, [longest])
    for data, name in (
        (parquet({"x": ["a", longest + "b"]}), ""),
        (json.dumps([{"x": "a"}, {"x": longest + "b"}]).encode(), "a.json"),
    ):
        with pytest.raises(UnreadableText, match="record 2 has 1,048,577 characters in 'x'"):
            everything(sheet(data, name))
