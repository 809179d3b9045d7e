"""Training and serving judge a cell alike, whatever way it is looked at."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.serving.columns import Schema
from shared.serving.features import Bounds, Feature
from shared.tabular.reading.csv_blocks import csv_bytes
from shared.tabular.reading.records import record_writer
from shared.tabular.splitting import distinct_keys, row_keys
from shared.tabular.validating import distinct
from shared.tabular.validating.distinct import Distinct, judge, normalise
from shared.tabular.validating.seen import NOWHERE, Seen, hashes_of

_ODD = ["", " ", "?", "NA", "-999", "99", "+5", "1_000", "1e3", "1E-5", ".5", "5.", "-0.0", "0x10"]
_ODD += [
    "inf",
    "-Infinity",
    "nan",
    "\u0663",
    "\uff11\uff12",
    "1,5",
    "1.5",
    " 7 ",
    "\u00a03",
    "12\n",
]
_ODD += [
    "1" * 400,
    "0." + "0" * 330 + "1",
    "123456789012345678901234567890.5",
    "1..2",
    "--1",
    "9" * 25,
]
CELLS = st.one_of(
    st.sampled_from(_ODD),
    st.floats(allow_nan=False).map(repr),
    st.integers().map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.text(max_size=4),
)
BOUNDS = st.sampled_from(
    [Bounds(), Bounds(min=0), Bounds(max=10.5), Bounds(min=-5, max=1e6, present=True)]
)


def _same(left: Any, right: Any) -> bool:
    return repr(left + 0.0) == repr(right + 0.0) if isinstance(left, float) else left == right


def _check(found: Distinct, texts: list[str], feature: Feature, schema: Schema) -> None:
    values, rules = schema.convert(feature, texts)
    assert all(map(_same, found.rows().tolist(), values.tolist()))
    assert [found.at(row) for row in range(len(texts))] == [
        (text, rules.get(row)) for row, text in enumerate(texts)
    ]
    assert found.broken().tolist() == [row in rules for row in range(len(texts))]
    assert found.kept_rows().to_pylist() == normalise(texts, schema)


@given(
    st.lists(CELLS, min_size=1, max_size=30),
    BOUNDS,
    st.sampled_from([".", ","]),
    st.booleans(),
    st.sampled_from([("", "?"), ("", "-999", "99", "NA"), ()]),
)
@settings(max_examples=400, deadline=None)
def test_the_fast_way_to_numbers_gives_what_serving_gives(
    texts: list[str], bounds: Bounds, decimal: str, strip: bool, missing: tuple[str, ...]
) -> None:
    """Values bit by bit, broken rules and kept texts, for numbers in any spelling."""
    schema = Schema((), missing=missing, strip=strip, decimal=decimal)
    feature = Feature("n", "number", require=bounds)
    few, distinct._FEW = distinct._FEW, 0
    try:
        _check(judge(pa.array(texts, pa.string()), feature, schema), texts, feature, schema)
    finally:
        distinct._FEW = few


@given(st.lists(CELLS, min_size=1, max_size=30), st.booleans())
@settings(max_examples=100, deadline=None)
def test_categories_are_what_serving_makes_of_them(texts: list[str], strip: bool) -> None:
    """The same spelling, the same refusals."""
    schema = Schema((), strip=strip)
    feature = Feature("c", "category", require=Bounds(regex=r"\w{1,3}", present=True))
    _check(judge(pa.array(texts, pa.string()), feature, schema), texts, feature, schema)


@given(
    st.integers(1, 3).flatmap(
        lambda width: st.lists(
            st.lists(st.text('a,"\n\r \u2622', max_size=4), min_size=width, max_size=width),
            min_size=1,
            max_size=6,
        )
    )
)
@settings(max_examples=200, deadline=None)
def test_csv_from_columns_is_the_csv_of_the_writer(rows: list[list[str]]) -> None:
    """The same bytes, and rows that come back as they were."""
    text = io.StringIO(newline="")
    record_writer(text).writerows(rows)
    columns = [pa.array([row[at] for row in rows], pa.string()) for at in range(len(rows[0]))]
    data = csv_bytes(columns)
    assert data == text.getvalue().encode()
    assert list(csv.reader(io.StringIO(data.decode(), newline=""))) == rows


@given(st.lists(st.lists(st.integers(0, 60), max_size=12), max_size=12))
@settings(max_examples=100, deadline=None)
def test_what_was_seen_first_is_found(blocks: list[list[int]]) -> None:
    """Across any number of blocks, with the place where it was first."""
    seen, known = Seen(), dict[int, int]()
    place = 0
    for block in blocks:
        hashes = hashes_of(np.array(block, np.float64))
        assert seen.places(hashes).tolist() == [known.get(value, NOWHERE) for value in block]
        new = {value: place + at for at, value in reversed(list(enumerate(block)))}
        new = {value: at for value, at in new.items() if value not in known}
        seen.add(hashes_of(np.array(list(new), np.float64)), np.array(list(new.values()), np.int64))
        known |= new
        place += len(block)


def test_hashes_are_the_same_in_every_process() -> None:
    """A retry comes to the same answer; -0.0 and 0.0 are one number."""
    texts = np.array(["a", "b", ""], object)
    assert hashes_of(texts).tolist() == hashes_of(texts[:]).tolist()
    assert int(hashes_of(texts)[0]) == 3405396810240292928
    assert len(set(hashes_of(np.array([0.0, -0.0])).tolist())) == 1


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [3, 1]])
def test_keys_from_different_cells_are_those_from_columns(rows: list[int]) -> None:
    """The side of a row does not depend on how its key was made."""
    schema = Schema((Feature("n", "number"), Feature("c", "category")))
    cells = {"n": ["1", "-0", "", "1.0"], "c": ["x", "3.0", "?", "x"]}
    columns, _ = schema.from_cells(cells)
    judged = {
        feature.name: judge(pa.array(cells[feature.name]), feature, schema)
        for feature in schema.features
    }
    keys = row_keys(columns, schema.features)
    picked = distinct_keys(judged, schema.features, np.array(rows))
    assert picked == [keys[row] for row in rows]
    assert keys[0] == keys[3]
    assert keys[0].hex() == "c6adbf878c1c976df00cd7715d253dcd", "frozen holdouts hang on this"
