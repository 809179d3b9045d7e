"""Stages `judged-<candidate>`: what was found on a sample of the rows, judged on all of them.

Not every candidate: the two that did best on the sample, and those that an average of the sample's
answers would give weight to. The others wait, and are judged when all of these are refused.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import numpy as np

from shared.tabular import blending, tuning
from shared.tabular.inner import Folds
from shared.usecases.training.loaded import Prepared
from shared.usecases.training.stages import Training
from shared.usecases.training.tuned import (
    best_first,
    folds_of,
    read_answers,
    recorded,
    searched_on,
    stage_name,
)

AT_LEAST = 2


def judge_best(
    run: Training, prepared: Prepared, records: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The records of `tuned` stages, best first, those that matter judged on all rows."""
    folds = folds_of(run, prepared)
    open_ones = [record for record in records if not is_judged(record, folds)]
    if not open_ones:
        return records
    wanted = _wanted(run, prepared, searched_on(run, prepared, folds), records)
    tuning.load_libraries()
    with tuning.one_thread_each(), ThreadPoolExecutor(run.workers) as pool:
        futures = {pool.submit(_judged, run, prepared, folds, record): record for record in wanted}
        done = [_kept(run, futures[future], future.result()) for future in as_completed(futures)]
    names = {record["candidate"] for record in wanted}
    rest = [record for record in records if record["candidate"] not in names]
    return [*best_first(prepared.outcome.task, done), *rest]


def judge_late(
    run: Training, prepared: Prepared, folds: Folds, record: dict[str, Any]
) -> dict[str, Any]:
    """A record that waited, judged on all rows. Raises ValueError when its library cannot."""
    found = _kept(run, record, _judged(run, prepared, folds, record))
    if found["score"] is None:
        raise ValueError(found["failed"])
    return found


def is_judged(record: dict[str, Any], folds: Folds) -> bool:
    """Whether its answers are those of all rows that fit."""
    return bool(record.get("rows") == len(folds.rows))


def _wanted(
    run: Training, prepared: Prepared, sample: Folds, records: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    there = sample.judged
    seen = [record for record in records if is_judged(record, sample)]
    weights = (
        blending.weigh(
            prepared.outcome.task,
            sample.rows.target[there],
            [read_answers(run, record)[there] for record in seen],
        )
        if seen and run.spec.training.blend
        else np.zeros(len(seen))
    )
    weighty = [record for record, weight in zip(seen, weights, strict=True) if weight > 0]
    return [
        record
        for place, record in enumerate(records)
        if place < AT_LEAST or record in weighty or record not in seen
    ]


def _judged(
    run: Training, prepared: Prepared, folds: Folds, record: dict[str, Any]
) -> dict[str, Any]:
    """What the stage records, found now unless an earlier attempt did."""
    known = run.find(_stage(record))
    if known is not None:
        return known
    training, started = run.spec.training, time.monotonic()
    try:
        recipe = tuning.judge(
            record["candidate"],
            record["params"],
            prepared.outcome.task,
            folds,
            prepared.schema.seen,
            seed=training.seed,
            balanced=training.class_weight == "balanced",
        )
    except ValueError as error:
        failed = str(error)[:500]
        return {"score": None, "failed": failed, "facts": {"failed": failed}}
    facts = {"rows": len(recipe.answers), "score": round(recipe.score, 5)}
    seconds = round(time.monotonic() - started, 2)
    return {**recorded(run, recipe), "seconds": seconds, "facts": facts}


def _kept(run: Training, record: dict[str, Any], judged: dict[str, Any]) -> dict[str, Any]:
    """The record with what the judging changes of it."""
    found = run.stage(_stage(record), judged.copy)
    seconds = round(record.get("seconds", 0.0) + found["seconds"], 2)
    return {**record, **found, "seconds": seconds}


def _stage(record: dict[str, Any]) -> str:
    return stage_name(record["candidate"]).replace("tuned-", "judged-")
