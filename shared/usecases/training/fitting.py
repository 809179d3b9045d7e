"""Stages `tuned-<candidate>` and `fitted`: search recipes, take the best one that compiles.

tuned-linear, tuned-xgboost, ...   side by side, each recorded as it ends
fitted   best first: out-of-fold threshold -> fit on all fit rows -> compile -> parity
         what does not pass is not eligible, and the next best is tried
"""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from shared import paths
from shared.errors import NoCandidate, PackageInvalid
from shared.serving.columns import Schema
from shared.serving.package import LoadedModel, Package, TargetScale, load, package_sha256, write
from shared.serving.sources.aggregates import SourceAggregates
from shared.serving.times import text_of
from shared.spec.model import Candidate
from shared.tabular import candidates, metrics, parity, splitting, threshold, tuning
from shared.tabular.compiling import compile_estimator
from shared.tabular.dataset import Examples
from shared.tabular.parity import Spread
from shared.tabular.tuning import Recipe
from shared.usecases.training.prepared import Prepared
from shared.usecases.training.stages import Training

# Longest first, so that the end of the search is not one slow candidate alone.
ORDER: tuple[Candidate, ...] = ("random_forest", "gradient_boosting", "xgboost", "linear")


def tune(run: Training, prepared: Prepared) -> list[dict[str, Any]]:
    """Every candidate's best recipe as recorded, best first."""
    wanted = [name for name in ORDER if name in run.spec.training.candidates]
    done = [name for name in wanted if run.find(stage_name(name))]
    records = [run.stage(stage_name(name), dict) for name in done]
    todo = [name for name in wanted if name not in done]
    if todo:
        fit, _ = prepared.sides()
        inner = tuning.inner_split(
            fit, prepared.outcome.task, run.spec.training.seed, prepared.schema.telling
        )
        deadline = time.monotonic() + run.spec.training.time_limit.total_seconds()
        tuning.load_libraries()
        with tuning.one_thread_each(), ThreadPoolExecutor(run.workers) as pool:
            futures = [pool.submit(_search, run, prepared, inner, name, deadline) for name in todo]
            for future in as_completed(futures):
                record = future.result()
                records.append(run.stage(stage_name(record["candidate"]), record.copy))
    usable = [record for record in records if record["score"] is not None]
    task = prepared.outcome.task
    return sorted(usable, key=lambda record: -metrics.gain(task, record["score"], 0.0))


def fit_best(run: Training, prepared: Prepared, recipes: list[dict[str, Any]]) -> dict[str, Any]:
    """The record of the package that was stored. Raises NoCandidate."""
    tuning.load_libraries()
    refused: list[str] = []
    for record in recipes:
        recipe = Recipe(record["candidate"], record["params"], record["score"])
        try:
            with tuning.one_thread_each():
                found = _fit(run, prepared, recipe)
            return {**found, "refused": refused}
        except (PackageInvalid, ValueError) as error:
            refused.append(f"{recipe.candidate}: {error}"[:500])
    raise NoCandidate(
        "no candidate gives a package that answers as it was trained: "
        + ("; ".join(refused) or "none could be fitted")
    )


def stage_name(candidate: str) -> str:
    return f"tuned-{candidate.replace('_', '-')}"


def _search(
    run: Training,
    prepared: Prepared,
    inner: tuple[Examples, Examples],
    candidate: Candidate,
    deadline: float,
) -> dict[str, Any]:
    """The record of one candidate's search; one that its library cannot fit has no score."""
    training = run.spec.training
    started = time.monotonic()
    try:
        recipe = tuning.search(
            candidate,
            prepared.outcome.task,
            inner,
            prepared.schema.seen,
            trials=training.trials,
            seed=training.seed,
            deadline=deadline,
        )
    except ValueError as error:
        facts = {"failed": str(error)[:500]}
        return {"candidate": candidate, "score": None, "params": {}, "facts": facts}
    metric = metrics.PRIMARY[prepared.outcome.task]
    return {
        **asdict(recipe),
        "seconds": round(time.monotonic() - started, 2),
        "facts": {metric: round(recipe.score, 5), "trials": len(recipe.trials), "cut": recipe.cut},
    }


def _fit(run: Training, prepared: Prepared, recipe: Recipe) -> dict[str, Any]:
    """Threshold, fit on all fit rows, compile, prove, store. Raises PackageInvalid, ValueError."""
    task, features = prepared.outcome.task, prepared.schema.seen
    fit, holdout = prepared.sides()
    choice = choose(run, prepared, recipe, fit) if task == "binary" else None
    fitted = candidates.fit(
        recipe.candidate,
        recipe.params,
        task,
        fit,
        features=features,
        seed=run.spec.training.seed,
    )
    level = choice.threshold if choice else None
    package = Package(
        model=run.model,
        version=run.version,
        task=task,
        schema=prepared.schema,
        encoder=fitted.encoder,
        engine=compile_estimator(fitted),
        # When it was asked for: a retry has to write the same bytes.
        created=run.request.requested_at,
        labels=prepared.outcome.spelled,
        threshold=level,
        target=TargetScale(prepared.outcome.scale),
        metrics=metrics.every(task, holdout.target, fitted.answer(holdout.columns), level),
        example=example_of(fit, prepared.schema),
        sources=tuple(map(SourceAggregates.from_json, prepared.record.get("sources", ()))),
    )
    spread = Spread.of(fit.target * prepared.outcome.scale)
    with tempfile.TemporaryDirectory() as folder:
        files = write(package, Path(folder))
        model = load(lambda name: (Path(folder) / name).read_bytes(), files)
        proof = parity.check(fitted, model, holdout.columns, features, spread)
        if not proof.passed:
            raise PackageInvalid(f"parity: {proof.to_json()}")
        for name in files:
            run.lake.upload(paths.package(run.model, run.version, name), Path(folder) / name)
    score = {metrics.PRIMARY[task]: round(recipe.score, 5)}
    return {
        "candidate": recipe.candidate,
        "params": recipe.params,
        "threshold": level,
        "choice": choice.to_json() if choice else None,
        "parity": proof.to_json(),
        "files": files,
        "sha256": package_sha256(files),
        "facts": {"candidate": recipe.candidate, **score, "parity": proof.largest},
    }


def choose(run: Training, prepared: Prepared, recipe: Recipe, fit: Examples) -> threshold.Choice:
    """The threshold from answers that each row got from models that never saw it."""
    training = run.spec.training
    with ThreadPoolExecutor(run.workers) as pool:
        answers = tuning.out_of_fold(
            recipe,
            prepared.outcome.task,
            fit,
            features=prepared.schema.seen,
            fold=splitting.folds(
                len(fit),
                training.folds,
                training.seed,
                fit.target,
                splitting.row_keys(fit.columns, prepared.schema.telling),
            ),
            seed=training.seed,
            spread=lambda one, numbers: list(pool.map(one, numbers)),
        )
    return threshold.choose_threshold(
        fit.target, answers, training.threshold_metric, training.false_positive_ceiling
    )


def load_version(run: Training, record: dict[str, Any], version: str | None = None) -> LoadedModel:
    """The package of a `fitted` record, of this run's version or another. Raises PackageInvalid."""

    def read(name: str) -> bytes:
        return run.lake.read(paths.package(run.model, version or run.version, name)).data

    return load(read, record["files"])


def example_of(rows: Examples, schema: Schema) -> dict[str, float | str | None]:
    """The first row as a caller would send it."""
    found: dict[str, float | str | None] = {}
    for feature in schema.inputs:
        name, value = feature.name, rows.columns[feature.name][0]
        if isinstance(value, str):
            found[name] = value or None
        elif np.isnan(value):
            found[name] = None
        elif feature.kind == "time":
            found[name] = text_of(float(value))
        else:
            found[name] = int(value) if float(value).is_integer() else float(value)
    return found
