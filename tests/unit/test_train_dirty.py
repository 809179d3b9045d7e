"""Training on files as people have them: odd labels, odd names, copies, a first try that fails."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest

from shared import documents, paths
from shared.errors import NotTrainable
from shared.serving.loaded_model import LoadedModel, load
from shared.spec.registry import register
from shared.tabular.dataset import unpack
from shared.usecases.training import prepared
from shared.usecases.training.loaded import load_prepared
from tests.unit.tabular.world import COLUMNS, MODEL, RUN, World, csv_bytes, rows, spec_of

AGAIN = "20260107T090000-00000002"
SCORED = "20260106T090000-00000001"
SPELLED = {"yes": "True", "no": "False"}


def _spelled(count: int, seed: int = 0) -> list[list[str]]:
    return [[*row[:3], SPELLED[row[3]]] for row in rows(count, seed)]


def _served(world: World, run_id: str) -> LoadedModel:
    about = world.document(paths.version(MODEL, run_id, "version.json"))
    return load(
        lambda name: world.lake.read(paths.package(MODEL, run_id, name)).data,
        about["package"]["files"],
    )


def test_labels_are_served_as_the_data_spell_them_through_the_whole_loop() -> None:
    """`True` comes back as `True`; monitoring, labels and the next version know it as one label."""
    world = World(spec_of(target={"column": "y", "positive": "True"}))
    world.ask(csv_bytes(_spelled(400)))
    world.train()
    assert _served(world, RUN).predict_records([{"age": 75, "city": "b"}]).label == ["True"]
    about = world.document(paths.version(MODEL, RUN, "version.json"))
    assert about["labels"] == ["False", "True"]
    reference = world.document(about["reference"])
    assert reference["positive"] == "true"
    assert set(reference["prediction"]["label"]["levels"]) == {"true", "false"}
    assert reference["performance"]["value"] == pytest.approx(about["metrics"]["auroc"])
    world.promote(RUN)
    fresh = _spelled(1200, seed=1)
    world.scored(SCORED, fresh)
    labels = [(f"{SCORED}-{n}", row[3].lower(), SCORED, 0) for n, row in enumerate(fresh, start=1)]
    world.ask_again(RUN, [world.labelled("20260107T080000-0000000f", labels)], AGAIN)
    world.train(AGAIN)
    comparison = world.document(paths.version(MODEL, AGAIN, "comparison.json"))
    assert comparison["evidence"] == "sufficient"
    assert _served(world, AGAIN).package.labels == ("False", "True")


def test_a_file_that_cannot_be_learned_from_fixes_nothing() -> None:
    """Which class is positive is decided by the first training, not by the first try."""
    world = World(spec_of(target="y"))
    world.ask(csv_bytes([[*row[:3], "yes"] for row in rows(30)] + [["30", "1", "a", "no"]] * 8))
    with pytest.raises(NotTrainable):
        world.train()
    data = [[*row[:3], "yes" if number % 4 == 0 else "no"] for number, row in enumerate(rows(400))]
    world.ask(csv_bytes(data), AGAIN)
    world.train(AGAIN)
    assert world.document(paths.version(MODEL, AGAIN, "version.json"))["labels"] == ["no", "yes"]


def test_the_threshold_is_not_chosen_on_copies() -> None:
    """A forest knows the copies of its rows by heart; out of fold none of them is there."""
    training = {"candidates": ["random_forest"], "trials": 1, "false_positive_ceiling": 0.2}
    world = World(spec_of(training=training))
    world.ask(csv_bytes(rows(300) * 4))
    world.train()
    choice = world.document(paths.run_stage(MODEL, RUN, "fitted.json"))["choice"]
    assert choice["value"] < 0.92, "copies make it look perfect; the holdout says 0.87"


def test_a_feature_called_as_an_answer_is_learned_from_the_input_again() -> None:
    """Where its cell is empty the row has no value; our own score is never taken for one."""
    columns = {"age": {"type": "number"}, "score": {"type": "number"}, "city": {}, "y": {}}
    world = World(spec_of(columns=columns))
    world.ask(csv_bytes(rows(400), list(columns)))
    world.train()
    world.promote(RUN)
    fresh = [
        [row[0], "" if number % 2 else row[1], *row[2:]] for number, row in enumerate(rows(600, 1))
    ]
    world.scored(SCORED, fresh, ["age", "score_input", "city"])
    labels = [(f"{SCORED}-{n}", row[3], SCORED, 0) for n, row in enumerate(fresh, start=1)]
    world.ask_again(RUN, [world.labelled("20260107T080000-0000000f", labels)], AGAIN)
    world.train(AGAIN)
    dataset = unpack(world.lake.read(paths.dataset(MODEL, AGAIN, "data.csv.gz")).data)
    cells = dict(zip(dataset.prediction_id, dataset.cells["score"], strict=True))
    wanted = {f"{SCORED}-{n}": row[1].replace("?", "") for n, row in enumerate(fresh, start=1)}
    assert {key: cells[key] for key in wanted} == wanted


def test_online_values_are_kept_as_the_model_saw_them() -> None:
    """With a decimal comma a number is written with one; the category 3.5 stays `3.5`."""
    columns = {"age": {"type": "number"}, "gain": {"type": "number"}, "city": {}, "y": {}}
    source = {"decimal": ",", "delimiter": ";"}
    world = World(spec_of(columns=columns, source=source))
    data = [[row[0], row[1].replace(".", ","), row[2], row[3]] for row in rows(400)]
    world.ask(b"\n".join(";".join(row).encode() for row in [list(columns), *data]) + b"\n")
    world.train()
    world.promote(RUN)
    lines = [
        {
            "model": MODEL,
            "version": RUN,
            "time": documents.timestamp(world.clock.now()),
            "prediction_id": f"call-{number}",
            "instance": {"age": number % 70 + 0.5, "gain": number, "city": 3.5},
            "score": 0.5,
        }
        for number in range(500)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    world.lake.write(f"{paths.inference_log(world.clock.now().date())}x.jsonl", text.encode())
    labels = [(f"call-{n}", "yes" if n % 2 else "no", None, 0) for n in range(500)]
    world.ask_again(RUN, [world.labelled("20260107T080000-0000000f", labels)], AGAIN)
    world.train(AGAIN)
    dataset = unpack(world.lake.read(paths.dataset(MODEL, AGAIN, "data.csv.gz")).data)
    at = dataset.prediction_id.index("call-7")
    assert (dataset.cells["age"][at], dataset.cells["city"][at]) == ("7,5", "3.5")


def test_a_champion_that_predicts_something_else_is_not_comparable() -> None:
    """A changed target is another question, even where every column is there."""
    columns: dict[str, Any] = {**COLUMNS, "y": {"type": "number"}, "gain": {"type": "number"}}
    numbers = [[row[0], row[1].replace("?", "0"), row[2], row[0]] for row in rows(400)]
    checks = {"leakage": "off"}
    world = World(spec_of(task="regression", target="y", columns=columns, checks=checks))
    world.ask(csv_bytes(numbers))
    world.train()
    world.promote(RUN)
    spec = spec_of(task="regression", target="gain", columns=columns)
    world.generation = register(MODEL, spec, "later", lake=world.lake, clock=world.clock).generation
    world.ask(csv_bytes(numbers), AGAIN)
    world.train(AGAIN)
    comparison = world.document(paths.version(MODEL, AGAIN, "comparison.json"))
    assert comparison["evidence"] == "not_comparable"
    assert "it predicts y, not gain" in comparison["sentence"]


def test_a_resumed_run_reads_what_the_first_attempt_read() -> None:
    """A cell longer than the csv module likes; a new process has the module's own limit again."""
    data = rows(400)
    data[3][2] = "x" * 200_000
    world = World()
    world.ask(csv_bytes(data))
    world.train()
    record = world.document(paths.run_stage(MODEL, RUN, f"{prepared.STAGE}.json"))
    csv.field_size_limit(131_072)
    assert len(load_prepared(MODEL, RUN, record, lake=world.lake).dataset) == 400
