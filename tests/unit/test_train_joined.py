"""Trainings of several sources: one version, one join, and rows that say what was wrong."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from shared import documents, paths, runs
from shared.errors import BadSource, BadSql, HeaderMismatch, NotTrainable, TooManyBadRows
from shared.files.guards import check_head
from shared.runs import InputRef
from shared.spec.load import load_spec
from shared.tabular.dataset import unpack
from tests.support.crashing import Crash, Fuse
from tests.unit.tabular.joined_world import (
    AGGREGATES,
    COLUMNS,
    PEOPLE,
    SCORE,
    SOURCES,
    VISITS,
    ask,
    champion,
    data,
    dataset,
    lines,
    score,
    spec_of,
    trained,
)
from tests.unit.tabular.world import MODEL, RUN, World

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def world() -> World:
    """A finished training, for tests that only look."""
    return trained()


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
