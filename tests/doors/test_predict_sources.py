"""Models of several sources at the predictor's door: a key, all columns, or the rows themselves."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared import paths
from shared.adapters.memory import FixedClock
from tests.support.sources import (
    AGGREGATES,
    MODEL,
    keep,
    known_of,
    package_of,
    scores,
    serve_sources,
    transactions,
)
from tests.support.sources_world import CS1, PATH, ROWS, Sources


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
