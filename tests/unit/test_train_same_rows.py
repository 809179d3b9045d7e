"""Retrainings where the same customers are scored and labelled again and again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared import paths
from shared.errors import NotRelearnable
from shared.tabular.dataset import unpack
from tests.unit.tabular.world import MODEL, RUN, World, csv_bytes, rows

MONTHS = [f"2026010{day}T090000-0000000{day}" for day in (6, 7, 8)]
AGAIN, ONCE_MORE = "20260109T090000-0000000a", "20260110T090000-0000000b"


@pytest.fixture
def world() -> World:
    """A champion, trained on 400 rows."""
    world = World()
    world.ask(csv_bytes(rows(400)))
    world.train()
    world.promote(RUN)
    world.clock.advance(timedelta(days=2))
    return world


def labels_of(world: World, run_id: str, data: list[list[str]]) -> str:
    """Score these rows in a run and label all of them."""
    world.scored(run_id, data)
    world.clock.advance(timedelta(days=30))
    found = [(f"{run_id}-{number}", row[3], run_id, 0) for number, row in enumerate(data, start=1)]
    return world.labelled(run_id.replace("T09", "T10"), found)


def test_the_same_rows_every_month_leave_some_to_compare_on(world: World) -> None:
    """They are compared on as they were last, and learned from nowhere."""
    customers = rows(1200, seed=1)
    labels = [labels_of(world, month, customers) for month in MONTHS]
    world.ask_again(RUN, labels, AGAIN)
    world.train(AGAIN)
    comparison = world.document(paths.version(MODEL, AGAIN, "comparison.json"))
    assert comparison["holdout"]["rows"] > 150
    assert comparison["holdout"]["overlap"] == 0
    assert comparison["evidence"] == "sufficient"
    dataset = unpack(world.lake.read(paths.dataset(MODEL, AGAIN, "data.csv.gz")).data)
    held = {
        found
        for found, side in zip(dataset.prediction_id, dataset.side, strict=True)
        if side == "holdout"
    }
    assert {found.rpartition("-")[0] for found in held} == {MONTHS[-1]}


def test_nothing_new_is_said_in_words_that_help(world: World) -> None:
    """The rows that the champion was made from, labelled again: no file has to be corrected."""
    world.ask_again(RUN, [labels_of(world, MONTHS[0], rows(400))], AGAIN)
    with pytest.raises(NotRelearnable, match="of 400 labelled predictions 0 are left to compare"):
        world.train(AGAIN)
