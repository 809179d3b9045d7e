"""Patterns of a spec: what Python's `re` says, in linear time, or a refusal in words."""

from __future__ import annotations

import random
import re
import time
import tracemalloc
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.rules.regexes import Pattern, RegexError

_ATOMS = ["a", "b", "1", "_", ".", r"\d", r"\w", r"\S", r"\.", "[ab]", "[^a]", "[0-9a]", r"[\w.-]"]
_REPEATS = ["*", "+", "?", "{2}", "{1,3}", "{,2}", "{1,}", "*?"]
_PATTERNS = st.recursive(
    st.sampled_from([*_ATOMS, "ä", " ", "^a", "b$"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from(_REPEATS)).map(lambda two: f"(?:{two[0]}){two[1]}"),
    ),
    max_leaves=5,
)


@given(_PATTERNS, st.lists(st.text("ab1_.ä -٣", max_size=6), min_size=1, max_size=8))
@settings(max_examples=400, deadline=None)
def test_a_text_matches_where_python_says_so(pattern: str, texts: list[str]) -> None:
    """The same grammar and the same answer, on generated patterns and texts."""
    ours, theirs = Pattern(pattern), re.compile(pattern)
    for text in texts:
        assert ours.matches(text) == bool(theirs.fullmatch(text)), (pattern, text)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"[A-Z]{2}-\d{4,6}", ["AB-1234", "ZZ-123456"], ["AB-123", "ab-1234", "AB-1234x", ""]),
        (r"^[^@\s]+@[^@\s]+\.\w{2,}$", ["a@b.de"], ["a@b", "a b@c.de", "@b.de"]),
        (r"(?P<zip>\d{5})(-\d{4})?", ["12345", "12345-6789"], ["1234", "12345-"]),
        (r"[]x]+|a{|{}", ["]x", "a{", "{}"], ["a", "{"]),
        (r"", [""], ["a"]),
        (r"\x41\u00e9\t", ["A\u00e9\t"], ["A"]),
    ],
)
def test_patterns_as_people_write_them(pattern: str, good: list[str], bad: list[str]) -> None:
    """Whole texts match, parts of texts do not."""
    found = Pattern(pattern)
    assert [found.matches(text) for text in good] == [True] * len(good)
    assert [found.matches(text) for text in bad] == [False] * len(bad)


@pytest.mark.parametrize(
    "pattern", [r"(a+)+$", r"(a|a)*", r"(\w+\s?)*", r"(.*)*x", r"(a?){30}a{30}", r"([a-z]+)*\d"]
)
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    """Patterns that keep `re` busy for years answer for long texts at once."""
    found = Pattern(pattern)
    started = time.monotonic()
    found.matches("a" * 20_000 + "!")
    assert time.monotonic() - started < 2


def test_repeats_of_nothing_are_read_at_once() -> None:
    """Nothing a thousand times a thousand times is nothing; a spec cannot keep intake busy."""
    started = time.monotonic()
    assert Pattern("((((){1000}){1000}){1000}){1000}").matches("")
    assert time.monotonic() - started < 2


def test_what_is_remembered_of_texts_is_bounded() -> None:
    """A predictor that sees texts for months keeps a few MB of what it learned from them."""
    found, dice = Pattern("[ab]*a[ab]{60}"), random.Random(0)
    python = re.compile(found.text)
    tracemalloc.start()
    try:
        for _ in range(40):
            text = "".join(dice.choices("ab", k=500))
            assert found.matches(text) == bool(python.fullmatch(text))
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 15_000_000


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"a(?=b)", "look-around"),
        (r"(?i)a", "flags"),
        (r"(a)\1", r"\\1 is not known"),
        (r"\bword", r"\\b is not known"),
        ("(", "not closed"),
        ("a)", "without an opening"),
        ("[a", "not closed"),
        ("[z-a]", "range"),
        ("*a", "nothing to repeat"),
        ("{2}", "nothing to repeat"),
        ("(a|{1,2}b)", "nothing to repeat"),
        ("a**", "after a quantifier"),
        ("a++", "possessive"),
        ("a{2,1}", "comes first"),
        ("a{5000}", "1000 times"),
        ("a{99999999999}", "1000 times"),
        ("((a{100}){100}){100}", "too large"),
        ("(" * 50 + "a" + ")" * 50, "inside each other"),
        ("a" * 2000, "at most 1000"),
        ("(?P<1>a)", "word"),
        ("a\\", "not known"),
    ],
)
def test_what_is_not_known_is_refused_in_words(pattern: str, words: str) -> None:
    """A pattern that could mean something else here than in Python is no pattern."""
    with pytest.raises(RegexError, match=words):
        Pattern(pattern)


@given(st.text("ab(|)[]{}*+?^$\\-,.12dwPZ:<>", max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    """No pattern crashes, and what is accepted here is accepted by Python."""
    try:
        found = Pattern(text)
    except RegexError:
        return
    found.matches("ab12")
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # about sets of sets
        re.compile(text)
