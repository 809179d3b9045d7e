"""The filter language of subscriptions."""

from __future__ import annotations

import pytest

from shared.adapters.memory.filters import BadFilter, parse


@pytest.mark.parametrize(
    ("text", "attributes", "matches"),
    [
        ("", {}, True),
        ('attributes.a = "1"', {"a": "1"}, True),
        ('attributes.a = "1"', {"a": "2"}, False),
        ('attributes.a = "1"', {}, False),
        ('attributes.a != "1"', {"a": "2"}, True),
        ('attributes.a != "1"', {}, True),
        ('attributes.a != "1"', {"a": "1"}, False),
        ("attributes:a", {"a": ""}, True),
        ("attributes:a", {"b": ""}, False),
        ('hasPrefix(attributes.a, "x/")', {"a": "x/y"}, True),
        ('hasPrefix(attributes.a, "x/")', {"a": "y/x/"}, False),
        ('hasPrefix(attributes.a, "")', {}, False),
        ("NOT attributes:a", {}, True),
        ('NOT attributes.a = "1" AND NOT attributes.a = "2"', {"a": "3"}, True),
        ('NOT attributes.a = "1" AND NOT attributes.a = "2"', {"a": "2"}, False),
        ('attributes.a = "1" OR attributes.b = "1"', {"b": "1"}, True),
        ('attributes.a = "1" AND (attributes:b OR attributes:c)', {"a": "1", "c": ""}, True),
        ('attributes.a = "1" AND (attributes:b OR attributes:c)', {"a": "1"}, False),
        ("NOT (attributes:a OR attributes:b)", {"b": ""}, False),
        ('attributes."a.b/c" = "\\"q\\" \\u00e9"', {"a.b/c": '"q" é'}, True),
        ('attributes.and-more_1="x"', {"and-more_1": "x"}, True),
    ],
)
def test_filter(text: str, attributes: dict[str, str], matches: bool) -> None:
    """A filter decides as the documentation of Pub/Sub says."""
    assert parse(text)(attributes) is matches


@pytest.mark.parametrize(
    "text",
    [
        'attributes.a = "1" AND attributes:b OR attributes:c',
        "attributes.a = 1",
        "attributes.a =",
        'data = "x"',
        'attributes.a > "1"',
        'attributes.a = "1" attributes:b',
        "(attributes:a",
        'attributes.a = "\\x"',
        'hasSuffix(attributes.a, "x")',
        "attributes:a; attributes:b",
        "x" * 257,
    ],
)
def test_refused(text: str) -> None:
    """What the parser does not know it refuses; guessing would lose messages."""
    with pytest.raises(BadFilter):
        parse(text)
