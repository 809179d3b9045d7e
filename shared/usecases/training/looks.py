"""What a comparison found, where others look for it, and how often a holdout was looked at.

    models/<model>/<version>/comparison.json    the version's latest
    comparisons/<model>/<run>-<holdout>.json    one small object per comparison with a champion

Counting is listing names. A run that is tried again finds its own name and does not count itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from shared import documents, paths
from shared.budget import Looks
from shared.documents import Document
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


def tell(
    model: str, version: str, run_id: str, comparison: dict[str, Any], *, lake: Bucket
) -> None:
    """Make this the version's comparison.json, which promote judges, and remember it as a look if a
    gain over a champion was measured. Run ids begin with their time: the comparison of a later run
    stays, however late this comes."""
    if comparison["gain"] is not None and comparison.get("budget"):
        name = paths.comparison(model, f"{run_id}-{comparison['budget']['holdout']}.json")
        kept = ("version", "against", "gain", "gain_lower", "alpha", "evidence")
        documents.create(lake, name, {key: comparison[key] for key in kept})
    name, body = paths.version(model, version, "comparison.json"), {**comparison, "run_id": run_id}

    def unless_later(there: Document) -> dict[str, Any] | None:
        later = there.body == body or there.body.get("run_id", "") > run_id
        return None if later else body

    documents.change(lake, name, unless_later)
