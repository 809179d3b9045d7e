"""Which statistic a column is judged by, and where it begins to count. Pure.

A threshold is a PSI. That of another statistic is, unless told otherwise, what a normal column
comes to when it moves as far as makes this PSI, the root of it in standard deviations:

    PSI 0.1, moved by 0.32     Wasserstein 0.32, KS 0.13, Cramér's V 0.16, Jensen-Shannon 0.11

so that a change of statistic does not change what is far. Wasserstein's is in standard deviations
of the training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.statistic_names import Statistic


@dataclass(frozen=True, slots=True)
class Measures:
    """`number` and `category` are the statistics of their types, but for some `columns`;
    `thresholds` are those that do not follow from the PSI."""

    psi: float
    number: Statistic = "psi"
    category: Statistic = "psi"
    columns: Mapping[str, Statistic] = field(default_factory=dict)
    thresholds: Mapping[Statistic, float] = field(default_factory=dict)

    def of(self, kind: str, column: str | None = None) -> Statistic:
        """`column` is None for what is no feature."""
        usual = self.number if kind == "number" else self.category
        return usual if column is None else self.columns.get(column, usual)

    def threshold(self, statistic: Statistic, part: float = 1.0) -> float:
        """From where on a move counts; with `part` one whose PSI is this part of it."""
        own = self.thresholds.get(statistic)
        return round(equal_to(statistic, self.psi) if own is None else own, 4) * scale(
            statistic, part
        )


def equal_to(statistic: Statistic, psi: float) -> float:
    """The value of a statistic that stands for this PSI."""
    moved = math.sqrt(psi)  # by so many standard deviations
    return {
        "psi": psi,
        "js": moved / math.sqrt(8),
        "chi_square": moved / 2,
        "ks": math.erf(moved / math.sqrt(8)),
        "wasserstein": moved,
    }[statistic]


def scale(statistic: Statistic, part: float) -> float:
    """What a part of a PSI is of another statistic: PSI goes with the square of a move."""
    return part if statistic == "psi" else math.sqrt(part)
