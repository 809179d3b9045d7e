"""Many rows are read, encoded and watched by column; each is what it would be alone."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidInstances
from shared.serving.columns import Schema
from shared.serving.encoder import Encoder
from shared.serving.features import Bounds, Feature
from shared.serving.log_lines import answered_lines, kept
from shared.serving.served import Served
from shared.serving.texts import different_texts, numbers_of, texts_of
from shared.serving.unknown import unknown_fields
from shared.serving.watching import Odd, Watch
from shared.usecases.predict import prediction_ids, uuid7
from tests.support.predictor import RECORD, World
from tests.unit.serving.models import binary_package, serve

FEATURES = (
    Feature("n", "number"),
    Feature("c", "category", expect=Bounds(values=("a", "b"))),
    Feature("m", "number", expect=Bounds(min=0.0), require=Bounds(max=1e12)),
    Feature("d", "category", require=Bounds(values=("a", "b", "1", "true", "new"))),
)
SCHEMA = Schema(FEATURES)
FITTED = SCHEMA.from_cells(
    {"n": ["1", "", "3"], "c": ["a", "", "b"], "m": ["1", "2", ""], "d": ["a", "b", "1"]}
)[0]
ENCODERS = [Encoder.fit(FITTED, FEATURES, layout, min_frequency=1) for layout in ("tree", "linear")]

GOOD = st.fixed_dictionaries(
    {
        "n": st.floats(allow_infinity=False) | st.integers(-(2**70), 2**70) | st.none(),
        "c": st.sampled_from(["a", " a", "b", "", None, "NaN", "3.0", "new", "東"]),
        "m": st.sampled_from([1, 0.0, None, -3.5, "7"]),
        "d": st.sampled_from(["a", "b ", None, 1, 1.0, True, "1.0", "TRUE", math.nan, "new"]),
    }
)
ANY: st.SearchStrategy[Any] = st.one_of(
    GOOD,
    st.dictionaries(
        st.sampled_from(["n", "c", "m", "d", "x"]),
        st.sampled_from([1, True, "a", "z", [], {}, 1e400, 10**400, 1e13, None, "1_0", "inf"]),
    ),
    st.sampled_from([None, [], "a", 3]),
)
TEXTS = st.lists(st.sampled_from(["a", "b", "", "new", None, "1.0", " a"]), min_size=1)


def alone(record: Any) -> list[Any] | list[dict[str, Any]]:
    """The values of one record, or what is wrong with it."""
    try:
        return SCHEMA.from_record(record)
    except InvalidInstances as error:
        return [{**problem, "row": 0} for problem in error.problems]


@given(st.lists(GOOD, min_size=2, max_size=30))
def test_values_codes_and_counts_are_those_of_single_rows(records: list[dict[str, Any]]) -> None:
    """Columns of plain values go another way than odd ones: no bit is another."""
    columns = SCHEMA.from_records(records)
    rows = [SCHEMA.from_record(record) for record in records]
    for at, feature in enumerate(FEATURES):
        found, expected = columns[feature.name].tolist(), [row[at] for row in rows]
        assert repr(found) == repr(expected)
    for encoder in ENCODERS:
        many = encoder.transform(columns)
        single = np.concatenate([encoder.transform_row(row) for row in rows])
        assert many.tobytes() == single.tobytes()
        watch = Watch(encoder.codes, FEATURES)
        of_many: Odd = {}
        of_each: Odd = {}
        watch.columns(columns, of_many)
        for row in rows:
            watch.row(row, of_each)
        assert of_many == of_each


@given(st.lists(ANY, min_size=2, max_size=8))
def test_what_is_wrong_is_what_is_wrong_with_single_rows(records: list[Any]) -> None:
    """Every problem of every row, in order, in the same words; records that are none hide what
    is wrong with the cells of others."""
    expected = []
    for row, record in enumerate(records):
        found = alone(record)
        problems = [p for p in found if isinstance(p, dict)]
        expected += [{**problem, "row": row} for problem in problems]
    whole = [problem for problem in expected if problem["column"] is None]
    try:
        SCHEMA.from_records(records)
        told: list[Any] = []
    except InvalidInstances as error:
        told = list(error.problems)
    if whole:
        assert [problem for problem in told if problem["column"] is None] == whole
    else:
        names = [feature.name for feature in FEATURES]
        expected.sort(key=lambda problem: (problem["row"], names.index(problem["column"])))
        told.sort(key=lambda problem: (problem["row"], names.index(problem["column"])))
        assert repr(told) == repr(expected)


@given(TEXTS)
def test_columns_of_texts_remember_their_values(values: list[str | None]) -> None:
    """With and without memory a column tells the same; what is cut of it has none."""
    column = texts_of(values, SCHEMA.category_of)
    assert column is not None
    assert column.tolist() == [SCHEMA.category_of(value) for value in values]
    plain = np.array(column.tolist(), object)
    assert different_texts(column) == different_texts(plain) == different_texts(column[:])
    assert numbers_of(column, len).tolist() == numbers_of(plain, len).tolist()
    assert numbers_of(column[1:], len).tolist() == numbers_of(plain[1:], len).tolist()


def test_other_values_are_no_columns_of_texts() -> None:
    """Values that are equal to one another in Python only, and those that nothing is equal to."""
    others: list[Any] = [1, True, 1.5, [], {}]
    for other in others:
        assert texts_of(["a", other], str) is None


@given(st.lists(st.dictionaries(st.sampled_from([*"abcdef"]), st.just(1)), max_size=6))
def test_unknown_fields_are_those_of_single_rows(records: list[dict[str, Any]]) -> None:
    """The look at all rows at once finds none exactly where there is none."""
    known = frozenset("abc")
    found = unknown_fields(records, known, ["a", "b"])
    each = [unknown_fields([record], known, ["a", "b"]) for record in records]
    rows = sum(one is not None for one in each)
    assert (found.rows if found else 0) == rows


def test_ids_of_many_rows_are_numbered() -> None:
    """Ours after the request's, the caller's where a record has one."""
    assert prediction_ids([{}, {}], [], "a") == ["a-0", "a-1"]
    assert prediction_ids([{}, {"prediction_id": "b"}], [], "a") == ["a-0", "b"]
    assert prediction_ids([{"prediction_id": "b"}] * 2, ["prediction_id"], "a") == ["a-0", "a-1"]
    long = "x" * 125
    assert prediction_ids([{}] * 2, [], long) == [f"{long}-0", f"{long}-1"]


def test_ids_are_not_given_twice() -> None:
    """Not to one another's threads, and not to a process and its fork."""
    assert len({uuid7() for _ in range(2_000)}) == 2_000
    code = (
        "import os; from shared.usecases.predict import uuid7; uuid7()\n"
        "child = os.fork()\n"
        "os.write(1, uuid7()[14:].encode() + b'\\n')\n"
        "child and os.wait()"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    ).stdout.split()
    assert len(set(said)) == 2


def test_what_the_log_hides_is_not_hidden_from_the_caller() -> None:
    """A line may share the caller's record; redaction makes one of its own."""
    world = World()
    serve(binary_package(), world.lake.bucket)
    served: Served = world.app.extensions["millrace"].models.get("adult")
    record = dict(RECORD)
    answer = {"prediction_id": "a", "score": 0.5, "label": "x"}
    (line,) = kept(answered_lines(served, [record], [answer], "now"), ["city"], 1.0)
    assert line["instance"]["city"] is None
    assert record == RECORD
