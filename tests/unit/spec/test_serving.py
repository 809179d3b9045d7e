"""A spec's canary and shadow: off unless they are written, shown with their values and effects."""

from __future__ import annotations

import pytest

from shared.spec.consequences import consequences
from shared.spec.differences import differences
from shared.spec.effective import effective, render, written
from shared.spec.load import dump_spec, load_spec
from shared.spec.model import Spec
from shared.spec.serving import Canary

HEAD = "task: binary\ntarget: y\n"
COLUMNS = "columns: {a: {type: number}, who: {exclude: true}, y: {}}\n"


def read(serving: str = "") -> Spec:
    return load_spec(HEAD + COLUMNS + serving, "m.yaml")


def told(old: Spec | None, new: Spec) -> str:
    return "\n".join(consequences(old, new, differences(old, new) if old else []))


def test_both_are_off_and_written_empty_take_the_defaults() -> None:
    """Nobody gets a canary who did not ask for one; `{}` is enough to ask."""
    assert (read().serving.canary, read().serving.shadow) == (None, None)
    found = read("serving: {canary: {}, shadow: {}}").serving
    assert found.canary == Canary()
    assert found.canary.steps == (0.05, 0.25)
    assert found.shadow is not None
    assert found.shadow.share == 0.1


def test_the_end_may_be_written_as_a_step() -> None:
    """All of the predictions come last, said or not."""
    assert read("serving: {canary: {steps: [0.1, 1]}}").serving.canary == Canary(steps=(0.1,))


@pytest.mark.parametrize("serving", ["", "serving: {canary: {key: who, on_timeout: back}}"])
def test_what_is_shown_and_written_reads_back(serving: str) -> None:
    """`spec show --effective`, and a spec that a draft writes."""
    spec = read(serving)
    assert load_spec(render(effective(spec, written(spec))), "m.yaml") == spec
    assert load_spec(dump_spec(spec), "m.yaml") == spec


def test_a_plan_says_how_many_predictions_a_canary_takes() -> None:
    """500 rows of a twentieth and of a quarter, and ten times as many where the log keeps a tenth;
    for a first spec, for a changed one, and when it is taken out again."""
    plain, canary = read(), read("serving: {canary: {max_duration: 3d, on_timeout: back}}")
    assert "5 %, 25 %, 100 % of the predictions. That takes 12,000 predictions" in told(
        plain, canary
    )
    assert "after 3d it is taken back" in told(None, canary)
    sampled = read("serving: {log_sample: 0.1, canary: {}}")
    assert "takes 120,000 predictions" in told(plain, sampled)
    assert "the next promotion is done at once" in told(canary, plain)
    assert "canary" not in told(
        canary, read("serving: {canary: {max_duration: 3d, on_timeout: back}}\ntitle: t")
    )


def test_a_plan_says_what_a_shadow_does() -> None:
    """Begun and ended."""
    plain, shadow = read(), read("serving: {shadow: {share: 0.2}}")
    assert "scores 20% of the predictions after the champion" in told(plain, shadow)
    assert "waits without a shadow" in told(shadow, plain)
