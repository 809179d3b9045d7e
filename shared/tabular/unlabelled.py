"""What a calibrated classifier's own scores let expect of its performance, before there are labels.

A probability that is right says how often it is right: each row counts as a positive to the part of
its score and as a negative to the rest (confidence-based estimation). It holds where P(y|x) is
unchanged, which nobody knows without labels, and so it never alarms. Pure, numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Expected calibration error on the holdout above which scores are no probabilities.
MOST_ERROR = 0.03
ASSUMES = "assumes P(y|x) unchanged"


def expected_auroc(scores: NDArray[np.float64]) -> float | None:
    """AUROC if every score is the probability of its row; None where all are alike or too few."""
    known = np.sort(scores[~np.isnan(scores)])
    if len(known) < 2 or known[0] < 0 or known[-1] > 1 or known[0] == known[-1]:
        return None
    _, first = np.unique(known, return_index=True)
    positive, negative = np.add.reduceat(known, first), np.add.reduceat(1 - known, first)
    below = np.cumsum(negative) - negative
    pairs = float((positive * (below + negative / 2)).sum())
    every = float(positive.sum() * negative.sum())
    # A row is no pair with itself.
    own = known * (1 - known)
    every_but_own = every - float(own.sum())
    return (pairs - float(own.sum()) / 2) / every_but_own if every_but_own > 0 else None


def estimate_sentence(reference: Mapping[str, Any], scores: NDArray[np.float64]) -> str:
    """What the scores of a window let expect; nothing for a model whose scores are no probabilities
    on its holdout."""
    error = reference.get("metrics", {}).get("ece", {}).get("value")
    base = reference.get("performance")
    if reference["task"] != "binary" or error is None or error > MOST_ERROR or not base:
        return ""
    found = expected_auroc(scores)
    if found is None:
        return ""
    return (
        f"the scores alone let expect an AUROC of {found:.4g} (holdout {base['value']:.4g}); "
        f"{ASSUMES}"
    )
