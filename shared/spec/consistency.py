"""Rules about a whole spec, which no key can keep by itself. Pure; each problem is one sentence
that says what to write instead, with the path of the key it is about.

`shared.spec.model` asks; `shared.spec.load` turns paths into lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from shared.spec.deriving import derive_problems, rule_problems
from shared.spec.guarding import guarding_problems
from shared.spec.nearest import nearest
from shared.spec.parts import Column, Expect, Source
from shared.spec.scoring import scoring_problems
from shared.spec.search import search_problems
from shared.spec.serving import serving_problems
from shared.spec.sourcing import source_problems, time_column_problems
from shared.spec.watching import watching_problems

if TYPE_CHECKING:
    from shared.spec.model import Spec

Path = tuple[str, ...]


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
    found = (
        _target,
        _one_file,
        source_problems,
        _columns,
        rule_problems,
        derive_problems,
        _training,
        _labels,
        guarding_problems,
        serving_problems,
        scoring_problems,
        watching_problems,
    )
    return [Problem(*problem) for of_part in found for problem in of_part(spec)]


# --- target and files ----------------------------------------------------------------------------


def _target(spec: Spec) -> Iterator[Problem]:
    name, column = spec.target.column, spec.columns.get(spec.target.column)
    at, positive = ("target", "positive"), spec.target.positive
    if name in spec.derived:
        text = f"{name!r} is added by a source; what is predicted stands in the primary's files"
        yield Problem(("target", "column"), text)
    elif spec.columns and column is None:
        text = f"{name!r} is not among columns; {nearest(name, spec.columns)}"
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
        yield Problem(at, f"{text}; {nearest(positive, allowed)}")
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


# --- columns, training ---------------------------------------------------------------------------


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


def _keys(spec: Spec) -> list[str]:
    return [spec.sources[spec.primary].key] if spec.primary else []


def _training(spec: Spec) -> Iterator[Problem]:
    group, known = spec.training.group_column, spec.all_columns
    if group is not None and group == spec.target.column:
        yield Problem(
            ("training", "group_column"), f"{group!r} is the target; name what rows have in common"
        )
    elif group is not None and known and group not in {*known, *_keys(spec)}:
        text = f"{group!r} is not among columns; {nearest(group, known)}"
        yield Problem(("training", "group_column"), text)
    name, at = spec.training.time_column, ("training", "time_column")
    if name is not None and name == spec.target.column:
        yield Problem(at, f"{name!r} is the target; name the column that says when")
    elif name is not None:
        yield from (Problem(*found) for found in time_column_problems(spec, name, at))
    for place, text in search_problems(spec.training):
        yield Problem(("training", *place), text)
    if spec.training.class_weight == "balanced" and spec.task != "binary":
        text = "is for binary tasks: scores are recalibrated, which takes one probability a row"
        yield Problem(("training", "class_weight"), text)


def _labels(spec: Spec) -> Iterator[Problem]:
    key, known = spec.labels.key, spec.all_columns
    if key is not None and key == spec.target.column:
        yield Problem(("labels", "key"), f"{key!r} is the target; name what a prediction is about")
    elif key is not None and known and key not in {*known, *_keys(spec)}:
        text = (
            f"{key!r} is not among columns, so no prediction could be found by it; list it, with "
            f"exclude: true if nothing is to be learned from it"
        )
        yield Problem(("labels", "key"), text)
