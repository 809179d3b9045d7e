"""JSON lines and JSON arrays: the same columns of texts as a CSV file with those cells."""

from __future__ import annotations

import io
import json
import math
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shared.errors import EmptyFile, HeaderMismatch, UnreadableText
from shared.serving.cells import BadCell, CellRules
from shared.spec.model import Source
from shared.tabular.reading import lines
from shared.tabular.reading.lines import Text
from shared.tabular.reading.sheets import Sheet, open_sheet
from shared.tabular.reading.sheets_json import JsonReader
from shared.tabular.reading.spelling import text_of
from tests.unit.tabular.test_sheets_csv import everything, refused_or_read


def sheet(data: bytes, name: str = "", **more: Any) -> Sheet:
    return open_sheet(io.BytesIO(data), Source(**more), name=name)


# --- spelling ------------------------------------------------------------------------------------

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.floats(width=32)


@settings(max_examples=500, deadline=None)
@given(plain, st.sampled_from([".", ","]))
def test_a_cell_means_what_its_value_means(value: object, decimal: str) -> None:
    """As a number and as a category, a value's text is for the spec what the value is for the
    predictor."""
    assume(decimal == "." or value != 0)  # the one category that would be "-0"
    rules = CellRules(decimal=decimal)
    text = text_of(value, decimal)
    for convert in (rules.number_of, rules.category_of):
        try:
            expected = convert(value)
        except BadCell:
            with pytest.raises(BadCell):
                convert(text)
            continue
        found = convert(text)
        if isinstance(expected, str) and decimal == ",":
            expected = expected.replace(".", ",")
        if isinstance(expected, float) and isinstance(found, float):
            assert np.float64(found).tobytes() == np.float64(expected).tobytes() or (
                math.isnan(found) and math.isnan(expected)
            )
        else:
            assert found == expected


# --- JSON ----------------------------------------------------------------------------------------

ROWS = [
    {"id": 1, "x": 1.5, "s": "a,b", "n": None, "t": True, "o": {"k": [1, "é"]}},
    {"id": 2, "x": 3.0, "s": "\n", "t": False, "o": [1]},
    {"x": 1e-7, "s": "東", "id": 3},
]
CELLS = [
    ["1", "1.5", "a,b", "", "true", '{"k": [1, "é"]}'],
    ["2", "3", "\n", "", "false", "[1]"],
    ["3", "1e-07", "東", "", "", ""],
]
LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)


@pytest.mark.parametrize(
    ("text", "name", "form"),
    [
        (LINES, "x.jsonl", "jsonl"),
        (LINES, "x.json", "jsonl"),
        (LINES.replace("\n", "\r\n\r\n") + "\r\n", "", "jsonl"),
        (LINES.replace("\n", "\r"), "x.ndjson", "jsonl"),
        ("\ufeff" + LINES, "x.ndjson.gz", "jsonl"),
        (json.dumps(ROWS), "x.json", "json"),
        (json.dumps(ROWS, indent=2), "x.csv", "json"),
        (" \n" + json.dumps(ROWS, ensure_ascii=False) + "\n ", "", "json"),
        ("\n".join(json.dumps(row, indent=1) for row in ROWS), "x.json", "json"),
    ],
)
def test_json_is_a_table_of_texts(text: str, name: str, form: str) -> None:
    """Lines, arrays and objects one after the other; keys in the order of their first
    appearance, absent ones empty."""
    found = sheet(text.encode(), name)
    assert (found.source.format, found.names) == (form, ("id", "x", "s", "n", "t", "o"))
    assert everything(found) == list(enumerate(CELLS, start=1))


def test_a_comma_as_decimal_mark_holds_for_json_too() -> None:
    """The spec says once how numbers are read, so that is how they are written."""
    found = everything(sheet(LINES.encode(), decimal=","))
    assert [row[1] for _, row in found] == ["1,5", "3", "1e-07"]


def test_lines_that_are_no_objects_keep_their_place() -> None:
    """Each is ragged with its text and its reason, and the lines around it are read."""
    lines = ['{"a": 1}', "{oops", "[1]", '"x"', '{"a": 2, "b": 3}', "", "[" * 9000, '{"a": NaN}']
    found = sheet("\n".join(lines).encode(), "x.jsonl")
    (block,) = found.blocks
    assert found.names == ("a", "b")
    assert block.record.tolist() == [1, 5, 7]
    assert block.cells["a"].to_pylist() == ["1", "2", ""]
    assert [(item.record, item.code) for item in block.ragged] == [
        (2, "not_an_object"),
        (3, "not_an_object"),
        (4, "not_an_object"),
        (6, "not_an_object"),
    ]
    assert block.ragged[0].cells == ("{oops",)
    assert "no JSON: " in block.ragged[0].reason
    assert block.ragged[1].reason == "is no JSON object"


def test_a_field_that_comes_late_is_not_dropped() -> None:
    """Rows that were given have no such column; the record says so instead of losing a value."""
    long = "x" * 50_000
    data = f'{{"a": "{long}"}}\n'.encode() * 100 + b'{"a": 2, "late": 5}\n{"a": 3}\n'
    found = sheet(data, "x.jsonl")
    assert found.names == ("a",)
    ragged = [item for block in found.blocks for item in block.ragged]
    assert [(item.record, item.cells) for item in ragged] == [(101, ('{"a": 2, "late": 5}',))]
    assert "'late'" in ragged[0].reason


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (b"[]", EmptyFile, "no JSON records"),
        (b'[{"a": 1}', UnreadableText, "does not end"),
        (b'[{"a": 1}, {"a"', UnreadableText, "record 2 is no JSON"),
        (b'[{"a": 1} {"a": 2}]', UnreadableText, "no comma"),
        (b'[{"a": 1}] [1]', UnreadableText, "more after the end"),
        (b'[{"a": 1}, ' + b"[" * 100_000, UnreadableText, "nested too deeply"),
        (b'[{"a": "' + b"x" * 40_000_000, UnreadableText, "longer than 16 MiB"),
        (b'[{"a": "' + b"x\n" * 20_000_000, UnreadableText, "record 1 is no JSON"),
        (
            json.dumps([{f"k{n}-{m}": 1 for m in range(50)} for n in range(200)]).encode(),
            HeaderMismatch,
            "10000 columns",
        ),
    ],
)
def test_json_that_cannot_be_read(data: bytes, error: type, said: str) -> None:
    """What ends a file says which record and what to look for, in bounded memory."""
    with pytest.raises(error, match=said):
        everything(sheet(data, "x.json"))


def test_texts_that_utf8_cannot_hold() -> None:
    """Half of a surrogate pair, which JSON can spell, becomes the replacement character."""
    found = everything(sheet(b'{"a": "x\\ud800y", "b": "\\ud83d\\ude00"}\n', "x.jsonl"))
    assert found == [(1, ["x\ufffdy", "😀"])]


values = st.none() | st.booleans() | st.integers(-9, 99) | st.sampled_from(["a", "", "é]", "}\n,"])
objects = st.dictionaries(st.sampled_from("abc"), values | st.lists(values, max_size=2), max_size=3)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(objects, min_size=1, max_size=8),
    indent=st.sampled_from([None, 1]),
    step_bytes=st.integers(1, 40),
    block_rows=st.integers(1, 4),
    lines=st.booleans(),
)
def test_cuts_and_blocks_change_nothing(
    rows: list[dict[str, Any]],
    indent: int | None,
    step_bytes: int,
    block_rows: int,
    lines: bool,
) -> None:
    """Every record comes once, with its number, wherever the steps are cut."""
    rows[0].setdefault("a", None)
    text = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows, indent=indent)
    source = Source(format="jsonl" if lines else "json")
    reader = JsonReader(
        Text(io.BytesIO(text.encode()), source, step_bytes=step_bytes), block_rows=block_rows
    )
    seen: dict[int, dict[str, str]] = {}
    for block in reader.blocks():
        assert len(block) <= block_rows
        for item in block.ragged:
            seen[item.record] = {k: text_of(v) for k, v in json.loads(item.cells[0]).items()}
        for place, record in enumerate(block.record.tolist()):
            seen[record] = {name: block.cells[name][place].as_py() for name in reader.names}
    assert list(seen) == sorted(seen) or set(seen) == set(range(1, len(rows) + 1))
    for record, row in enumerate(rows, start=1):
        texts = {key: text_of(value) for key, value in row.items() if text_of(value)}
        assert {key: text for key, text in seen[record].items() if text} == texts


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='{}[]",:a1 \n\\ué-.eNI', max_size=60))
def test_any_text_under_a_json_name(text: str) -> None:
    """Rows, or one of our refusals."""
    for name in ("x.json", "x.jsonl"):
        assert refused_or_read(partial(sheet, text.encode(), name))


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_an_array_on_one_line_is_as_long_as_it_likes(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most programs write JSON without line ends; memory is bounded by an object, not by a line."""
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 200_000)
    records = [{"n": n, "text": "}é{" * 9_000, "of": {"a": [1]}} for n in range(200)]
    data = json.dumps(records, ensure_ascii=False).encode(encoding)
    assert len(data) > 5_000_000
    found = everything(sheet(data, "a.json"))
    wanted = [[str(one["n"]), one["text"], '{"a": [1]}'] for one in records]
    assert [cells for _, cells in found] == wanted
