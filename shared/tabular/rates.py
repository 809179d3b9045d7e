"""Bounds of a rate: so many events among so many rows (Clopper and Pearson 1934). Pure.

They are exact, and hold for 0 events and for fractional numbers of rows (what dependent rows are
worth: Korn and Graubard 1998).
"""

from __future__ import annotations

import numpy as np

from shared.tabular.metrics import Floats

CONFIDENCE = 0.95
_LITTLE = 1e-9


def rate_upper(events: Floats | float, rows: float, confidence: float = CONFIDENCE) -> Floats:
    """One-sided upper bound; 1 without rows."""
    from scipy.special import betaincinv

    found = np.asarray(events, np.float64)
    bound: Floats = betaincinv(found + 1, np.maximum(rows - found, _LITTLE), confidence)
    return np.where(found >= rows, 1.0, bound)


def rate_lower(events: float, rows: float, confidence: float = CONFIDENCE) -> float:
    """One-sided lower bound; 0 without events."""
    from scipy.special import betaincinv

    if events <= 0:
        return 0.0
    return float(betaincinv(events, rows - events + 1, 1 - confidence))


def rate_interval(
    events: float, rows: float, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Two-sided interval; 0 to 1 without rows."""
    each = (1 + confidence) / 2
    return rate_lower(events, rows, each), float(rate_upper(events, rows, each))
