"""The columns of predictions.csv: those of the input, then the answers.

    age, score_input, city, score, label, model_version, prediction_id, error

An input column that is called as an answer gets `_input` behind its name, as often as it takes to
be the only one of that name. Whoever reads the file finds it by the same rule.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

SUFFIX = "_input"


def answer_names(task: str) -> tuple[str, ...]:
    """What stands behind the input's columns, in order."""
    label = () if task == "regression" else ("label",)
    return ("score", *label, "model_version", "prediction_id", "error")


def written_names(names: Sequence[str], task: str) -> list[str]:
    """The whole header of the scored file of an input with these columns."""
    answers = answer_names(task)
    return [*(_written(name, names, answers) for name in names), *answers]


def input_position(name: str, header: Sequence[str], task: str) -> int | None:
    """Where an input column stands in a scored file; None for one that the input did not have."""
    answers = answer_names(task)
    kept = header[: len(header) - len(answers)]
    if name in answers:
        name += SUFFIX
        while name + SUFFIX in kept:
            name += SUFFIX
    return kept.index(name) if name in kept else None


def _written(name: str, names: Collection[str], answers: Collection[str]) -> str:
    if name in answers:
        name += SUFFIX
        while name in names:
            name += SUFFIX
    return name
