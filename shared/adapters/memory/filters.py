"""The part of Pub/Sub's filter language we use, and a refusal of everything else.

    expression := term (AND term)* | term (OR term)*
    term       := NOT term | "(" expression ")" | hasPrefix "(" attributes.KEY "," STRING ")"
                | attributes:KEY | attributes.KEY = STRING | attributes.KEY != STRING

AND and OR do not mix without parentheses. `!=` also holds for a message without the attribute.
Source: https://cloud.google.com/pubsub/docs/subscription-message-filter
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

Filter = Callable[[Mapping[str, str]], bool]

MAX_BYTES = 256
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[A-Za-z0-9_-]+)|(?P<sign>!=|[().,:=]))"""
)
_KEY = re.compile(r"[A-Za-z0-9_-]+")


class BadFilter(ValueError):
    """A filter that this parser does not understand; Google might."""


def parse(text: str) -> Filter:
    """The filter as a function of a message's attributes; an empty one takes everything.
    Raises BadFilter."""
    if len(text.encode()) > MAX_BYTES:
        raise BadFilter(f"a filter may have {MAX_BYTES} bytes, this one has {len(text.encode())}")
    if not text.strip():
        return lambda _attributes: True
    parser = _Parser(text)
    found = parser.expression()
    parser.end()
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._at = 0

    def expression(self) -> Filter:
        terms = [self.term()]
        joint = self.peek()
        if joint not in ("AND", "OR"):
            return terms[0]
        while self.peek() in ("AND", "OR"):
            if self.take() != joint:
                raise self.bad("AND and OR mixed; write parentheses")
            terms.append(self.term())
        fold = all if joint == "AND" else any
        return lambda attributes: fold(term(attributes) for term in terms)

    def term(self) -> Filter:
        word = self.take()
        if word == "NOT":
            inner = self.term()
            return lambda attributes: not inner(attributes)
        if word == "(":
            inner = self.expression()
            self.expect(")")
            return inner
        if word == "hasPrefix":
            return self.has_prefix()
        if word == "attributes":
            return self.comparison()
        raise self.bad(f"did not expect {word!r}")

    def has_prefix(self) -> Filter:
        self.expect("(")
        self.expect("attributes")
        self.expect(".")
        key = self.key()
        self.expect(",")
        prefix = self.string()
        self.expect(")")
        return lambda attributes: attributes.get(key, "").startswith(prefix) and key in attributes

    def comparison(self) -> Filter:
        if self.peek() == ":":
            self.take()
            key = self.key()
            return lambda attributes: key in attributes
        self.expect(".")
        key = self.key()
        sign = self.take()
        if sign not in ("=", "!="):
            raise self.bad(f"expected = or != after attributes.{key}, not {sign!r}")
        value = self.string()
        if sign == "=":
            return lambda attributes: attributes.get(key) == value
        return lambda attributes: attributes.get(key) != value

    def key(self) -> str:
        token = self.take()
        if token.startswith('"'):
            return _unquote(token)
        if not _KEY.fullmatch(token):
            raise self.bad(f"expected an attribute name, not {token!r}")
        return token

    def string(self) -> str:
        token = self.take()
        if not token.startswith('"'):
            raise self.bad(f"expected a quoted string, not {token!r}")
        return _unquote(token)

    def expect(self, wanted: str) -> None:
        token = self.take()
        if token != wanted:
            raise self.bad(f"expected {wanted!r}, not {token!r}")

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self) -> str:
        token = self.peek()
        if not token:
            raise self.bad("it ends too early")
        self._at += 1
        return token

    def end(self) -> None:
        if self.peek():
            raise self.bad(f"did not expect {self.peek()!r}")

    def bad(self, why: str) -> BadFilter:
        return BadFilter(f"filter {self._text!r}: {why}")


def _tokens(text: str) -> list[str]:
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadFilter(f"filter {text!r}: unknown character {text[at:].lstrip()[0]!r}")
        found.append(match[0].strip())
        at = match.end()
    return found


def _unquote(token: str) -> str:
    try:
        return str(json.loads(token))
    except ValueError as error:
        raise BadFilter(f"{token} is no string literal we know") from error
