"""What cannot be made of a record of several sources: each cell is named, nothing is guessed."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from shared.serving.sources.forms import MAX_ROWS
from tests.support.sources_world import CS1, PATH, ROWS, Sources


@pytest.fixture
def world() -> Sources:
    return Sources()


@pytest.mark.parametrize(
    ("record", "column", "rule"),
    [
        ({}, "customer", "must be given, or its rows as transactions: [...], or the columns"),
        ({"customer": None}, "customer", "must be given"),
        ({"customer": ""}, "customer", "must be present"),
        ({"customer": "?"}, "customer", "must be present"),
        ({"customer": []}, "customer", "must be a text, got an array"),
        ({"transactions": 3}, "transactions", "must be an array of objects"),
        ({"transactions": [1]}, "transactions", "must be an array of objects"),
        ({"transactions": {}}, "transactions", "must be an array of objects"),
        ({"transactions": [{"at": "2025-01-01"}]}, "transactions[].amount", "in none of the rows"),
        (
            {"transactions": [{"amount": 1, "shop": "A", "at": None}]},
            "transactions[0].at",
            "must be present",
        ),
        (
            {"customer": "CS1", "transactions": [{**ROWS["CS1"][0], "customer": "CS2"}]},
            "transactions[0].customer",
            "is a row of somebody else: the others are of 'CS1'",
        ),
        (
            {"transactions": [{**ROWS["CS1"][0], "customer": key} for key in ("a", "b")]},
            "transactions[1].customer",
            "is a row of somebody else",
        ),
    ],
)
def test_what_cannot_be_made_names_its_cell(
    world: Sources, record: dict[str, Any], column: str, rule: str
) -> None:
    """Every refusal says which field, and what was expected."""
    (problem,) = world.problems({"age": 4, **record})
    assert problem["column"] == column
    assert rule in problem["rule"]


def test_every_bad_row_is_named(world: Sources) -> None:
    """All bad cells of all rows at once, by their place."""
    good = ROWS["CS1"][0]
    rows = [good, {**good, "amount": "x"}, good, {**good, "at": "01/02/2025", "amount": math.inf}]
    body = json.dumps({"age": 4, "transactions": rows})
    response = world.client.post(PATH, data=body, content_type="application/json")
    problems = response.get_json()["error"]["problems"]
    assert [problem["column"] for problem in problems] == [
        "transactions[1].amount",
        "transactions[3].at",
        "transactions[3].amount",
    ]


def test_some_columns_are_not_all(world: Sources) -> None:
    """A part of the columns is refused, naming the others, also beside a key."""
    some = {name: value for name, value in CS1.items() if name not in ("spent", "days")}
    for record in ({"age": 4, **some}, {"age": 4, "customer": "CS1", **some}):
        problems = world.problems(record)
        assert [problem["column"] for problem in problems] == ["spent", "days"]
        assert all("must be given (or null)" in problem["rule"] for problem in problems)


def test_two_forms_are_not_guessed_between(world: Sources) -> None:
    """Rows beside columns are refused; the key beside either is only a name."""
    problems = world.problems({"age": 4, "transactions": ROWS["CS1"], "spent": 1})
    assert [problem["column"] for problem in problems] == ["spent"]
    assert "is given beside transactions" in problems[0]["rule"]
    world.one({"age": 4, "customer": "CS9", **CS1})
    assert world.instance()["customer"] == "CS9"
    world.one({"age": 4, "customer": "CS1", "transactions": None})
    assert world.instance()["spent"] == 7.5


def test_a_row_without_its_key_is_nobody_elses(world: Sources) -> None:
    """A key that is missing in a row, however it is spelled, says nothing about whose it is."""
    rows = [
        {**row, "customer": key} for row, key in zip(ROWS["CS1"], ["", "NA", None], strict=True)
    ]
    world.one({"age": 4, "customer": "CS1", "transactions": rows})
    assert world.instance()["spent"] == 7.5
    rows[0]["customer"] = "CS1"
    world.one({"age": 4, "transactions": rows})


def test_too_many_rows(world: Sources) -> None:
    """A record has a limit of rows, and says what to send instead."""
    row = {"at": "2025-01-01", "amount": 1, "shop": "A"}
    world.one({"age": 4, "transactions": [row] * MAX_ROWS})
    assert world.instance()["visits"] == float(MAX_ROWS)
    (problem,) = world.problems({"age": 4, "transactions": [row] * (MAX_ROWS + 1)})
    assert f"at most {MAX_ROWS}" in problem["rule"]


def test_problems_of_all_rows_and_columns_come_together(world: Sources) -> None:
    """One refusal lists what is wrong with the primary's own columns, too."""
    records = [{"age": "old", **CS1}, {"age": "x", "customer": "CS9"}, {"age": 1, **CS1}]
    problems = world.problems(records)
    assert [(problem["row"], problem["column"]) for problem in problems] == [
        (0, "age"),
        (1, "customer"),
        (1, "age"),
    ]


def test_nobody_without_rows_in_an_inner_join() -> None:
    """A model that learned from customers with transactions answers for no others."""
    world = Sources(join="inner")
    for rows in ([], ROWS["CS1"][2:]):
        (problem,) = world.problems({"age": 4, "transactions": rows})
        assert "has no row that is seen" in problem["rule"]
