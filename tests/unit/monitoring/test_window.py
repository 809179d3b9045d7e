"""Gathering the rows of a window: any JSON value, bounded memory, labels of all rows."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
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


def test_blocks_are_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts given in blocks make the window that the same rows make one by one, also beyond the
    limit; a number of rows that is known beforehand spares the room that they would take."""
    monkeypatch.setattr(window, "MAX_ROWS", 100)
    truths = {str(number): "yes" if number % 2 else "no" for number in range(0, 1000, 3)}
    ids = [str(number) for number in range(1000)]
    numbers = ["" if number % 7 == 0 else str(number) for number in range(1000)]
    kinds = ["x" if number % 3 else "lots" for number in range(1000)]
    scores = [None if number % 10 == 0 else number / 1000 for number in range(1000)]
    one_by_one, unknowing = gather(**truths), gather(**truths)
    for row in zip(ids, zip(numbers, kinds, strict=True), scores, strict=True):
        one_by_one.add(*row, "yes")
    blocks = Gathering("v", SCHEMA, "binary", truths=truths, positive="yes", expected=1000)
    for gathering in (blocks, unknowing):
        for start in range(0, 1000, 130):
            part = slice(start, start + 130)
            cells = [pa.array(numbers[part]), pa.array(kinds[part])]
            given = np.array([math.nan if s is None else s for s in scores[part]])
            gathering.add_block(ids[part], cells, given, ["yes"] * len(given))
    expected = one_by_one.done()
    for found in (blocks.done(), unknowing.done()):
        assert (found.rows, found.refused, found.labelled) == (1000, 100, 334)
        assert found.profiled == expected.profiled
        for name, column in expected.columns.items():
            np.testing.assert_array_equal(found.columns[name], column)
        np.testing.assert_array_equal(found.scores, expected.scores)
        assert found.measured is not None
        assert expected.measured is not None
        np.testing.assert_array_equal(found.measured.hit, expected.measured.hit)


def test_a_sample_counts_for_what_it_stands_for() -> None:
    """One row of four, one label of two: counts are of all, and never more labels than rows."""
    rows = Gathering(
        "v", SCHEMA, "binary", truths={"1": "yes"}, positive="yes", one_in=4, labels_one_in=2
    )
    rows.add("1", (1, "x"), 0.5, "yes")
    rows.add("2", (1, "x"), None, None)
    found = rows.done()
    assert (found.rows, found.refused, found.labelled, found.profiled) == (8, 4, 8, 2)


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
