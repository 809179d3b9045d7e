"""Semantic versions of models: what a new version is to those who use it. Pure.

major   what is sent or answered changed: columns or target
minor   the same question, another recipe: training, rules, aggregates, the kind of model
patch   the same recipe on other data
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from shared.spec.differences import Difference, Path, differences
from shared.spec.model import Spec

Level = Literal["patch", "minor", "major"]
_LEVELS: tuple[Level, ...] = ("patch", "minor", "major")
_NUMBER = re.compile(r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
# Parts of a spec that decide what is done with a model, not what it is. A key that is in none of
# these tables belongs to the recipe.
_POLICY = frozenset(
    {
        *("checks", "max_bad_rows", "promotion", "serving", "monitoring", "retrain"),
        *("scoring", "labels", "size", "title"),
    }
)
# How files are written and how long they are waited for, by the last key.
_TRANSPORT = frozenset(
    {
        *("format", "delimiter", "encoding", "header", "strip"),
        *("wait_hours", "on_timeout"),
    }
)
_MEANING = frozenset({"type", "exclude", "available_at_prediction"})  # of a column
_REMARKS = frozenset({"expect", "allow_leak"})
_SHOWN = 6


@dataclass(frozen=True, slots=True, order=True)
class Number:
    """A semantic version."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Number | None:
        """`1.2.0` (or `v1.2.0`), None for anything else."""
        match = _NUMBER.fullmatch(text)
        return cls(*map(int, match.groups())) if match else None

    def next(self, level: Level) -> Number:
        if level == "major":
            return Number(self.major + 1, 0, 0)
        if level == "minor":
            return replace(self, minor=self.minor + 1, patch=0)
        return replace(self, patch=self.patch + 1)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


FIRST = Number(1, 0, 0)


@dataclass(frozen=True, slots=True)
class Made:
    """What a version was made by: its effective spec, the candidate that won, and the features it
    learned from with their kinds (where a spec names no columns the file decides about them)."""

    spec: Spec
    candidate: str
    features: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """`because` names what made it more than a patch, the gravest first."""

    level: Level
    because: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"level": self.level, "because": list(self.because)}

    def __str__(self) -> str:
        if not self.because:
            return "the same recipe on other data"
        more = len(self.because) - _SHOWN
        return "; ".join(self.because[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def change(old: Made, new: Made) -> Change:
    """What the new version is to those who know the old one. What the search found (parameters,
    threshold) follows from recipe and data, and is no change by itself; another winner is."""
    inferred = not (old.spec.columns and new.spec.columns)
    header = new.spec.main_source.header
    found = [
        (level_of(item, header=header), str(item))
        for item in differences(old.spec, new.spec)
        if not (inferred and item.path[0] == "columns")
    ]
    if inferred:
        found += _features(old.features, new.features)
    if sorted(old.spec.carried_names()) != sorted(new.spec.carried_names()):
        found.append(("major", "derive: other columns have to come with a prediction"))
    if old.candidate != new.candidate:
        found.append(("minor", f"candidate: {old.candidate} -> {new.candidate}"))
    grave = sorted((item for item in found if item[0] != "patch"), key=_gravity)
    return Change(grave[0][0] if grave else "patch", tuple(text for _, text in grave))


def level_of(item: Difference, *, header: bool = True) -> Level:
    """What one difference between specs means for those who use the model."""
    head, leaf = item.path[0], item.path[-1]
    if head in ("task", "target"):
        return "minor" if leaf in ("low", "high") else "major"
    if head == "columns":
        return _column(item, header=header)
    if head == "sources":
        return _source(item.path, item.change)
    if head in _POLICY or (head == "source" and leaf in _TRANSPORT):
        return "patch"
    return "minor"


def _column(item: Difference, *, header: bool) -> Level:
    if item.change == "reordered":  # the order names the cells of a file without a header
        return "minor" if header else "major"
    if len(item.path) == 2:
        return "major"
    if item.path[2] in _MEANING:
        return "major"
    return "patch" if item.path[2] in _REMARKS else "minor"


def _source(path: Path, change: str) -> Level:
    """A source, or one of the columns that it adds, comes or goes; else how it is made."""
    if len(path) == 2:
        return "major"
    if path[2] in _TRANSPORT:
        return "patch"
    adds = len(path) == 4 and path[2] in ("aggregates", "sql_columns")
    return "major" if adds and change in ("added", "removed") else "minor"


def _features(old: Mapping[str, str], new: Mapping[str, str]) -> Sequence[tuple[Level, str]]:
    found: list[tuple[Level, str]] = []
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            found.append(("major", f"columns.{name} removed"))
        elif name not in old:
            found.append(("major", f"columns.{name} added"))
        elif old[name] != new[name]:
            found.append(("major", f"columns.{name}: {old[name]} -> {new[name]}"))
    return found


def _gravity(item: tuple[Level, str]) -> int:
    return -_LEVELS.index(item[0])
