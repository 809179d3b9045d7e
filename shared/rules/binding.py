"""What rules and row expressions mean for columns of given kinds.

    bind(parse("ended >= started"), kinds).broken(columns)          which rows break a rule
    bind_value(parse_value("rooms / households"), kinds).of(columns)   a column made of others

Standard library only: columns are whatever arrays the caller has. Training and serving run this
same code. A comparison is true, false or unknown; a row breaks a rule only where it is false.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shared.rules.expressions import Expression, ExpressionError, Formula
from shared.rules.functions import OF_TIMES, function
from shared.rules.nodes import Call, Comparison, Missing, Name, Not, Number, Text, Truth, Value
from shared.serving.cells import BadCell
from shared.serving.times import moment_of

Kind = Literal["number", "category", "time"]
Columns = Mapping[str, Any]
# Where it holds and where it does not; neither where it is unknown.
Verdict = tuple[Any, Any]

SECONDS_PER_DAY = 86_400.0
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}


def bind(
    expression: Expression,
    kinds: Mapping[str, Kind],
    text_of: Callable[[str], str] = lambda text: text,
) -> Bound:
    """The rule for columns of these kinds. `text_of` gives quoted texts the spelling that category
    columns have. Raises ExpressionError for a column that is not among `kinds`, and for texts where
    numbers belong."""
    verdict = _Binder(kinds, text_of).truth(expression.root)
    return Bound(expression.text, expression.columns, verdict)


def bind_value(formula: Formula, kinds: Mapping[str, Kind]) -> BoundValue:
    """The expression for columns of these kinds. Raises ExpressionError for a column that is not
    among `kinds`, for one that it cannot calculate with, and where no number comes out."""
    found = _Binder(kinds, str).value(formula.root)
    if found.kind == "time":
        text = "gives a time; a model learns from numbers: take month(...) or a difference (days)"
        raise ExpressionError(text, formula.root.at)
    if found.kind == "category":
        raise ExpressionError("is a text; a model learns from numbers here", formula.root.at)
    return BoundValue(formula.text, formula.columns, found.get)


@dataclass(frozen=True, slots=True)
class BoundValue:
    """A row expression together with the kinds of its columns."""

    text: str
    columns: tuple[str, ...]
    _get: Callable[[Columns], Any]

    def of(self, columns: Columns) -> Any:
        """The value of every row, NaN where it is missing. Columns are float arrays of one length
        (times in seconds since 1970). The caller silences its library's warnings about NaN and
        zero divisors."""
        return self._get(columns)

    def of_row(self, values: Mapping[str, float]) -> float:
        """The same for one row of Python floats: the same bits at a tenth of the price."""
        try:
            return float(self._get(values))
        except ZeroDivisionError:  # whatever is calculated with it is missing
            return math.nan


@dataclass(frozen=True, slots=True)
class Bound:
    """A rule together with the kinds of its columns."""

    text: str
    columns: tuple[str, ...]
    _verdict: Callable[[Columns], Verdict]

    def broken(self, columns: Columns) -> Any:
        """Which rows break the rule, as an array of bool. Columns are arrays of one length: float
        with NaN for missing (numbers; times in seconds since 1970), object with "" for missing
        (categories). The caller silences its library's warnings about NaN and zero divisors."""
        return self._verdict(columns)[1]


@dataclass(frozen=True, slots=True)
class _Value:
    """How to get a value from columns; `constant` is what stands in the rule itself."""

    kind: Kind
    get: Callable[[Columns], Any]
    constant: str | float | None = None


class _Binder:
    def __init__(self, kinds: Mapping[str, Kind], text_of: Callable[[str], str]) -> None:
        self._kinds, self._text_of = kinds, text_of

    def truth(self, node: Truth) -> Callable[[Columns], Verdict]:
        if isinstance(node, Comparison):
            return self._comparison(node)
        if isinstance(node, Missing):
            value = self.value(node.value)

            def missing(columns: Columns) -> Verdict:
                found = _missing(value, value.get(columns))
                return found, ~found

            return missing
        if isinstance(node, Not):
            inner = self.truth(node.part)
            return lambda columns: inner(columns)[::-1]
        return _joined(node.word, [self.truth(part) for part in node.parts])

    def _comparison(self, node: Comparison) -> Callable[[Columns], Verdict]:
        left, right = self.value(node.left), self.value(node.right)
        left, right = self._as(left, right, node.left.at), self._as(right, left, node.right.at)
        if left.kind != right.kind:
            raise ExpressionError(
                f"compares {_NOUNS[left.kind]} with {_NOUNS[right.kind]}", node.right.at
            )
        if left.kind == "category" and node.sign not in {"=", "==", "!="}:
            raise ExpressionError("texts are compared by = and != only", node.right.at)
        compare = _COMPARE[node.sign]

        def verdict(columns: Columns) -> Verdict:
            first, second = left.get(columns), right.get(columns)
            found = compare(first, second)
            missing = [
                _missing(value, array)
                for value, array in ((left, first), (right, second))
                if value.constant is None
            ]
            unknown = missing[0] if len(missing) == 1 else missing[0] | missing[1]
            return found & ~unknown, ~(found | unknown)

        return verdict

    def _as(self, value: _Value, other: _Value, at: int) -> _Value:
        """A quoted text as what it stands beside: a category, or a moment."""
        if not isinstance(value.constant, str) or isinstance(other.constant, str):
            return value
        if other.kind == "category":
            text = self._text_of(value.constant)
            if not text:
                raise ExpressionError("ask for nothing with `is missing`", at)
            return _constant("category", text)
        if other.kind == "time":
            try:
                moment = moment_of(value.constant)
            except BadCell as error:
                raise ExpressionError(f"{value.constant!r} {error}", at) from error
            if math.isnan(moment):
                raise ExpressionError("ask for nothing with `is missing`", at)
            return _constant("time", moment)
        return value

    def value(self, node: Value) -> _Value:
        if isinstance(node, Number):
            return _constant("number", node.value)
        if isinstance(node, Text):
            return _constant("category", node.value)
        if isinstance(node, Name):
            name = node.column
            if name not in self._kinds:
                raise ExpressionError(f"there is no column {name!r}", node.at)
            return _Value(self._kinds[name], lambda columns: columns[name])
        if isinstance(node, Call):
            return _called(node, [self.value(argument) for argument in node.arguments])
        found = self.value(node.first)
        for sign, part in node.rest:
            found = _calculated(found, sign, self.value(part), part.at)
        return found


_NOUNS = {"number": "a number", "category": "a text", "time": "a time"}
_CALCULATE: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def _constant(kind: Kind, value: str | float) -> _Value:
    return _Value(kind, lambda _: value, value)


def _calculated(left: _Value, sign: str, right: _Value, at: int) -> _Value:
    """Numbers with numbers; times in days: time - time, time + number, time - number."""
    if "category" in {left.kind, right.kind}:
        raise ExpressionError(f"{sign} needs numbers, not a text", at)
    calculate = _CALCULATE[sign]
    if isinstance(left.constant, float) and isinstance(right.constant, float):
        try:
            number = calculate(left.constant, right.constant)
        except ZeroDivisionError as error:
            raise ExpressionError("divides by zero", at) from error
        if not math.isfinite(number):
            raise ExpressionError("gives too large a number", at)
        return _constant("number", number)
    if left.kind == right.kind == "number":
        return _Value(
            "number", lambda columns: _settled(calculate(left.get(columns), right.get(columns)))
        )
    if left.kind == right.kind and sign == "-":
        return _Value(
            "number",
            lambda columns: _settled(left.get(columns) - right.get(columns)) / SECONDS_PER_DAY,
        )
    if left.kind == "time" and right.kind == "number" and sign in {"+", "-"}:
        return _Value(
            "time",
            lambda columns: _settled(
                calculate(left.get(columns), right.get(columns) * SECONDS_PER_DAY)
            ),
        )
    raise ExpressionError(
        f"{sign} does not go with {_NOUNS[left.kind]} and {_NOUNS[right.kind]}; with times there "
        f"are: time - time (days), time + days, time - days",
        at,
    )


def _called(node: Call, given: list[_Value]) -> _Value:
    wanted: Kind = "time" if node.function in OF_TIMES else "number"
    for value, argument in zip(given, node.arguments, strict=True):
        if value.kind != wanted:
            text = f"{node.function} needs {_NOUNS[wanted]}, not {_NOUNS[value.kind]}"
            raise ExpressionError(text, argument.at)
    call = function(node.function)
    constants = [value.constant for value in given if value.constant is not None]
    if len(constants) == len(given):
        number = float(call(*constants))
        if not math.isfinite(number):
            raise ExpressionError(f"{node.function} is not defined there", node.at)
        return _constant("number", number)
    if len(given) == 1:
        (only,) = given
        return _Value("number", lambda columns: _settled(call(only.get(columns))))
    first, second = given
    return _Value("number", lambda columns: _settled(call(first.get(columns), second.get(columns))))


def _settled(found: Any) -> Any:
    """What left the numbers is missing from here on: 1 / (a / 0) is not 0."""
    return found + (found - found)


def _missing(value: _Value, found: Any) -> Any:
    """Where a value is missing, or is no number: infinite for example."""
    return found == "" if value.kind == "category" else ~(found - found == 0)


def _joined(word: str, parts: list[Callable[[Columns], Verdict]]) -> Callable[[Columns], Verdict]:
    """Three-valued: one part that does not hold settles `and`, one that holds settles `or`."""

    def verdict(columns: Columns) -> Verdict:
        holds, fails = parts[0](columns)
        for part in parts[1:]:
            more_holds, more_fails = part(columns)
            if word == "and":
                holds, fails = holds & more_holds, fails | more_fails
            else:
                holds, fails = holds | more_holds, fails & more_fails
        return holds, fails

    return verdict
