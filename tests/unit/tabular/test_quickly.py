"""The quick ways of batch scoring give what the careful ones give."""

from __future__ import annotations

import csv
import io

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.serving.coded import Coded, columns_of
from shared.serving.columns import Schema
from shared.serving.features import Bounds, Feature
from shared.serving.problems import Problem
from shared.spec.model import Source
from shared.tabular.reading.quickly import read_quickly
from shared.tabular.reading.ranges import look
from shared.tabular.reading.records import numbered_steps
from shared.tabular.reading.sheets_csv import Wanted, blocks_of, is_plain
from shared.usecases.scoring.rows import coded

NAMES = ["a", "b", "c"]
SOURCE = Source.model_validate({"format": "csv", "delimiter": ",", "encoding": "utf-8"})
FEATURES = (
    Feature("n", "number", require=Bounds(min=-5.0, max=1e6)),
    Feature("m", "number", require=Bounds(present=True)),
    Feature("c", "category", require=Bounds(values=("1", "x", "true"))),
)
CELLS = st.sampled_from(
    [
        *("", "?", "NA", "1", "1.0", " 7", "-3", "-6", "1e3", "1E400", "1_0", "inf", "nan", "0x1"),
        *(
            "1.7976931348623157e308",
            "4.9e-324",
            "0.1",
            "123456789012345678901",
            "True",
            "x",
            "Köln",
        ),
        *("-0", "-999", ".5", "5.", "+1", "1,5", "\u0661", "2.2250738585072011e-308", "1e7"),
    ]
)


@settings(deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=20))
def test_columns_of_codes_are_those_of_cells(rows: list[tuple[str, str, str]]) -> None:
    """Every value to the bit, every problem in the same words and order, whatever stands there."""
    missing = ("", "?", "NA", "nan", "-999")
    schema = Schema(FEATURES, rules=(("small", "n < 1000 or c = 'x'"),), missing=missing)
    cells = dict(zip(("n", "m", "c"), map(list, zip(*rows, strict=True)), strict=True))
    expected, problems = schema.from_cells(cells)
    columns = {
        feature.name: coded(schema, feature, pa.array(cells[feature.name]), many=0)
        for feature in schema.inputs
    }
    found, reasons = columns_of(schema, columns)
    for name, column in expected.items():
        if column.dtype == object:
            assert found[name].tolist() == column.tolist()
        else:
            known = ~np.isnan(column)  # of 0.0 and -0.0 the sign counts, of NaN it does not
            assert np.array_equal(np.isnan(found[name]), ~known)
            assert found[name][known].tobytes() == column[known].tobytes()
    assert reasons == _reasons(problems)


def _reasons(problems: list[Problem]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for item in problems:
        text = f"{item['column'] or 'row'} {item['rule']} (it is {item['value']!r})"
        found.setdefault(int(str(item["row"])), []).append(text)
    return found


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(["", "x", "ö", "\u3000", "5"]), min_size=2, max_size=4)))
def test_lines_are_the_records(rows: list[list[str]]) -> None:
    """Where lines are kept as they stand, they are what the csv module reads and would write."""
    text = "".join(",".join(row) + "\n" for row in rows)
    quick = read_quickly(text.encode(), NAMES, ["c", "a"], SOURCE) if rows else None
    if quick is None:
        return
    records = list(csv.reader(io.StringIO(text)))
    assert quick.cells["a"].to_pylist() == [record[0] for record in records]
    assert quick.cells["c"].to_pylist() == [record[2] for record in records]
    assert quick.lines.to_pylist() == ["\n" + ",".join(record) for record in records]


@pytest.mark.parametrize(
    "text",
    ["1,2,3\n\n4,5,6\n", "1,2,3\n,,\n", "1,2\n1,2,3\n", " 1,2,3\n", "1, 2,3\n", "\ufeff1,2,3\n"],
)
def test_what_is_odd_is_read_carefully(text: str) -> None:
    """Blank and ragged records, blanks that may have to go, a mark that pyarrow would take."""
    assert read_quickly(text.encode(), NAMES, ["a"], SOURCE) is None


def test_plain_lines_are_quick() -> None:
    """With either line end, with and without one at the end."""
    for text in ("1,2,3\r\n4,5,6\r\n", "1,2,3\n4,5,6"):
        quick = read_quickly(text.encode(), NAMES, ["b"], SOURCE)
        assert quick is not None
        assert quick.lines.to_pylist() == ["\n1,2,3", "\n4,5,6"]


def test_a_column_of_codes_tells_its_texts() -> None:
    """Row by row."""
    assert Coded(["a", "b"], np.array([1, 0])).text(0) == "b"


QUOTED = st.sampled_from(
    ["", "x", '""', '"a"', '" b"', '"c,d"', "\u3000", '"', 'e"f', '"g""h"', '"i"j']
)
ENDS = st.sampled_from(["\n", "\r\n"])


@settings(deadline=None)
@given(st.lists(st.lists(QUOTED, min_size=1, max_size=4), min_size=1), ENDS)
@example([['"', '"']], "\n")  # one cell that is a comma
def test_clean_quotes_mean_the_same_to_both_readers(rows: list[list[str]], end: str) -> None:
    """What pyarrow splits is what the csv module reads, blank and ragged records included; and a
    look counts them alike."""
    text = "".join(",".join(row) + end for row in rows).encode()
    if not is_plain(text, SOURCE):
        return
    wanted = Wanted(NAMES, SOURCE, 100)
    blocks = list(blocks_of(iter([text]), wanted, done=0))
    found = {
        int(record): tuple(block.cells[name][place].as_py() for name in NAMES)
        for block in blocks
        for place, record in enumerate(block.record)
    }
    found |= {item.record: item.cells for block in blocks for item in block.ragged}
    expected = [tuple(row) for _, row, _ in numbered_steps([text], SOURCE)]
    assert [found[record] for record in sorted(found)] == expected
    assert sorted(found) == list(range(1, len(expected) + 1))
    assert look(text, (0, len(text)), len(text), SOURCE).records == len(expected)
