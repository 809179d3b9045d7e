"""Training with row expressions: one model, whatever way a row comes to it."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pytest

from shared import documents, paths, runs
from shared.adapters.mlflow_model import columns_of
from shared.adapters.mlflow_pyfunc import ServedModel
from shared.errors import BadSpec, DataStopped, HeaderMismatch
from shared.runs import InputRef
from shared.serving.loaded_model import LoadedModel
from shared.spec.model import Spec
from shared.tabular.dataset import unpack
from shared.usecases.score import load_version, score_file
from tests.unit.tabular.world import MODEL, RUN, World, csv_bytes

SCORED = "20260106T090000-0a1b2c3d"
COLUMNS: dict[str, Any] = {
    "rooms": {"type": "number", "allow_leak": "the price is made of it here"},
    "homes": {"type": "number", "exclude": True},
    "started": {"type": "time"},
    "city": {},
    "price": {"type": "number"},
}
DERIVE = {
    "per_home": "rooms / homes",
    "month": "month(started)",
    "size": "log1p(rooms)",
}


def spec(**changes: Any) -> Spec:
    body: dict[str, Any] = {
        "task": "regression",
        "target": "price",
        "columns": COLUMNS,
        "derive": DERIVE,
        "training": {"candidates": ["gradient_boosting"], "trials": 1},
        **changes,
    }
    return Spec.model_validate(body)


def rows(count: int = 300) -> list[list[str]]:
    """The price follows what is derived, not what is in the file."""
    random = np.random.default_rng(1)
    found = []
    for _ in range(count):
        rooms, homes = int(random.integers(1, 999)), int(random.integers(0, 99))
        month = int(random.integers(1, 13))
        price = (rooms / homes if homes else 0.0) * 10 + month
        cells = [str(rooms), str(homes), f"2026-{month:02}-11", str(random.choice(list("ab")))]
        found.append([*cells, f"{price:.3f}"])
    found[7][0] = found[9][1] = found[11][2] = "?"
    return found


@pytest.fixture(scope="module")
def trained() -> World:
    world = World(spec())
    world.ask(csv_bytes(rows(), list(COLUMNS)))
    world.train()
    return world


@pytest.fixture(scope="module")
def model(trained: World) -> LoadedModel:
    return load_version(MODEL, RUN, lake=trained.lake)


def test_the_model_sees_what_is_derived_and_files_keep_what_came(
    trained: World, model: LoadedModel
) -> None:
    """Derived columns are features of the package and the reference; the dataset has the inputs,
    and the example is one that a caller can send."""
    seen = ["rooms", "city", *DERIVE]
    assert [feature.name for feature in model.schema.seen] == seen
    assert [code.name for code in model.package.encoder.codes] == seen
    assert set(model.package.example) == {"rooms", "city", "homes", "started"}
    assert str(model.package.example["started"]).startswith("2026-")
    dataset = unpack(trained.lake.read(paths.dataset(MODEL, RUN, "data.csv.gz")).data)
    assert list(dataset.cells) == ["rooms", "city", "homes", "started", "price"]
    reference = documents.require(trained.lake, paths.dataset(MODEL, RUN, "reference.json"))
    assert list(reference["columns"]) == seen
    fitted = documents.require(trained.lake, paths.run_stage(MODEL, RUN, "fitted.json"))
    assert fitted["parity"]["passed"]
    comparison = documents.require(trained.lake, paths.version(MODEL, RUN, "comparison.json"))
    assert comparison["eligible"]


def test_what_is_asked_is_said_everywhere(trained: World, model: LoadedModel) -> None:
    """MLflow's signature lets through what is only derived of, importances are those of inputs."""
    assert list(columns_of(model.package)) == model.schema.names
    described = documents.require(trained.lake, paths.run_stage(MODEL, RUN, "described.json"))
    drops = {one["feature"]: one["drop"] for one in described["importances"]["items"]}
    assert set(drops) == set(model.schema.names)
    assert drops["homes"] > 0


def test_monitoring_knows_what_is_a_copy(trained: World) -> None:
    """Of what the model sees itself; what is made of other columns says something of its own."""
    reference = trained.document(paths.dataset(MODEL, RUN, "reference.json"))
    assert reference["made_of"] == {"size": ["rooms"]}
    assert set(reference["columns"]) == {"rooms", "city", *DERIVE}


def test_a_bad_cell_of_what_is_derived_of_quarantines_its_row() -> None:
    """As one of a feature does, also where the column is excluded: the row cannot be answered."""
    world = World(spec(max_bad_rows=0.1))
    data = rows()
    data[3][1], data[5][2] = "many", "soon"
    world.ask(csv_bytes(data, list(COLUMNS)))
    world.train()
    record = documents.require(world.lake, paths.run_stage(MODEL, RUN, "prepared.json"))
    assert record["quarantined"] == 2
    text = world.lake.read(paths.quarantine(MODEL, RUN, "rows.csv")).data.decode()
    assert "homes: must be a number" in text
    assert "started: must be a date" in text


def _batch_scores(world: World, data: list[list[str]]) -> list[str]:
    text = csv_bytes(data, [name for name in COLUMNS if name != "price"])
    info = world.lake.write(paths.input_copy(MODEL, "score", SCORED, "new.csv"), text)
    source = InputRef.of(info, "gs://inbox/new.csv#1")
    request = world.ask_score(SCORED, (source,))
    runs.save_launch(MODEL, SCORED, RUN, lake=world.lake, clock=world.clock)
    score_file(request, lake=world.lake, publisher=world.cloud.publisher, clock=world.clock)
    name = paths.predictions(MODEL, SCORED, "predictions.csv")
    found = csv.DictReader(io.StringIO(world.lake.read(name).data.decode()))
    return [row["score"] for row in found]


def test_every_way_to_ask_gives_the_same_answer(trained: World, model: LoadedModel) -> None:
    """One record, many, cells, a scored file and MLflow's pyfunc: the same bits."""
    names = [name for name in COLUMNS if name != "price"]
    data = [row[:-1] for row in rows(60)]
    numbers = {"rooms", "homes"}
    records = [
        {
            name: None if cell == "?" else int(cell) if name in numbers else cell
            for name, cell in zip(names, row, strict=True)
        }
        for row in data
    ]
    cells = {name: [row[at] for row in data] for at, name in enumerate(names)}
    expected = model.predict(model.schema.from_cells(cells)[0]).score
    assert len(set(expected.tolist())) > 20
    alone = [float(model.predict_records([record]).score[0]) for record in records]
    assert alone == expected.tolist()
    assert model.predict_records(records).score.tolist() == expected.tolist()
    full = ServedModel(model).predict(records, {"output": "full"})
    assert full["score"].tolist() == expected.tolist()
    assert list(map(float, _batch_scores(trained, data))) == expected.tolist()


def test_a_leak_is_found_in_what_is_derived() -> None:
    """The check looks at derived columns too, and says of what they are made."""
    world = World(spec(columns={**COLUMNS, "rooms": {"type": "number"}}))
    world.ask(csv_bytes(rows(), list(COLUMNS)))
    with pytest.raises(DataStopped, match=r"per_home` out of `derive`.*rooms: {allow_leak"):
        world.train()


def test_a_new_expression_moves_no_row_to_another_side(trained: World) -> None:
    """Sides go by what the file says of a row, not by what is derived of it."""
    plain = World(spec(derive={}))
    plain.ask(csv_bytes(rows(), list(COLUMNS)))
    plain.train()
    one, two = (
        unpack(world.lake.read(paths.dataset(MODEL, RUN, "data.csv.gz")).data)
        for world in (trained, plain)
    )
    assert one.record == two.record
    assert one.side == two.side


def test_answers_stay_within_the_ends_that_the_target_has() -> None:
    """What is served, proved and measured is clipped; the ends are in the file's own unit."""
    target = {"column": "price", "scale": 100, "low": 20, "high": 60}
    training = {"candidates": ["linear"], "trials": 1}
    world = World(spec(target=target, training=training))
    world.ask(csv_bytes(rows(), list(COLUMNS)))
    world.train()
    model = load_version(MODEL, RUN, lake=world.lake)
    records = [{"rooms": n, "homes": 5, "started": "2026-03-01", "city": "a"} for n in (1, 50, 999)]
    answers = model.predict_records(records).score.tolist()
    assert answers[0] >= 20
    assert answers[-1] == 60
    assert model.predict_records(records[-1:]).score.tolist() == [60]
    dataset = unpack(world.lake.read(paths.dataset(MODEL, RUN, "data.csv.gz")).data)
    held = [row for row, side in enumerate(dataset.side) if side == "holdout"]
    cells = {name: [column[row] for row in held] for name, column in dataset.cells.items()}
    truth = np.array(cells["price"], np.float64)
    served = model.predict(model.schema.from_cells(cells)[0]).score
    rmse = float(np.sqrt(np.mean(((served - truth) / 100) ** 2)))
    about = documents.require(world.lake, paths.version(MODEL, RUN, "version.json"))
    comparison = documents.require(world.lake, paths.version(MODEL, RUN, "comparison.json"))
    assert about["metrics"]["rmse"] == pytest.approx(rmse, rel=1e-9)
    assert comparison["challenger"] == pytest.approx(rmse, rel=1e-9)
    assert model.package.metrics["rmse"] == pytest.approx(rmse, rel=1e-4)
    fitted = documents.require(world.lake, paths.run_stage(MODEL, RUN, "fitted.json"))
    assert fitted["parity"]["passed"]


def test_a_column_of_the_file_is_not_derived_over() -> None:
    """Without columns in the spec nobody saw it coming: the training says which name is taken."""
    world = World(spec(columns={}, derive={"rooms": "homes / 2"}))
    world.ask(csv_bytes(rows(), list(COLUMNS)))
    with pytest.raises(HeaderMismatch, match="rooms already, which the spec derives"):
        world.train()
    calculated = World(spec(columns={}, derive={"twice": "city * 2"}))
    calculated.ask(csv_bytes(rows(), list(COLUMNS)))
    with pytest.raises(BadSpec, match="needs numbers, not a text"):
        calculated.train()
