"""Trainings for `quality.py`: the ordinary training code on the memory cloud, and the same code on
other sides of the same rows (folds, blocks of the map)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import documents, paths, runs
from shared.adapters.memory import BucketConfig, FixedClock, MemoryCloud, topic_path
from shared.boundary import Task
from shared.runs import InputRef, RunRequest
from shared.serving.loaded_model import LoadedModel
from shared.spec.model import Spec
from shared.spec.registry import register
from shared.tabular.dataset import Dataset
from shared.tabular.metrics import Floats
from shared.usecases.train import train_model
from shared.usecases.training import fitting, judged, tuned
from shared.usecases.training.compared import answers_of
from shared.usecases.training.loaded import Prepared, load_prepared
from shared.usecases.training.stages import Training

RUN = "20260105T090000-0a1b2c3d"


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training. `tuned` and `fitted` are its records, `comparison` what it says of the
    baselines (ordinary trainings only)."""

    run: Training
    prepared: Prepared
    tuned: tuple[dict[str, Any], ...]
    fitted: dict[str, Any]
    model: LoadedModel
    seconds: float
    comparison: Mapping[str, Any]

    def answers(self) -> tuple[Floats, Floats]:
        """Targets of the holdout and what the served package says, in the target's scale."""
        _, holdout = self.prepared.sides()
        rows = np.flatnonzero(np.array(self.prepared.dataset.side) == "holdout").tolist()
        cells = {
            name: [column[row] for row in rows]
            for name, column in self.prepared.dataset.cells.items()
        }
        return holdout.target, answers_of(self.model, self.prepared, cells)


def ordinary(model: str, spec: Spec, files: Mapping[str, tuple[str, bytes]]) -> Trained:
    """A training as a drop starts it. `files` are name and bytes by role."""
    cloud, run = _run(model, spec)
    refs = []
    for role, (name, data) in files.items():
        info = cloud.lake.write(paths.input_copy(model, "train", RUN, name), data)
        refs.append(InputRef.of(info, f"gs://inbox/{model}/train/{name}#1", role))
    run = replace(run, request=replace(run.request, inputs=tuple(refs)))
    runs.save_request(run.request, lake=cloud.lake)
    started = time.monotonic()
    task = Task(model, RUN, 1, "execution-1", 0, 1)
    train_model(task, lake=cloud.lake, publisher=cloud.publisher, clock=run.clock)
    seconds = time.monotonic() - started
    record = documents.require(run.lake, paths.run_stage(model, RUN, "prepared.json"))
    prepared = load_prepared(model, RUN, record, lake=run.lake)
    fitted = documents.require(run.lake, paths.run_stage(model, RUN, "fitted.json"))
    comparison = documents.require(run.lake, paths.version(model, RUN, "comparison.json"))
    found = fitting.load_version(run, fitted)
    recipes = tuple(judged.judge_best(run, prepared, tuned.tune(run, prepared)))
    return Trained(run, prepared, recipes, fitted, found, seconds, comparison)


def on_sides(before: Trained, held: NDArray[np.bool_]) -> Trained:
    """The rows of another training again, with other rows held out: tuned, fitted and compiled by
    the ordinary code."""
    sides = ["holdout" if one else "fit" for one in held.tolist()]
    old = before.prepared.dataset
    dataset = Dataset(old.cells, old.record, old.origin, old.prediction_id, sides)  # type: ignore[arg-type]
    prepared = replace(before.prepared, dataset=dataset)
    _, run = _run(before.run.model, before.run.spec)
    started = time.monotonic()
    recipes = judged.judge_best(run, prepared, tuned.tune(run, prepared))
    fitted = run.stage("fitted", lambda: fitting.fit_best(run, prepared, recipes))
    seconds = time.monotonic() - started
    model = fitting.load_version(run, fitted)
    return Trained(run, prepared, tuple(recipes), fitted, model, seconds, {})


def _run(model: str, spec: Spec) -> tuple[MemoryCloud, Training]:
    clock = FixedClock()
    cloud = MemoryCloud(
        buckets=[BucketConfig("lake")], topics=[topic_path("local", "outcomes")], clock=clock
    )
    generation = register(model, spec, "bench", lake=cloud.lake, clock=clock).generation
    request = RunRequest(
        model=model,
        run_id=RUN,
        kind="train",
        requested_at="2026-01-05T09:00:00Z",
        requested_by="bench",
        spec_generation=generation,
    )
    return cloud, Training(request, spec, cloud.lake, clock)
