"""What can be wrong with what a spec calculates row by row: its rules, and what it derives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.rules.binding import bind, bind_value
from shared.rules.expressions import ExpressionError, Formula, parse, parse_value
from shared.serving.cells import CellRules
from shared.spec.nearest import nearest

if TYPE_CHECKING:
    from shared.spec.model import Spec

Found = tuple[tuple[str, ...], str]


def rule_problems(spec: Spec) -> Iterator[Found]:
    """Each with the path of its key."""
    known, main = spec.all_columns, spec.sources.get(spec.primary, spec.source)
    cells = CellRules(missing=main.missing, strip=main.strip, decimal=main.decimal)
    for name, rule in spec.rules.items():
        at = ("rules", name)
        try:
            parsed = parse(rule)
        except ExpressionError as error:
            yield at, f"cannot be read: {error}"
            continue
        unknown = [column for column in parsed.columns if column not in known] if known else []
        for column in unknown:
            text = f"uses {column!r}, which is no column; {nearest(column, known)}"
            yield at, text
        if not known or unknown:
            continue
        try:
            bind(parsed, {key: known[key].type for key in parsed.columns}, cells.category_of)
        except ExpressionError as error:
            yield at, f"does not fit: {error}"


def derive_problems(spec: Spec) -> Iterator[Found]:
    """Row expressions."""
    known = spec.all_columns
    for name, expression in spec.derive.items():
        at = ("derive", name)
        if not name.strip():
            yield at, "has no name; write the new column's in front of its expression"
        if name in known or name in spec.derived or name == spec.target.column:
            text = "is a column already; give what is derived a name of its own"
            yield at, f"{text}, such as {name}_derived"
        elif name in spec.sources:
            yield at, "is the name of a source; give what is derived another one"
        try:
            parsed = parse_value(expression)
        except ExpressionError as error:
            yield at, f"cannot be read: {error}"
            continue
        texts = list(_not_usable(spec, parsed))
        yield from ((at, text) for text in texts)
        if texts or not known:
            continue
        try:
            bind_value(parsed, {key: known[key].type for key in parsed.columns})
        except ExpressionError as error:
            yield at, f"does not fit: {error}"


def _not_usable(spec: Spec, parsed: Formula) -> Iterator[str]:
    """Why a row expression cannot use a column that it names."""
    known = spec.all_columns
    for column in parsed.columns:
        if column == spec.target.column:
            yield f"uses {column!r}, which is the target: no prediction knows it"
        elif column in spec.derive:
            yield (
                f"uses {column!r}, which is derived itself; write its expression out, in "
                f"parentheses: ({spec.derive[column]})"
            )
        elif known and column not in known:
            yield f"uses {column!r}, which is no column; {nearest(column, known)}"
        elif known and not known[column].available_at_prediction:
            yield f"uses {column!r}, which is not available at prediction"
