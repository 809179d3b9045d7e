"""A canary with the real predictor: what it writes into the log is what the judge reads there."""

from __future__ import annotations

from typing import Any

import pytest

from shared import documents, paths
from shared.beside import canaries
from shared.beside.second_version import PREDICTION_ID
from shared.manifests import read_manifest
from shared.usecases.beside import canarying
from shared.usecases.beside.canary_log import LogReader
from shared.usecases.beside.canary_look import look_after
from shared.usecases.beside.seconding import planned
from tests.support.canarying import GATE
from tests.support.system import comparison_of
from tests.unit.experiment_world import CHALLENGER, COLUMNS, MIXED, Trial
from tests.unit.monitoring.world import MODEL, VERSION, spec_of

STEPS = (0.2, 0.5)


def begun(knows: dict[str, float], key: str = "customer") -> Trial:
    """A trial whose challenger comes in by steps; the gate saw 5 % other labels."""
    serving = {"canary": {"steps": STEPS, "min_rows": 100}}
    trial = Trial(knows, spec_of(columns=COLUMNS, serving=serving))
    comparison = comparison_of(CHALLENGER, VERSION, disagreement=GATE)
    name = paths.version(MODEL, CHALLENGER, "comparison.json")
    trial.lake.write(name, documents.dumps(comparison))
    manifest = read_manifest(MODEL, lake=trial.lake)
    assert manifest is not None
    second = planned(
        "canary",
        manifest,
        CHALLENGER,
        share=STEPS[0],
        steps=STEPS,
        key=key,
        by="ada",
        reason="Approved.",
        now=trial.clock.now(),
        lake=trial.lake,
    )
    canarying.begin(second, manifest, trial.promoting)
    return trial


def look(trial: Trial) -> canaries.Record:
    log = LogReader(trial.lake, trial.clock.now())
    manifest = read_manifest(MODEL, lake=trial.lake)
    assert manifest is not None
    look_after(manifest, trial.promoting, log, {MODEL})
    return next(canaries.latest(MODEL, lake=trial.lake))


def by_challenger(answers: list[dict[str, Any]]) -> int:
    return sum(item["model_version"] == CHALLENGER for item in answers)


@pytest.mark.parametrize("key", ["customer", PREDICTION_ID])
def test_a_twin_of_the_champion_takes_both_steps(key: str) -> None:
    """Exactly the rows that callers got from it are judged, each once though the log has them
    twice, and none of them differs."""
    trial = begun(MIXED, key)
    first = by_challenger(trial.ask(400))
    found = look(trial)
    assert 0 < first < 100
    assert (found.tally.dealt, found.tally.compared) == (first, first)
    assert found.tally.labels.differ == 0
    second = by_challenger(trial.ask(200))
    found = look(trial)
    assert found.tally.dealt == first + second >= 100
    assert found.judged is not None
    assert found.judged["verdict"] == "go_on"
    manifest = read_manifest(MODEL, lake=trial.lake)
    assert manifest is not None
    assert manifest.beside is not None
    assert manifest.beside.share == STEPS[1]
    asked = by_challenger(trial.ask(400))
    found = look(trial)
    assert [item["dealt"] for item in found.past] == [first + second]
    assert found.judged is not None
    assert found.judged["dealt"] == asked
    manifest = read_manifest(MODEL, lake=trial.lake)
    assert manifest is not None
    assert (manifest.version, manifest.beside) == (CHALLENGER, None)


def test_one_that_answers_the_other_way_round_is_taken_back() -> None:
    """In its first step, by the labels that both gave to the same rows."""
    trial = begun({name: -weight for name, weight in MIXED.items()})
    trial.ask(400)
    found = look(trial)
    assert found.ended is not None
    assert found.ended["how"] == "not_promoted"
    assert "get another label than from the champion" in found.ended["sentence"]
    assert by_challenger(trial.ask(100)) == 0


def test_rows_that_come_back_to_a_customer_are_one_piece_of_evidence() -> None:
    """Fifty customers, hundreds of rows."""
    trial = begun(MIXED)
    for _ in range(4):
        trial.ask(200, customers=50)
    tally = look(trial).tally
    assert tally.compared > 100
    assert tally.labels.count == len(tally.units) < 30
