"""What can be wrong with the sources of a model, one by one and together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.serving.sources.aggregates import literal_as_of, parse_all
from shared.spec.nearest import nearest
from shared.spec.parts import JoinedSource

if TYPE_CHECKING:
    from shared.spec.model import Spec

Path = tuple[str, ...]
Found = tuple[Path, str]

SOURCE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_RESERVED = {  # a source's name is the role of its files, and a field of a record
    "corrected": "the files of rows that were mended",
    "instances": "the records of a prediction",
    "prediction_id": "a caller's own name of a prediction",
}
_DAY = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*")


def source_problems(spec: Spec) -> Iterator[Found]:
    """Each with the path of its key."""
    if not spec.sources:
        return
    yield from _one_primary(spec)
    added: dict[str, str] = {}
    for name, source in spec.sources.items():
        at: Path = ("sources", name)
        if not SOURCE_NAME.fullmatch(name):
            text = f"{name!r} is no name for a source; use [a-z][a-z0-9_]*, such as transactions"
            yield at, text
        yield from _taken(spec, name, at)
        yield from _own_columns(source, at)
        yield from _primary(spec, source, at) if source.primary else _joined(spec, source, at)
        for column in source.derived:
            if column in added:
                text = f"is added by {added[column]} as well; give one of them another name"
                yield (*at, _adds(source), column), text
            added[column] = name


def _taken(spec: Spec, name: str, at: Path) -> Iterator[Found]:
    """Names that mean something else in a run or in a record."""
    primary = [*spec.columns, spec.target.column]
    for source in spec.sources.values():
        primary += [column for column in (source.key, source.as_of) if column is not None]
    if name in _RESERVED:
        text = (
            f"has a name that is kept for {_RESERVED[name]}; use another one, such as {name}_rows"
        )
        yield at, text
    elif name in primary and name not in spec.derived:
        text = f"has the name of a column of the primary; use another one, such as {name}_rows"
        yield at, text


def _one_primary(spec: Spec) -> Iterator[Found]:
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
        yield ("sources",), text


def _own_columns(source: JoinedSource, at: Path) -> Iterator[Found]:
    """Keys that name columns of the source's own file, where those are known."""
    if not source.header and not source.primary and not source.columns:
        text = "is false, so columns must list this file's columns in order"
        yield (*at, "header"), text
    for key in ("key", "time"):
        name = getattr(source, key)
        if source.columns and name is not None and name not in source.columns:
            text = f"{name!r} is not among columns; {nearest(name, source.columns)}"
            yield (*at, key), text


def _primary(spec: Spec, source: JoinedSource, at: Path) -> Iterator[Found]:
    if source.key == spec.target.column:
        text = f"{source.key!r} is the target; a key says who a row is about"
        yield (*at, "key"), text
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
            yield (*at, key), f"{text}; leave it out here"
    if source.time is not None:
        yield from time_column_problems(spec, source.time, (*at, "time"))
    if not source.header and source.key not in spec.columns:
        text = f"is false, so columns must name the columns in order, {source.key} too"
        yield (*at, "header"), text


def _joined(spec: Spec, source: JoinedSource, at: Path) -> Iterator[Found]:
    for name, aggregate in source.aggregates.items():
        try:
            parse_all({name: aggregate}, time=source.time, as_of=source.as_of)
        except ValueError as error:
            reason = str(error).removeprefix(f"{name}: ")
            yield (*at, "aggregates", name), f"cannot be read: {reason}"
    if source.sql is not None and not re.match(r"\s*(select|with)\b", source.sql, re.IGNORECASE):
        text = "is no SELECT; write one SELECT that gives the key and the new columns"
        yield (*at, "sql"), text
    yield from _derived(spec, source, at)
    yield from _defaults(spec, source, at)
    if source.as_of is not None and literal_as_of(source.as_of) is None:
        if _DAY.fullmatch(source.as_of):
            yield (*at, "as_of"), f"{source.as_of!r} is no date; write it as 2026-01-31"
        elif source.sql is not None:
            text = (
                f"{source.as_of!r} is no date such as 2026-01-31; SQL sees the rows up to one "
                "moment, only aggregates may take it from a column of the primary"
            )
            yield (*at, "as_of"), text
        else:
            yield from time_column_problems(spec, source.as_of, (*at, "as_of"))


def _derived(spec: Spec, source: JoinedSource, at: Path) -> Iterator[Found]:
    for name, kind in source.derived.items():
        if name == source.key:
            text = "is the key, which is there anyway; leave it out"
            yield (*at, _adds(source), name), text
        column = spec.columns.get(name)
        # The last value of something may be text, which only `columns` can say.
        last = source.aggregates.get(name, "").strip().startswith("last")
        if column is not None and column.type != kind and not (last and column.type == "category"):
            text = f"is {column.type}, but {at[-1]} adds a {kind}; write type: {kind}"
            yield ("columns", name, "type"), text


def _defaults(spec: Spec, source: JoinedSource, at: Path) -> Iterator[Found]:
    derived = spec.derived
    for name, value in source.defaults.items():
        text = ""
        if name not in source.derived:
            text = f"is no column that {at[-1]} adds; {nearest(name, source.derived)}"
        elif derived[name].type == "number" and isinstance(value, str):
            text = f"is {value!r}, but {name} is a number; write one without quotes, such as 0"
        elif derived[name].type == "category" and not isinstance(value, str):
            text = f'is {value:g}, but {name} is text; write "{value:g}"'
        if text:
            yield (*at, "defaults", name), text


def _adds(source: JoinedSource) -> str:
    """The key under which the source names what it adds."""
    return "aggregates" if source.aggregates else "sql_columns"


def time_column_problems(spec: Spec, name: str, at: Path) -> Iterator[Found]:
    """`name` must be a column of the primary that holds times. Nothing is known of a file whose
    columns the first training infers."""
    column = spec.columns.get(name)
    if column is not None and column.type != "time":
        text = f"{name!r} is a {column.type}; write columns: {{{name}: {{type: time}}}}"
        yield at, text
    elif column is None and spec.columns:
        times = [key for key, other in spec.columns.items() if other.type == "time"]
        text = f"{name!r} is not among columns; {nearest(name, times or spec.columns)}"
        yield at, text
