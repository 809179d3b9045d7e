"""Rows that a model can learn from, and those that only a person can mend, block by block.

    cells by column -> types, require, times, max_age -> rules -> target -> unique -> good | bad

Every row is one or the other; a bad one keeps all its reasons and its cells as in the file. What a
cell is and what it breaks is decided by the code that serving runs (see `distinct`). Knows no
buckets.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.errors import BadSpec
from shared.rules import binding as rules
from shared.rules.expressions import ExpressionError, parse
from shared.serving.cells import Rule
from shared.serving.columns import Columns, Schema, bounds_of
from shared.serving.features import NO_BOUNDS, Bounds, Feature
from shared.serving.problems import in_words, problem_of, rule_of
from shared.spec.model import Spec, format_duration
from shared.tabular.reading.blocks import Block
from shared.tabular.targets import Outcome
from shared.tabular.validating.distinct import Distinct, judge, normalise
from shared.tabular.validating.row_reasons import BadRow
from shared.tabular.validating.uniqueness import Unique

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sifted:
    """A block, sifted. The features in `columns` and the `target` have all its rows (missing where
    a cell is bad), `good` says which are kept; `cells` are those rows' texts as they are kept,
    features then target. `times` and `groups` (texts, "" for unknown) are
    what a split goes by. `bad` is in record order."""

    source: str
    record: NDArray[np.int64]
    good: Mask
    columns: dict[str, Distinct]
    target: NDArray[np.float64]
    times: NDArray[np.float64] | None
    groups: NDArray[Any] | None
    cells: dict[str, pa.Array]
    bad: list[BadRow]


@dataclass(frozen=True, slots=True)
class _Watched:
    """A column that is looked at and is no feature, or one with more to it than a cell's rule."""

    name: str
    kind: rules.Kind
    require: Bounds
    unique: bool = False
    max_age: timedelta | None = None


class Sieve:
    """Sifts the blocks of one reading, in order: it remembers what must be unique.

    Args:
        names: The columns that there are.
        shown: The columns of a bad row's cells: those of the file.
        arrived: Seconds since 1970; `max_age` is counted from there.
        group: The column that says which rows belong together, if the split asks for one.
        files: False for rows that were predictions once: features and target only.

    Raises BadSpec for rules that do not fit the columns.
    """

    def __init__(
        self,
        spec: Spec,
        schema: Schema,
        outcome: Outcome,
        *,
        names: Collection[str],
        shown: Sequence[str],
        arrived: float = math.nan,
        group: str | None = None,
        files: bool = True,
    ) -> None:
        self._schema, self._outcome, self._shown = schema, outcome, tuple(shown)
        self._target, self._arrived = spec.target.column, arrived
        self._rules = _bound_rules(spec, schema, names) if files else _feature_rules(schema)
        self._time = spec.training.time_column if files else None
        self._group, self._grouped = group, spec.training.split == "grouped"
        self._watched = _watched(spec, names, self._rules) if files else []
        features = set(schema.names)
        self._others = [column for column in self._watched if column.name not in features]
        self._unique = Unique([column.name for column in self._watched if column.unique])

    def sift(self, source: str, block: Block) -> Sifted:
        """Separate the rows of a block."""
        judged = {
            feature.name: judge(block.cells[feature.name], feature, self._schema)
            for feature in self._schema.inputs
        }
        for column in self._others:
            judged[column.name] = self._judge(column, block.cells[column.name])
        reasons = _Reasons(len(block))
        for name, found in judged.items():
            reasons.add_cells(name, found)
        self._check_ages(judged, reasons)
        self._check_time(judged, reasons)
        groups = self._check_groups(block, reasons)
        values = {name: found.rows() for name, found in judged.items()}
        self._check_rules(values, block, reasons)
        target, kept_target = self._check_target(block.cells[self._target], reasons)
        self._check_unique(source, block, judged, reasons)
        good = ~reasons.broken
        keep = pa.array(good)
        kept = {name: judged[name].kept_rows() for name in self._schema.names}
        kept[self._target] = kept_target
        return Sifted(
            source=source,
            record=block.record,
            good=good,
            columns={name: judged[name] for name in self._schema.names},
            target=target,
            times=values[self._time] if self._time else None,
            groups=groups,
            cells={name: column.filter(keep) for name, column in kept.items()},
            bad=list(_bad_rows(source, block, self._shown, reasons)),
        )

    def _judge(self, column: _Watched, cells: pa.Array) -> Distinct:
        feature = Feature(column.name, column.kind, require=column.require)
        return judge(cells, self._schema.canonical(feature), self._schema)

    def _check_ages(self, judged: dict[str, Distinct], reasons: _Reasons) -> None:
        for column in self._watched:
            if column.max_age is None:
                continue
            found = judged[column.name]
            with np.errstate(invalid="ignore"):
                old = self._arrived - found.rows() > column.max_age.total_seconds()
            rule = Rule(f"must be at most {format_duration(column.max_age)} old", "max_age")
            for row in np.flatnonzero(old).tolist():
                reasons.add(row, column.name, found.at(row)[0], rule)

    def _check_time(self, judged: dict[str, Distinct], reasons: _Reasons) -> None:
        """A row without a time has no place in a split by time."""
        if self._time is None:
            return
        rule = Rule("must be present: the split goes by it", "no_time")
        found = judged[self._time]
        gone = np.isnan(found.rows()) & ~found.broken()
        for row in np.flatnonzero(gone).tolist():
            reasons.add(row, self._time, found.at(row)[0], rule)

    def _check_groups(self, block: Block, reasons: _Reasons) -> NDArray[Any] | None:
        """Which group each row is of; without one it has no place in a split by groups."""
        if self._group is None:
            return None
        found = judge(block.cells[self._group], Feature(self._group, "category"), self._schema)
        groups = found.rows()
        if self._grouped:
            rule = Rule("must be present: the split goes by it", "no_group")
            for row in np.flatnonzero(groups == "").tolist():
                reasons.add(row, self._group, found.at(row)[0], rule)
        return groups

    def _check_rules(self, values: Columns, block: Block, reasons: _Reasons) -> None:
        for name, bound in self._rules:
            with np.errstate(all="ignore"):
                broken = np.asarray(bound.broken(values), bool)
            rule = rule_of(name, bound.text)
            for row in np.flatnonzero(broken).tolist():
                shown = ", ".join(
                    f"{column}: {block.cells[column][row].as_py()}" for column in bound.columns
                )
                reasons.add(row, None, shown, rule)

    def _check_target(
        self, cells: pa.Array, reasons: _Reasons
    ) -> tuple[NDArray[np.float64], pa.StringArray]:
        """The target of every row, NaN where it has none, and its texts as they are kept."""
        found = cells.dictionary_encode()
        texts = normalise(found.dictionary.to_pylist(), self._schema)
        parsed = self._outcome.parse(texts)
        codes = found.indices.to_numpy(zero_copy_only=False)
        bad = np.zeros(len(texts), bool)
        bad[list(parsed.problems)] = True
        for row in np.flatnonzero(bad[codes]).tolist():
            rule = parsed.problems[int(codes[row])]
            reasons.add_sentence(row, f"{self._target}: {rule}", rule.code)
        return parsed.values[codes], pa.array(texts, pa.string()).take(found.indices)

    def _check_unique(
        self, source: str, block: Block, judged: dict[str, Distinct], reasons: _Reasons
    ) -> None:
        """Only good rows count: a copy that cannot be used stands in nobody's way."""
        for row, name, first in self._unique.repeats(source, block.record, judged, ~reasons.broken):
            text = block.cells[name][row].as_py()
            shown = str(problem_of(row, name, text, "")["value"])
            reasons.add_sentence(
                row,
                f"{name}: must be unique (it is {shown!r}, as in {first}, which stays)",
                "unique",
            )


class _Reasons:
    """Why rows of a block are bad."""

    def __init__(self, rows: int) -> None:
        self.broken: Mask = np.zeros(rows, bool)
        self.sentences: dict[int, list[str]] = {}
        self.codes: dict[int, list[str]] = {}

    def add_cells(self, name: str, found: Distinct) -> None:
        if found.rules:
            for row in np.flatnonzero(found.broken()).tolist():
                text, rule = found.at(row)
                if rule is not None:
                    self.add(row, name, text, rule)

    def add(self, row: int, name: str | None, text: str, rule: Rule) -> None:
        self.add_sentence(row, in_words(problem_of(row, name, text, rule)), rule.code)

    def add_sentence(self, row: int, sentence: str, code: str) -> None:
        self.broken[row] = True
        self.sentences.setdefault(row, []).append(sentence)
        self.codes.setdefault(row, []).append(code)


def _bad_rows(
    source: str, block: Block, shown: Sequence[str], reasons: _Reasons
) -> Iterator[BadRow]:
    """Bad rows and ragged records in the order of the file."""
    rows = sorted(reasons.sentences)
    picked = pa.array(rows, pa.int64())
    cells = zip(*(block.cells[name].take(picked).to_pylist() for name in shown), strict=True)
    found = [
        BadRow(
            source,
            int(block.record[row]),
            texts,
            tuple(reasons.sentences[row]),
            tuple(reasons.codes[row]),
        )
        for row, texts in zip(rows, cells, strict=True)
    ]
    found += [
        BadRow(source, item.record, item.cells, (item.reason,), (item.code,))
        for item in block.ragged
    ]
    yield from sorted(found, key=lambda row: row.record)


# --- what is looked at ---------------------------------------------------------------------------

Rules = list[tuple[str, rules.Bound]]


def _feature_rules(schema: Schema) -> Rules:
    return list(schema.bound_rules)


def _bound_rules(spec: Spec, schema: Schema, names: Collection[str]) -> Rules:
    """The spec's rules. Raises BadSpec."""
    kinds: dict[str, rules.Kind] = {
        name: column.type for name, column in spec.all_columns.items() if name in names
    }
    try:
        return [
            (name, rules.bind(parse(text), kinds, schema.category_of))
            for name, text in spec.rules.items()
        ]
    except ExpressionError as error:
        raise BadSpec(f"rules: {error}") from error


def _watched(spec: Spec, names: Collection[str], bound: Rules) -> list[_Watched]:
    """Columns that are looked at beside the features' cells and the target: those with something
    required, times, and what rules or the split ask for."""
    asked = {column for _, rule in bound for column in rule.columns}
    if spec.training.time_column is not None:
        asked.add(spec.training.time_column)
    found = []
    for name, column in spec.all_columns.items():
        require = column.require
        bounds = bounds_of(require)
        wanted = bounds != NO_BOUNDS or require.unique or require.max_age is not None
        time = column.type == "time" and not column.exclude
        target = name == spec.target.column and name not in asked and not require.unique
        if name in names and not target and (wanted or time or name in asked):
            # The target's own rules are the outcome's business.
            bounds = NO_BOUNDS if name == spec.target.column else bounds
            found.append(_Watched(name, column.type, bounds, require.unique, require.max_age))
    return found
