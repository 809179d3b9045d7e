"""From what a caller sends to the columns that joined sources add. For each source a record has

    its key alone          {"customer_id": "CS1"}               looked up in the snapshot
    or all its columns     {"spent": 135.0, "visits": null}     taken as they are
    or its rows            {"transactions": [{...}, {...}]}     aggregated here and now

and a model of several sources takes any mix. Values are those that training and scoring compute
(`shared.serving.sources.aggregates`). Only models with joined sources have this step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.errors import InvalidInstances
from shared.serving.columns import Schema
from shared.serving.problems import Problem, problem_of
from shared.serving.sources.aggregates import SourceAggregates
from shared.serving.sources.forms import Cells, LookUp, Reader, RefusedCells
from shared.serving.sources.snapshot import Snapshot, fetch
from shared.serving.times import moment_of


@dataclass(frozen=True, slots=True)
class Resolved:
    """Records with all their columns, and what the answer to each one says about look-ups."""

    records: list[object]
    notes: list[dict[str, Any]]


class Resolver:
    """The joined sources of one model version.

    Args:
        schema: The model's; keys and cut-offs of a record are read as the primary's files are.
        snapshots: By source; a source without one cannot be looked up.
    """

    def __init__(
        self,
        schema: Schema,
        sources: Sequence[SourceAggregates],
        snapshots: Mapping[str, Snapshot],
    ) -> None:
        self._schema = schema
        readers = (Reader(source, schema, snapshots.get(source.name)) for source in sources)
        self._readers = [reader for reader in readers if reader.wanted]
        self._derived = {name for source in sources for name in source.types}
        keys = [source.key for source in sources]
        cutoffs = [source.as_of_column for source in sources if source.as_of_column]
        # What the inference log keeps of a record: who it is about, as of when, and its features.
        self.logged = tuple(dict.fromkeys([*keys, *cutoffs, *schema.logged]))
        # What a record may have for the sources: keys, moments, columns, rows.
        rows = [source.name for source in sources]
        self.fields = frozenset([*keys, *cutoffs, *rows, *self._derived])

    def resolve(self, records: Sequence[object], now: datetime) -> Resolved:
        """Records with the columns of all sources. Raises InvalidInstances with every problem of
        every row, FeaturesTooOld."""
        found: list[object] = []
        notes: list[dict[str, Any]] = []
        problems: list[Problem] = []
        for row, record in enumerate(records):
            if type(record) is not dict:  # the schema says what it should be
                found.append(record)
                notes.append({})
                continue
            cells: Cells = {}
            ups: list[LookUp] = []
            for reader in self._readers:
                try:
                    cells |= reader.read(record, now, ups.append)
                except RefusedCells as error:
                    problems += [problem_of(row, *cell) for cell in error.cells]
            found.append({**record, **cells})
            notes.append(self._note(ups))
        if problems:
            raise InvalidInstances(self._with_schemas(problems, found))
        return Resolved(found, notes)

    def describe(self) -> list[dict[str, Any]]:
        """What each source adds and how it can be given, for people."""
        return [reader.describe() for reader in self._readers]

    def _note(self, ups: list[LookUp]) -> dict[str, Any]:
        if not ups:
            return {}
        oldest = ups[0] if len(ups) == 1 else min(ups, key=lambda up: moment_of(up.as_of))
        note: dict[str, Any] = {"features_as_of": oldest.as_of}
        for flag in ("too_old", "defaulted"):
            if any(getattr(up, flag) for up in ups):
                note[f"features_{flag}"] = True
        if len(self._readers) > 1:
            note["features"] = {
                up.source: {"as_of": up.as_of, "too_old": up.too_old, "defaulted": up.defaulted}
                for up in ups
            }
        return note

    def _with_schemas(self, problems: list[Problem], records: list[object]) -> list[Problem]:
        """Also what the schema says, save for columns that could not be made."""
        rows = {problem["row"] for problem in problems}
        try:
            self._schema.from_records(records)
        except InvalidInstances as error:
            problems = problems + [
                problem
                for problem in error.problems
                if problem["row"] not in rows
                or (problem["column"] is not None and problem["column"] not in self._derived)
            ]
        return sorted(problems, key=lambda problem: problem["row"])  # type: ignore[arg-type, return-value]


def open_resolver(
    schema: Schema,
    sources: Sequence[SourceAggregates],
    download: Callable[[str, Path], Any],
) -> Resolver:
    """The resolver of a package's sources with all their snapshots.

    Args:
        download: `download(name, to)` copies an object of the lake to a file.

    Raises PackageInvalid, ObjectNotFound.
    """
    snapshots = {
        source.name: fetch(source.snapshot, download) for source in sources if source.snapshot
    }
    return Resolver(schema, sources, snapshots)
