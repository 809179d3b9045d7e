"""Row rules: read by our own parser, the same for files and predictions, harmless when hostile."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.rules.binding import Kind, bind
from shared.rules.expressions import MAX_LENGTH, ExpressionError, parse
from shared.serving.cells import CellRules
from shared.serving.times import moment_of

KINDS: dict[str, Kind] = {
    "a": "number",
    "b": "number",
    "s": "category",
    "t": "time",
    "u": "time",
    "hours-per-week": "number",
}
COLUMNS: dict[str, Any] = {
    "a": np.array([1.0, 2.0, np.nan, 4.0]),
    "b": np.array([2.0, 1.0, 3.0, 0.0]),
    "s": np.array(["x", "", "y", "x"], object),
    "t": np.array([moment_of("2026-01-01"), moment_of("2026-03-01"), np.nan, 0.0]),
    "u": np.array([moment_of("2026-01-11"), moment_of("2026-03-01"), 0.0, np.nan]),
    "hours-per-week": np.array([40.0, 50.0, 60.0, np.nan]),
}


def _broken(rule: str) -> list[int]:
    with np.errstate(all="ignore"):
        return np.flatnonzero(bind(parse(rule), KINDS).broken(COLUMNS)).tolist()


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        ("a < b", [1, 3]),
        ("not a < b", [0]),
        ("not not a < b", [1, 3]),
        ("a <= b or s = 'x'", []),
        ("a <= b and s = 'x'", [1, 2, 3]),
        ("a is not missing", [2]),
        ("s is missing", [0, 2, 3]),
        ("a / b > 3", [0, 1]),
        ("-a < -1.5", [0]),
        ("(a + 1) * 2 - b > 3", [0]),
        ("a - 1 - 1 = 0", [0, 3]),
        ("t <= u", []),
        ("u - t >= 5", [1]),
        ("u > t + 5", [1]),
        ("t > '2026-02-01'", [0, 3]),
        ('s == "x"', [2]),
        ("s != 'x'", [0, 3]),
        ("`hours-per-week` <= 50", [2]),
        ("(a < b or (s = 'y'))", [3]),
        ("NOT (a IS MISSING) AND a > 1", [0, 2]),
        ("abs(a - b) <= 1", [3]),
        ("max(a, b) < 3", [3]),
        ("1 / (a / b) < 1", [0]),
        ("month(t) = 1 or weekday(t) = 7", []),
        ("sqrt(0 - a) > 0", []),
    ],
)
def test_a_row_breaks_a_rule_only_where_it_is_known_to_be_false(
    rule: str, broken: list[int]
) -> None:
    """Missing values and divisions by zero make a comparison unknown, and break nothing."""
    assert _broken(rule) == broken


@pytest.mark.parametrize(
    ("rule", "words", "position"),
    [
        ("", "expected a column", 0),
        ("a", "not a comparison", 0),
        ("a <", "expected a column", 3),
        ("a < b < 3", "two things at a time", 6),
        ("1 < 2", "without any column", 0),
        ("a && b", "means nothing here", 2),
        ("import os", "does not belong", 7),
        ("__import__('os')", "no function '__import__'", 0),
        ("a.__class__ = 1", "means nothing here", 1),
        ("a < 1e999", "too large", 4),
        ("a is 3", "missing", 5),
        ("(a < 1", "not closed", 0),
        ("(a < 1) + 1 > 2", "cannot be compared or calculated", 1),
        ("a < 1 or b", "not a comparison", 9),
        ("1 is missing", "only a column", 0),
    ],
)
def test_what_cannot_be_read_says_where_and_what_is_allowed(
    rule: str, words: str, position: int
) -> None:
    """A person finds the place; nothing is called and nothing but columns is known."""
    with pytest.raises(ExpressionError, match=words) as error:
        parse(rule)
    assert error.value.position == position
    assert f"at character {position + 1}" in str(error.value)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("c < 1", "no column 'c'"),
        ("a < 'x'", "a number with a text"),
        ("s < 'x'", "= and != only"),
        ("s + 1 = 2", "needs numbers"),
        ("t < 'yesterday'", "date or time"),
        ("t < ''", "is missing"),
        ("t > a", "a time with a number"),
        ("t + u > 1", "does not go with"),
        ("a < 1 / 0", "divides by zero"),
        ("a < 1e308 * 10", "too large a number"),
        ("a < 1e308 * 10 - 1e308 * 10", "too large a number"),
        ("s = ''", "is missing"),
        ("s != ''", "is missing"),
    ],
)
def test_a_rule_has_to_fit_its_columns(rule: str, words: str) -> None:
    """Texts where numbers belong, and times that are none, are refused before any row is read."""
    with pytest.raises(ExpressionError, match=words):
        bind(parse(rule), KINDS)


def test_a_missing_marker_is_nothing_to_compare_with() -> None:
    """`s = 'NA'` would hold for no row, because NA is read as missing; it is said at once."""
    with pytest.raises(ExpressionError, match="is missing"):
        bind(parse("s = 'NA'"), KINDS, CellRules().category_of)


@pytest.mark.parametrize(
    "rule",
    [
        "(" * 500 + "a < 1" + ")" * 400,
        "not " * 240 + "a < 1",
        "-" * 900 + "a < 1",
        "a" + " + a" * 240 + " < 1",
        "a < 1" + " or a < 1" * 100,
        "a < 1 and (" * 19 + "a < 1" + ")" * 19,
        "a < " + "9" * 900,
        "a" * (MAX_LENGTH + 1),
    ],
)
def test_hostile_rules_cost_nothing(rule: str) -> None:
    """Depth and length are bounded: an answer or a refusal, never a RecursionError."""
    try:
        _broken(rule)
    except ExpressionError as error:
        assert str(error)  # noqa: PT017


_LEAF = st.one_of(st.sampled_from(["a", "b"]), st.integers(0, 5).map(str))
_SUM = st.recursive(
    _LEAF,
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda x: f"({' '.join(x)})"),
    max_leaves=4,
)
_SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_COMPARED = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(sorted(_SIGNS)), _SUM).map(
    " ".join
)
_RULE = st.recursive(
    _COMPARED,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda x: f"({' '.join(x)})"),
        inner.map(lambda x: f"not ({x})"),
    ),
    max_leaves=5,
)


@given(_RULE, st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_rules_mean_what_python_means_by_them(rule: str, rows: list[tuple[int, int]]) -> None:
    """Precedence and logic, on generated rules and whole numbers."""
    columns = {
        "a": np.array([a for a, _ in rows], float),
        "b": np.array([b for _, b in rows], float),
    }
    found = bind(parse(rule), KINDS).broken(columns)
    wanted = [not eval(rule, {}, {"a": a, "b": b}) for a, b in rows]  # noqa: S307  # our own text
    assert found.tolist() == wanted


@given(st.text("ab s'\"`()<>=!+-*/.0123456789 andortis missing", max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    """No text crashes the parser, and what it reads can be asked."""
    try:
        _broken(text)
    except ExpressionError as error:
        assert 0 <= error.position <= MAX_LENGTH  # noqa: PT017


def test_columns_are_named_in_order_of_appearance() -> None:
    """The spec checks them against its own."""
    assert parse("b < a or `c d` is missing and b > 1").columns == ("b", "a", "c d")
    assert math.isnan(COLUMNS["a"][2])
