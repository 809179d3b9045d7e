"""Regular expressions of a spec as trees. `shared.rules.regexes` makes automata of them.

Known: characters, `.`, `[...]`, `\\d \\w \\s \\D \\W \\S`, `|`, `(...)`, `(?:...)`, `* + ? {m,n}`,
`^`, `$` (the end of the text). Refused in words: look-around, back references, flags, `\\b`.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

MAX_LENGTH = 1000
MAX_DEPTH = 20
MAX_REPEAT = 1000
_CLASSES: dict[str, Callable[[str], bool]] = {
    "d": str.isdecimal,
    "w": lambda character: character.isalnum() or character == "_",
    "s": str.isspace,
    "D": lambda character: not character.isdecimal(),
    "W": lambda character: not (character.isalnum() or character == "_"),
    "S": lambda character: not character.isspace(),
}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_CODES = {"x": 2, "u": 4}


class RegexError(ValueError):
    """A pattern that is wrong or has what this matcher does not know; `position` is from 0."""

    def __init__(self, problem: str, position: int) -> None:
        super().__init__(f"{problem} (at character {position + 1} of the pattern)")
        self.position = position


@dataclass(frozen=True, slots=True)
class Characters:
    """One character: any of `single`, of `ranges` (ends included) or of `classes`, or none."""

    single: frozenset[str] = frozenset()
    ranges: tuple[tuple[str, str], ...] = ()
    classes: tuple[Callable[[str], bool], ...] = ()
    negated: bool = False

    def holds(self, character: str) -> bool:
        found = (
            character in self.single
            or any(low <= character <= high for low, high in self.ranges)
            or any(one(character) for one in self.classes)
        )
        return found != self.negated


@dataclass(frozen=True, slots=True)
class Edge:
    """The start (`^`) or the end (`$`) of the text."""

    end: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    part: Tree
    least: int
    most: int | None


Tree = Characters | Edge | Sequence | Choice | Repeat


_SIGNS: dict[str, Tree] = {
    ".": Characters(frozenset("\n"), negated=True),
    "^": Edge(end=False),
    "$": Edge(end=True),
}


def parse(pattern: str) -> Tree:
    """Raises RegexError."""
    if len(pattern) > MAX_LENGTH:
        raise RegexError(f"has {len(pattern)} characters, at most {MAX_LENGTH}", MAX_LENGTH)
    return _Parser(pattern).whole()


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._text, self._at, self._depth = pattern, 0, 0

    def whole(self) -> Tree:
        found = self._choice()
        if self._at < len(self._text):
            self._fail("a closing parenthesis without an opening one")
        return found

    def _fail(self, problem: str) -> NoReturn:
        raise RegexError(problem, self._at)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, text: str) -> bool:
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _choice(self) -> Tree:
        parts = [self._sequence()]
        while self._take("|"):
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self) -> Tree:
        parts: list[Tree] = []
        while self._peek() not in {"", "|", ")"}:
            parts.append(self._repeated(self._atom()))
        return Sequence(tuple(parts))

    def _repeated(self, part: Tree) -> Tree:
        bounds = self._quantifier()
        if bounds is None:
            return part
        if isinstance(part, Edge):
            self._fail("nothing to repeat")
        least, most = bounds
        if max(least, most or 0) > MAX_REPEAT:
            self._fail(f"repeats more than {MAX_REPEAT} times")
        if most is not None and most < least:
            self._fail("the smaller number of repeats comes first")
        self._take("?")  # lazy or greedy is the same for a whole text
        if self._peek() == "+":
            self._fail("possessive quantifiers are not known here")
        before = self._at
        if self._quantifier() is not None:
            self._at = before
            self._fail("a quantifier after a quantifier")
        return Repeat(part, least, most)

    def _quantifier(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return bounds
        before = self._at
        if self._take("{") and self._peek() != "}":
            low = self._digits()
            high = self._digits() if self._take(",") else low or "x"
            if self._take("}") and high != "x":
                return int(low or 0), int(high) if high else None
        self._at = before
        return None

    def _digits(self) -> str:
        start = self._at
        while self._peek() in string.digits and self._peek():
            self._at += 1
        if self._at - start > 6:
            self._fail(f"repeats more than {MAX_REPEAT} times")
        return self._text[start : self._at]

    def _atom(self) -> Tree:
        if self._take("("):
            return self._group()
        if self._take("["):
            return self._set()
        before = self._at
        if self._quantifier() is not None:
            self._at = before
            self._fail("nothing to repeat")
        if self._peek() in _SIGNS:
            return _SIGNS[self._next()]
        if self._take("\\"):
            if self._peek() in {"A", "Z"}:
                return Edge(end=self._next() == "Z")
            found = self._escaped()
            return Characters(classes=(found,)) if callable(found) else _just(found)
        return _just(self._next())

    def _next(self) -> str:
        found = self._peek()
        self._at += 1
        return found

    def _group(self) -> Tree:
        start = self._at - 1
        if self._take("?P<"):
            end = self._text.find(">", self._at)
            if not self._text[self._at : max(end, self._at)].isidentifier():
                self._fail("a group's name is a word")
            self._at = end + 1
        elif not self._take("?:") and self._peek() == "?":
            self._fail("look-around, flags and references are not known here, (?:...) is")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"more than {MAX_DEPTH} groups inside each other")
        found = self._choice()
        if not self._take(")"):
            self._at = start
            self._fail("a group is not closed")
        self._depth -= 1
        return found

    def _escaped(self) -> str | Callable[[str], bool]:
        """What stands after a backslash."""
        character = self._next()
        if character in _CLASSES:
            return _CLASSES[character]
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character in _CODES:
            code = self._text[self._at : self._at + _CODES[character]]
            if len(code) == _CODES[character] and all(one in string.hexdigits for one in code):
                self._at += len(code)
                return chr(int(code, 16))
        if not character or (character.isascii() and character.isalnum()):
            self._at -= 1
            self._fail(f"\\{character} is not known here")
        return character

    def _set(self) -> Characters:
        start = self._at - 1
        negated = self._take("^")
        single: set[str] = set()
        ranges: list[tuple[str, str]] = []
        classes: list[Callable[[str], bool]] = []
        first = True
        while first or self._peek() != "]":
            if not self._peek():
                self._at = start
                self._fail("a [ is not closed")
            first = False
            low = self._escaped() if self._take("\\") else self._next()
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in {"]", ""}:
                self._at += 1
                high = self._escaped() if self._take("\\") else self._next()
                if callable(low) or callable(high) or high < low:
                    self._fail("a range goes from a lower to a higher character")
                ranges.append((low, high))
            elif callable(low):
                classes.append(low)
            else:
                single.add(low)
        self._at += 1
        return Characters(frozenset(single), tuple(ranges), tuple(classes), negated)


def _just(character: str) -> Characters:
    return Characters(frozenset(character))
