"""Models that are known, for people who mistyped one."""

from __future__ import annotations

import difflib

from shared.ports import Bucket
from shared.spec.registry import find_spec, known_models


def did_you_mean(model: str, lake: Bucket) -> str:
    """`did you mean churn?` for a name without a spec that is like one with a spec, else empty."""
    if find_spec(model, lake=lake) is not None:
        return ""
    close = difflib.get_close_matches(model, known_models(lake=lake), 1)
    return f"did you mean {close[0]}?" if close else ""


def unknown(model: str, lake: Bucket) -> str:
    """A sentence for a model that has no spec."""
    known = ", ".join(known_models(lake=lake)) or "none"
    hint = did_you_mean(model, lake)
    return f"there is no model {model!r}; known: {known}" + (f"; {hint}" if hint else "")
