"""Train: from an accepted file (or labels that came back) to a stored version with its comparison.

    prepared -> tuned-* -> judged-* -> fitted -> compared -> numbered -> described -> tracked
             -> stored -> registered -> TrainingCompleted

Every stage is resumed where an earlier attempt stopped, so a crash between any two steps and a
retry give one version and one outcome. A run that only compares ends with ComparisonCompleted.
Deciding is promote's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared import documents, paths, runs
from shared.boundary import Task
from shared.errors import NotTrainable
from shared.events import ComparisonCompleted, Event, RunEvent, TrainingCompleted
from shared.manifests import read_manifest
from shared.ports import Bucket, Clock, Publisher, Registry, Tracker
from shared.serving.loaded_model import LoadedModel
from shared.spec.registry import read_generation
from shared.usecases.training import (
    compared,
    fitting,
    judged,
    loaded,
    looks,
    numbered,
    prepared,
    relearned,
    stored,
    tracked,
    tuned,
)
from shared.usecases.training.loaded import Prepared
from shared.usecases.training.stages import Training


def train_model(
    task: Task,
    *,
    lake: Bucket,
    publisher: Publisher,
    clock: Clock,
    tracker: Tracker | None = None,
    registries: Sequence[Registry] = (),
    workers: int = 2,
    code_version: str = "",
) -> Event:
    """Do what the run's request asks: train, retrain or compare. `code_version` is recorded with
    what it fits. Raises Rejected for data that can never work."""
    request = runs.read_work(task.model, task.run_id, lake=lake)
    spec = read_generation(task.model, request.spec_generation, lake=lake)
    run = Training(request, spec, lake, clock, workers, code_version)
    ended: RunEvent
    if request.kind == "compare":
        version = _compare_only(run)
        ended = ComparisonCompleted(model=run.model, run_id=run.version, version=version)
    else:
        _train(run, tracker=tracker, registries=registries)
        ended = TrainingCompleted(model=run.model, run_id=run.version, version=run.version)
    return runs.finish(ended, lake=lake, publisher=publisher, clock=clock)


def _train(run: Training, *, tracker: Tracker | None, registries: Sequence[Registry]) -> None:
    records: dict[str, dict[str, Any]] = {}
    records["prepared"] = run.stage(prepared.STAGE, lambda: _prepare(run))
    data = loaded.load_prepared(
        run.model, run.version, records["prepared"], lake=run.lake, size=run.request.size
    )
    recipes = judged.judge_best(run, data, tuned.tune(run, data))
    records |= {tuned.stage_name(record["candidate"]): record for record in recipes}
    code = {"code_version": run.code_version or None}  # a retry may run newer code
    records["fitted"] = run.stage("fitted", lambda: fitting.fit_best(run, data, recipes) | code)
    model = fitting.load_version(run, records["fitted"])
    records["compared"] = _compared(
        run, "compared", run.version, data=data, model=model, fitted=records["fitted"]
    )
    records[numbered.STAGE] = run.stage(
        numbered.STAGE,
        lambda: numbered.number_version(run, records["prepared"], records["fitted"]),
    )
    records["described"] = run.stage(
        "described", lambda: stored.describe(run, data, model, records)
    )
    records["tracked"] = run.stage(
        "tracked",
        lambda: tracked.track(run, records, recipes, tracker=tracker),
    )
    run.stage("stored", lambda: stored.store(run, data, records))
    run.stage("registered", lambda: tracked.register(run, registries))


def _prepare(run: Training) -> dict[str, Any]:
    if run.request.retrain is not None:
        return relearned.prepare_labelled(run, run.request.retrain)
    if not run.request.inputs:
        raise NotTrainable("the run names no input file and no labels to learn from")
    return prepared.prepare_files(run)


def _compare_only(run: Training) -> str:
    """Compare the asked version with the present champion; the version comes back."""
    version = run.request.version
    if version is None:
        raise NotTrainable("the comparison names no version")
    stages = {
        name: documents.require(run.lake, paths.run_stage(run.model, version, f"{name}.json"))
        for name in (prepared.STAGE, "fitted")
    }
    data: Prepared = loaded.load_prepared(run.model, version, stages[prepared.STAGE], lake=run.lake)
    model = fitting.load_version(run, stages["fitted"], version)
    _compared(run, "compared-again", version, data=data, model=model, fitted=stages["fitted"])
    return version


def _compared(
    run: Training,
    stage: str,
    version: str,
    *,
    data: Prepared,
    model: LoadedModel,
    fitted: dict[str, Any],
) -> dict[str, Any]:
    """The stage's record. What it holds is told afterwards: of two attempts, which may have met
    different champions, the first that was recorded counts."""

    def compare() -> dict[str, Any]:
        champion = read_manifest(run.model, lake=run.lake)
        if champion is not None and champion.version == version:
            return {"comparison": None, "facts": {"why": "it serves already"}}
        body = compared.compare(run, version, data, model, fitted, champion=champion)
        shown = ("metric", "challenger", "champion", "gain", "gain_lower", "sentence")
        return {"comparison": body, "facts": {key: body[key] for key in shown}}

    record = run.stage(stage, compare)
    if record["comparison"] is not None:
        looks.tell(run.model, version, run.version, record["comparison"], lake=run.lake)
    return record
