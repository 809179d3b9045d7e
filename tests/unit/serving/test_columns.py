"""Values into columns: every form of a value is the same value."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from shared.errors import InvalidInstances
from shared.serving.columns import Columns, Schema
from shared.serving.features import Bounds, Feature
from shared.spec.model import Spec

SCHEMA = Schema((Feature("n", "number"), Feature("c", "category")))


def same(left: Columns, right: Columns) -> bool:
    return all(
        np.array_equal(left[name], right[name], equal_nan=left[name].dtype != object)
        for name in left
    )


@pytest.mark.parametrize(
    ("number", "cell"),
    [("3", "3"), ("3.0", "3"), ('"3"', "3"), ('" 3 "', "3"), ("1e3", "1000"), ("-0.5", "-0.5")]
    + [(missing, "") for missing in ("null", "NaN", '""', '"?"', '"NA"')]
    + [("16777217", "16777217"), ("1e15", "1000000000000000"), ('"+7"', "7")],
)
def test_numbers_agree(number: str, cell: str) -> None:
    """A JSON number, its text and its CSV cell are one number; all missing values are one."""
    records = json.loads(f'[{{"n": {number}, "c": "x"}}, {{"n": 1, "c": "x"}}]')
    from_json = SCHEMA.from_records(records)
    from_csv, problems = SCHEMA.from_cells({"n": [cell, "1"], "c": ["x", "x"]})
    assert not problems
    assert same(from_json, from_csv)
    alone = SCHEMA.from_record(records[0])[0]
    assert np.array_equal([alone], from_csv["n"][:1], equal_nan=True)


@pytest.mark.parametrize(
    ("value", "cell", "expected"),
    [
        ("3", "3", "3"),
        ("3.0", "3", "3"),
        ('"3.0"', "3.0", "3"),
        ("-0.0", "-0.0", "0"),
        ("2.5", "2.5", "2.5"),
        ("true", "True", "true"),
        ("false", "FALSE", "false"),
        ('" Köln "', " Köln ", "Köln"),
        ('"\\u6771\\u4eac"', "東京", "東京"),
        ("null", "", ""),
        ("NaN", "nan", ""),
        ('"?"', " ? ", ""),
        ('"10"', "10", "10"),
        ('"1.10"', "1.10", "1.10"),
    ],
)
def test_categories_agree(value: str, cell: str, expected: str) -> None:
    """Ints for floats, booleans, blanks, unicode and missing markers mean the same in all forms."""
    records = json.loads(f'[{{"n": 1, "c": {value}}}, {{"n": 1, "c": {value}}}]')
    from_csv, problems = SCHEMA.from_cells({"n": ["1", "1"], "c": [cell, cell]})
    assert not problems
    assert SCHEMA.from_records(records)["c"].tolist() == [expected] * 2
    assert SCHEMA.from_record(records[0])[1] == expected
    assert from_csv["c"].tolist() == [expected] * 2


def test_absent_fields_are_missing_and_extra_ones_ignored() -> None:
    """A record may leave fields out, in any order, and bring others."""
    columns = SCHEMA.from_records([{"other": 1, "c": "x"}, {"c": "y", "n": 2}])
    assert math.isnan(columns["n"][0])
    assert columns["n"][1] == 2.0
    assert columns["c"].tolist() == ["x", "y"]
    values = SCHEMA.from_record({"c": "x"})
    assert math.isnan(float(values[0]))
    assert values[1] == "x"


@pytest.mark.parametrize(
    ("record", "column", "rule"),
    [
        ({"n": "abc", "c": "x"}, "n", "must be a number"),
        ({"n": "1_000", "c": "x"}, "n", "must be a number"),
        ({"n": True, "c": "x"}, "n", "must be a number, got a boolean"),
        ({"n": [1], "c": "x"}, "n", "must be a number, got an array"),
        ({"n": math.inf, "c": "x"}, "n", "must be a finite number"),
        ({"n": "inf", "c": "x"}, "n", "must be a finite number"),
        ({"n": 10**400, "c": "x"}, "n", "must be a number below 1.8e308"),
        ({"n": 1, "c": {"a": 1}}, "c", "must be a text, got an object"),
        ({}, None, "has none of the features (n, c)"),
        ({"x": 1}, None, "has none of the features (n, c)"),
        (None, None, "must be an object"),
        ([1, "x"], None, "must be an object"),
    ],
)
def test_wrong_types_are_named(record: object, column: str | None, rule: str) -> None:
    """A value that cannot be read is refused with row, column and rule, alone and among others."""
    good: object = {"n": 1, "c": "x"}
    with pytest.raises(InvalidInstances) as many:
        SCHEMA.from_records([good, record])
    with pytest.raises(InvalidInstances) as one:
        SCHEMA.from_record(record)
    for row, caught in ((1, many), (0, one)):
        (problem,) = caught.value.problems
        assert (problem["row"], problem["column"], problem["rule"]) == (row, column, rule)
        json.dumps(problem, allow_nan=False)


def test_every_problem_of_every_row_is_reported() -> None:
    """Nobody has to send a request again to learn about its next problem."""
    with pytest.raises(InvalidInstances) as caught:
        SCHEMA.from_records([{"n": "a", "c": []}, {"n": 1, "c": "x"}, {"n": "b", "c": "x"}])
    found = [(problem["row"], problem["column"]) for problem in caught.value.problems]
    assert found == [(0, "n"), (0, "c"), (2, "n")]


def test_problems_of_cells_hide_no_others() -> None:
    """Rows that are none, cells that cannot be read and broken rules are told together."""
    features = (Feature("n", "number"), Feature("u", "number"), Feature("c", "category"))
    records = [{"n": 1, "u": 2}, None, {"n": "a", "c": []}, {"n": 2, "u": 1}, {"x": 1}, {"n": "b"}]
    with pytest.raises(InvalidInstances) as caught:
        Schema(features, rules=(("ordered", "n <= u"),)).from_records(records)
    found = [(problem["row"], problem["column"]) for problem in caught.value.problems]
    assert found == [(1, None), (2, "n"), (2, "c"), (3, None), (4, None), (5, "n")]


def test_cells_keep_good_rows_beside_bad_ones() -> None:
    """A bad cell is reported and missing; the other rows are as they would be without it."""
    columns, problems = SCHEMA.from_cells({"n": ["1", "x", "3", "x"], "c": ["a", "b", "c", "d"]})
    assert [(p["row"], p["value"], p["rule"]) for p in problems] == [
        (1, "x", "must be a number"),
        (3, "x", "must be a number"),
    ]
    assert np.array_equal(columns["n"], [1.0, math.nan, 3.0, math.nan], equal_nan=True)


def test_require_refuses_and_expect_does_not() -> None:
    """Only what people required is refused, in every form; expectations never are."""
    schema = Schema(
        (
            Feature("n", "number", Bounds(max=1.0), Bounds(min=0.0, max=10.0, present=True)),
            Feature("c", "category", Bounds(values=("a",)), Bounds(values=("a", "b", "3.0"))),
        )
    )
    assert schema.from_record({"n": 5, "c": 3}) == [5.0, "3"]
    assert schema.from_record({"n": 5, "c": None}) == [5.0, ""]
    bad: list[object] = [{"n": -1, "c": "b"}, {"n": 11, "c": "z"}, {"c": "a"}]
    rules = ["must be at least 0", "must be at most 10", "must be one of a, b, 3"]
    rules += ["must be present"]
    with pytest.raises(InvalidInstances) as caught:
        schema.from_records(bad)
    assert [problem["rule"] for problem in caught.value.problems] == rules
    one_by_one = []
    for record in bad:
        with pytest.raises(InvalidInstances) as caught:
            schema.from_record(record)
        one_by_one += [problem["rule"] for problem in caught.value.problems]
    assert one_by_one == rules
    _, problems = schema.from_cells({"n": ["-1", "11", ""], "c": ["b", "z", "a"]})
    assert [problem["rule"] for problem in problems] == rules


def test_decimal_comma() -> None:
    """With a decimal comma, `3,5` is a number and a point is refused instead of guessed at."""
    schema = Schema((Feature("n", "number"),), decimal=",")
    assert schema.from_record({"n": "3,5"}) == [3.5]
    assert schema.from_record({"n": 3.5}) == [3.5]
    with pytest.raises(InvalidInstances):
        schema.from_record({"n": "1.234"})


def test_schema_of_a_spec_survives_json() -> None:
    """What the spec declares is what serving checks, after the package's round trip too."""
    spec = Spec.model_validate(
        {
            "task": "binary",
            "target": "y",
            "source": {"missing": ["", "-"], "decimal": ","},
            "columns": {
                "id": {"exclude": True},
                "n": {"type": "number", "require": {"min": 0}, "expect": {"max": 9}},
                "c": {"expect": {"values": ["a", "b"]}},
                "y": {},
            },
        }
    )
    schema = Schema.of(spec)
    assert schema.names == ["n", "c"]
    assert schema.features[0].require == Bounds(min=0.0)
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


def test_long_values_are_cut_in_problems() -> None:
    """A megabyte sent as a number does not come back in the answer."""
    with pytest.raises(InvalidInstances) as caught:
        SCHEMA.from_record({"n": "x" * 1_000_000, "c": "y"})
    assert len(str(caught.value.problems[0]["value"])) <= 100
