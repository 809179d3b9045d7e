"""Stages `tuned-<candidate>`: each candidate's best recipe and its out-of-fold answers.

tuned-linear, tuned-xgboost, ...   side by side; answers are a file, then comes the record

Many rows are searched on a sample of them, the same for all candidates; `rows` says how many were
looked at (`shared.usecases.training.judged` goes on from there).

The same data, spec and seed give the same recipes, however many run at once; a record that says
`cut` (the time limit) is the exception.
"""

from __future__ import annotations

import hashlib
import io
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from typing import Any

import numpy as np

from shared import paths
from shared.errors import PackageInvalid
from shared.spec.model import Candidate
from shared.tabular import inner, metrics, spaces, tuning
from shared.tabular.inner import Folds
from shared.tabular.metrics import Floats
from shared.tabular.tuning import Budget, Recipe
from shared.usecases.training.loaded import Prepared
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
        folds = searched_on(run, prepared, folds_of(run, prepared))
        limit = run.spec.training.time_limit.total_seconds()
        budget = Budget(run.spec.training.trials, time.monotonic() + limit)
        tuning.load_libraries()
        with tuning.one_thread_each(), ThreadPoolExecutor(run.workers) as pool:
            futures = [pool.submit(_search, run, prepared, folds, name, budget) for name in todo]
            for future in as_completed(futures):
                record = future.result()
                records.append(run.stage(stage_name(record["candidate"]), record.copy))
    return best_first(prepared.outcome.task, records)


def best_first(task: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records with a score, in the order of ORDER where scores are equal."""
    return sorted(
        (record for record in records if record["score"] is not None),
        key=lambda record: (
            -metrics.gain(task, record["score"], 0.0),
            ORDER.index(record["candidate"]),
        ),
    )


def stage_name(candidate: str) -> str:
    return f"tuned-{candidate.replace('_', '-')}"


def folds_of(run: Training, prepared: Prepared) -> Folds:
    """The folds of the rows that fit, the same in every attempt."""
    training = run.spec.training
    fit, _ = prepared.sides()
    marks = prepared.marks("fit")
    return inner.fold_rows(
        fit,
        prepared.outcome.task,
        training.folds,
        training.seed,
        prepared.schema.telling,
        groups=marks.groups,
        times=marks.times,
    )


def searched_on(run: Training, prepared: Prepared, folds: Folds) -> Folds:
    """The rows that a search looks at; one trial is no search, and sees all."""
    if run.spec.training.trials == 1:
        return folds
    return folds.sample(prepared.outcome.task, run.spec.training.seed)


def read_answers(run: Training, record: dict[str, Any]) -> Floats:
    """A candidate's out-of-fold answers. Raises PackageInvalid when the file is another one."""
    data = run.lake.read(record["answers"]["object"]).data
    if hashlib.sha256(data).hexdigest() != record["answers"]["sha256"]:
        raise PackageInvalid(f"{record['answers']['object']} has changed")
    found: Floats = np.load(io.BytesIO(data), allow_pickle=False)
    return found


def _search(
    run: Training, prepared: Prepared, folds: Folds, candidate: Candidate, budget: Budget
) -> dict[str, Any]:
    """The record of one candidate's search; one that its library cannot fit has no score."""
    training = run.spec.training
    started = time.monotonic()
    try:
        recipe = tuning.search(
            candidate,
            prepared.outcome.task,
            folds,
            prepared.schema.seen,
            space=spaces.space_of(candidate, training.search),
            budget=budget,
            seed=training.seed,
            balanced=training.class_weight == "balanced",
        )
    except ValueError as error:
        facts = {"failed": str(error)[:500]}
        return {"candidate": candidate, "score": None, "params": {}, "facts": facts}
    metric = metrics.PRIMARY[prepared.outcome.task]
    return {
        "candidate": candidate,
        **recorded(run, recipe),
        "trials": [asdict(trial) for trial in recipe.trials],
        "cut": recipe.cut,
        "seconds": round(time.monotonic() - started, 2),
        "facts": {metric: round(recipe.score, 5), "trials": len(recipe.trials), "cut": recipe.cut},
    }


def recorded(run: Training, recipe: Recipe) -> dict[str, Any]:
    """A recipe as records have it. Its answers become a file in numpy's own format: the exact
    floats, a row for each that fits."""
    stream = io.BytesIO()
    np.save(stream, recipe.answers, allow_pickle=False)
    data, count = stream.getvalue(), len(recipe.answers)
    file = f"out-of-fold-{recipe.candidate}-{count}.npy"
    name = paths.dataset(run.model, run.version, file)
    run.lake.write(name, data, content_type="application/octet-stream")
    return {
        "params": recipe.params,
        "score": recipe.score,
        "answers": {"object": name, "sha256": hashlib.sha256(data).hexdigest()},
        "rows": count,
    }
