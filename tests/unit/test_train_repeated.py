"""Same data, spec and seed give the same package: every file, every byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shared import paths
from shared.boundary import Task
from shared.tabular.blending import Blend
from shared.usecases.train import train_model
from shared.usecases.training import sized
from tests.unit.tabular.world import MODEL, RUN, World, csv_bytes, rows, spec_of

ROOT = Path(__file__).resolve().parents[2]
DATA = csv_bytes(rows(500))
LATER_RUN = "20260106T090000-0a1b2c3d"
RECIPES: dict[str, dict[str, Any]] = {
    "linear": {"candidates": ["linear"], "trials": 3},
    "trees": {"candidates": ["xgboost"], "trials": 2, "folds": 2},
    "blend": {"candidates": ["xgboost", "linear", "gradient_boosting"], "trials": 2, "folds": 2},
    "balanced": {"candidates": ["xgboost"], "trials": 1, "folds": 2, "class_weight": "balanced"},
}


def train(recipe: str, workers: int = 2, run_id: str = RUN, seed: int = 0) -> dict[str, Any]:
    """version.json of a training of its own."""
    world = World(spec_of(training={**RECIPES[recipe], "seed": seed}))
    world.ask(DATA, run_id)
    train_model(
        Task(MODEL, run_id, 1, "execution-1", 0, 1),
        lake=world.lake,
        publisher=world.cloud.publisher,
        clock=world.clock,
        workers=workers,
    )
    return world.document(paths.version(MODEL, run_id, "version.json"))


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_the_same_training_gives_the_same_package(
    recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many workers there are. In another run only version and time differ, so the hash of
    what the package answers is the same; another seed gives another package."""
    if recipe == "blend":
        # So few rows never make it certain; what matters here is how it is made.
        monkeypatch.setattr(Blend, "earned", True)
    first, again = train(recipe, workers=1), train(recipe, workers=3)
    assert first["package"] == again["package"]
    assert first["reproducible"] is True
    assert first["candidate"] == {"linear": "linear", "blend": "blend"}.get(recipe, "xgboost")
    assert sum(part["weight"] for part in first["parts"]) == pytest.approx(1)
    later = train(recipe, run_id=LATER_RUN)
    assert later["package"]["sha256"] != first["package"]["sha256"]
    assert later["package"]["content_sha256"] == first["package"]["content_sha256"]
    other = train(recipe, seed=1)
    assert other["package"]["content_sha256"] != first["package"]["content_sha256"]


def test_a_blend_that_is_not_worth_its_size_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best candidate alone is the package, and the card says who was left out of the average,
    for how many megabytes and for how little."""
    monkeypatch.setattr(Blend, "earned", property(lambda blend: len(blend.weights) > 1))
    monkeypatch.setattr(sized, "LARGE_MB", 0.0)
    monkeypatch.setattr(sized, "LEAST_SHARE", 2.0)
    world = World(spec_of(training=RECIPES["blend"]))
    world.ask(DATA)
    world.train()
    about = world.document(paths.version(MODEL, RUN, "version.json"))
    fitted = world.document(paths.run_stage(MODEL, RUN, "fitted.json"))
    assert about["candidate"] in RECIPES["blend"]["candidates"]
    assert fitted["refused"] == []
    left_out = [one["candidate"] for one in fitted["blend"]["left_out"]]
    assert left_out
    assert about["candidate"] not in left_out
    card = world.lake.read(paths.version(MODEL, RUN, "card.md")).data.decode()
    assert "not worth its size" in card
    assert f"{left_out[0]} in a weighted average" in card


def test_another_process_gives_the_same_package() -> None:
    """Neither the order in which it hashes texts nor its number of threads is in the package."""
    code = (
        "import json; from tests.unit.test_train_repeated import train; "
        "print(json.dumps(train('trees')['package']))"
    )
    settings = {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **settings},
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(found.stdout) == train("trees")["package"]


def test_a_search_that_the_time_limit_cut_says_so() -> None:
    """The version, its card and its tags: another machine may get further."""
    world = World(spec_of(training={"candidates": ["linear"], "trials": 1000, "time_limit": "1s"}))
    world.ask(DATA)
    world.train()
    about = world.document(paths.version(MODEL, RUN, "version.json"))
    card = world.lake.read(paths.version(MODEL, RUN, "card.md")).data.decode()
    assert about["reproducible"] is False
    assert "no: the time limit ended the search early" in card
