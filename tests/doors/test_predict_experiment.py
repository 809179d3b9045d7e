"""The predictor while an experiment runs: who is dealt to whom, and what a bad challenger does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from shared import documents, paths
from shared.adapters.memory import FixedClock
from shared.beside.second_version import SecondVersion
from shared.serving.assigning import key_text, takes, unit_of
from shared.serving.encoder import Encoder
from shared.serving.features import Bounds
from shared.serving.package import Package, linear_engine
from tests.support.predictor import RECORD, World
from tests.support.sources import (
    MODEL,
    keep,
    known_of,
    package_of,
    serve_sources,
    transactions,
)
from tests.unit.serving.models import SCHEMA, binary_package, serve, store, training_columns

START = "2026-01-05T08:00:00Z"


def begin(world: World, challenger: Package, **changes: Any) -> SecondVersion:
    """Store the challenger and put an experiment into the manifest, as it was written before there
    were other kinds of second versions."""
    lake = world.lake.bucket
    body: dict[str, Any] = {
        "id": "e1",
        "version": challenger.version,
        "package": paths.package(challenger.model, challenger.version),
        "sha256": "",
        "files": store(challenger, lake),
        "features": [],
        "against": "v1",
        "revision": 1,
        "share": 0.5,
        "key": "city",
        "started_at": START,
        "by": "ada",
        "reason": "",
    }
    experiment = SecondVersion.from_json({**body, **changes})
    found = documents.read(lake, paths.manifest(challenger.model))
    changed = {**found.body, "experiment": experiment.to_json()}
    documents.swap(lake, paths.manifest(challenger.model), changed, generation=found.generation)
    world.seconds.now += 2
    return experiment


@pytest.fixture
def world() -> World:
    found = World()
    serve(binary_package(), found.lake.bucket, log="sync")
    return found


def towns(count: int) -> list[dict[str, Any]]:
    return [{**RECORD, "city": f"town {number}"} for number in range(count)]


def expected(experiment: SecondVersion, key: object) -> str:
    mine = takes(unit_of(experiment.id, key_text(key)), experiment.share)
    return experiment.version if mine else experiment.against


def metric(world: World, text: str) -> bool:
    return text in world.client.get("/metrics").get_data(as_text=True)


# --- dealing -------------------------------------------------------------------------------------


def test_each_key_gets_its_version_and_answers_stay_in_order(world: World) -> None:
    """Rows of one request go to both versions; each answer is that of its version, in its place,
    and the same key gets the same version alone and in a crowd."""
    world.ask(RECORD)
    experiment = begin(world, binary_package("v2", shift=3.0))
    records = towns(40)
    _, answer = world.ask(records)
    got = [row["model_version"] for row in answer["predictions"]]
    assert got == [expected(experiment, record["city"]) for record in records]
    assert set(got) == {"v1", "v2"}
    for version, shift in (("v1", 0.0), ("v2", 3.0)):
        alone = World()
        serve(binary_package(version, shift=shift), alone.lake.bucket)
        _, plain = alone.ask(records)
        for mine, theirs in zip(answer["predictions"], plain["predictions"], strict=True):
            if mine["model_version"] == version:
                assert (mine["score"], mine["label"]) == (theirs["score"], theirs["label"])
    for record, version in zip(records, got, strict=True):
        _, one = world.ask(record)
        assert one["model_version"] == one["predictions"][0]["model_version"] == version


@pytest.mark.parametrize("version", ["", "/versions/v1", "/versions/v2"])
def test_every_protocol_is_dealt_and_a_named_version_is_not(world: World, version: str) -> None:
    """v2 and MLflow get what our own route gets; who names a version gets that one alone, outside
    of the experiment. The experiment's key is a known field, whatever it is called."""
    world.ask(RECORD)
    experiment = begin(world, binary_package("v2", shift=3.0), key="visitor")
    records = [{**RECORD, "visitor": f"v{number}"} for number in range(30)]
    wanted = [version[-2:] or expected(experiment, record["visitor"]) for record in records]
    plain = world.client.post("/predict", json=records)
    assert "X-Millrace-Unknown-Fields" not in plain.headers
    rows = plain.get_json()["predictions"]
    inputs = [
        {
            "name": name,
            "datatype": "BYTES",
            "shape": [30],
            "data": [str(record[name]) for record in records],
        }
        for name in records[0]
    ]
    status, answer = world.ask({"inputs": inputs}, f"/v2/models/adult{version}/infer")
    assert status == 200
    found = {output["name"]: output["data"] for output in answer["outputs"]}
    assert found["model_version"] == wanted
    marked = ["experiment" in line for line in world.log_lines()[-30:]]
    assert marked == [not version] * 30
    if not version:
        assert found["score"] == [row["score"] for row in rows]
        _, answer = world.ask({"inputs": records}, "/invocations")
        assert answer["predictions"] == [row["label"] for row in rows]


def test_the_log_says_which_experiment_and_arm(world: World) -> None:
    """Each line has the version that answered, and the experiment with the dealt place of the key;
    a line without an experiment is as it always was."""
    world.ask(RECORD)
    experiment = begin(world, binary_package("v2"))
    world.ask(towns(10))
    before, *lines = world.log_lines()
    assert "experiment" not in before
    for line in lines:
        version = expected(experiment, line["instance"]["city"])
        arm = "challenger" if version == "v2" else "champion"
        assert (line["version"], line["experiment"]["arm"]) == (version, arm)
        assert line["experiment"]["id"] == "e1"
        unit = unit_of("e1", line["instance"]["city"])
        assert line["experiment"]["unit"] == f"{unit:016x}"
        assert line["experiment"]["left_out"] is None


def test_predictions_themselves_may_be_dealt(world: World) -> None:
    """With the key prediction_id each answer is dealt by its own id, also one the caller gave."""
    experiment = begin(world, binary_package("v2"), key="prediction_id")
    records = [{**RECORD, "prediction_id": f"order-{number}"} for number in range(30)]
    _, answer = world.ask(records)
    for row in answer["predictions"]:
        assert row["model_version"] == expected(experiment, row["prediction_id"])
    assert len({row["model_version"] for row in answer["predictions"]}) == 2


def test_a_record_without_the_key_is_the_champions(world: World) -> None:
    """It is answered, counted, and no part of the experiment."""
    begin(world, binary_package("v2"), share=0.999)
    _, answer = world.ask([{**RECORD, "city": None}, {"age": 3}, {**RECORD, "city": "?"}])
    assert {row["model_version"] for row in answer["predictions"]} == {"v1"}
    assert {line["experiment"]["left_out"] for line in world.log_lines()} == {"no_key"}
    assert {line["experiment"]["unit"] for line in world.log_lines()} == {None}
    assert metric(world, 'millrace_left_out_total{model="adult",reason="no_key"} 3')


def test_the_split_ends_with_the_planned_end_and_with_the_experiment(world: World) -> None:
    """From the planned end on, and once the manifest has no experiment, the champion answers and
    lines are plain."""
    begin(world, binary_package("v2"), share=0.999, until="2026-01-05T10:00:00Z")
    assert world.ask(RECORD)[1]["model_version"] == "v2"
    assert isinstance(world.cloud.clock, FixedClock)
    world.cloud.clock.advance(3600)
    assert world.ask(RECORD)[1]["model_version"] == "v1"
    assert "experiment" not in world.log_lines()[-1]
    serve(binary_package(), world.lake.bucket, log="sync")
    world.seconds.now += 2
    world.ask(RECORD)
    assert "experiment" not in world.log_lines()[-1]
    assert "experiment" not in world.client.get("/models/adult").get_json()


def test_people_see_the_experiment_where_they_ask_about_the_model(world: World) -> None:
    """GET /models/<model> says what runs beside the champion; metrics count rows per version."""
    begin(world, binary_package("v2"))
    about = world.client.get("/models/adult").get_json()
    assert about["version"] == "v1"
    assert about["experiment"] == {
        "id": "e1",
        "version": "v2",
        "share": 0.5,
        "key": "city",
        "sticky": True,
        "until": None,
        "asked_here": True,
    }
    assert world.client.get("/v2/models/adult").get_json()["versions"] == ["v1", "v2"]
    named = world.client.get("/v2/models/adult/versions/v2").get_json()
    assert named["versions"] == ["v2"]
    _, answer = world.ask(towns(20))
    for version in ("v1", "v2"):
        rows = sum(row["model_version"] == version for row in answer["predictions"])
        assert metric(world, f'millrace_rows_total{{model="adult",version="{version}"}} {rows}')
        assert metric(world, f'millrace_model_info{{model="adult",version="{version}"}} 1')


# --- a challenger in trouble ---------------------------------------------------------------------


@pytest.mark.parametrize("breakage", ["hash", "missing", "other"])
def test_a_challenger_that_does_not_load_leaves_the_champion_answering(
    world: World, breakage: str
) -> None:
    """Every request is answered, the trouble is told once, the rows say why they do not count."""
    challenger = binary_package("v2")
    changes: dict[str, Mapping[str, str]] = {}
    if breakage == "hash":
        changes = {"files": {"package.json": "0" * 64}}
    elif breakage == "other":
        changes = {"files": store(binary_package("v2", model="other"), world.lake.bucket)}
    begin(world, challenger, **changes)
    if breakage == "missing":
        world.lake.bucket.delete(paths.package("adult", "v2", "package.json"))
    for _ in range(3):
        _, answer = world.ask(towns(10))
        assert {row["model_version"] for row in answer["predictions"]} == {"v1"}
        world.seconds.now += 2
    reasons = {line["experiment"]["left_out"] for line in world.log_lines()}
    assert reasons == {"challenger_not_loaded"}
    assert metric(world, 'millrace_refresh_failures_total{model="adult"} 1')
    assert metric(world, 'millrace_left_out_total{model="adult",reason="challenger_not_loaded"} 30')


def test_a_challenger_that_storage_kept_away_comes_later(world: World) -> None:
    """Storage that is away is no broken package: the next look tries again."""
    world.ask(RECORD)
    begin(world, binary_package("v2"), share=0.999)
    world.lake.reads_down = True
    assert world.ask(RECORD)[1]["model_version"] == "v1"
    world.lake.reads_down = False
    world.seconds.now += 2
    assert world.ask(RECORD)[1]["model_version"] == "v2"


def test_a_challenger_that_raises_fails_nobody(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its rows get the champion's answer and do not count; it is told once, however often."""
    begin(world, binary_package("v2"), share=0.999)
    world.ask(RECORD)
    served = world.app.extensions["millrace"].models.get("adult")

    class Exploding:
        width = served.model.package.engine.width

        def score(self, x: object) -> object:
            raise RuntimeError("no such operator")

    served.beside.served.model._engine = Exploding()
    capsys.readouterr()
    for _ in range(3):
        status, answer = world.ask([RECORD, {**RECORD, "age": 20}])
        assert status == 200
        assert {row["model_version"] for row in answer["predictions"]} == {"v1"}
    assert capsys.readouterr().out.count("challenger v2 raised RuntimeError") == 1
    assert world.log_lines()[-1]["experiment"]["left_out"] == "challenger_failed"
    assert metric(world, 'millrace_left_out_total{model="adult",reason="challenger_failed"} 6')


def test_a_record_that_only_the_champion_takes_counts_for_nobody(world: World) -> None:
    """Valid for the champion is valid; such records are left out of both arms, however they are
    mixed, and what the champion refuses is refused as ever."""
    features = tuple(
        replace(item, require=Bounds(min=0.0, max=50.0)) if item.name == "age" else item
        for item in SCHEMA.features
    )
    strict = replace(binary_package("v2"), schema=replace(SCHEMA, features=features))
    experiment = begin(world, strict)
    records = [{**item, "age": 60 if row % 3 == 0 else 40} for row, item in enumerate(towns(30))]
    status, answer = world.ask(records)
    assert status == 200
    for row, (prediction, line) in enumerate(
        zip(answer["predictions"], world.log_lines(), strict=True)
    ):
        old = records[row]["age"] == 60
        dealt = expected(experiment, records[row]["city"])
        assert prediction["model_version"] == ("v1" if old else dealt)
        assert line["experiment"]["left_out"] == ("challenger_refuses" if old else None)
    status, refused = world.ask([{**RECORD, "age": -1}, RECORD])
    assert (status, refused["error"]["problems"][0]["row"]) == (422, 0)


# --- the dealing itself --------------------------------------------------------------------------


def test_keys_are_dealt_evenly_and_for_ever() -> None:
    """Any set of keys, also numbers in a row, is split by the share; a spelling is fixed for good:
    other code must not deal running experiments anew."""
    for share in (0.1, 0.5):
        got = sum(takes(unit_of("e1", str(number)), share) for number in range(20_000))
        assert abs(got / 20_000 - share) < 4 * (share * (1 - share) / 20_000) ** 0.5
    assert f"{unit_of('e1', 'Köln'):016x}" == "527cc502301809f0"
    both = [
        (takes(unit_of("e1", str(n)), 0.5), takes(unit_of("e2", str(n)), 0.5)) for n in range(4000)
    ]
    assert abs(sum(a == b for a, b in both) / 4000 - 0.5) < 0.03


def test_a_key_is_the_same_in_every_spelling() -> None:
    """A number, its text and its float are one key; missing ones and lists are none."""
    assert {key_text(7), key_text("7"), key_text(7.0), key_text(" 7 ")} == {"7"}
    assert {key_text(None), key_text(""), key_text("NA"), key_text([1]), key_text({})} == {""}


def test_a_challenger_may_have_features_of_its_own(world: World) -> None:
    """Its log lines show what it read: monitoring knows each version by its own columns."""
    features = tuple(item for item in SCHEMA.features if item.name != "gain")
    columns = {item.name: training_columns()[item.name] for item in features}
    encoder = Encoder.fit(columns, features, "linear", min_frequency=1)
    small = replace(
        binary_package("v2"),
        schema=replace(SCHEMA, features=features),
        encoder=encoder,
        engine=linear_engine([1.0] * len(encoder.names), 0.0, "logit"),
    )
    begin(world, small, share=0.999)
    world.ask(RECORD)
    (line,) = world.log_lines()
    assert line["version"] == "v2"
    assert set(line["instance"]) == {"age", "city", "grade"}


def test_joined_sources_are_looked_up_by_the_version_that_answers() -> None:
    """With a key alone both versions answer from their own snapshots: notes and logged columns are
    those of the version that answered."""
    world = World()
    rows = {"CS1": [{"at": "2025-12-01", "amount": 4.5, "shop": "B"}]}
    sources = {}
    for version, as_of in (("v1", "2026-01-01T00:00:00Z"), ("v2", "2026-01-02T00:00:00Z")):
        source = transactions()
        known = known_of(source, rows)
        sources[version] = keep(
            source, known, world.lake.bucket, version=version, features_as_of=as_of
        )
    serve_sources(package_of(sources["v1"]), world.lake.bucket)
    begin(world, package_of(sources["v2"], version="v2"), key="prediction_id")
    records = [{"age": 4, "customer": "CS1", "prediction_id": f"p{row}"} for row in range(20)]
    status, answer = world.ask(records, f"/models/{MODEL}/predict")
    assert status == 200, answer
    days = {"v1": "2026-01-01T00:00:00Z", "v2": "2026-01-02T00:00:00Z"}
    assert {row["model_version"] for row in answer["predictions"]} == set(days)
    for row, line in zip(answer["predictions"], world.log_lines(), strict=True):
        assert row["features_as_of"] == days[row["model_version"]]
        assert line["instance"]["spent"] == 4.5
        assert line["experiment"]["left_out"] is None
