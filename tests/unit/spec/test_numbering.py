"""Semantic versions: what a new version is to those who know the one before."""

from __future__ import annotations

import pytest

from shared.spec.load import load_spec
from shared.spec.model import Spec
from shared.spec.numbering import FIRST, Made, Number, change

BASE = """
task: binary
target: {column: y, positive: 'yes'}
columns:
  a: {type: number}
  b: {}
  y: {}
training: {candidates: [linear, xgboost]}
promotion: {approval: auto}
"""
SOURCES = """
task: binary
target: y
sources:
  people: {key: id}
  visits: {key: id, aggregates: {n: count, total: sum(x)}}
"""
BARE = "task: binary\ntarget: y\n"
FEATURES = {"a": "number", "b": "category"}


def made(text: str = BASE, candidate: str = "linear", **features: str) -> Made:
    spec: Spec = load_spec(text, "m.yaml")
    return Made(spec, candidate, features or FEATURES)


def level(before: str, after: str, base: str = BASE) -> str:
    assert before in base
    return change(made(base), made(base.replace(before, after))).level


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("column: y", "column: b"),
        ("positive: 'yes'", "positive: 'no'"),
        ("  b: {}\n", ""),
        ("  b: {}\n", "  b: {}\n  c: {}\n"),
        ("a: {type: number}", "a: {}"),
        ("b: {}", "b: {exclude: true}"),
        ("b: {}", "b: {available_at_prediction: false}"),
    ],
)
def test_another_question_is_a_major_version(before: str, after: str) -> None:
    """What is sent or answered changed: who calls the model has to look."""
    assert level(before, after) == "major"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[linear, xgboost]", "[linear]"),
        ("xgboost]", "xgboost], trials: 30"),
        ("xgboost]", "xgboost], seed: 1"),
        ("xgboost]", "xgboost], holdout: 0.3"),
        ("xgboost]", "xgboost], false_positive_ceiling: 0.05"),
        ("a: {type: number}", "a: {type: number, require: {min: 0}}"),
        ("promotion:", "rules: {positive: a > 0}\npromotion:"),
        ("promotion:", "derive: {twice: a * 2}\npromotion:"),
        ("promotion:", "source: {missing: [nil]}\npromotion:"),
    ],
)
def test_another_recipe_is_a_minor_version(before: str, after: str) -> None:
    """The same question, answered by a model that is made otherwise."""
    assert level(before, after) == "minor"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("approval: auto", "approval: always"),
        ("promotion:", "serving: {log: 'off'}\npromotion:"),
        ("promotion:", "monitoring: {window: 7d}\npromotion:"),
        ("promotion:", "retrain: {on_drift: train}\npromotion:"),
        ("promotion:", "title: Adults\nsize: m\nmax_bad_rows: 0.2\npromotion:"),
        ("promotion:", "source: {delimiter: ';'}\npromotion:"),
        ("a: {type: number}", "a: {type: number, expect: {max: 90}}"),
        ("column: y", "column: y"),
    ],
)
def test_other_data_under_another_policy_is_a_patch(before: str, after: str) -> None:
    """What is done with a model is not what it is; nor is how its files are written."""
    assert level(before, after) == "patch"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (", total: sum(x)", "", "major"),
        ("sum(x)", "mean(x)", "minor"),
        ("aggregates", "wait_hours: 1, aggregates", "patch"),
        ("{n: count, total: sum(x)}", "{n: count, total: sum(x)}, missing: [nil]", "minor"),
    ],
)
def test_columns_of_joined_sources_count_as_columns(before: str, after: str, expected: str) -> None:
    """One that comes or goes is another question, one that is made otherwise another recipe."""
    assert level(before, after, SOURCES) == expected


def test_another_winner_is_a_minor_version_other_parameters_are_none() -> None:
    """The kind of model is part of the recipe; what the search found follows from the data."""
    found = change(made(), made(candidate="xgboost"))
    assert (found.level, found.because) == ("minor", ("candidate: linear -> xgboost",))
    assert change(made(), made()).level == "patch"


def test_where_no_columns_are_named_the_file_decides() -> None:
    """A spec that names none is compared by what was learned from; naming those very columns
    later changes nothing."""
    assert change(made(BARE), made(BARE, a="number", b="category")).level == "patch"
    wider = change(made(BARE), made(BARE, a="number", b="category", c="number"))
    assert (wider.level, wider.because) == ("major", ("columns.c added",))
    assert change(made(BARE), made(BARE, a="category", b="category")).level == "major"
    named = BARE + "columns: {a: {type: number}, b: {}, y: {}}\n"
    assert change(made(BARE), made(named)).level == "patch"


def test_the_order_of_columns_counts_where_it_names_them() -> None:
    """A file without a header has other cells then."""
    swapped = BASE.replace("  a: {type: number}\n  b: {}", "  b: {}\n  a: {type: number}")
    assert change(made(), made(swapped)).level == "minor"
    headless = "source: {header: false}\n"
    assert change(made(BASE + headless), made(swapped + headless)).level == "major"


def test_the_gravest_reason_stands_first() -> None:
    """A person reads why it is a new major version before anything else."""
    text = BASE.replace("xgboost]", "xgboost], trials: 9").replace("  b: {}\n", "")
    found = change(made(), made(text, candidate="xgboost"))
    assert found.level == "major"
    assert found.because[0].startswith("columns.b removed")
    assert len(found.because) == 3


def test_numbers_are_ordered_read_and_counted_on() -> None:
    """1.10.0 is after 1.9.3; what is no number is none."""
    assert Number.parse("v1.10.0") == Number(1, 10, 0) > Number(1, 9, 3)
    assert [str(FIRST.next(level)) for level in ("patch", "minor", "major")] == [
        "1.0.1",
        "1.1.0",
        "2.0.0",
    ]
    assert str(Number(1, 2, 3).next("minor")) == "1.3.0"
    for text in ("1.2", "1.2.3.4", "01.0.0", "20260105T090000-0a1b2c3d", ""):
        assert Number.parse(text) is None
