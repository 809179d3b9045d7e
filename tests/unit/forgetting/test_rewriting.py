"""Files of any form without a row: everything else keeps its bytes and its place."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.errors import Retryable
from shared.ports import ObjectInfo
from shared.spec.model import Source
from shared.tabular.reading.records import read_records
from shared.usecases.forgetting import emptying
from shared.usecases.forgetting.quoted import SAID, without
from shared.usecases.forgetting.rewriting import MARK, Change, rewrite
from shared.usecases.forgetting.subject import GONE, Subject, pattern_of
from tests.support.system import memory_cloud


def changed(change: Change, data: bytes) -> tuple[int, bytes]:
    out = io.BytesIO()
    return change(io.BytesIO(data), out), out.getvalue()


def file_change(records: set[int], form: str = "csv", **source: Any) -> Change:
    settings = Source.model_validate(source)
    return emptying.input_change(settings, "f.csv", records, form=form, column="who")


CSVS = {
    "plain": (b"who,b\nann,1\nzed,2\ncee,3\n", b"who,b\nann,1\n(forgotten),\ncee,3\n"),
    "crlf": (b"who,b\r\nann,1\r\nzed,2\r\n", b"who,b\r\nann,1\r\n(forgotten),\r\n"),
    "no end": (b"who,b\nann,1\nzed,2", b"who,b\nann,1\n(forgotten),"),
    "semicolons": (b"who;b\nann;1,5\nzed;2,5\n", b"who;b\nann;1,5\n(forgotten);\n"),
    "quoted lines": (
        b'who,b\n"an\nn","say ""hi"""\n"zed","2\n3"\n"cee",4\n',
        b'who,b\n"an\nn","say ""hi"""\n(forgotten),\n"cee",4\n',
    ),
    "blank lines": (
        b"\nwho,b\n\nann,1\n,\nzed,2\n\n , \n",
        b"\nwho,b\n\nann,1\n,\n(forgotten),\n\n , \n",
    ),
    "latin": (
        "who,b\nJos\xe9,1\nzed,2\n\x80uro,3\n".encode("latin-1"),
        "who,b\nJos\xe9,1\n(forgotten),\n\x80uro,3\n".encode("latin-1"),
    ),
    "torn": (b"who,b\nann,1\nzed,2,3,4\n", b"who,b\nann,1\n(forgotten),,,\n"),
    "key last": (b"b,who\n1,ann\n2,zed\n", b"b,who\n1,ann\n,(forgotten)\n"),
}


@pytest.mark.parametrize("case", CSVS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_one_record_of_a_csv_file(case: str, packed: bool) -> None:
    """Delimiters, line ends, encodings, quotes and blank lines of the others stay as they were."""
    before, after = CSVS[case]
    data = gzip.compress(before) if packed else before
    rows, found = changed(file_change({2}), data)
    assert rows == 1
    assert (gzip.decompress(found) if packed else found) == after
    count = len(list(read_records(io.BytesIO(before), Source())))
    assert len(list(read_records(io.BytesIO(after), Source()))) == count
    assert changed(file_change({2}), found)[0] == 0  # again: nothing to do


def test_a_file_without_a_header_counts_from_its_first_line() -> None:
    """The key's column is not named there, so the mark stands in the first."""
    rows, found = changed(file_change({1}, header=False), b"zed,2\nann,1\n")
    assert (rows, found) == (1, b"(forgotten),\nann,1\n")


def test_lines_of_json() -> None:
    """Keys stay, values go; what is no object stays."""
    data = b'{"who": "ann", "b": 1}\n[1]\n\n{"who": "zed", "b": 2}\n'
    rows, found = changed(file_change({3}, "jsonl"), data)
    assert rows == 1
    assert found == data[: data.rindex(b"{")] + b'{"who":"(forgotten)","b":null}\n'


@pytest.mark.parametrize("spelled", ["17", "17.0", '"17"'])
@pytest.mark.parametrize("key", ["17", "17.0"])
def test_a_line_of_the_log_is_found_however_the_key_is_spelled(key: str, spelled: str) -> None:
    """Lines that cannot be theirs are not parsed; none that is theirs is taken for one of those."""
    line = '{"model": "m", "prediction_id": "%s", "instance": {"who": %s}}\n'
    data = (line % ("a", spelled) + line % ("b", "18") + line % ("\\u00e9", "1")).encode()
    rows, found = changed(emptying.log_change(Subject("m", "who", key), "x", "f"), data)
    assert (rows, len(found.splitlines())) == (1, 3)
    assert found.splitlines()[1:] == data.splitlines()[1:]
    subject = Subject("m", "who", key, {"\u00e9"})
    assert changed(emptying.log_change(subject, "x", "f"), data)[0] == 2


def test_rows_of_parquet() -> None:
    """Types stay; theirs are nulls."""
    table = pa.table({"who": ["ann", "zed", "cee"], "b": pa.array([1, 2, 3], pa.int32())})
    out = io.BytesIO()
    pq.write_table(table, out)
    rows, found = changed(file_change({2}, "parquet"), out.getvalue())
    left = pq.read_table(io.BytesIO(found))
    assert rows == 1
    assert left.schema == table.schema
    assert left.to_pylist() == [
        {"who": "ann", "b": 1},
        {"who": None, "b": None},
        {"who": "cee", "b": 3},
    ]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_scored_files_of_other_forms(form: str) -> None:
    """Version and prediction id stay, so rows out are rows in; a second look changes nothing."""
    subject = Subject("m", "who", "zed")
    rows = [
        {"who": who, "score": 0.5, "label": "a", "model_version": "v", "prediction_id": f"r-{n}",
         "error": None}
        for n, who in enumerate(["ann", "zed"], start=1)
    ]  # fmt: skip
    out = io.BytesIO()
    if form == "parquet":
        schema = pa.schema(
            [(name, pa.float64() if name == "score" else pa.string()) for name in rows[0]]
        )
        pq.write_table(pa.Table.from_pylist(rows, schema), out)
        change = emptying.scored_parquet_change(subject)
    else:
        out.write("".join(json.dumps(row) + "\n" for row in rows).encode())
        change = emptying.scored_lines_change(subject)
    count, found = changed(change, out.getvalue())
    read = (
        pq.read_table(io.BytesIO(found)).to_pylist()
        if form == "parquet"
        else [json.loads(line) for line in found.splitlines()]
    )
    assert count == 1
    assert read[0] == rows[0]
    assert {name: value for name, value in read[1].items() if value is not None} in (
        {"model_version": "v", "prediction_id": "r-2"},
        {"model_version": "v", "prediction_id": "r-2", "error": "forgotten"},
    )
    assert changed(change, found)[0] == 0


def test_who_changed_it_meanwhile_wins() -> None:
    """An object is swapped for the generation that was read, never over somebody else's."""
    lake = memory_cloud().lake

    def change(source: Any, target: Any) -> int:
        lake.write("x", b"of somebody else")
        target.write(b"ours")
        return 1

    info = lake.write("x", b"before")
    with pytest.raises(Retryable, match="run it again"):
        rewrite(lake, info, change, forget_id="f")
    assert lake.read("x").data == b"of somebody else"


def test_what_was_emptied_is_counted_over_tries() -> None:
    """Metadata and type of the object stay; the count of an earlier try is added to."""
    lake = memory_cloud().lake
    metadata = {"rows": "4", MARK + "f": "2"}
    info: ObjectInfo = lake.write("x", b"1", content_type="text/csv", metadata=metadata)

    def change(source: Any, target: Any) -> int:
        target.write(source.read() + b"2")
        return 3

    assert rewrite(lake, info, change, forget_id="f") == 5
    after = lake.stat("x")
    assert (after.metadata["rows"], after.metadata[MARK + "f"]) == ("4", "5")
    assert after.content_type == "text/csv"


@pytest.mark.parametrize(
    ("cell", "key", "same"),
    [
        ("17", "17", True),
        (" 17 ", "17", True),
        ("17.0", "17", True),
        (17.0, "17", True),
        ("017", "17", False),
        ("170", "17", False),
        ("P-1", "p-1", False),
        (None, "None", False),
        ("", "", False),
        ("1e1", "10", False),
    ],
)
def test_what_counts_as_the_key(cell: object, key: str, same: bool) -> None:
    """The same text, or the same number as another format spells it; nothing that looks alike."""
    assert Subject("m", "who", key).is_key(cell) == same


def test_documents_that_quote_somebody() -> None:
    """A text that mentions the key goes as a whole; a longer word with it inside is another one."""
    pattern = pattern_of(["P-10017"])
    assert pattern is not None
    body = {"a": "row 3: 'P-10017' is bad", "b": ["P-100170"], "c": {"n": 1}}
    assert without(body, pattern) == {"a": GONE, "b": ["P-100170"], "c": {"n": 1}}
    assert without({"message": "P-10017", "object": "in/P-10017"}, pattern, only=SAID) == {
        "message": GONE,
        "object": "in/P-10017",
    }
    assert pattern_of(["17"]) is None
