"""Rules about a whole row, `ended >= started and (status != 'open' or ended is missing)`, and row
expressions that make a column of others, `total_rooms / households`.

A parser of ours, because a spec is data: no names but those of columns and of a few functions are
known. Standard library only. What is meant for columns of given kinds is in `shared.rules.binding`.

    rule        := and-part {"or" and-part}
    and-part    := not-part {"and" not-part}
    not-part    := "not" not-part | comparison
    comparison  := sum (< | <= | > | >= | = | == | !=) sum | sum "is" ["not"] "missing" | (rule)
    expression  := sum
    sum         := product {(+ | -) product}         product := factor {(* | /) factor}
    factor      := - factor | number | 'text' | "text" | column | `any column name` | (sum)
                 | function(sum {, sum})

A calculation with a missing value, one with a division by zero and one that leaves the numbers are
missing. A comparison with a missing value is unknown and breaks nothing.
Texts are compared by = and != only. A time column is compared with another one or with a quoted
date; the difference of two times, and what is added to one, is counted in days.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NoReturn

from shared.rules.functions import FUNCTIONS
from shared.rules.nodes import (
    Arithmetic,
    Call,
    Comparison,
    Missing,
    Name,
    Node,
    Not,
    Number,
    Several,
    Text,
    Truth,
    Value,
    names_column,
)

What = Literal["rule", "expression"]

MAX_LENGTH = 1000
MAX_DEPTH = 20
_CALCULATED = f"+ - * /, numbers, {', '.join(FUNCTIONS)}"
_ALLOWED = {
    "rule": f"comparisons (< <= > >= = !=), and, or, not, {_CALCULATED}, 'texts', `is missing`",
    "expression": f"columns, {_CALCULATED}, parentheses",
}
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<text>'[^']*'|"[^"]*")
    | `(?P<quoted>[^`]+)`
    | (?P<word>[^\W\d]\w*)
    | (?P<sign><=|>=|==|!=|[<>=()+*/,-])
    )""",
    re.VERBOSE,
)
SIGNS = frozenset({"<", "<=", ">", ">=", "=", "==", "!="})
_WORDS = frozenset({"and", "or", "not", "is", "missing"})


class ExpressionError(ValueError):
    """A rule that cannot be read, or one that does not fit its columns. `position` counts
    characters from 0."""

    def __init__(self, problem: str, position: int) -> None:
        super().__init__(f"{problem} (at character {position + 1})")
        self.position = position


@dataclass(frozen=True, slots=True)
class Expression:
    """A rule that was read. `columns` are the names in it, in order of appearance."""

    text: str
    root: Truth
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Formula:
    """A row expression that was read: a value made of `columns`."""

    text: str
    root: Value
    columns: tuple[str, ...]


def parse(text: str) -> Expression:
    """Read a rule. Raises ExpressionError with its position and what is allowed."""
    parser = _Parser(text, "rule")
    return Expression(text, parser.truth(), tuple(dict.fromkeys(parser.columns)))


def parse_value(text: str) -> Formula:
    """Read a row expression. Raises ExpressionError with its position and what is allowed."""
    parser = _Parser(text, "expression")
    return Formula(text, parser.value(), tuple(dict.fromkeys(parser.columns)))


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def _tokens(text: str, what: What) -> Iterator[_Token]:
    place = 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None:
            at = len(text) - len(text[place:].lstrip())
            raise ExpressionError(
                f"{text[at]!r} means nothing here; allowed are {_ALLOWED[what]}", at
            )
        kind = str(found.lastgroup)
        value = found[kind]
        if kind == "word" and value.lower() in _WORDS:
            kind, value = "sign", value.lower()
        yield _Token(kind, value, found.start(str(found.lastgroup)))
        place = found.end()


class _Parser:
    def __init__(self, text: str, what: What) -> None:
        if len(text) > MAX_LENGTH:
            raise ExpressionError(f"has {len(text)} characters, at most {MAX_LENGTH}", MAX_LENGTH)
        self._tokens, self._what = list(_tokens(text, what)), what
        self._next = self._depth = 0
        self._end = _Token("end", "the end", len(text))
        self.columns: list[str] = []

    def truth(self) -> Truth:
        return self._truth(self._whole())

    def value(self) -> Value:
        at = self._token.at
        found = self._whole()
        if isinstance(found, Comparison | Missing | Not | Several):
            self._fail("this is a comparison, not a value", at)
        if not names_column(found):
            self._fail("this uses no column", at)
        return found

    def _whole(self) -> Node:
        found = self._several("or")
        if self._token.kind != "end":
            self._fail(f"{self._token.text!r} does not belong here")
        return found

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next] if self._next < len(self._tokens) else self._end

    def _take(self, *signs: str) -> str | None:
        """The next token's text if it is one of these."""
        token = self._token
        if token.kind != "sign" or token.text not in signs:
            return None
        self._next += 1
        return token.text

    def _fail(self, problem: str, at: int | None = None) -> NoReturn:
        raise ExpressionError(
            f"{problem}; allowed are {_ALLOWED[self._what]}", self._token.at if at is None else at
        )

    def _several(self, word: Literal["or", "and"]) -> Node:
        at = self._token.at
        inner = self._negated if word == "and" else lambda: self._several("and")
        found = inner()
        if not (self._token.kind == "sign" and self._token.text == word):
            return found
        parts = [self._truth(found)]
        while self._take(word):
            parts.append(self._truth(inner()))
        return Several(word, tuple(parts), at)

    def _negated(self) -> Node:
        at, negations = self._token.at, 0
        while self._take("not"):
            negations += 1
        found = self._comparison()
        if not negations:
            return found
        part = self._truth(found)
        return Not(part, at) if negations % 2 else part

    def _comparison(self) -> Node:
        at = self._token.at
        left = self._arithmetic("+", "-")
        if self._take("is"):
            negated = self._take("not")
            if not self._take("missing"):
                self._fail("after `is` comes `missing` or `not missing`")
            missing = Missing(self._column_of(self._value(left), at), at)
            return Not(missing, at) if negated else missing
        sign = self._take(*SIGNS)
        if sign is None:
            return left
        right = self._arithmetic("+", "-")
        if self._token.kind == "sign" and self._token.text in SIGNS:
            self._fail("compare two things at a time and join them with `and`")
        found = Comparison(self._value(left), sign, self._value(right), at)
        if not any(map(names_column, (found.left, found.right))):
            self._fail("this compares without any column", at)
        return found

    def _arithmetic(self, *signs: str) -> Node:
        at = self._token.at
        inner = self._factor if signs == ("*", "/") else lambda: self._arithmetic("*", "/")
        first = inner()
        rest = []
        while sign := self._take(*signs):
            rest.append((sign, self._value(inner())))
        return Arithmetic(self._value(first), tuple(rest), at) if rest else first

    def _factor(self) -> Node:
        at, minus = self._token.at, 0
        while self._take("-"):
            minus += 1
        found = self._primary()
        if not minus:
            return found
        value = self._value(found)
        return Arithmetic(Number(0.0, at), (("-", value),), at) if minus % 2 else value

    def _primary(self) -> Node:
        token = self._token
        if self._take("("):
            self._open(token.at)
            found = self._several("or")
            self._close(token.at)
            return found
        self._next += 1
        if token.kind == "word" and self._take("("):
            return self._call(token)
        if token.kind in {"word", "quoted"}:
            self.columns.append(token.text)
            return Name(token.text, token.at)
        if token.kind == "text":
            return Text(token.text[1:-1], token.at)
        if token.kind == "number":
            number = float(token.text)
            if not math.isfinite(number):
                self._fail(f"{token.text} is too large a number", token.at)
            return Number(number, token.at)
        return self._fail(f"expected a column, a number or a text, found {token.text!r}", token.at)

    def _open(self, at: int) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"more than {MAX_DEPTH} parentheses inside each other", at)

    def _close(self, at: int) -> None:
        if not self._take(")"):
            self._fail("a parenthesis is not closed", at)
        self._depth -= 1

    def _call(self, token: _Token) -> Call:
        """A function whose parenthesis was just opened."""
        wanted = FUNCTIONS.get(token.text)
        if wanted is None:
            self._fail(f"there is no function {token.text!r}", token.at)
        self._open(token.at)
        given = [self._value(self._arithmetic("+", "-"))]
        while self._take(","):
            given.append(self._value(self._arithmetic("+", "-")))
        self._close(token.at)
        if len(given) != wanted:
            many = "one value" if wanted == 1 else f"{wanted} values"
            self._fail(f"{token.text} takes {many}, not {len(given)}", token.at)
        return Call(token.text, tuple(given), token.at)

    def _truth(self, node: Node) -> Truth:
        if isinstance(node, Number | Text | Name | Arithmetic | Call):
            self._fail("this is a value, not a comparison", node.at)
        return node

    def _value(self, node: Node) -> Value:
        if isinstance(node, Comparison | Missing | Not | Several):
            self._fail("a comparison cannot be compared or calculated with", node.at)
        return node

    def _column_of(self, value: Value, at: int) -> Value:
        if not names_column(value):
            self._fail("only a column can be missing", at)
        return value
