"""What quarantine did to the data: counts, examples, and whether what is left is still the same.

A slice (a level of a category, a class of the target) gets a warning when its share among the
quarantined rows differs from that among the kept ones by more than 5 points and by more than 4
standard errors (two-proportion z test); a regression target when its means differ by more than a
fifth of the kept rows' standard deviation and 4 standard errors. Pure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from shared.tabular.targets import Outcome
from shared.tabular.validating.distinct import Distinct
from shared.tabular.validating.row_reasons import ROW_REASONS, BadRow
from shared.tabular.validating.sifting import Sifted

EXAMPLES = 3
MAX_LEVELS = 20
POINTS = 0.05
ERRORS = 4.0
EFFECT = 0.2
MIN_BAD = 20
_MAX_REASONS = 200
_CELL_LENGTH = 200

Counts = tuple[int, int]  # among kept rows, among quarantined ones


class Summary:
    """Adds up blocks. `names` are the columns of a bad row's cells."""

    def __init__(self, outcome: Outcome, names: Sequence[str]) -> None:
        self._outcome, self._names = outcome, tuple(names)
        self.good = self.bad = 0
        self._sources: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self._examples: dict[str, list[dict[str, Any]]] = {}
        self._slices: dict[str, dict[str, list[int]] | None] = {}
        self._moments = np.zeros((2, 3))  # count, sum, sum of squares: kept, quarantined
        self.classes = np.zeros((2, len(outcome.labels)), np.int64)

    @property
    def rows(self) -> int:
        return self.good + self.bad

    def add(self, sifted: Sifted) -> None:
        """A block of the rows that are learned from."""
        self.good += int(sifted.good.sum())
        self.bad += len(sifted.bad)
        self._add_reasons(sifted.bad)
        for kept, mask in enumerate((~sifted.good, sifted.good)):
            values = sifted.target[mask]
            values = values[~np.isnan(values)]
            if self._outcome.labels:
                found = np.bincount(values.astype(np.intp), minlength=len(self._outcome.labels))
                self.classes[1 - kept] += found
            else:
                moments = [len(values), values.sum(), np.square(values).sum()]
                self._moments[1 - kept] += moments
        for name, column in sifted.columns.items():
            if column.values.dtype == object:
                self._add_levels(name, column, sifted)

    def add_other(self, row: BadRow) -> None:
        """A row of a joined source: it has reasons, but is none of the rows to learn from."""
        self._sources[row.role] += 1
        self._add_reasons([row])

    @property
    def others(self) -> dict[str, int]:
        """Bad rows of joined sources."""
        return dict(self._sources)

    def to_json(self) -> dict[str, Any]:
        """summary.json."""
        ranked = sorted(self._reasons.items(), key=lambda item: (-item[1], item[0]))
        slices = {
            name: {level: (kept, bad) for level, (kept, bad) in sorted(levels.items())}
            for name, levels in self._slices.items()
            if levels
        }
        body: dict[str, Any] = {
            "rows": self.rows,
            "good": self.good,
            "quarantined": self.bad,
            "reasons": dict(ranked),
            "codes": {
                code: {
                    "rows": count,
                    "sentence": ROW_REASONS.get(code, ""),
                    "examples": self._examples[code],
                }
                for code, count in self.codes.most_common()
            },
            "target": self._target(),
            "slices": {name: _shares(levels) for name, levels in slices.items()},
            "warnings": [*self._target_warnings(), *_slice_warnings(slices)],
        }
        return body | ({"sources": dict(self._sources)} if self._sources else {})

    def most_frequent(self) -> str:
        """The reason that most rows have."""
        return min(self._reasons, key=lambda reason: (-self._reasons[reason], reason))

    def _add_reasons(self, bad: Iterable[BadRow]) -> None:
        for row in bad:
            codes = row.codes or ("",) * len(row.reasons)
            for code, reason in zip(codes, row.reasons, strict=True):
                self.codes[code] += 1
                rule = reason.partition(" (it is ")[0]
                if rule in self._reasons or len(self._reasons) < _MAX_REASONS:
                    self._reasons[rule] += 1
                examples = self._examples.setdefault(code, [])
                if len(examples) < EXAMPLES:
                    examples.append(self._example(row, reason))

    def _example(self, row: BadRow, reason: str) -> dict[str, Any]:
        names = row.names or self._names
        cells: Any = [cell[:_CELL_LENGTH] for cell in row.cells[: len(names) + 5]]
        if len(row.cells) == len(names):
            cells = dict(zip(names, cells, strict=False))
        return {"source": row.source, "record": row.record, "reason": reason, "cells": cells}

    def _add_levels(self, name: str, column: Distinct, sifted: Sifted) -> None:
        """Levels of a category, until there are too many to be slices. Missing ones are none, and
        neither are those that the column's own rules refuse."""
        levels = self._slices.setdefault(name, {})
        if levels is None:
            return
        size = len(column.values)
        kept = np.bincount(column.codes[sifted.good], minlength=size).tolist()
        bad = np.bincount(column.codes[~sifted.good], minlength=size).tolist()
        for level, one, other in zip(column.values.tolist(), kept, bad, strict=True):
            if level:
                counts = levels.setdefault(level, [0, 0])
                counts[0] += one
                counts[1] += other
            if len(levels) > MAX_LEVELS:
                self._slices[name] = None
                return

    def _target(self) -> dict[str, Any]:
        """The base rate of kept and quarantined rows, of those whose target can be read."""
        if self._outcome.labels:
            return _shares(self._class_counts())
        means = [
            round(float(total / count * self._outcome.scale), 6) if count else None
            for count, total, _ in self._moments
        ]
        return {"mean": {"kept": means[0], "quarantined": means[1]}}

    def _class_counts(self) -> dict[str, Counts]:
        pairs = zip(*self.classes.tolist(), strict=True)
        return dict(zip(self._outcome.spelled, pairs, strict=True))

    def _target_warnings(self) -> Iterator[str]:
        if self._outcome.labels:
            yield from _slice_warnings({"the target": self._class_counts()})
            return
        (kept, kept_sum, kept_squares), (bad, bad_sum, bad_squares) = self._moments.tolist()
        if bad < MIN_BAD or kept < MIN_BAD:
            return
        means = kept_sum / kept, bad_sum / bad
        spread = max(0.0, kept_squares / kept - means[0] ** 2)
        other = max(0.0, bad_squares / bad - means[1] ** 2)
        apart, error = abs(means[0] - means[1]), math.sqrt(spread / kept + other / bad)
        if apart > max(ERRORS * error, EFFECT * math.sqrt(spread)):
            scale = self._outcome.scale
            yield (
                f"the target is {means[1] * scale:.6g} on average in quarantined rows, "
                f"{means[0] * scale:.6g} in kept ones"
            )


def _shares(levels: dict[str, Counts]) -> dict[str, dict[str, float | None]]:
    kept, bad = _totals(levels)
    return {
        level: {
            "kept": round(one / kept, 4) if kept else None,
            "quarantined": round(other / bad, 4) if bad else None,
        }
        for level, (one, other) in levels.items()
    }


def _slice_warnings(slices: dict[str, dict[str, Counts]]) -> Iterator[str]:
    for name, levels in slices.items():
        kept, bad = _totals(levels)
        if bad < MIN_BAD or kept < MIN_BAD:
            continue
        for level, (one, other) in levels.items():
            share, of_bad = one / kept, other / bad
            pooled = (one + other) / (kept + bad)
            error = math.sqrt(pooled * (1 - pooled) * (1 / kept + 1 / bad))
            if abs(share - of_bad) > max(POINTS, ERRORS * error):
                yield (
                    f"{name} is {level!r} in {of_bad:.1%} of the quarantined rows, "
                    f"in {share:.1%} of those kept"
                )


def _totals(levels: dict[str, Counts]) -> Counts:
    return sum(one for one, _ in levels.values()), sum(other for _, other in levels.values())
