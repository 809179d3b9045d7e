"""What a spec requires holds for predictions as it holds for files."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import InvalidInstances
from shared.rules.regexes import RegexError
from shared.serving.columns import Schema
from shared.serving.features import Bounds, Feature
from shared.spec.model import Spec

COLUMNS: dict[str, Any] = {
    "n": {"type": "number", "require": {"min": 0}},
    "m": {"type": "number"},
    "c": {"require": {"regex": r"[A-Z]\d", "present": True}},
    "late": {"available_at_prediction": False, "type": "number"},
    "y": {},
}
RULES = {"order": "n <= m", "small": "not (c = 'A1') or n < 5", "afterwards": "late > n"}


def _schema() -> Schema:
    body = {"task": "binary", "target": "y", "columns": COLUMNS, "rules": RULES}
    return Schema.of(Spec.model_validate(body))


def _problems(record: Any) -> list[tuple[Any, str]]:
    """From one record and from many, which have to agree."""
    schema = _schema()
    found: list[list[tuple[Any, str]]] = []
    for call in (lambda: schema.from_record(record), lambda: schema.from_records([record])):
        try:
            call()
            found.append([])
        except InvalidInstances as error:
            found.append([(item["column"], str(item["rule"])) for item in error.problems])
    assert found[0] == found[1]
    cells = {name: ["" if record.get(name) is None else str(record[name])] for name in schema.names}
    _, problems = schema.from_cells(cells)
    assert [(item["column"], str(item["rule"])) for item in problems] == found[0]
    return found[0]


@pytest.mark.parametrize(
    ("record", "problems"),
    [
        ({"n": 1, "m": 2, "c": "B2"}, []),
        ({"n": 3, "m": 2, "c": "B2"}, [(None, "must keep the rule order: n <= m")]),
        ({"n": 6, "m": 7, "c": "A1"}, [(None, f"must keep the rule small: {RULES['small']}")]),
        ({"n": 3, "m": None, "c": "B2"}, []),
        ({"n": 1, "m": 2, "c": "b2"}, [("c", r"must match [A-Z]\d")]),
        ({"n": 1, "m": 2, "c": "B2\n"}, []),
        ({"n": 1, "m": 2, "c": None}, [("c", "must be present")]),
        ({"n": -1, "m": -2, "c": "B2"}, [("n", "must be at least 0")]),
    ],
)
def test_rules_and_patterns_refuse_predictions(
    record: dict[str, Any], problems: list[tuple[Any, str]]
) -> None:
    """One record, many records and a file's cells are judged alike; rules about columns that a
    prediction does not have are not asked."""
    assert _problems(record) == problems


def test_a_broken_rule_shows_the_values_and_the_row() -> None:
    """Of many rows, those that break it."""
    schema = _schema()
    records = [{"n": 1, "m": 2, "c": "B2"}, {"n": 3, "m": 2, "c": "B2"}]
    with pytest.raises(InvalidInstances) as error:
        schema.from_records(records)
    (problem,) = error.value.problems
    assert (problem["row"], problem["value"]) == (1, "n: 3, m: 2")


def test_rules_travel_with_the_schema_and_old_packages_load() -> None:
    """A schema without rules is written as it always was."""
    schema = _schema()
    again = Schema.from_json(schema.to_json())
    assert again == schema
    assert [name for name, _ in again.rules] == ["order", "small"]
    plain = Schema((Feature("n", "number"),))
    assert "rules" not in plain.to_json()
    assert Schema.from_json(plain.to_json()).rules == ()


def test_a_pattern_that_is_not_known_is_no_bound() -> None:
    """Never a package that answers differently from the file's check."""
    with pytest.raises(RegexError, match="look-around"):
        Bounds(regex="(?=a)a")


def test_a_catastrophic_pattern_is_answered_at_once() -> None:
    """A caller cannot keep the predictor busy with one long text."""
    bounds = Bounds(regex=r"(\w+\s?)*!")
    rule = bounds.broken_by("a" * 50_000)
    assert rule is not None
    assert rule.code == "regex"
