"""predictions.csv: whatever the input's columns are called, everybody finds them again."""

from __future__ import annotations

import pytest

from shared.tabular.answers import answer_names, input_position, written_names


@pytest.mark.parametrize(
    "names",
    [
        ["a", "b"],
        ["score", "label", "model_version", "prediction_id", "error"],
        ["score_input", "score", "score_input_input", "label"],
    ],
)
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_input_columns_are_found_at_their_old_place(names: list[str], task: str) -> None:
    """All names differ, and none of ours is taken."""
    header = written_names(names, task)
    assert len(set(header)) == len(header)
    assert header[len(names) :] == list(answer_names(task))
    assert [input_position(name, header, task) for name in names] == list(range(len(names)))


def test_a_column_that_the_input_did_not_have_is_not_an_answer() -> None:
    """A feature called `score` is never read from our own score."""
    assert input_position("score", written_names(["a"], "binary"), "binary") is None
