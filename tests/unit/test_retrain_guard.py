"""The guard's defaults and what holds the loop, beside what test_retrain.py promises of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared import documents, paths
from shared.retraining import Situation, labels_needed, rule
from shared.spec.model import Retrain
from shared.usecases.retrain import consider
from tests.unit.monitoring.world import MODEL, MONDAY, VERSION, World, spec_of
from tests.unit.test_retrain import (
    drifted,
    dropped,
    give_labels,
    notes,
    ports_of,
    requested,
    world_of,
)

SITUATION = Situation(
    model=MODEL,
    alert="performance",
    about_version=VERSION,
    champion=VERSION,
    champion_since=MONDAY,
    pinned=False,
    new_labels=10_000,
    past=[],
    now=MONDAY + timedelta(days=1),
    inbox="inbox",
)


@pytest.mark.parametrize(
    ("rows", "needed"),
    [(None, 500), (100, 200), (4000, 200), (4001, 201), (7999, 400), (10_000, 500), (9e6, 500)],
)
def test_a_retrain_needs_a_share_of_what_the_champion_learned_from(
    rows: int | None, needed: int
) -> None:
    """5 %, at most 500 and at least 200; 500 where nobody knows the champion's rows."""
    assert labels_needed(Retrain(), rows) == needed


def test_a_number_in_the_spec_is_meant() -> None:
    """Also where it is below what the rule would ask for."""
    assert labels_needed(Retrain(min_new_labels=50), 9_000_000) == 50


def test_the_rows_that_the_champion_learned_from_are_those_it_was_fitted_on() -> None:
    """As its training recorded them."""
    world = World(spec_of())
    give_labels(world, 250)
    stage = paths.run_stage(MODEL, VERSION, "prepared.json")
    documents.create(world.lake, stage, {"facts": {"rows": 9000, "fit": 4800, "holdout": 4200}})
    assert consider(dropped(), ports_of(world)) == "training"
    assert notes(world)[0].sentence.startswith("250 new labelled rows (240 needed); performance")


def test_labels_that_came_twice_are_counted_once() -> None:
    """The same predictions in two files, corrected or not, are no more to learn from."""
    world = world_of(min_new_labels=300)
    run_id, truths = world.score(200)
    for _ in range(2):
        world.clock.advance(60)
        world.label(run_id, truths)
    world.clock.advance(60)
    assert consider(dropped(), ports_of(world)) == "note"
    assert notes(world)[0].sentence.startswith("200 new labelled rows (300 needed)")


@pytest.mark.parametrize("kind", ["drift", "performance"])
def test_broken_data_retrains_only_where_labels_prove_a_drop(kind: str) -> None:
    """Drift of a broken window is the fault itself. A drop that labels prove is learned from, since
    an upstream change may be there to stay; the note says that the data is out of bounds."""
    world = world_of(on_drift="train")
    give_labels(world)
    folder = paths.reports(MODEL, "batch", "a-window")
    report = {"alarms": {"data_quality": {"breach": True}}}
    documents.create(world.lake, f"{folder}report-r2.json".replace("//", "/"), report)
    event = drifted() if kind == "drift" else dropped()
    event = replace(event, report=f"{folder}report.html", revision=2)
    found = consider(event, ports_of(world))
    said = notes(world)[0].sentence
    if kind == "performance":
        assert found == "training"
        assert "though the data of that window is out of bounds, too" in said
        return
    assert found == "note"
    assert said.startswith(
        "The data of that window is broken, and drift of broken data trains nothing; "
    )
    another = replace(drifted(1), report=event.report, revision=1)
    assert consider(another, ports_of(world)) == "training", "another revision was in order"


@pytest.mark.parametrize("policy", ["train", "ask"])
def test_nothing_is_learned_from_labels_of_what_was_acted_on(policy: str) -> None:
    """A person is told what to drop instead, whatever the policy."""
    world = World(
        spec_of(
            labels={"selection": "only_acted_on"},
            retrain={"min_new_labels": 100, "on_performance": policy},
        )
    )
    give_labels(world)
    assert consider(dropped(), ports_of(world)) == "note"
    (note,) = notes(world)
    assert "labels.selection" in note.sentence
    assert "drop a training file into gs://inbox/m/train/" in note.sentence
    assert note.asks == "decide"
    assert requested(world) == []


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("accumulate", "the champion's rows and the new labels"),
        ("latest", "the new labels alone"),
        ("last 5000", "the newest 5000 of the champion's rows and the new labels"),
    ],
)
def test_the_note_says_what_is_learned_from(data: str, told: str) -> None:
    """By `retrain.data`."""
    ruling = rule(SITUATION, Retrain(data=data))
    assert ruling.advice == f"A training on {told} is requested."


@pytest.mark.parametrize(
    "wrong", [{"data": "newest"}, {"data": "last 0"}, {"data": "last"}, {"refresh": "2h"}]
)
def test_a_policy_that_nobody_knows_is_refused(wrong: dict[str, Any]) -> None:
    """With what there is."""
    with pytest.raises(ValueError, match=r"none of accumulate, latest|shorter than 1d"):
        Retrain(**wrong)
