"""Scores and labels of several sources: the values that serving gets, and learning from them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shared import documents, paths
from shared.documents import require
from shared.serving.sources.aggregates import SourceAggregates
from shared.serving.sources.resolving import open_resolver
from shared.spec.registry import register
from shared.usecases.score import load_version
from shared.usecases.training.loaded import load_prepared
from shared.usecases.training.stages import Training
from shared.usecases.training.tuned import folds_of
from tests.unit.tabular.joined_world import (
    AGGREGATES,
    COLUMNS,
    PEOPLE,
    SCORE,
    SOURCES,
    VISITS,
    champion,
    data,
    dataset,
    lines,
    score,
    spec_of,
    trained,
    without_target,
)
from tests.unit.tabular.world import MODEL, RUN, World


@pytest.fixture(scope="module")
def world() -> World:
    """A finished training, for tests that only look."""
    return trained()


def test_score_and_predictor_agree_in_every_form(world: World) -> None:
    """The score job, a request by key, by columns and by rows give one and the same score for
    every person, to the last bit."""
    answered = score(world, {"people": without_target(PEOPLE), "visits": lines(VISITS)})
    assert len(answered) == 300
    assert not any(row["error"] for row in answered)
    model = champion(world)
    resolver = open_resolver(model.schema, model.package.sources, world.lake.download)
    (source,) = model.package.sources
    records: dict[str, list[dict[str, Any]]] = {"key": [], "columns": [], "rows": []}
    for row in answered:
        person = {"id": row["id"], "age": row["age"]}
        mine = [visit for visit in VISITS if str(visit["id"]) == row["id"]]
        cells = {name: row[name] or None for name in AGGREGATES}
        records["key"].append(person)
        records["columns"].append({**person, **cells})
        records["rows"].append({**person, "visits": mine})
    assert isinstance(source, SourceAggregates)
    for form, asked in records.items():
        resolved = resolver.resolve(asked, world.clock.now())
        scores = model.predict_records(resolved.records).score.tolist()
        assert scores == [float(row["score"]) for row in answered], form


def test_a_score_keeps_rows_and_order(world: World) -> None:
    """Original columns first, then the joined ones; torn rows and those without a key keep their
    place and get an error; the primary's other columns are untouched."""
    people = b"id,age\n7,30\n,40\n9\n8.0 ,50\nnobody,60\n"
    answered = score(world, {"people": people, "visits": lines(VISITS)}, "20260109T090000-0a1b2c3d")
    assert [row["id"] for row in answered] == ["7", "", "9", "8.0 ", "nobody"]
    assert list(answered[0])[:3] == ["id", "age", "visit_count"]
    assert "must be present, it joins the sources" in answered[1]["error"]
    assert "has 1 fields" in answered[2]["error"]
    assert [bool(row["score"]) for row in answered] == [True, False, False, True, True]
    assert answered[4]["visit_count"] == "0.0"  # a left join knows that there are no rows
    report = require(world.lake, paths.predictions(MODEL, "20260109T090000-0a1b2c3d", "join.json"))
    assert report["sources"]["visits"]["rows"] == len(VISITS)
    assert report["version"] == RUN


def test_a_batch_is_joined_as_the_champion_learned_under_a_newer_spec(world: World) -> None:
    """What a newer spec reads of the sources, and another one that it joins, is for its own
    versions."""
    columns = {**COLUMNS, "joined": {"type": "time", "exclude": True}}
    visits = {**SOURCES["visits"], "aggregates": {**AGGREGATES, "dearest": "max(price)"}}
    sources = {**SOURCES, "visits": visits, "calls": {"key": "id", "aggregates": {"rung": "count"}}}
    newer = spec_of(sources, columns=columns, derive={"month": "month(joined)"})
    found = register(MODEL, newer, "newer", lake=world.lake, clock=world.clock)
    assert found.generation == world.generation + 1
    files = {"people": without_target(PEOPLE), "visits": lines(VISITS)}
    before = score(world, files, "20260112T090000-0a1b2c3d")
    after = score(world, files, "20260113T090000-0a1b2c3d", spec_generation=found.generation)
    assert [row["score"] for row in after] == [row["score"] for row in before]
    assert list(after[0]) == list(before[0])


def test_a_source_that_does_not_come_is_looked_up(world: World) -> None:
    """As a request by key is: the same values from the snapshot, an error for unknown keys."""
    people = without_target(PEOPLE) + b"nobody,60\n"
    full = score(world, {"people": people, "visits": lines(VISITS)}, "20260110T090000-0a1b2c3d")
    alone = score(world, {"people": people}, "20260111T090000-0a1b2c3d")
    assert [row["score"] for row in alone[:-1]] == [row["score"] for row in full[:-1]]
    assert [row["spent"] for row in alone[:-1]] == [row["spent"] for row in full[:-1]]
    assert "is not known in visits" in alone[-1]["error"]


def test_an_inner_join_scores_nobody_without_rows() -> None:
    """Such a row keeps its place and says why."""
    sources = {**SOURCES, "visits": {**SOURCES["visits"], "join": "inner"}}
    world = trained(spec_of(sources, max_bad_rows=0.5))
    answered = score(world, {"people": b"id,age\nnobody,60\n", "visits": lines(VISITS)})
    assert answered[0]["error"] == "visits has no rows of this key"
    assert answered[0]["score"] == ""


def test_what_is_derived_of_aggregates_is_alike_in_every_form() -> None:
    """An aggregate may be an input only; by key, ready-made, from rows and in batch the answers are
    the same."""
    columns = {**COLUMNS, "spent": {"type": "number", "exclude": True}}
    derive = {"a_visit": "spent / visit_count", "log_spent": "log1p(spent)"}
    world = trained(spec_of(columns=columns, derive=derive))
    model = champion(world)
    assert [one.name for one in model.schema.carried] == ["spent"]
    people, visits = data(40, seed=8)
    asked = {"people": without_target(people), "visits": lines(visits)}
    answered = score(world, asked)
    resolver = open_resolver(model.schema, model.package.sources, world.lake.download)
    for row in answered:
        row["visits"] = [visit for visit in visits if str(visit["id"]) == row["id"]]  # type: ignore[assignment]
    for names in (("id", "age", *AGGREGATES), ("id", "age", "visits")):
        records = [{name: row[name] or None for name in names} for row in answered]
        resolved = resolver.resolve(records, world.clock.now()).records
        scores = model.predict_records(resolved).score.tolist()
        assert scores == [float(row["score"]) for row in answered]
    by_key = resolver.resolve([{"id": "1", "age": 30}], world.clock.now())
    assert 0 < model.predict_records(by_key.records).score[0] < 1


# --- learning again ------------------------------------------------------------------------------


def test_labels_of_scored_rows_are_learned_with_their_joined_columns() -> None:
    """A retraining takes the aggregates that were used when the row was scored, from
    predictions.csv, and keeps the champion's snapshot for look-ups."""
    world = trained()
    people, visits = data(seed=8)
    answered = score(world, {"people": without_target(people), "visits": lines(visits)})
    world.promote(RUN)
    found = [
        (f"{SCORE}-{number}", "yes" if number % 3 else "no", SCORE, number)
        for number in range(1, 301)
    ]
    labels = world.labelled("20260112T090000-0a1b2c3d", found)
    again = "20260113T090000-0a1b2c3d"
    world.ask_again(RUN, [labels], again)
    world.train(again)
    rows = dataset(world, again)
    places = {found: place for place, found in enumerate(rows.prediction_id) if found}
    assert len(places) == 300
    for number, row in enumerate(answered, start=1):
        place = places[f"{SCORE}-{number}"]
        assert {name: rows.cells[name][place] for name in AGGREGATES} == {
            name: row[name] for name in AGGREGATES
        }
    (before,), (after,) = (
        load_version(MODEL, version, lake=world.lake).package.sources for version in (RUN, again)
    )
    assert after.snapshot == before.snapshot


def test_folds_of_a_retraining_keep_customers_together() -> None:
    """Customers that come again are in one fold with all their rows, also in the retraining after
    that; the holdout is the newest labelled rows, whoever they are about."""
    world, champion_of, rows = trained(), RUN, 300
    for day in (10, 12):
        scored, again = f"202601{day}T090000-0a1b2c3d", f"202601{day + 1}T090000-0a1b2c3d"
        people, visits = data(seed=day)
        score(world, {"people": without_target(people), "visits": lines(visits)}, scored)
        world.promote(champion_of)
        world.clock.advance(timedelta(days=2))
        answers = [(f"{scored}-{n}", "yes" if n % 3 else "no", scored, n) for n in range(1, 301)]
        label = world.labelled(f"202601{day}T100000-0a1b2c3d", answers)
        request = world.ask_again(champion_of, [label], again)
        world.train(again)
        champion_of, rows = again, rows + 300
        record = documents.require(world.lake, paths.run_stage(MODEL, again, "prepared.json"))
        prepared = load_prepared(MODEL, again, record, lake=world.lake)
        assert len(prepared.dataset) == rows
        assert prepared.split_by == ("features", None)
        assert prepared.dataset.count("holdout") > 60
        folds = folds_of(Training(request, world.spec, world.lake, world.clock), prepared)
        customers = prepared.marks("fit").groups or []
        fold_of = dict(zip(customers, folds.fold.tolist(), strict=True))
        assert len(fold_of) < len(customers)
        assert [fold_of[customer] for customer in customers] == folds.fold.tolist()
