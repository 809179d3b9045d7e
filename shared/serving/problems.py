"""What is wrong with a value or a row, in the form that every answer and every file shows it."""

from __future__ import annotations

import math

from shared.serving.cells import Rule

# {"row": int, "column": str or None (the whole row), "value": as it came, "rule": Rule}
Problem = dict[str, object]

_VALUE_LENGTH = 100


def rule_of(name: str, text: str) -> Rule:
    """The phrase for a row rule that is broken."""
    return Rule(f"must keep the rule {name}: {text}", "rule")


def in_words(problem: Problem) -> str:
    """A problem as one sentence, for people and for the errors of a file's rows."""
    column = "" if problem["column"] is None else f"{problem['column']}: "
    return f"{column}{problem['rule']} (it is {problem['value']!r})"


def problem_of(row: int, column: str | None, value: object, rule: str) -> Problem:
    """The value is shown as it came, cut where it is long."""
    if isinstance(value, (dict, list)) or (isinstance(value, str) and len(value) > _VALUE_LENGTH):
        value = str(value)[:_VALUE_LENGTH]
    elif isinstance(value, float) and not math.isfinite(value):
        value = str(value)  # JSON has no spelling for it
    return {"row": row, "column": column, "value": value, "rule": rule}
