"""Rules about a whole spec, which no key can keep by itself. Pure; each problem is one sentence
that says what to write instead, with the path of the key it is about.

`shared.spec.model` asks; `shared.spec.load` turns paths into lines.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from shared.rules.binding import bind, bind_value
from shared.rules.expressions import ExpressionError, Formula, parse, parse_value
from shared.serving.cells import CellRules
from shared.serving.sources.aggregates import literal_as_of, parse_all
from shared.spec.guarding import guarding_problems
from shared.spec.parts import Column, Expect, JoinedSource, Source
from shared.spec.scoring import scoring_problems
from shared.spec.search import search_problems
from shared.spec.serving import serving_problems

if TYPE_CHECKING:
    from shared.spec.model import Spec

Path = tuple[str, ...]

SOURCE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_RESERVED = {  # a source's name is the role of its files, and a field of a record
    "corrected": "the files of rows that were mended",
    "instances": "the records of a prediction",
    "prediction_id": "a caller's own name of a prediction",
}
_DAY = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*")


# What the parts of a spec that have a module of their own say about it.
_PARTS = (guarding_problems, serving_problems, scoring_problems)


class Problem(NamedTuple):
    """What is wrong with the key at `path`; `text` goes on with the sentence that it begins."""

    path: Path
    text: str


class Inconsistent(ValueError):
    """Rules that a spec breaks, all of them: `problems` names the keys."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{'.'.join(item.path)} {item.text}" for item in problems))
        self.problems = problems


def problems(spec: Spec) -> list[Problem]:
    """Everything that is wrong with a spec whose single keys are right."""
    return [
        *_target(spec),
        *_one_file(spec),
        *_sources(spec),
        *_columns(spec),
        *_rules(spec),
        *_made(spec),
        *_training(spec),
        *(Problem(*found) for part in _PARTS for found in part(spec)),
    ]


# --- target and files ----------------------------------------------------------------------------


def _target(spec: Spec) -> Iterator[Problem]:
    name, column = spec.target.column, spec.columns.get(spec.target.column)
    at, positive = ("target", "positive"), spec.target.positive
    if name in spec.derived:
        text = f"{name!r} is added by a source; what is predicted stands in the primary's files"
        yield Problem(("target", "column"), text)
    elif spec.columns and column is None:
        text = f"{name!r} is not among columns; {_nearest(name, spec.columns)}"
        yield Problem(("target", "column"), text)
    if positive is not None and spec.task != "binary":
        yield Problem(at, f"is for task: binary; this is {spec.task}, leave it out")
    told = spec.target.scale != 1, spec.target.low is not None, spec.target.high is not None
    for key, given in zip(("scale", "low", "high"), told, strict=True):
        if given and spec.task != "regression":
            text = f"is for task: regression; this is {spec.task}, leave it out"
            yield Problem(("target", key), text)
    if column is None:
        return
    allowed = column.require.values
    if positive is not None and allowed is not None and positive not in allowed:
        text = f"{positive!r} is not among columns.{name}.require.values"
        yield Problem(at, f"{text}; {_nearest(positive, allowed)}")
    if column.require.unique:
        yield Problem(("columns", name, "require", "unique"), "is not for the target; leave it out")


def _one_file(spec: Spec) -> Iterator[Problem]:
    if spec.target.column in spec.columns and not spec.feature_names() and not spec.derive:
        text = (
            "leave nothing to learn from: all but the target are excluded, times, or not available "
            "at prediction"
        )
        yield Problem(("columns",), text)
    if spec.sources and spec.source != Source():
        text = "is for a model of one file; with sources, write it into each of them"
        yield Problem(("source",), text)
    if not spec.sources and not spec.source.header and not spec.columns:
        text = "is false, so columns must name the columns in the file's order"
        yield Problem(("source", "header"), text)


# --- sources -------------------------------------------------------------------------------------


def _sources(spec: Spec) -> Iterator[Problem]:
    if not spec.sources:
        return
    yield from _one_primary(spec)
    added: dict[str, str] = {}
    for name, source in spec.sources.items():
        at: Path = ("sources", name)
        if not SOURCE_NAME.fullmatch(name):
            text = f"{name!r} is no name for a source; use [a-z][a-z0-9_]*, such as transactions"
            yield Problem(at, text)
        yield from _taken(spec, name, at)
        yield from _own_columns(source, at)
        yield from _primary(spec, source, at) if source.primary else _joined(spec, source, at)
        for column in source.derived:
            if column in added:
                text = f"is added by {added[column]} as well; give one of them another name"
                yield Problem((*at, _adds(source), column), text)
            added[column] = name


def _taken(spec: Spec, name: str, at: Path) -> Iterator[Problem]:
    """Names that mean something else in a run or in a record."""
    primary = [*spec.columns, spec.target.column]
    for source in spec.sources.values():
        primary += [column for column in (source.key, source.as_of) if column is not None]
    if name in _RESERVED:
        text = (
            f"has a name that is kept for {_RESERVED[name]}; use another one, such as {name}_rows"
        )
        yield Problem(at, text)
    elif name in primary and name not in spec.derived:
        text = f"has the name of a column of the primary; use another one, such as {name}_rows"
        yield Problem(at, text)


def _one_primary(spec: Spec) -> Iterator[Problem]:
    primaries = [name for name, source in spec.sources.items() if source.primary]
    text = ""
    if len(spec.sources) < 2:
        text = "names one source; for a single file write `source:` instead"
    elif not primaries:
        text = "has no primary; leave aggregates and sql out where the rows to learn from are"
    elif len(primaries) > 1:
        names = ", ".join(primaries)
        text = f"has {len(primaries)} primaries ({names}); all but one need aggregates or sql"
    if text:
        yield Problem(("sources",), text)


def _own_columns(source: JoinedSource, at: Path) -> Iterator[Problem]:
    """Keys that name columns of the source's own file, where those are known."""
    if not source.header and not source.primary and not source.columns:
        text = "is false, so columns must list this file's columns in order"
        yield Problem((*at, "header"), text)
    for key in ("key", "time"):
        name = getattr(source, key)
        if source.columns and name is not None and name not in source.columns:
            text = f"{name!r} is not among columns; {_nearest(name, source.columns)}"
            yield Problem((*at, key), text)


def _primary(spec: Spec, source: JoinedSource, at: Path) -> Iterator[Problem]:
    if source.key == spec.target.column:
        text = f"{source.key!r} is the target; a key says who a row is about"
        yield Problem((*at, "key"), text)
    for key, text in (
        ("on_timeout", "says how to go on without a source; without the primary there are no rows"),
        ("as_of", "is for joined sources: which of their rows are seen"),
        ("defaults", "is for joined sources: what a key has that they do not know"),
        ("max_age", "is for joined sources: how old what is looked up may be"),
        ("join", "is for joined sources"),
    ):
        if getattr(source, key) != JoinedSource.model_fields[key].get_default(
            call_default_factory=True
        ):
            yield Problem((*at, key), f"{text}; leave it out here")
    if source.time is not None:
        yield from _time_column(spec, source.time, (*at, "time"))
    if not source.header and source.key not in spec.columns:
        text = f"is false, so columns must name the columns in order, {source.key} too"
        yield Problem((*at, "header"), text)


def _joined(spec: Spec, source: JoinedSource, at: Path) -> Iterator[Problem]:
    for name, aggregate in source.aggregates.items():
        try:
            parse_all({name: aggregate}, time=source.time, as_of=source.as_of)
        except ValueError as error:
            reason = str(error).removeprefix(f"{name}: ")
            yield Problem((*at, "aggregates", name), f"cannot be read: {reason}")
    if source.sql is not None and not re.match(r"\s*(select|with)\b", source.sql, re.IGNORECASE):
        text = "is no SELECT; write one SELECT that gives the key and the new columns"
        yield Problem((*at, "sql"), text)
    yield from _derived(spec, source, at)
    yield from _defaults(spec, source, at)
    if source.as_of is not None and literal_as_of(source.as_of) is None:
        if _DAY.fullmatch(source.as_of):
            yield Problem((*at, "as_of"), f"{source.as_of!r} is no date; write it as 2026-01-31")
        elif source.sql is not None:
            text = (
                f"{source.as_of!r} is no date such as 2026-01-31; SQL sees the rows up to one "
                "moment, only aggregates may take it from a column of the primary"
            )
            yield Problem((*at, "as_of"), text)
        else:
            yield from _time_column(spec, source.as_of, (*at, "as_of"))


def _derived(spec: Spec, source: JoinedSource, at: Path) -> Iterator[Problem]:
    for name, kind in source.derived.items():
        if name == source.key:
            text = "is the key, which is there anyway; leave it out"
            yield Problem((*at, _adds(source), name), text)
        column = spec.columns.get(name)
        # The last value of something may be text, which only `columns` can say.
        last = source.aggregates.get(name, "").strip().startswith("last")
        if column is not None and column.type != kind and not (last and column.type == "category"):
            text = f"is {column.type}, but {at[-1]} adds a {kind}; write type: {kind}"
            yield Problem(("columns", name, "type"), text)


def _defaults(spec: Spec, source: JoinedSource, at: Path) -> Iterator[Problem]:
    derived = spec.derived
    for name, value in source.defaults.items():
        text = ""
        if name not in source.derived:
            text = f"is no column that {at[-1]} adds; {_nearest(name, source.derived)}"
        elif derived[name].type == "number" and isinstance(value, str):
            text = f"is {value!r}, but {name} is a number; write one without quotes, such as 0"
        elif derived[name].type == "category" and not isinstance(value, str):
            text = f'is {value:g}, but {name} is text; write "{value:g}"'
        if text:
            yield Problem((*at, "defaults", name), text)


def _adds(source: JoinedSource) -> str:
    """The key under which the source names what it adds."""
    return "aggregates" if source.aggregates else "sql_columns"


# --- columns, rules, training --------------------------------------------------------------------


def _columns(spec: Spec) -> Iterator[Problem]:
    for name, column in spec.columns.items():
        yield from _limits(column, column.expect, ("columns", name, "expect"))
        yield from _limits(column, column.require, ("columns", name, "require"))
        if column.require.max_age is not None and column.type != "time":
            text = f"is for times, {name} is a {column.type}; write type: time if its cells are"
            yield Problem(("columns", name, "require", "max_age"), text)


def _limits(column: Column, limits: Expect, at: Path) -> Iterator[Problem]:
    for key in ("min", "max"):
        if getattr(limits, key) is not None and column.type != "number":
            text = (
                f"is for numbers, {at[1]} is a {column.type}; write type: number, or leave it out"
            )
            yield Problem((*at, key), text)
    for key in ("values", "regex"):
        if getattr(limits, key, None) is not None and column.type != "category":
            text = f"is for categories, {at[1]} is a {column.type}; write type: category"
            yield Problem((*at, key), f"{text}, or leave it out")


def _rules(spec: Spec) -> Iterator[Problem]:
    known, main = spec.all_columns, spec.sources.get(spec.primary, spec.source)
    cells = CellRules(missing=main.missing, strip=main.strip, decimal=main.decimal)
    for name, rule in spec.rules.items():
        at = ("rules", name)
        try:
            parsed = parse(rule)
        except ExpressionError as error:
            yield Problem(at, f"cannot be read: {error}")
            continue
        unknown = [column for column in parsed.columns if column not in known] if known else []
        for column in unknown:
            text = f"uses {column!r}, which is no column; {_nearest(column, known)}"
            yield Problem(at, text)
        if not known or unknown:
            continue
        try:
            bind(parsed, {key: known[key].type for key in parsed.columns}, cells.category_of)
        except ExpressionError as error:
            yield Problem(at, f"does not fit: {error}")


def _keys(spec: Spec) -> list[str]:
    return [spec.sources[spec.primary].key] if spec.primary else []


def _made(spec: Spec) -> Iterator[Problem]:
    """Row expressions."""
    known = spec.all_columns
    for name, expression in spec.derive.items():
        at = ("derive", name)
        if not name.strip():
            yield Problem(at, "has no name; write the new column's in front of its expression")
        if name in known or name in spec.derived or name == spec.target.column:
            text = "is a column already; give what is derived a name of its own"
            yield Problem(at, f"{text}, such as {name}_derived")
        elif name in spec.sources:
            yield Problem(at, "is the name of a source; give what is derived another one")
        try:
            parsed = parse_value(expression)
        except ExpressionError as error:
            yield Problem(at, f"cannot be read: {error}")
            continue
        texts = list(_not_usable(spec, parsed))
        yield from (Problem(at, text) for text in texts)
        if texts or not known:
            continue
        try:
            bind_value(parsed, {key: known[key].type for key in parsed.columns})
        except ExpressionError as error:
            yield Problem(at, f"does not fit: {error}")


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
            yield f"uses {column!r}, which is no column; {_nearest(column, known)}"
        elif known and not known[column].available_at_prediction:
            yield f"uses {column!r}, which is not available at prediction"


def _training(spec: Spec) -> Iterator[Problem]:
    group, known = spec.training.group_column, spec.all_columns
    if group is not None and group == spec.target.column:
        yield Problem(
            ("training", "group_column"), f"{group!r} is the target; name what rows have in common"
        )
    elif group is not None and known and group not in {*known, *_keys(spec)}:
        text = f"{group!r} is not among columns; {_nearest(group, known)}"
        yield Problem(("training", "group_column"), text)
    name, at = spec.training.time_column, ("training", "time_column")
    if name is not None and name == spec.target.column:
        yield Problem(at, f"{name!r} is the target; name the column that says when")
    elif name is not None:
        yield from _time_column(spec, name, at)
    for place, text in search_problems(spec.training):
        yield Problem(("training", *place), text)
    if spec.training.class_weight == "balanced" and spec.task != "binary":
        text = "is for binary tasks: scores are recalibrated, which takes one probability a row"
        yield Problem(("training", "class_weight"), text)


def _time_column(spec: Spec, name: str, at: Path) -> Iterator[Problem]:
    """`name` must be a column of the primary that holds times. Nothing is known of a file whose
    columns the first training infers."""
    column = spec.columns.get(name)
    if column is not None and column.type != "time":
        text = f"{name!r} is a {column.type}; write columns: {{{name}: {{type: time}}}}"
        yield Problem(at, text)
    elif column is None and spec.columns:
        times = [key for key, other in spec.columns.items() if other.type == "time"]
        text = f"{name!r} is not among columns; {_nearest(name, times or spec.columns)}"
        yield Problem(at, text)


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return f"known here: {shown or 'none'}"
