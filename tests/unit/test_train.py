"""Training: one version and one outcome, whatever is in the file and wherever a run dies."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from shared import documents, paths, runs
from shared.errors import (
    HeaderMismatch,
    NoCandidate,
    NotTrainable,
    TooManyBadRows,
    TrackingUnavailable,
    UnreadableText,
)
from shared.events import TrainingCompleted
from shared.ports import TrackedTraining
from shared.serving.loaded_model import load
from shared.tabular.dataset import unpack
from shared.usecases.training import fitting, loaded, prepared, tuned
from shared.usecases.training.stages import Training
from tests.support.crashing import Crash, Fuse
from tests.unit.tabular.world import MODEL, RUN, World, csv_bytes, rows, spec_of

DATA = csv_bytes(rows(400))


@pytest.fixture(scope="module")
def trained() -> World:
    """A finished training, for tests that only look."""
    world = World()
    world.ask(DATA)
    world.train()
    return world


def test_a_training_ends_with_a_complete_version(trained: World) -> None:
    """Everything the contract names is there, and says the same."""
    about = trained.document(paths.version(MODEL, RUN, "version.json"))
    comparison = trained.document(paths.version(MODEL, RUN, "comparison.json"))
    reference = trained.document(about["reference"])
    assert about["version"] == about["run_id"] == comparison["version"] == RUN
    assert about["candidate"] == "linear"
    assert about["metrics"]["auroc"] == comparison["challenger"] > 0.7
    assert comparison["against"] is None
    assert comparison["gain"] is None
    assert comparison["eligible"]
    assert comparison["holdout"]["overlap"] == 0
    assert all(item["pass"] for item in comparison["guardrails"])
    assert reference["metrics"]["auroc"]["value"] == about["metrics"]["auroc"]
    assert trained.names(paths.version(MODEL, RUN)) == [
        f"models/{MODEL}/{RUN}/{name}"
        for name in (
            "card.html",
            "card.md",
            "comparison.json",
            "data-card.html",
            "data-card.md",
            "package/package.json",
            "plots/calibration.svg",
            "plots/confusion.svg",
            "plots/importances.svg",
            "plots/precision_recall.svg",
            "plots/roc.svg",
            "plots/scores.svg",
            "version.json",
        )
    ]


def test_the_package_answers_the_metrics_of_the_version(trained: World) -> None:
    """What serving will load is what was measured: hashes hold, threshold and labels travel."""
    about = trained.document(paths.version(MODEL, RUN, "version.json"))
    model = load(
        lambda name: trained.lake.read(paths.package(MODEL, RUN, name)).data,
        about["package"]["files"],
    )
    answer = model.predict_records([{"age": 75, "gain": 300.0, "city": "b"}])
    assert answer.label == ["yes"]
    assert model.package.threshold == about["threshold"]
    assert model.package.labels == ("no", "yes")


def test_the_history_tells_every_stage_with_facts(trained: World) -> None:
    """The command line's timeline has rows, scores and seconds to show."""
    events = {event["name"]: event["facts"] for event in _history(trained)}
    expected = ["prepared", "tuned-linear", "fitted", "compared", "described", "tracked", "stored"]
    assert [name for name in events if name in expected] == expected
    assert events["prepared"]["rows"] == 400
    assert events["prepared"]["fit"] + events["prepared"]["holdout"] == 400
    assert 0.5 < events["tuned-linear"]["auroc"] < 1
    assert all("seconds" in events[name] for name in expected)


def test_the_dataset_shows_every_row_and_its_side(trained: World) -> None:
    """data.csv.gz has all good rows in order with normalised cells."""
    dataset = unpack(trained.lake.read(paths.dataset(MODEL, RUN, "data.csv.gz")).data)
    assert dataset.record == list(range(1, 401))
    assert set(dataset.origin) == {"file"}
    assert dataset.cells["age"] == [row[0] for row in rows(400)]
    assert "?" not in dataset.cells["gain"]
    assert "" in dataset.cells["gain"]


def test_good_and_quarantined_rows_are_all_rows() -> None:
    """Bad rows are kept with their cells, record and reasons; the rest trains."""
    data = rows(400)
    data[3][0], data[7][3], data[9][0], data[11][3] = "old", "", "-1", "perhaps"
    data[20] = ["1", "2"]
    world = World()
    world.ask(csv_bytes(data))
    world.train()
    summary = world.document(paths.quarantine(MODEL, RUN, "summary.json"))
    assert (summary["rows"], summary["good"], summary["quarantined"]) == (400, 395, 5)
    text = world.lake.read(paths.quarantine(MODEL, RUN, "rows.csv")).data.decode()
    kept = list(csv.reader(io.StringIO(text)))[1:]
    assert [row[2] for row in kept] == ["4", "8", "10", "12", "21"]
    assert kept[0][4:] == data[3]
    assert "age: must be a number" in kept[0][3]
    assert "target is missing" in kept[1][3]
    assert "at least 0" in kept[2][3]
    assert "not one of no, yes" in kept[3][3]
    assert "2 fields" in kept[4][3]


def test_too_many_bad_rows_reject_the_file_with_all_of_them_kept() -> None:
    """Above max_bad_rows nothing trains, and the reasons are there to read."""
    data = [["old", *row[1:]] if number % 5 == 0 else row for number, row in enumerate(rows(400))]
    world = World()
    world.ask(csv_bytes(data))
    with pytest.raises(TooManyBadRows, match="80 of 400"):
        world.train()
    summary = world.document(paths.quarantine(MODEL, RUN, "summary.json"))
    assert summary["quarantined"] == 80
    assert world.names("models/") == []


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (csv_bytes([[*row[:3], "no"] for row in rows(200)]), NotTrainable, "two classes"),
        (csv_bytes(rows(30)), NotTrainable, "at least"),
        (csv_bytes([row[:3] for row in rows(60)], ["age", "gain", "city"]), HeaderMismatch, "y"),
        (DATA + b'1,2,"open\n' * 3 + b"x" * 2**20, UnreadableText, "quote"),
    ],
)
def test_data_that_cannot_work_is_rejected_in_words(
    data: bytes, error: type[Exception], words: str
) -> None:
    """One class, too few rows, no target, a torn file: each says what is wrong."""
    world = World()
    world.ask(data)
    with pytest.raises(error, match=words):
        world.train()


def test_a_crash_after_any_write_and_a_retry_give_one_version() -> None:
    """Whatever the last effect before the crash was, the retry ends with the same version, the
    same package and one outcome."""
    calm = World()
    calm.ask(DATA)
    fuse = Fuse(10**9, after=True)
    calm.train(lake=fuse.wrap("lake", calm.lake), publisher=fuse.wrap("bus", calm.cloud.publisher))
    wanted = calm.document(paths.version(MODEL, RUN, "version.json"))["package"]
    effects = [
        number
        for number, call in enumerate(fuse.trail)
        if call.partition(" ")[0] in {"lake.write", "lake.upload", "bus.publish"}
    ]
    assert len(effects) > 15
    for number in effects:
        world = World()
        world.ask(DATA)
        fuse = Fuse(number, after=True)
        with pytest.raises(Crash):
            world.train(
                lake=fuse.wrap("lake", world.lake),
                publisher=fuse.wrap("bus", world.cloud.publisher),
            )
        ended = world.train(attempt=2)
        assert ended == TrainingCompleted(model=MODEL, run_id=RUN, version=RUN)
        assert world.document(paths.version(MODEL, RUN, "version.json"))["package"] == wanted
        assert world.names("models/") == calm.names("models/")
        assert world.events() == calm.events()
        bodies = {json.loads(item.data)["id"] for item in world.cloud.publisher.published}
        assert bodies == {f"TrainingCompleted:{MODEL}:{RUN}"}


def test_a_stage_that_is_done_is_not_done_again() -> None:
    """A retry after tuning keeps the recipe that was found, and the seconds it took."""
    world = World()
    world.ask(DATA)
    world.train()
    name = paths.run_stage(MODEL, RUN, "tuned-linear.json")
    before = world.lake.stat(name).generation
    world.lake.delete(paths.version(MODEL, RUN, "version.json"))
    world.lake.delete(paths.run_stage(MODEL, RUN, "stored.json"))
    world.train(attempt=2)
    assert world.lake.stat(name).generation == before
    assert world.document(paths.version(MODEL, RUN, "version.json"))["version"] == RUN


def test_every_candidate_and_task_gives_a_package_that_passes_parity() -> None:
    """All four candidates are tuned; the best one is served, without a training library."""
    both = {"candidates": ["linear", "random_forest", "gradient_boosting", "xgboost"], "trials": 2}
    world = World(spec_of(training={**both, "folds": 2}))
    world.ask(DATA)
    world.train()
    about = world.document(paths.version(MODEL, RUN, "version.json"))
    tuned = [name for name in world.events() if name.startswith("tuned-")]
    assert sorted(tuned) == [
        "tuned-gradient-boosting",
        "tuned-linear",
        "tuned-random-forest",
        "tuned-xgboost",
    ]
    assert about["metrics"]["auroc"] > 0.7


def test_what_does_not_compile_leaves_the_place_to_the_next_best() -> None:
    """A recipe that its library refuses is named in the record; without any other, NoCandidate."""
    both = {"candidates": ["linear", "random_forest"], "trials": 1, "folds": 2, "blend": False}
    world = World(spec_of(training=both))
    request = world.ask(DATA)
    run = Training(request, world.spec, world.lake, world.clock)
    record = run.stage("prepared", lambda: prepared.prepare_files(run))
    data = loaded.load_prepared(MODEL, RUN, record, lake=world.lake)
    recipes = {record["candidate"]: record for record in tuned.tune(run, data)}
    broken = {**recipes["random_forest"], "params": {"max_depth": -1}}
    found = fitting.fit_best(run, data, [broken, recipes["linear"]])
    assert found["candidate"] == "linear"
    assert len(found["refused"]) == 1
    assert "random_forest" in found["refused"][0]
    with pytest.raises(NoCandidate, match="random_forest"):
        fitting.fit_best(run, data, [broken])


def test_a_minimal_spec_is_enough() -> None:
    """Task and target; column types come from the data, ids are left out."""
    world = World(spec_of(columns={}, target="y", training={"candidates": ["linear"], "trials": 1}))
    data = [[f"customer-{number}", *row] for number, row in enumerate(rows(400))]
    world.ask(csv_bytes(data, ["id", "age", "gain", "city", "y"]))
    world.train()
    record = world.document(paths.run_stage(MODEL, RUN, "prepared.json"))
    kinds = {item["name"]: item["kind"] for item in record["schema"]["features"]}
    assert kinds == {"age": "number", "gain": "number", "city": "category"}
    assert set(record["labels"]) == {"yes", "no"}


def test_a_regression_is_measured_in_units_of_its_scale() -> None:
    """Metrics are divided by the scale, predictions are in the file's own unit."""
    data = [[*row[:3], str(int(row[0]) * 1000 + 5000)] for row in rows(300)]
    target = {"column": "y", "scale": 1000}
    world = World(spec_of(task="regression", target=target, checks={"leakage": "off"}))
    world.ask(csv_bytes(data))
    world.train()
    about = world.document(paths.version(MODEL, RUN, "version.json"))
    model = load(
        lambda name: world.lake.read(paths.package(MODEL, RUN, name)).data,
        about["package"]["files"],
    )
    assert about["metrics"]["rmse"] < 2
    assert abs(model.predict_records([{"age": 40, "city": "a"}]).score[0] - 45_000) < 3_000


def test_a_multiclass_target_is_served_with_all_its_labels() -> None:
    """The gate metric is log loss; labels are those of the file."""
    data = [[*row[:3], "old" if int(row[0]) > 60 else row[2]] for row in rows(300)]
    world = World(spec_of(task="multiclass", target="y"))
    world.ask(csv_bytes(data))
    world.train()
    comparison = world.document(paths.version(MODEL, RUN, "comparison.json"))
    assert comparison["metric"] == "log_loss"
    assert comparison["eligible"]
    labels = world.document(paths.version(MODEL, RUN, "version.json"))["labels"]
    assert labels == ["a", "b", "c", "old"]


# --- tracking ------------------------------------------------------------------------------------


class _Tracker:
    """A tracking server; `failing` makes it one that does not answer."""

    def __init__(self, *, failing: bool = False) -> None:
        self.failing = failing
        self.seen: list[tuple[TrackedTraining, list[str]]] = []

    def log(self, training: TrackedTraining, files: Path) -> str:
        if self.failing:
            raise TrackingUnavailable("no answer")
        found = sorted(str(path.relative_to(files)) for path in files.rglob("*") if path.is_file())
        self.seen.append((training, found))
        return "tracked-1"


def test_a_tracking_server_gets_the_training_and_the_version() -> None:
    """Parameters, metrics, candidates and files are logged, the version registered by its tag."""
    world = World()
    world.ask(DATA)
    tracker = _Tracker()
    world.train(tracker=tracker, registries=[world.cloud.registry])
    ((training, files),) = tracker.seen
    assert training.version == RUN
    assert [item.name for item in training.candidates] == ["linear"]
    assert training.metrics["auroc"] > 0.7
    plots = ["calibration", "confusion", "importances", "precision_recall", "roc", "scores"]
    assert files == [
        "card.html",
        "card.md",
        "data-card.html",
        "data-card.md",
        "importances.csv",
        "package/package.json",
        *(f"plots/{name}.svg" for name in plots),
        "spec.yaml",
        "stages.csv",
    ]
    assert training.dataset is not None
    assert training.dataset.source == f"gs://lake/{paths.dataset(MODEL, RUN, 'data.csv.gz')}"
    assert training.dataset.digest == training.tags["millrace.dataset_sha256"]
    assert training.metrics["seconds"] > 0
    assert world.document(paths.version(MODEL, RUN, "comparison.json"))["sentence"] in (
        training.description
    )
    found = world.cloud.registry.find(MODEL, RUN)
    assert found is not None
    assert found.tracking_run_id == "tracked-1"
    about = world.document(paths.version(MODEL, RUN, "version.json"))
    assert about["tracking_run_id"] == "tracked-1"


@pytest.mark.parametrize("where", ["tracker", "registry"])
def test_a_tracking_server_that_is_down_costs_a_note(where: str) -> None:
    """The version is stored all the same, and the history says that tracking was skipped."""
    world = World()
    world.ask(DATA)
    world.cloud.registry.failing = where == "registry"
    world.train(tracker=_Tracker(failing=where == "tracker"), registries=[world.cloud.registry])
    facts = {event["name"]: event["facts"] for event in _history(world)}
    if where == "tracker":
        assert facts["tracked"]["tracking"] == "skipped"
    else:
        assert facts["registered"]["MLflow"].startswith("later: ")
    about = world.document(paths.version(MODEL, RUN, "version.json"))
    assert about["tracking_run_id"] == (None if where == "tracker" else "tracked-1")


def _history(world: World) -> list[dict[str, Any]]:
    return runs.history(MODEL, RUN, lake=world.lake)


def test_documents_hold_no_nan(trained: World) -> None:
    """Every record is JSON that other languages read."""
    for prefix in ("runs/", "models/", "datasets/"):
        for name in trained.names(prefix):
            if name.endswith(".json"):
                json.loads(
                    documents.dumps(trained.document(name)),
                    parse_constant=pytest.fail,
                )
