"""What is odd about values is counted, one row or many, and changes no answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.serving.columns import Schema
from shared.serving.features import Bounds, Feature
from shared.serving.loaded_model import LoadedModel
from shared.serving.unknown import unknown_fields, unknown_problems
from shared.serving.watching import UNEXPECTED, UNSEEN, Odd
from tests.unit.serving.models import binary_package

EXPECTING = (
    Feature("age", "number", expect=Bounds(min=10, max=90)),
    Feature("gain", "number", expect=Bounds(present=True)),
    Feature("city", "category", expect=Bounds(values=("Köln", "Paris"))),
    Feature("grade", "category"),
)
ROWS: list[dict[str, Any]] = [
    {"age": 39, "gain": 0, "city": "Köln", "grade": 1},
    {"age": 5, "gain": None, "city": "東京", "grade": "7"},
    {"age": 95, "gain": 1, "city": "Mu", "grade": None},
    {"age": None, "gain": None, "city": None, "grade": "1"},
]
WANTED: Odd = {
    (UNEXPECTED, "age"): 2,
    (UNEXPECTED, "gain"): 2,
    (UNEXPECTED, "city"): 2,
    (UNSEEN, "city"): 1,
    (UNSEEN, "grade"): 1,
}


@pytest.fixture
def model() -> LoadedModel:
    return LoadedModel(replace(binary_package(), schema=Schema(EXPECTING)))


def test_many_rows_and_one_row_count_alike(model: LoadedModel) -> None:
    """Unseen categories and values outside of `expect`, missing ones only where presence is."""
    together: Odd = {}
    answers = model.predict_records(ROWS, together)
    assert together == WANTED
    alone: Odd = {}
    for row in ROWS:
        model.predict_records([row], alone)
    assert alone == WANTED
    assert answers.score.tolist() == model.predict_records(ROWS).score.tolist()


def test_nothing_odd_is_nothing(model: LoadedModel) -> None:
    """The usual row leaves no trace."""
    found: Odd = {}
    model.predict_records([ROWS[0]], found)
    model.predict_records([ROWS[0], ROWS[0]], found)
    assert found == {}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("hours_per_wek", "hours_per_week"),
        ("Hours-Per-Week", "hours_per_week"),
        ("hours per week ", "hours_per_week"),
        ("aeg", None),
        ("customer_id", None),
        ("agee", "age"),
        ("x" * 101, None),
    ],
)
def test_what_an_unknown_field_may_mean(name: str, meant: str | None) -> None:
    """A feature that the record lacks and that is spelled nearly so."""
    features = ["age", "hours_per_week"]
    found = unknown_fields([{name: 1}], frozenset(features), features)
    assert found is not None
    assert found.meant == ({name: meant} if meant else {})
    (problem,) = unknown_problems([{name: 1}], frozenset(features), features)
    assert (f"is it {meant}" in str(problem["rule"])) == bool(meant)


def test_a_field_that_is_there_is_not_meant() -> None:
    """Nor are more than a few named, of however many."""
    assert unknown_fields([{"age": 1, "agee": 2}], frozenset(["age"]), ["age"]).meant == {}  # type: ignore[union-attr]
    many = [{f"f{number}": 1 for number in range(row, row + 7)} for row in range(5000)]
    found = unknown_fields(many, frozenset(), [])
    assert found is not None
    assert (len(found.names), found.rows) == (10, 5000)
    assert len(unknown_problems(many, frozenset(), [])) == 1000


def test_what_a_few_unknown_names_may_mean_is_found_out() -> None:
    """Guessing takes long among many features, so of many different names the first have a hint:
    a small request is no way to keep an instance busy."""
    many = [{f"hours_per_wek_{number}": 1} for number in range(40)]
    features = [f"hours_per_week_{number}" for number in range(40)]
    problems = unknown_problems(many, frozenset(features), features)
    hinted = [number for number, one in enumerate(problems) if "is it" in str(one["rule"])]
    assert hinted == list(range(10))
    assert len(problems) == 40


def test_unknown_names_fit_into_a_header() -> None:
    """However long and foreign: an answer with kilobytes of headers would not pass every proxy."""
    record = {f"{number}{'名' * 90}": 1 for number in range(10)}
    found = unknown_fields([record], frozenset(), [])
    assert found is not None
    assert len(found.names) == 10
    assert len(found.header()) <= 2010
    assert found.header().endswith(", ...")
    assert found.header().startswith("0%E5%90%8D")
