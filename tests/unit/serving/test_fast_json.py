"""The predictor's JSON is everybody's: orjson and `json` give the same values, whatever is sent."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.serving import fast_json
from shared.serving.log_lines import text_of

SURROGATES = st.text(st.characters(codec=None), max_size=5)
NUMBERS = st.one_of(
    st.floats(),
    st.integers(),
    st.integers(-(10**25), 10**25),
    st.sampled_from([2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**18, 10**19, -0.0, 5e-324]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, SURROGATES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SURROGATES, inner, max_size=4),
    max_leaves=12,
)
# Pieces of JSON, put together as a careless or hostile caller may.
PIECES = st.lists(
    st.sampled_from(
        [
            *'{}[],:"0123456789-+.eE \n',
            *(
                '"a":',
                "NaN",
                "Infinity",
                "null",
                "true",
                "1e400",
                "-0",
                "\\u",
                "\\ud800",
                "\\ude00",
            ),
            *("é", "\x00", "\x1f", "\u2028", "99999999999999999999"),
        ]
    ),
    max_size=14,
).map("".join)

DIGITS = r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?"


def outcome(read: Any, body: bytes) -> tuple[str, Any]:
    """The value with its types and signs, or the error as callers are told of it."""
    try:
        return "value", repr(read(body))
    except (ValueError, RecursionError) as error:
        return type(error).__name__, str(error)


@given(VALUES, st.booleans(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-be"]))
def test_every_value_is_read_as_json_reads_it(value: Any, ascii_only: bool, encoding: str) -> None:
    """Types, signs, whole numbers of any size, NaN, lone surrogates, other encodings."""
    body = json.dumps(value, ensure_ascii=ascii_only).encode(encoding, "surrogatepass")
    assert outcome(fast_json.read, body) == outcome(json.loads, body)


@given(PIECES | st.text(max_size=8))
@example('{"a": 1, "b": 2, "a": 3}')
@example("-0")
@example("[1e400]")
@example("[18446744073709551616]")
def test_every_text_is_read_or_refused_as_json_does(text: str) -> None:
    """The same value or the same words; of two fields with one name the later counts."""
    body = text.encode("utf-8", "surrogatepass")
    assert outcome(fast_json.read, body) == outcome(json.loads, body)


@given(st.binary(max_size=12))
def test_bytes_that_are_no_text_are_refused_alike(body: bytes) -> None:
    assert outcome(fast_json.read, body) == outcome(json.loads, body)


@given(st.from_regex(DIGITS, fullmatch=True))
def test_numbers_have_the_same_bits(text: str) -> None:
    """However many digits, whatever exponent."""
    assert outcome(fast_json.read, text.encode()) == outcome(json.loads, text.encode())


@pytest.mark.parametrize("depth", [100, 900, 5_000, 100_000])
def test_nesting_is_read_or_refused(depth: int) -> None:
    """Deep nesting is an error that callers are told of, never a crash."""
    body = b"[" * depth + b"]" * depth
    kind, _ = outcome(fast_json.read, body)
    assert kind == outcome(json.loads, body)[0]


@given(VALUES)
def test_what_is_written_reads_back(value: Any) -> None:
    """Floats to the last bit; what JSON has no word for is null."""
    written = fast_json.write(value)
    assert b"\n" not in written
    expected = json.loads(json.dumps(value), parse_constant=lambda _: None)
    assert repr(json.loads(written, parse_constant=lambda _: None)) == repr(expected)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_scores_are_written_to_the_last_bit(score: float) -> None:
    assert json.loads(fast_json.write([score])) == [score]


@given(st.dictionaries(SURROGATES, VALUES, max_size=5), st.floats())
@example({"a": math.inf, "b": -math.inf, "c": math.nan}, 0.5)
@example({"a": [math.inf], "b": 2**70, "c": "\ud800"}, math.inf)
def test_lines_of_the_log_are_one_line_and_lose_nothing(
    instance: dict[str, Any], score: float
) -> None:
    """NaN is missing, an infinity is the text that a category has for it."""
    line = {"prediction_id": "a", "instance": instance, "score": score, "label": None}
    words = {"NaN": None, "Infinity": "inf", "-Infinity": "-inf"}
    expected = json.loads(json.dumps(line), parse_constant=words.get)
    written = text_of(line)
    assert b"\n" not in written
    assert repr(json.loads(written)) == repr(expected)


@pytest.mark.parametrize("before", range(12))
@pytest.mark.parametrize("number", ["1" * 19, "-9223372036854775809", "18446744073709551616"])
def test_long_numbers_are_found_in_long_bodies(before: int, number: str) -> None:
    """Wherever they stand among others, which are short."""
    body = f"[{' ' * before}{'12345678, 0.123456789012345678901, ' * 300}{number}]".encode()
    assert outcome(fast_json.read, body) == outcome(json.loads, body)
