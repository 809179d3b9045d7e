"""Trainings and scores of several sources: one version, one join, the values that serving gets."""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared import documents, paths, runs
from shared.documents import require
from shared.errors import BadSource, BadSql, HeaderMismatch, NotTrainable, TooManyBadRows
from shared.files.guards import check_head
from shared.ports import Bucket
from shared.runs import InputRef, RunRequest
from shared.serving.package import LoadedModel
from shared.serving.sources.aggregates import SourceAggregates
from shared.serving.sources.resolving import open_resolver
from shared.spec.load import load_spec
from shared.spec.model import Spec
from shared.spec.registry import register
from shared.tabular.dataset import unpack
from shared.usecases.score import load_version, score_file
from shared.usecases.training.loaded import load_prepared
from shared.usecases.training.stages import Training
from shared.usecases.training.tuned import folds_of
from tests.support.crashing import Crash, Fuse
from tests.unit.tabular.world import MODEL, RUN, World

REPOSITORY = Path(__file__).resolve().parents[2]
SCORE = "20260106T090000-0a1b2c3d"
AGGREGATES = {
    "visit_count": "count",
    "spent": "sum(amount)",
    "mean_spent": "mean(amount)",
    "newest": "last(amount)",
    "shops": "distinct(shop)",
    "since": "recency",
    "spent_lately": "sum(amount) over 30d",
    "visits_lately": "count over 2d",
}
SOURCES: dict[str, Any] = {
    "people": {"key": "id"},
    "visits": {
        "key": "id",
        "time": "at",
        "as_of": "2020-03-01",
        "aggregates": AGGREGATES,
        "missing": ["", "?"],
    },
}
COLUMNS: dict[str, Any] = {"id": {"exclude": True}, "age": {"type": "number"}, "y": {}}


def spec_of(sources: dict[str, Any] | None = None, **changes: Any) -> Spec:
    body = {
        "task": "binary",
        "target": {"column": "y", "positive": "yes"},
        "sources": sources or SOURCES,
        "columns": COLUMNS,
        "training": {"candidates": ["linear"], "trials": 1, "false_positive_ceiling": 0.5},
        "checks": {"leakage": "off"},
        **changes,
    }
    return Spec.model_validate(body)


def data(count: int = 300, seed: int = 7) -> tuple[bytes, list[dict[str, Any]]]:
    """People as CSV, and their visits: whoever spent much says yes. Everybody visits once more
    after the cut-off, for a sum that would give the answer away."""
    random = np.random.default_rng(seed)
    people, visits = [["id", "age", "y"]], []
    for person in range(count):
        amounts = np.round(random.exponential(30, random.integers(0, 6)), 2)
        yes = random.random() < 1 / (1 + np.exp(-(amounts.sum() - 70) / 20))
        people.append([str(person), str(random.integers(18, 80)), "yes" if yes else "no"])
        for amount in amounts.tolist():
            day = f"2020-{random.integers(1, 3):02d}-{random.integers(1, 29):02d}"
            shop = str(random.choice(["a", "b", "c"]))
            visits.append({"id": person, "at": day, "amount": amount, "shop": shop})
        visits.append({"id": person, "at": "2020-03-01", "amount": 1e6 * bool(yes), "shop": "z"})
    text = io.StringIO(newline="")
    csv.writer(text).writerows(people)
    return text.getvalue().encode(), visits


def lines(visits: list[dict[str, Any]]) -> bytes:
    """JSON lines, packed, in an order that has nothing to do with keys."""
    mixed = [visits[place] for place in np.random.default_rng(1).permutation(len(visits))]
    return gzip.compress("".join(json.dumps(row) + "\n" for row in mixed).encode(), mtime=0)


PEOPLE, VISITS = data()


def inputs(lake: Bucket, run_id: str, intent: str, files: dict[str, bytes]) -> tuple[InputRef, ...]:
    names = {"people": "people.csv", "visits": "visits.jsonl.gz"}
    found = []
    for role, content in files.items():
        info = lake.write(paths.input_copy(MODEL, intent, run_id, names[role]), content)
        found.append(InputRef.of(info, f"gs://inbox/{MODEL}/{intent}/b/{names[role]}#1", role))
    return tuple(found)


def ask(world: World, files: dict[str, bytes], run_id: str = RUN, **more: Any) -> RunRequest:
    refs = inputs(world.lake, run_id, "train", files)
    return world._save(run_id, "train", inputs=(*refs, *more.pop("corrected", ())), **more)


def trained(spec: Spec | None = None, **files: bytes) -> World:
    world = World(spec or spec_of())
    ask(world, {"people": PEOPLE, "visits": lines(VISITS), **files})
    world.train()
    return world


@pytest.fixture(scope="module")
def world() -> World:
    """A finished training, for tests that only look."""
    return trained()


def champion(world: World) -> LoadedModel:
    return load_version(MODEL, RUN, lake=world.lake)


def score(
    world: World, files: dict[str, bytes], run_id: str = SCORE, **more: Any
) -> list[dict[str, str]]:
    """The rows of the scored file."""
    refs = inputs(world.lake, run_id, "score", files)
    request = replace(world.ask_score(run_id, refs), **more)
    runs.save_launch(MODEL, run_id, RUN, lake=world.lake, clock=world.clock)
    score_file(request, publisher=world.cloud.publisher, lake=world.lake, clock=world.clock)
    name = paths.predictions(MODEL, run_id, "predictions.csv")
    text = world.lake.read(name).data.decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def dataset(world: World, run_id: str = RUN) -> Any:
    return unpack(world.lake.read(paths.dataset(MODEL, run_id, "data.csv.gz")).data)


# --- training ------------------------------------------------------------------------------------


def test_a_training_learns_from_joined_rows(world: World) -> None:
    """Every person is a row with the aggregates of the visits before the cut-off; the version is
    complete, and carries what the predictor needs to make them again."""
    rows = dataset(world)
    (source,) = champion(world).package.sources
    assert len(rows) == 300
    for place, record in enumerate(rows.record):
        mine = [row for row in VISITS if row["id"] == record - 1 and row["at"] < "2020-03-01"]
        made = source.values(mine, source.fixed_as_of)
        cells = {name: rows.cells[name][place] for name in AGGREGATES}
        assert {name: source.number_of(cell) for name, cell in cells.items()} == pytest.approx(
            made, rel=0, abs=0, nan_ok=True
        )
    about = world.document(paths.version(MODEL, RUN, "version.json"))
    assert about["features"][0]["source"] == "visits"
    assert 0.6 < about["metrics"]["auroc"] < 0.99  # not what the later visits give away


def test_the_join_is_told(world: World) -> None:
    """Report, history and card say what found whom, and that nothing dates the target."""
    report = world.document(paths.dataset(MODEL, RUN, "join.json"))
    facts = report["sources"]["visits"]
    assert facts["rows"] == len(VISITS)
    assert facts["rows_ignored"] == 300
    assert 0 < facts["match_rate"] < 1
    assert "joined" in world.events()
    card = world.lake.read(paths.version(MODEL, RUN, "card.md")).data.decode()
    assert "look-ahead is possible" in card
    assert "joined: visits" in card


def test_a_retry_after_any_crash_makes_the_same(world: World) -> None:
    """Whichever write a job died after, the next attempt ends with the same bytes."""
    names = [paths.dataset(MODEL, RUN, name) for name in ("data.csv.gz", "join.json")]
    names.append(paths.features(MODEL, RUN, "visits.sqlite"))
    names.append(paths.package(MODEL, RUN, "package.json"))
    for call in range(9):
        again = World(spec_of())
        ask(again, {"people": PEOPLE, "visits": lines(VISITS)})
        fuse = Fuse(call, after=True, reads=False)
        try:
            again.train(lake=fuse.wrap("lake", again.lake))
        except Crash:
            again.train(attempt=2)
        for name in names:
            assert again.lake.read(name).data == world.lake.read(name).data, (fuse.where, name)


def test_bad_rows_of_a_joined_source_can_be_mended() -> None:
    """They go to a quarantine of their own with their cells; mended, they join a new run whose
    rows are as if they had been good from the start."""
    broken = [dict(row) for row in VISITS]
    for place in (3, 40, 77):
        broken[place]["amount"] = "much"
    world = trained(visits=lines(broken))
    name = paths.quarantine(MODEL, RUN, "rows-visits.csv")
    text = world.lake.read(name).data.decode()
    assert text.count("much") == 6  # the cell and its reason
    summary = world.document(paths.quarantine(MODEL, RUN, "summary.json"))
    assert summary["sources"] == {"visits": 3}
    assert (
        world.document(paths.dataset(MODEL, RUN, "join.json"))["sources"]["visits"]["quarantined"]
        == 3
    )
    mended = list(csv.DictReader(io.StringIO(text, newline="")))
    originals = {(str(row["id"]), row["at"], row["shop"]): row["amount"] for row in VISITS}
    for row in mended:
        row["amount"] = str(originals[row["id"], row["at"], row["shop"]])
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, mended[0])
    writer.writeheader()
    writer.writerows(mended)
    again = "20260107T090000-0a1b2c3d"
    info = world.lake.write(
        paths.input_copy(MODEL, "train", again, "fixed.csv"), out.getvalue().encode()
    )
    corrected = InputRef.of(info, f"gs://inbox/{MODEL}/train/fixed.csv#1", "corrected")
    original = runs.read_request(MODEL, RUN, lake=world.lake)
    world._save(again, "train", inputs=(*original.inputs, corrected), replays=RUN)
    world.train(again)
    clean = trained()
    assert dataset(world, again).cells == dataset(clean).cells
    assert not world.names(paths.quarantine(MODEL, again, ""))


def test_too_many_bad_rows_of_a_source_refuse_the_batch() -> None:
    """`max_bad_rows` holds for each source; its rows are in quarantine all the same."""
    broken = [{**row, "at": "yesterday"} for row in VISITS]
    world = World(spec_of())
    ask(world, {"people": PEOPLE, "visits": lines(broken)})
    with pytest.raises(TooManyBadRows, match="rows of visits break the spec"):
        world.train()
    name = paths.quarantine(MODEL, RUN, "rows-visits.csv")
    assert world.lake.read(name).data.count(b"yesterday") == 2 * len(VISITS)


def test_an_inner_join_quarantines_rows_without_partner() -> None:
    """Good plus quarantined is all people."""
    sources = {**SOURCES, "visits": {**SOURCES["visits"], "join": "inner"}}
    world = trained(spec_of(sources, max_bad_rows=0.5))
    text = world.lake.read(paths.quarantine(MODEL, RUN, "rows.csv")).data.decode()
    alone = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(alone) + len(dataset(world)) == 300
    with_visits = {row["id"] for row in VISITS if row["at"] < "2020-03-01"}
    assert {int(row["id"]) for row in alone} == set(range(300)) - with_visits
    assert "visits has no rows of this key" in alone[0]["quarantine_reasons"]


def test_a_batch_may_go_on_without_a_source() -> None:
    """Its columns are missing in every row, and the card says so; there is no snapshot."""
    world = World(spec_of())
    ask(world, {"people": PEOPLE})
    world.train()
    rows = dataset(world)
    assert {cell for name in AGGREGATES for cell in rows.cells[name]} == {""}
    assert champion(world).package.sources[0].snapshot is None
    card = world.lake.read(paths.version(MODEL, RUN, "card.md")).data.decode()
    assert "did not come" in card


def test_what_a_batch_lacked_is_part_of_the_refusal() -> None:
    """Without the only source of features all rows look alike; the reason says why."""
    columns = {**COLUMNS, "age": {"type": "number", "exclude": True}}
    world = World(spec_of(columns=columns))
    ask(world, {"people": PEOPLE})
    with pytest.raises(NotTrainable, match="went on without visits"):
        world.train()


def test_a_batch_without_the_primary_is_refused() -> None:
    """There are no rows to learn."""
    world = World(spec_of())
    ask(world, {"visits": lines(VISITS)})
    with pytest.raises(BadSource, match="no file of people"):
        world.train()


SQL = (
    "SELECT id, count(*) AS visits, sum(amount) AS spent, "
    "max(CASE WHEN shop = 'a' THEN 'yes' ELSE 'no' END) AS knows_a FROM visits GROUP BY id"
)
SQL_SOURCES: dict[str, Any] = {
    "people": {"key": "id"},
    "visits": {
        "key": "id",
        "time": "at",
        "as_of": "2020-03-01",
        "sql": SQL,
        "sql_columns": {"visits": "number", "spent": "number", "knows_a": "category"},
    },
}


def test_columns_may_be_made_by_sql() -> None:
    """In training and in scoring alike, by the SELECT that the version was trained with."""
    world = trained(spec_of(SQL_SOURCES))
    rows = dataset(world)
    seen = [row for row in VISITS if row["id"] == 5 and row["at"] < "2020-03-01"]
    place = rows.record.index(6)
    assert rows.cells["visits"][place] == str(float(len(seen)))
    assert rows.cells["knows_a"][place] == (
        "yes" if any(row["shop"] == "a" for row in seen) else "no"
    )
    answered = score(world, {"people": PEOPLE, "visits": lines(VISITS)})
    by_id = {row["id"]: row for row in answered}
    assert by_id["5"]["visits"] == rows.cells["visits"][place]
    looked_up = score(world, {"people": PEOPLE}, "20260108T090000-0a1b2c3d")
    assert [row["score"] for row in looked_up] == [row["score"] for row in answered]


def test_sql_that_gives_a_key_twice_refuses_the_batch() -> None:
    """Rows are never multiplied."""
    sql = "SELECT id, amount AS spent FROM visits"
    source = {**SQL_SOURCES["visits"], "sql": sql, "sql_columns": {"spent": "number"}}
    world = World(spec_of({"people": {"key": "id"}, "visits": source}))
    ask(world, {"people": PEOPLE, "visits": lines(VISITS)})
    with pytest.raises(BadSql, match="more than one row"):
        world.train()


# --- scoring -------------------------------------------------------------------------------------


def without_target(people: bytes) -> bytes:
    rows = list(csv.reader(io.StringIO(people.decode(), newline="")))
    text = io.StringIO(newline="")
    csv.writer(text).writerows(row[:-1] for row in rows)
    return text.getvalue().encode()


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


def test_a_customer_keeps_the_side_whatever_is_known_of_it() -> None:
    """Sides go by the primary's key from the first training on; a model that began before that
    goes on by its features."""
    world = World(spec_of())
    people, visits = data()
    ask(world, {"people": people, "visits": lines(visits)})
    world.train()
    record = world.document(paths.run_stage(MODEL, RUN, "prepared.json"))
    assert record["split"] == {"by": "key", "column": "id"}
    rows = unpack(world.lake.read(record["dataset"]).data, record["marks"])
    sides = dict(zip(rows.marks["group"], rows.side, strict=True))
    again = "20260106T090000-0a1b2c3d"
    ask(world, {"people": people, "visits": lines(visits[::2])}, again)
    world.train(again)
    record = world.document(paths.run_stage(MODEL, again, "prepared.json"))
    later = unpack(world.lake.read(record["dataset"]).data, record["marks"])
    assert later.cells["spent"] != rows.cells["spent"]
    both = [key for key in later.marks["group"] if key in sides]
    assert len(both) > 200
    assert all(
        sides[key] == side
        for key, side in zip(later.marks["group"], later.side, strict=True)
        if key in sides
    )
    before = World(spec_of())
    first = world.document(paths.first_training(MODEL))
    documents.create(
        before.lake, paths.first_training(MODEL), {**first, "key": None, "run_id": "earlier"}
    )
    ask(before, {"people": people, "visits": lines(visits)})
    before.train()
    record = before.document(paths.run_stage(MODEL, RUN, "prepared.json"))
    assert record["split"] == {"by": "features", "column": None}


def test_the_shipped_example_is_valid_and_short() -> None:
    """customer_response fits one screen, and its warning about the target holds."""
    text = (REPOSITORY / "infra" / "specs" / "customer_response.yaml").read_text(encoding="utf-8")
    spec = load_spec(text, "customer_response.yaml")
    assert len(text.splitlines()) <= 45
    assert spec.primary == "customers"
    assert spec.feature_names() == list(spec.derived)
    assert "The\n    # response itself has no date" in text


def test_a_key_that_the_spec_does_not_list_joins_and_is_no_feature() -> None:
    """Intake asks for it, training and scoring join by it, and nobody calls it unknown."""
    spec = spec_of(columns={name: about for name, about in COLUMNS.items() if name != "id"})
    check_head(PEOPLE, len(PEOPLE), spec, "train", source="people")
    renamed = PEOPLE.replace(b"id,", b"idd,", 1)
    with pytest.raises(HeaderMismatch, match="'idd' looks like 'id'"):
        check_head(renamed, len(renamed), spec, "train", source="people")
    world = trained(spec)
    assert "id" not in champion(world).schema.names
    rows = score(world, {"people": PEOPLE, "visits": lines(VISITS)})
    assert (len(rows), [row["error"] for row in rows if row["error"]]) == (300, [])


def test_an_inner_join_that_finds_nobody_says_so() -> None:
    """The reason is that of the rows, and not that they have no target."""
    visits = {**SOURCES["visits"], "join": "inner"}
    strangers = lines([{**row, "id": "nobody"} for row in VISITS])
    with pytest.raises(TooManyBadRows, match=r"none of 300 .* visits has no rows"):
        trained(spec_of({**SOURCES, "visits": visits}, max_bad_rows=1.0), visits=strangers)


def test_the_same_joined_data_give_the_same_content(world: World) -> None:
    """In another run too: its snapshot has another name, and holds the version's."""
    again = World(spec_of())
    ask(again, {"people": PEOPLE, "visits": lines(VISITS)}, SCORE)
    again.train(SCORE)
    packages = [
        one.document(paths.version(MODEL, run_id, "version.json"))["package"]
        for one, run_id in ((world, RUN), (again, SCORE))
    ]
    assert packages[0]["sha256"] != packages[1]["sha256"]
    assert packages[0]["content_sha256"] == packages[1]["content_sha256"]
