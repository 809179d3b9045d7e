"""What stands in a row rule or a row expression, as `shared.rules.expressions` reads it.

Plain data; standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Number:
    value: float
    at: int


@dataclass(frozen=True, slots=True)
class Text:
    value: str
    at: int


@dataclass(frozen=True, slots=True)
class Name:
    column: str
    at: int


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`first`, then what is done to it, from left to right."""

    first: Value
    rest: tuple[tuple[str, Value], ...]
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function of `shared.rules.functions` and what it is given."""

    function: str
    arguments: tuple[Value, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Comparison:
    left: Value
    sign: str
    right: Value
    at: int


@dataclass(frozen=True, slots=True)
class Missing:
    value: Value
    at: int


@dataclass(frozen=True, slots=True)
class Not:
    part: Truth
    at: int


@dataclass(frozen=True, slots=True)
class Several:
    """All of them (`and`) or any of them (`or`)."""

    word: str
    parts: tuple[Truth, ...]
    at: int


Value = Number | Text | Name | Arithmetic | Call
Truth = Comparison | Missing | Not | Several
Node = Value | Truth


def names_column(value: Value) -> bool:
    """Whether a value depends on any column."""
    if isinstance(value, Arithmetic):
        return any(map(names_column, (value.first, *(part for _, part in value.rest))))
    if isinstance(value, Call):
        return any(map(names_column, value.arguments))
    return isinstance(value, Name)
