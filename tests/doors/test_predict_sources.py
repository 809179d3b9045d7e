"""Models of several sources at the predictor's door: a key, all columns, or the rows themselves."""

from __future__ import annotations

import io
import json
import math
import random
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import paths
from shared.adapters.memory import FixedClock
from shared.serving.cells import CellRules
from shared.serving.sources.aggregates import SourceAggregates
from shared.serving.sources.forms import MAX_ROWS
from shared.serving.times import moment_of
from shared.spec.model import Source
from shared.tabular.joins.joining import Join
from shared.tabular.reading.sheets import Block, open_sheet
from tests.support.predictor import World
from tests.support.sources import (
    AGGREGATES,
    MODEL,
    Rows,
    canonical,
    keep,
    known_of,
    package_of,
    scores,
    serve_sources,
    transactions,
)

PATH = f"/models/{MODEL}/predict"
ROWS: dict[str, Rows] = {
    "CS1": [
        {"at": "2025-12-31T12:00", "amount": 3, "shop": "A"},
        {"at": "2025-12-01", "amount": 4.5, "shop": "B"},
        {"at": "2026-03-01", "amount": 1000, "shop": "later"},
    ],
    "CS2": [],
}
CS1 = {
    "visits": 2.0,
    "spent": 7.5,
    "average": 3.75,
    "least": 3.0,
    "most": 4.5,
    "newest": 3.0,
    "shop": "A",
    "shops": 2.0,
    "days": 0.5,
    "visits_lately": 1.0,
    "spent_lately": 7.5,
    "average_lately": 3.0,
    "least_lately": 3.0,
    "most_lately": 3.0,
    "newest_lately": 3.0,
    "shop_lately": "A",
    "shops_lately": 2.0,
}


class Sources(World):
    """A predictor of one model over transactions, asked and answered."""

    def __init__(self, *, known: dict[str, Rows] | None = None, **more: Any) -> None:
        super().__init__()
        source = transactions(**more)
        kept = known_of(source, ROWS if known is None else known)
        self.source = keep(source, kept, self.lake.bucket)
        self.package = package_of(self.source)
        serve_sources(self.package, self.lake.bucket)

    def one(self, record: dict[str, Any]) -> dict[str, Any]:
        """The only prediction for a record."""
        status, answer = self.ask(record, PATH)
        assert status == 200, answer
        (prediction,) = answer["predictions"]
        return dict(prediction)

    def problems(self, record: object) -> list[dict[str, Any]]:
        status, answer = self.ask(record, PATH)
        assert status == 422, answer
        return list(answer["error"]["problems"])

    def instance(self) -> dict[str, Any]:
        """What the inference log says of the last answered row."""
        return dict(self.log_lines()[-1]["instance"])


@pytest.fixture
def world() -> Sources:
    return Sources()


# --- the three forms -----------------------------------------------------------------------------


def test_the_key_alone_is_looked_up(world: Sources) -> None:
    """A key finds its values, and the answer says of when they are."""
    prediction = world.one({"age": 4, "customer": "CS1"})
    assert prediction["features_as_of"] == "2026-01-01T00:00:00Z"
    assert "features_too_old" not in prediction
    assert "features_defaulted" not in prediction
    assert world.instance() == {"customer": "CS1", "age": 4, **CS1}


def test_all_columns_are_taken_as_they_are(world: Sources) -> None:
    """Who has the features need not be known; a null is a missing value."""
    given_columns = {**CS1, "shop": None, "average": 99}
    prediction = world.one({"age": 4, **given_columns})
    assert "features_as_of" not in prediction
    assert world.instance() == {"customer": None, "age": 4, **given_columns}


def test_rows_are_aggregated(world: Sources) -> None:
    """Rows in the record give what the snapshot holds of them, later ones unseen."""
    prediction = world.one({"age": 4, "transactions": ROWS["CS1"]})
    assert "features_as_of" not in prediction
    assert world.instance() == {"customer": None, "age": 4, **CS1}
    assert prediction["score"] == world.one({"age": 4, "customer": "CS1"})["score"]


def test_a_key_without_rows_is_known_to_have_none(world: Sources) -> None:
    """A customer of the training without transactions is no unknown one."""
    found = world.one({"age": 4, "customer": "CS2"})
    assert found["score"] == world.one({"age": 4, "customer": "new", "transactions": []})["score"]
    assert world.instance()["visits"] == 0.0
    assert world.instance()["average"] is None


def test_a_list_may_mix_forms(world: Sources) -> None:
    """Each record of a request has its own form; answers keep their order."""
    records = [
        {"age": 4, "customer": "CS1"},
        {"age": 4, **CS1},
        {"age": 4, "transactions": ROWS["CS1"], "prediction_id": "mine"},
    ]
    status, answer = world.ask({"instances": records}, PATH)
    assert status == 200
    assert len({row["score"] for row in answer["predictions"]}) == 1
    assert ["features_as_of" in row for row in answer["predictions"]] == [True, False, False]
    assert answer["predictions"][2]["prediction_id"] == "mine"


def test_keys_join_in_any_spelling(world: Sources) -> None:
    """3, 3.0 and "3" are one customer, as in files."""
    world = Sources(known={"3": ROWS["CS1"]})
    for key in (3, 3.0, "3", " 3.0 "):
        assert world.one({"age": 4, "customer": key})["score"]
        assert world.instance()["spent"] == 7.5


def test_the_model_describes_its_forms(world: Sources) -> None:
    """People see what can be sent, of when the snapshot is, and an example that works."""
    about = world.client.get(f"/models/{MODEL}").get_json()
    (source,) = about["sources"]
    assert source["name"] == "transactions"
    assert source["columns"] == AGGREGATES
    assert set(source["forms"]) == {"key", "columns", "rows"}
    assert source["forms"]["rows"] == {
        "transactions": [{"customer": None, "at": None, "amount": None, "shop": None}]
    }
    assert (source["features_as_of"], source["keys"]) == ("2026-01-01T00:00:00Z", 2)
    assert world.ask(about["example"]["body"], PATH)[0] == 200


# --- all forms agree -----------------------------------------------------------------------------

_AMOUNTS = (
    st.none() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
)
_TIMES = ["2025-11-30", "2025-12-31T23:59:59.999999Z", "2025-12-31 22:00:00+01:00", "2026-01-01"]
_ROW = st.fixed_dictionaries(
    {
        "at": st.sampled_from([*_TIMES, "2027-05-05"]),
        "amount": _AMOUNTS,
        "shop": st.none() | st.text(max_size=4) | st.integers(-9, 9) | st.sampled_from(["A", "7"]),
    }
)
_CUSTOMERS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=6).filter(
        lambda key: key == transactions().key_of(key) and key != ""
    ),
    st.lists(_ROW, max_size=8),
    min_size=1,
    max_size=4,
)


def as_texts(row: dict[str, Any]) -> dict[str, str]:
    """The row as a JSON lines file holds it, once read as cells of text."""
    return {
        name: "" if value is None else value if isinstance(value, str) else json.dumps(value)
        for name, value in row.items()
    }


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    _CUSTOMERS,
    st.sampled_from(["2026-01-01", "2027-05-05T12:00:00Z", "2028-01-01T00:00:00Z"]),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_all_forms_agree_to_the_bit(
    customers: dict[str, Rows], moment: str, own_cutoff: bool, shuffle: random.Random
) -> None:
    """Key, columns, rows in any order, and what a job makes of the texts of a file sorted by key
    and time: one answer, one log line."""
    world = Sources(known=customers, as_of="decided" if own_cutoff else moment)
    own = {"decided": moment} if own_cutoff else {}
    source = world.source
    cutoff = source.cutoff(own)
    for key, rows in customers.items():
        if own_cutoff and any(moment_of(row["at"]) >= moment_of(moment) for row in rows):
            continue  # a look-up is refused, see test_a_records_own_cutoff
        by_job = source.values(
            sorted(map(as_texts, rows), key=lambda row: (source.time_of(row["at"]), str(row))),
            cutoff,
        )
        columns = {
            name: None if value == "" or value != value else value  # noqa: PLR0124 - NaN
            for name, value in by_job.items()
        }
        mixed = list(rows)
        shuffle.shuffle(mixed)
        forms: list[dict[str, Any]] = [
            {"customer": key},
            {"customer": key, **columns},
            {"customer": key, "transactions": mixed},
            {"customer": key, "transactions": [as_texts(row) for row in rows]},
        ]
        found = set()
        for form in forms:
            prediction = world.one({"age": 7, **own, **form})
            found.add((repr(prediction["score"]), canonical(world.instance())))
        assert len(found) == 1
        many = world.ask([{"age": 7, **own, **form} for form in forms], PATH)[1]["predictions"]
        assert len({row["score"] for row in many}) == 1


def joined(
    customers: dict[str, Rows], source: SourceAggregates, own: dict[str, str]
) -> dict[str, dict[str, str]]:
    """The columns that training and scoring make of the files, as cells."""
    lines = [{"customer": key, **row} for key, rows in customers.items() for row in rows]
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    primary = "".join(json.dumps({"customer": key, **own}) + "\n" for key in customers).encode()

    def blocks(content: bytes) -> Iterator[Block]:
        yield from open_sheet(io.BytesIO(content), Source(format="jsonl")).blocks

    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Join(Path(folder), [source], CellRules())) as join,
    ):
        join.load(source.name, [("file", block) for block in blocks(data)] if lines else [])
        join.place(blocks(primary))
        join.compute()
        reading = join.read()
        found: list[dict[str, str]] = []
        for block in blocks(primary):
            cells = reading.beside(block).cells
            found += pa.table(cells).to_pylist()
    return dict(zip(customers, found, strict=True))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_CUSTOMERS, st.sampled_from([None, "2027-05-05T12:00:00Z", "2028-01-01"]))
def test_the_join_of_a_training_agrees(customers: dict[str, Rows], decided: str | None) -> None:
    """What DuckDB's join writes into the training's rows is what a look-up and rows give."""
    world = Sources(known=customers, as_of="decided" if decided else "2026-01-01")
    schema, own = world.package.schema, {"decided": decided} if decided else {}
    for key, cells in joined(customers, world.source, own).items():
        columns, problems = schema.from_cells({"age": ["7"], **{n: [c] for n, c in cells.items()}})
        assert not problems
        wanted = {name: column[0] for name, column in columns.items()}
        for form in ({"customer": key}, {"transactions": customers[key]}):
            world.one({"age": 7, **own, **form})
            instance = {name: world.instance()[name] for name in schema.names}
            found = schema.from_records([instance])
            assert repr({name: column[0] for name, column in found.items()}) == repr(wanted)


# --- unknown, old, later -------------------------------------------------------------------------


def test_an_unknown_key_is_refused_with_what_to_send(world: Sources) -> None:
    """Nobody is scored as if they had no transactions because nobody looked."""
    (problem,) = world.problems({"age": 4, "customer": "CS9"})
    assert (problem["column"], problem["value"]) == ("customer", "CS9")
    assert "not known in transactions as of 2026-01-01T00:00:00Z" in problem["rule"]
    assert "transactions: [...]" in problem["rule"]
    assert (
        world.problems([{"age": 4, "customer": "CS1"}, {"age": 4, "customer": "CS9"}])[0]["row"]
        == 1
    )
    assert {line["score"] for line in world.log_lines()} == {None}


@pytest.mark.parametrize("key", ["\ud800", "x' OR '1'='1", "\0", "x" * 100_000, True])
def test_odd_keys_are_unknown(world: Sources, key: object) -> None:
    """Whatever spells a key that nobody has gets the same refusal."""
    body = json.dumps({"age": 4, "customer": key})
    response = world.client.post(PATH, data=body, content_type="application/json")
    assert response.status_code == 422
    assert "not known" in response.get_json()["error"]["problems"][0]["rule"]


def test_defaults_for_unknown_keys() -> None:
    """Declared defaults answer for a key that the snapshot does not know, and the answer says so;
    what has no default is as of no rows."""
    world = Sources(defaults={"average": 5.0, "shop": "none"})
    prediction = world.one({"age": 4, "customer": "CS9"})
    assert prediction["features_defaulted"] is True
    instance = world.instance()
    assert (instance["average"], instance["shop"], instance["visits"]) == (5.0, "none", 0.0)
    assert instance["days"] is None
    assert "features_defaulted" not in world.one({"age": 4, "customer": "CS2"})


@pytest.mark.parametrize("too_old", ["flag", "refuse"])
def test_old_snapshots(too_old: str) -> None:
    """Past `max_age` a look-up is flagged or refused with 409; rows and columns never are."""
    world = Sources(max_age="7d", too_old=too_old)
    record = {"age": 4, "customer": "CS1"}
    assert "features_too_old" not in world.one(record)
    assert isinstance(world.cloud.clock, FixedClock)
    world.cloud.clock.advance(timedelta(days=3))
    assert world.cloud.clock.now() > datetime(2026, 1, 8, tzinfo=UTC)
    status, answer = world.ask(record, PATH)
    if too_old == "flag":
        assert status == 200
        assert answer["predictions"][0]["features_too_old"] is True
    else:
        assert (status, answer["error"]["code"]) == (409, "features_too_old")
        assert answer["error"]["features_as_of"] == "2026-01-01T00:00:00Z"
        assert "transactions" in answer["error"]["message"]
        assert world.log_lines()[-1]["error"] == "the features of transactions are too old"
        assert world.instance()["customer"] == "CS1"
        text = world.client.get("/metrics").get_data(as_text=True)
        assert (
            f'millrace_requests_total{{model="{MODEL}",protocol="native",status="409"}} 1' in text
        )
    assert "features_too_old" not in world.one({"age": 4, **CS1})
    assert "features_too_old" not in world.one({"age": 4, "transactions": ROWS["CS1"]})


def test_a_records_own_cutoff() -> None:
    """With `as_of` as a column a look-up is right or refused: never made of later rows."""
    world = Sources(as_of="decided")
    later = {"age": 4, "customer": "CS1", "decided": "2026-03-02"}
    assert world.one(later)["features_as_of"]
    assert world.instance()["visits"] == 3.0
    assert world.instance()["decided"] == "2026-03-02"
    assert world.instance()["days"] == 1.0
    for decided in ("2026-03-01", "2026-01-01"):
        (problem,) = world.problems({**later, "decided": decided})
        assert problem["column"] == "decided"
        assert "send its rows" in problem["rule"]
    world.one({**later, "decided": "2026-01-01", "transactions": ROWS["CS1"]})
    assert world.instance()["visits"] == 2.0
    for value in (None, "soon", 5):
        (problem,) = world.problems({**later, "decided": value})
        assert problem["column"] == "decided"


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "column", "rule"),
    [
        ({}, "customer", "must be given, or its rows as transactions: [...], or the columns"),
        ({"customer": None}, "customer", "must be given"),
        ({"customer": ""}, "customer", "must be present"),
        ({"customer": "?"}, "customer", "must be present"),
        ({"customer": []}, "customer", "must be a text, got an array"),
        ({"transactions": 3}, "transactions", "must be an array of objects"),
        ({"transactions": [1]}, "transactions", "must be an array of objects"),
        ({"transactions": {}}, "transactions", "must be an array of objects"),
        ({"transactions": [{"at": "2025-01-01"}]}, "transactions[].amount", "in none of the rows"),
        (
            {"transactions": [{"amount": 1, "shop": "A", "at": None}]},
            "transactions[0].at",
            "must be present",
        ),
        (
            {"customer": "CS1", "transactions": [{**ROWS["CS1"][0], "customer": "CS2"}]},
            "transactions[0].customer",
            "is a row of somebody else: the others are of 'CS1'",
        ),
        (
            {"transactions": [{**ROWS["CS1"][0], "customer": key} for key in ("a", "b")]},
            "transactions[1].customer",
            "is a row of somebody else",
        ),
    ],
)
def test_what_cannot_be_made_names_its_cell(
    world: Sources, record: dict[str, Any], column: str, rule: str
) -> None:
    """Every refusal says which field, and what was expected."""
    (problem,) = world.problems({"age": 4, **record})
    assert problem["column"] == column
    assert rule in problem["rule"]


def test_every_bad_row_is_named(world: Sources) -> None:
    """All bad cells of all rows at once, by their place."""
    good = ROWS["CS1"][0]
    rows = [good, {**good, "amount": "x"}, good, {**good, "at": "01/02/2025", "amount": math.inf}]
    body = json.dumps({"age": 4, "transactions": rows})
    response = world.client.post(PATH, data=body, content_type="application/json")
    problems = response.get_json()["error"]["problems"]
    assert [problem["column"] for problem in problems] == [
        "transactions[1].amount",
        "transactions[3].at",
        "transactions[3].amount",
    ]


def test_some_columns_are_not_all(world: Sources) -> None:
    """A part of the columns is refused, naming the others, also beside a key."""
    some = {name: value for name, value in CS1.items() if name not in ("spent", "days")}
    for record in ({"age": 4, **some}, {"age": 4, "customer": "CS1", **some}):
        problems = world.problems(record)
        assert [problem["column"] for problem in problems] == ["spent", "days"]
        assert all("must be given (or null)" in problem["rule"] for problem in problems)


def test_two_forms_are_not_guessed_between(world: Sources) -> None:
    """Rows beside columns are refused; the key beside either is only a name."""
    problems = world.problems({"age": 4, "transactions": ROWS["CS1"], "spent": 1})
    assert [problem["column"] for problem in problems] == ["spent"]
    assert "is given beside transactions" in problems[0]["rule"]
    world.one({"age": 4, "customer": "CS9", **CS1})
    assert world.instance()["customer"] == "CS9"
    world.one({"age": 4, "customer": "CS1", "transactions": None})
    assert world.instance()["spent"] == 7.5


def test_a_row_without_its_key_is_nobody_elses(world: Sources) -> None:
    """A key that is missing in a row, however it is spelled, says nothing about whose it is."""
    rows = [
        {**row, "customer": key} for row, key in zip(ROWS["CS1"], ["", "NA", None], strict=True)
    ]
    world.one({"age": 4, "customer": "CS1", "transactions": rows})
    assert world.instance()["spent"] == 7.5
    rows[0]["customer"] = "CS1"
    world.one({"age": 4, "transactions": rows})


def test_too_many_rows(world: Sources) -> None:
    """A record has a limit of rows, and says what to send instead."""
    row = {"at": "2025-01-01", "amount": 1, "shop": "A"}
    world.one({"age": 4, "transactions": [row] * MAX_ROWS})
    assert world.instance()["visits"] == float(MAX_ROWS)
    (problem,) = world.problems({"age": 4, "transactions": [row] * (MAX_ROWS + 1)})
    assert f"at most {MAX_ROWS}" in problem["rule"]


def test_problems_of_all_rows_and_columns_come_together(world: Sources) -> None:
    """One refusal lists what is wrong with the primary's own columns, too."""
    records = [{"age": "old", **CS1}, {"age": "x", "customer": "CS9"}, {"age": 1, **CS1}]
    problems = world.problems(records)
    assert [(problem["row"], problem["column"]) for problem in problems] == [
        (0, "age"),
        (1, "customer"),
        (1, "age"),
    ]


def test_nobody_without_rows_in_an_inner_join() -> None:
    """A model that learned from customers with transactions answers for no others."""
    world = Sources(join="inner")
    for rows in ([], ROWS["CS1"][2:]):
        (problem,) = world.problems({"age": 4, "transactions": rows})
        assert "has no row that is seen" in problem["rule"]


# --- several sources -----------------------------------------------------------------------------


def test_any_mix_for_several_sources() -> None:
    """Each source has a form of its own; SQL ones take key and columns, no rows."""
    world = Sources()
    lake = world.lake.bucket
    first = keep(transactions(), known_of(transactions(), ROWS), lake, version="v2")
    kept = [replace(known, values={"rating": 2.5}) for known in known_of(scores(), {"CS1": []})]
    second = keep(scores(), kept, lake, version="v2", features_as_of="2025-06-01T00:00:00Z")
    serve_sources(package_of(first, second, version="v2"), lake)
    both = world.one({"age": 4, "customer": "CS1"})
    assert both["features_as_of"] == "2025-06-01T00:00:00Z"
    fresh = {"too_old": False, "defaulted": False}
    assert both["features"] == {
        "transactions": {"as_of": "2026-01-01T00:00:00Z", **fresh},
        "scores": {"as_of": "2025-06-01T00:00:00Z", **fresh},
    }
    for record in (
        {"customer": "CS1", "transactions": ROWS["CS1"]},
        {"customer": "CS1", **CS1},
        {"rating": 2.5, "transactions": ROWS["CS1"]},
        {"rating": 2.5, **CS1},
        {"rating": 2.5, "customer": "CS1"},
    ):
        assert world.one({"age": 4, **record})["score"] == both["score"]
    (problem,) = world.problems({"age": 4, "customer": "CS1", "scores": [{"rating": 1}]})
    assert "is made by SQL, which the predictor does not run" in problem["rule"]
    (problem,) = world.problems({"age": 4, "customer": "CS2"})
    assert "not known in scores" in problem["rule"]


def test_a_column_named_like_its_source() -> None:
    """An array is the source's rows, anything else is the column."""
    world = Sources(aggregates={"transactions": "count", "spent": "sum(amount)"})
    world.one({"age": 4, "transactions": [{"at": "2025-01-01", "amount": 2}]})
    assert (world.instance()["transactions"], world.instance()["spent"]) == (1.0, 2.0)
    world.one({"age": 4, "transactions": 7, "spent": 1})
    assert world.instance()["transactions"] == 7


# --- versions and their snapshots ----------------------------------------------------------------


def test_a_version_whose_snapshot_is_gone_is_not_served(world: Sources) -> None:
    """The last good version goes on; a snapshot that is not the promised one counts as gone."""
    lake = world.lake.bucket
    record = {"age": 4, "customer": "CS1"}
    assert world.one(record)["model_version"] == "v1"
    source = keep(transactions(), known_of(transactions(), {}), lake, version="v2")
    lake.write(paths.features(MODEL, "v2", "transactions.sqlite"), b"something else")
    serve_sources(package_of(source, version="v2"), lake)
    world.seconds.now += 2
    assert world.one(record)["model_version"] == "v1"
    lake.delete(paths.features(MODEL, "v2", "transactions.sqlite"))
    world.seconds.now += 2
    assert world.one(record)["model_version"] == "v1"
    source = keep(transactions(), known_of(transactions(), ROWS), lake, version="v3")
    serve_sources(package_of(source, version="v3"), lake)
    world.seconds.now += 2
    assert world.one(record)["model_version"] == "v3"


def test_no_room_for_a_snapshot(
    world: Sources, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A disk that takes no snapshot leaves the last good version serving, and is tried again."""
    record = {"age": 4, "customer": "CS1"}
    assert world.one(record)["model_version"] == "v1"
    source = keep(transactions(), known_of(transactions(), ROWS), world.lake.bucket, version="v2")
    serve_sources(package_of(source, version="v2"), world.lake.bucket)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "away"))
    world.seconds.now += 2
    assert world.one(record)["model_version"] == "v1"
    monkeypatch.undo()
    world.seconds.now += 2
    assert world.one(record)["model_version"] == "v2"


def test_without_a_snapshot_rows_and_columns_still_work() -> None:
    """A version that keeps no snapshot says so to whoever sends a key."""
    world = Sources()
    serve_sources(package_of(transactions(), version="v2"), world.lake.bucket)
    world.one({"age": 4, "transactions": ROWS["CS1"]})
    world.one({"age": 4, **CS1})
    (problem,) = world.problems({"age": 4, "customer": "CS1"})
    assert "has no snapshot" in problem["rule"]
    about = world.client.get(f"/models/{MODEL}").get_json()
    assert set(about["sources"][0]["forms"]) == {"columns", "rows"}
