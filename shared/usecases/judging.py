"""What policy says about a stored version, by its comparison and the spec in force. Reads only."""

from __future__ import annotations

from typing import Any

from shared import documents, paths, runs
from shared.errors import ObjectNotFound
from shared.policy import Verdict, judge
from shared.ports import Bucket
from shared.rule import Rule
from shared.spec.model import RegisteredSpec, Spec
from shared.spec.registry import read_generation, read_spec


def judge_version(
    model: str, version: str, *, champion: str | None, pinned: bool, lake: Bucket
) -> Verdict:
    """The verdict against who serves now. Raises ObjectNotFound for a version without a
    comparison."""
    comparison = documents.require(lake, paths.version(model, version, "comparison.json"))
    return _judge(model, version, comparison, champion=champion, pinned=pinned, lake=lake)


def judge_as_compared(
    model: str, version: str, *, pinned: bool = False, lake: Bucket
) -> Verdict | None:
    """The verdict against whom it was compared with, whoever serves now: for decisions that policy
    did not make. None for a version without a comparison."""
    try:
        comparison = documents.require(lake, paths.version(model, version, "comparison.json"))
    except ObjectNotFound:
        return None
    champion = comparison["against"]
    return _judge(model, version, comparison, champion=champion, pinned=pinned, lake=lake)


def other_question(model: str, version: str, *, lake: Bucket) -> str:
    """Why the version does not answer what the spec in force asks; nothing where it does."""
    rule = _question(model, version, read_spec(model, lake=lake), lake)
    return "" if rule is None or rule.passed else rule.sentence


def _judge(
    model: str,
    version: str,
    comparison: dict[str, Any],
    *,
    champion: str | None,
    pinned: bool,
    lake: Bucket,
) -> Verdict:
    registered = read_spec(model, lake=lake)
    question = _question(model, version, registered, lake)
    promotion = registered.spec.promotion
    if _is_refresh(model, version, lake):
        # It was trained because time passed, not because the champion failed: as good will do.
        promotion = promotion.model_copy(update={"rule": "not_worse"})
    return judge(comparison, promotion, champion=champion, pinned=pinned, question=question)


def _is_refresh(model: str, version: str, lake: Bucket) -> bool:
    try:
        cause = runs.read_request(model, version, lake=lake).retrain
    except ObjectNotFound:
        return False  # not made by a run of ours
    return cause is not None and cause.refresh


def _question(model: str, version: str, in_force: RegisteredSpec, lake: Bucket) -> Rule | None:
    """Does a version of another spec answer what the one in force asks? None where there is nothing
    to ask: it is of that one, or its spec is not known any more."""
    about = documents.read(lake, paths.version(model, version, "version.json")).body
    learned = about.get("spec_generation")
    if learned is None or learned == in_force.generation:
        return None
    try:
        mine = read_generation(model, learned, lake=lake)
    except ObjectNotFound:
        return None
    asked = f"generation {in_force.generation} of the spec, in force now,"
    if _same_question(mine, in_force.spec):
        sentence = f"It learned by generation {learned}; {asked} asks the same: {_words(mine)}."
        return Rule("question", "ok", sentence)
    sentence = (
        f"It answers another question: it learned {_words(mine)}, and {asked} asks for "
        f"{_words(in_force.spec)}. A training file that is dropped now gives a version for that."
    )
    return Rule("question", "broken", sentence)


def _same_question(mine: Spec, theirs: Spec) -> bool:
    """Without `positive` the data decided which class that is, and may have decided alike."""
    positives = mine.target.positive, theirs.target.positive
    return (
        mine.task == theirs.task
        and mine.target.column == theirs.target.column
        and (None in positives or positives[0] == positives[1])
    )


def _words(spec: Spec) -> str:
    positive = f" is {spec.target.positive}" if spec.target.positive is not None else ""
    return f"{spec.target.column}{positive} ({spec.task})"
