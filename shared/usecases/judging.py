"""What policy says about a stored version, by its comparison and the spec in force. Reads only."""

from __future__ import annotations

from typing import Any

from shared import documents, paths
from shared.errors import ObjectNotFound
from shared.policy import Verdict, judge
from shared.ports import Bucket
from shared.spec.registry import read_spec


def judge_version(
    model: str, version: str, *, champion: str | None, pinned: bool, lake: Bucket
) -> Verdict:
    """The verdict against who serves now. Raises ObjectNotFound for a version without a
    comparison."""
    comparison = documents.require(lake, paths.version(model, version, "comparison.json"))
    return _judge(model, comparison, champion=champion, pinned=pinned, lake=lake)


def judge_as_compared(
    model: str, version: str, *, pinned: bool = False, lake: Bucket
) -> Verdict | None:
    """The verdict against whom it was compared with, whoever serves now: for decisions that policy
    did not make. None for a version without a comparison."""
    try:
        comparison = documents.require(lake, paths.version(model, version, "comparison.json"))
    except ObjectNotFound:
        return None
    return _judge(model, comparison, champion=comparison["against"], pinned=pinned, lake=lake)


def _judge(
    model: str, comparison: dict[str, Any], *, champion: str | None, pinned: bool, lake: Bucket
) -> Verdict:
    promotion = read_spec(model, lake=lake).spec.promotion
    return judge(comparison, promotion, champion=champion, pinned=pinned)
