"""The simulation of the gate runs, says the same each time, and applies the gate's own rules."""

from __future__ import annotations

import numpy as np
import pytest

from shared.tabular.comparison import holdout_of
from shared.tabular.gains import paired_gain
from shared.tabular.metrics import auroc, row_losses
from tests.bench import gate_streams, simulate_gate
from tests.bench.gate_cells import Cell, Found, decide, play
from tests.bench.gate_worlds import Kind, draw, true_gain
from tests.bench.simulate_gate import run

FEW = Cell(Kind("auroc", "alike", 0.02), 200)
ENOUGH = Cell(Kind("auroc", "alike", 0.5), 200)


def test_counts_do_not_depend_on_how_they_are_computed() -> None:
    """The same seed gives the same counts; equal challengers on too few positives ask a person."""
    first = run([FEW, ENOUGH], 16, seed=3, workers=1)
    assert first == run([FEW, ENOUGH], 16, seed=3, workers=1)
    assert (first[0].promoted, first[0].asked, first[0].trials) == (0, 16 * 12, 16)
    assert first[1].asked < first[0].asked


def test_a_challenger_that_knows_much_more_is_promoted() -> None:
    """The simulation would show it if the gate let something through."""
    much = Cell(ENOUGH.kind, 200, strength=3.0)
    assert play(much, 10, np.random.default_rng(0)) == Found(10, 10, 10, 0)


def test_what_is_skipped_is_what_policy_declines() -> None:
    """A bound under the floor is not sent through policy each time; policy declines it."""
    random = np.random.default_rng(0)
    drawn = draw(ENOUGH.kind, 400, random)
    gain = paired_gain("binary", drawn.target, drawn.challenger(random), drawn.champion)
    rows = holdout_of("binary", drawn.target, "random", classes=2, overlap=0, removed=0)
    assert gain.lower <= 0
    assert decide(ENOUGH, rows, gain) == "decline"


@pytest.mark.parametrize(
    ("metric", "shape"), [("auroc", "heavy"), ("log_loss", "bold"), ("rmse", "rare, paid for")]
)
def test_challengers_of_another_shape_are_as_good(metric: str, shape: str) -> None:
    """What the tables call no better is no better, on very many rows."""
    random = np.random.default_rng(0)
    kind = Kind(metric, shape, 0.25)  # type: ignore[arg-type]
    drawn = draw(kind, 400_000, random)
    both = [drawn.champion, drawn.challenger(random)]
    if metric == "auroc":
        values = [auroc(drawn.target, each) for each in both]
    else:
        values = [float(row_losses(kind.task, drawn.target, each).mean()) for each in both]
    assert values[1] == pytest.approx(values[0], rel=0.01)
    assert true_gain(Kind("auroc", "alike", 0.25), 0.0) == 0.0


def test_tables_are_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    """A whole run, as small as it can be: every table with its lines, and the streams."""
    arguments = ["--trials", "2", "--sizes", "200", "--streams", "1", "--workers", "1"]
    assert simulate_gate.main(arguments) in (0, 1)
    text = capsys.readouterr().out
    assert text.count("###") == 5
    assert "| auroc | alike | 25% | 200 |" in text
    for rule in gate_streams.RULES:
        assert text.count(rule) == 2
