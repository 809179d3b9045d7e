"""The name that somebody may have meant, for the end of a sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], most: int | None = 8) -> str:
    """The likeliest of the known names, else `most` of them (None: all)."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    shown = ", ".join(names[:most]) + (", ..." if most is not None and len(names) > most else "")
    return f"known here: {shown or 'none'}"
