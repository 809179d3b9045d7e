"""Did a column change its unit: metres that became kilometres, Fahrenheit that became Celsius?

It did where the column went far from the reference and undoing a known change of units brings it
back. A drift that merely went far is none. Pure, numpy only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.tabular.distances import corrected_psi, pool
from shared.tabular.profile import number_counts

# PSI of a jump at least, and what may be left of it when it is undone.
FAR, LEFT = 0.25, 0.1
# Powers of ten do not happen by themselves. Prices that rise by half do, so the middle must be
# where any other ratio puts it.
TENS = (10.0, 100.0, 1000.0, 1e6)
RATIOS = (1.609344, 2.204623, 2.54, 3.28084, 60.0, 3600.0)
CLOSE = 0.04
# What may be a temperature, in any unit.
COLDEST, HOTTEST = -460.0, 1000.0


@dataclass(frozen=True, slots=True)
class UnitJump:
    """`psi` of the column as it is, `undone` of what it would be without the jump."""

    psi: float
    undone: float
    what: str


@dataclass(frozen=True, slots=True)
class _Change:
    """now = before * factor + offset."""

    factor: float
    offset: float
    what: str
    plain: bool = False

    def fits(self, before: float | None, now: float, lowest: float, highest: float) -> bool:
        """True when the middle is where this change puts it, and, with an offset, the reference
        (`lowest` to `highest`) may be temperatures."""
        if self.plain:
            return True
        if not before or (self.offset and not COLDEST <= lowest <= highest <= HOTTEST):
            return False
        there = before * self.factor + self.offset
        return abs(now - there) <= CLOSE * max(abs(there), abs(highest - lowest) / 10)


def unit_jump(profile: Mapping[str, Any], present: NDArray[np.float64]) -> UnitJump | None:
    """`present` are the window's values without missing ones, `profile` the reference's."""
    edges = np.array(profile["edges"], np.float64)
    if not len(present) or not len(edges):
        return None
    before = np.array(profile["shares"]) * profile["present"]

    def away(values: NDArray[np.float64]) -> float:
        return corrected_psi(*pool(before, number_counts(values, edges).astype(np.float64)))

    psi = away(present)
    if psi < FAR:
        return None
    before_middle, middle = _middle(profile), float(np.median(present))
    for change in _CHANGES:
        if change.fits(before_middle, middle, profile["min"], profile["max"]):
            undone = away((present - change.offset) / change.factor)
            if undone <= LEFT:
                return UnitJump(psi, undone, change.what)
    return None


def _middle(profile: Mapping[str, Any]) -> float | None:
    """The median of the reference, None where no bin ends there."""
    shares = np.cumsum(profile["shares"])
    near = np.flatnonzero(np.abs(shares - 0.5) < CLOSE)
    return float(profile["edges"][near[0]]) if len(near) else None


def _changes() -> Iterator[_Change]:
    for ratios in (TENS, RATIOS):
        for ratio in ratios:
            plain = ratios is TENS
            yield _Change(ratio, 0.0, f"{ratio:g} times what it was", plain)
            yield _Change(1 / ratio, 0.0, f"a {ratio:g}th of what it was", plain)
    yield _Change(5 / 9, -160 / 9, "Celsius instead of Fahrenheit")
    yield _Change(9 / 5, 32.0, "Fahrenheit instead of Celsius")
    yield _Change(1.0, 273.15, "Kelvin instead of Celsius")
    yield _Change(1.0, -273.15, "Celsius instead of Kelvin")


_CHANGES = tuple(_changes())
