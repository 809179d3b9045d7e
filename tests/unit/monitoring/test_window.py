"""Gathering the rows of a window: any JSON value, bounded memory, labels of all rows."""

from __future__ import annotations

import math

import pytest

from shared.serving.columns import Schema
from shared.serving.features import Feature
from shared.tabular import window
from shared.tabular.window import Gathering

SCHEMA = Schema((Feature("n", "number"), Feature("k", "category")))


def gather(**truths: str) -> Gathering:
    return Gathering("v", SCHEMA, "binary", truths=truths, positive="yes")


def test_values_mean_what_the_schema_says_whatever_their_type() -> None:
    """Texts and JSON values of online and batch rows become the same columns; what breaks a rule
    is missing; 1, 1.0 and true are told apart where the schema does."""
    rows = gather()
    given = [
        ("3", "x"),
        (3, None),
        (3.0, 1.0),
        (None, True),
        (True, 1),
        ("lots", [1]),
        ("", {"a": 1}),
    ]
    for number, values in enumerate(given):
        rows.add(str(number), values, 0.5, "yes")
    found = rows.done()
    numbers = [None if math.isnan(value) else value for value in found.columns["n"].tolist()]
    assert numbers == [3.0, 3.0, 3.0, None, None, None, None]
    assert found.columns["k"].tolist() == ["x", "", "1", "true", "1", "", ""]


def test_what_is_made_of_a_redacted_column_is_not_looked_at() -> None:
    """One redacted row is enough: a column that is half there would look like one that changed."""
    schema = Schema(
        (Feature("n", "number"), Feature("m", "number")),
        derive=(("twice", "n * 2"), ("more", "m + 1")),
    )
    rows = Gathering("v", schema, "binary", truths={}, positive="yes")
    rows.add("a", (1, 2), 0.5, "yes")
    rows.add("b", (None, 2), 0.5, "yes", redacted=["n"])
    assert rows.done().columns.keys() == {"m", "more"}


def test_a_long_window_is_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit every second row is dropped, over the whole window; counts and labels stay
    those of all rows."""
    monkeypatch.setattr(window, "MAX_ROWS", 100)
    truths = {str(number): "yes" if number % 2 else "no" for number in range(1000)}
    rows = gather(**truths)
    for number in range(1000):
        score = None if number % 10 == 0 else number / 1000
        rows.add(str(number), (number, "x"), score, "yes")
    found = rows.done()
    assert (found.rows, found.refused, found.labelled) == (1000, 100, 1000)
    kept = found.columns["n"].tolist()
    assert kept == [float(number) for number in range(0, 1000, 16)]
    assert len(found.scores) == found.profiled == len(kept)
    assert found.measured is not None
    assert found.measured.rows == 900


def test_no_rows_are_no_rows() -> None:
    """An empty window has empty columns and nothing measured."""
    found = gather().done()
    assert (found.rows, len(found.columns["n"]), found.measured) == (0, 0, None)


def test_what_is_derived_is_watched_too() -> None:
    """Of the values that a log keeps, in either spelling, a window has what the model saw."""
    schema = Schema(
        (Feature("n", "number"),),
        carried=(Feature("t", "time"),),
        derive=(("double", "n * 2"), ("month", "month(t)")),
    )
    rows = Gathering("v", schema, "regression", truths={}, positive=None)
    for number, values in enumerate([("3", "2026-05-01"), (4, None), (None, "2026-06-01T10:00Z")]):
        rows.add(str(number), values, 1.0, None)
    found = rows.done().columns
    assert found["double"].tolist()[:2] == [6.0, 8.0]
    assert math.isnan(found["double"][2])
    assert [found["month"][0], found["month"][2]] == [5.0, 6.0]
