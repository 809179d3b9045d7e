"""How often a holdout was looked at: one small object per comparison with a champion.

    comparisons/<model>/<run>-<holdout>.json

Counting is listing names. A run that is tried again finds its own name and does not count itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from shared import documents, paths
from shared.budget import Looks
from shared.ports import Bucket


def holdout_identity(keys: Sequence[bytes]) -> str:
    """Names these rows, in whatever order they come."""
    return hashlib.sha256(b"".join(sorted(keys))).hexdigest()[:16]


def looks_before(model: str, run_id: str, holdout: str, *, lake: Bucket) -> Looks:
    """The comparisons of this model before the run's own."""
    folder = paths.comparison(model)
    names = [info.name.removeprefix(folder) for info in lake.list(folder)]
    # Run ids begin with their time: what came later does not change what a retry writes.
    earlier = [name for name in names if name < run_id]
    same = sum(name.endswith(f"-{holdout}.json") for name in earlier)
    return Looks(holdout, len(earlier), same)


def note_look(model: str, run_id: str, comparison: dict[str, Any], *, lake: Bucket) -> None:
    """Remember a comparison in which a gain over a champion was measured."""
    if comparison["gain"] is None:
        return
    name = paths.comparison(model, f"{run_id}-{comparison['budget']['holdout']}.json")
    kept = ("version", "against", "gain", "gain_lower", "alpha", "evidence")
    body = documents.dumps({key: comparison[key] for key in kept})
    lake.write(name, body, content_type="application/json")
