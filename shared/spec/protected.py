"""Which changes of a spec a person approves first: those that decide who may serve, who may start
a training and what a data error may hide. Pure.

Outside the contexts of one's own machine such a change comes into force by an approval only. A
model's first spec needs none: nothing serves yet that it could weaken.
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.spec.differences import Difference

PARTS = frozenset({"promotion", "retrain", "labels", "serving", "checks", "max_bad_rows"})
KEYS = frozenset({("training", "false_positive_ceiling")})
OF_COLUMNS = "allow_leak"
# Installations on one's own machine, where whoever drops a spec is who would approve it.
FREE_CONTEXTS = frozenset({"local", "demo"})


def asks_in(context: str) -> bool:
    """True where protected changes wait for a person."""
    return context not in FREE_CONTEXTS


def protected(found: Iterable[Difference]) -> list[Difference]:
    """Those that need an approval."""
    return [item for item in found if _is_protected(item)]


def _is_protected(item: Difference) -> bool:
    path = item.path
    if path[0] in PARTS or path in KEYS:
        return True
    if path[0] != "columns" or len(path) < 2:
        return False
    whole = item.new if item.change == "added" else None  # a new column that may leak at once
    return path[2:] == (OF_COLUMNS,) or (isinstance(whole, dict) and OF_COLUMNS in whole)
