"""Stage `fitted`: the best choice that compiles becomes a package.

out-of-fold answers -> blend, if it earns its place and its size
                    -> calibrator, if it is certain to help -> threshold
                    -> fit on all fit rows -> compile -> parity
best first: what does not pass is not eligible, and the next best is tried
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from shared import paths
from shared.errors import NoCandidate, PackageInvalid
from shared.serving.columns import Columns
from shared.serving.engine import Calibrator
from shared.serving.loaded_model import LoadedModel, load
from shared.serving.package import Package, content_sha256, package_sha256, write
from shared.serving.sources.aggregates import SourceAggregates
from shared.tabular import metrics, parity, tuning
from shared.tabular.blending import Blended
from shared.tabular.candidates import Fitted
from shared.tabular.inner import Folds
from shared.tabular.metrics import Floats
from shared.tabular.parity import Parity, Spread
from shared.usecases.training.choosing import Choice, Choices, Decided, choices, decide
from shared.usecases.training.judged import is_judged, judge_late
from shared.usecases.training.loaded import Prepared
from shared.usecases.training.sized import Parts, worth_their_size
from shared.usecases.training.stages import Training
from shared.usecases.training.tuned import folds_of


@dataclass(frozen=True, slots=True)
class Corrected:
    """A fitted model with its calibrator, as the package answers."""

    model: Fitted | Blended
    calibrator: Calibrator | None

    def answer(self, columns: Columns) -> Floats:
        found = self.model.answer(columns)
        return found if self.calibrator is None else self.calibrator.apply(found)


def fit_best(run: Training, prepared: Prepared, recipes: list[dict[str, Any]]) -> dict[str, Any]:
    """The record of the package that was stored. Raises NoCandidate."""
    tuning.load_libraries()
    refused: list[str] = []
    with tuning.one_thread_each():
        folds = folds_of(run, prepared)
        judged = [one for one in recipes if is_judged(one, folds)]
        parts = Parts(run, prepared)
        found = worth_their_size(
            prepared.outcome.task,
            parts,
            lambda out: choices(run, prepared, folds, judged, without=out),
        )
        waiting = [one for one in recipes if not is_judged(one, folds)]
        for name, choice in _in_turn(run, prepared, folds, found, waiting):
            try:
                made = choice()
                decided = decide(run, prepared, folds, made)
                record = _packed(run, prepared, parts, made, decided)
            except (PackageInvalid, ValueError) as error:
                refused.append(f"{name}: {error}"[:500])
                continue
            return {
                **record,
                "blend": found.blend.to_json() if found.blend else None,
                # Which recipe is best hangs on all of them.
                "reproducible": not any(recipe["cut"] for recipe in recipes),
                "refused": refused,
            }
    raise NoCandidate(
        "no candidate gives a package that answers as it was trained: "
        + ("; ".join(refused) or "none could be fitted")
    )


def _in_turn(
    run: Training,
    prepared: Prepared,
    folds: Folds,
    found: Choices,
    waiting: list[dict[str, Any]],
) -> Iterator[tuple[str, Callable[[], Choice]]]:
    """Names with choices, best first; what waited is judged only when its turn comes."""
    for choice in found.ordered:
        yield choice.name, partial(_given, choice)
    for record in waiting:
        yield record["candidate"], partial(_late, run, prepared, folds, record)


def _given(choice: Choice) -> Choice:
    return choice


def _late(run: Training, prepared: Prepared, folds: Folds, record: dict[str, Any]) -> Choice:
    judged = judge_late(run, prepared, folds, record)
    return choices(run, prepared, folds, [judged]).ordered[0]


def _packed(
    run: Training, prepared: Prepared, parts: Parts, choice: Choice, decided: Decided
) -> dict[str, Any]:
    """Fit on all fit rows, compile, prove, store. Raises PackageInvalid, ValueError."""
    task = prepared.outcome.task
    fit, holdout = prepared.sides()
    model = parts.model(choice)
    served = Corrected(model, decided.calibrator)
    encoder, engine = parts.compiled(model)
    answers = prepared.outcome.within(served.answer(holdout.columns))
    package = Package(
        model=run.model,
        version=run.version,
        task=task,
        schema=prepared.schema,
        encoder=encoder,
        engine=engine,
        # When it was asked for: a retry has to write the same bytes.
        created=run.request.requested_at,
        labels=prepared.outcome.spelled,
        threshold=decided.level,
        calibrator=decided.calibrator,
        target=prepared.outcome.served,
        metrics=metrics.every(task, holdout.target, answers, decided.level),
        example=prepared.schema.record_of(fit.columns, 0),
        sources=tuple(map(SourceAggregates.from_json, prepared.record.get("sources", ()))),
    )
    files, proof = _proved(run, package, served, prepared)
    score = {metrics.PRIMARY[task]: round(choice.score, 5)}
    return {
        "candidate": choice.name,
        "params": choice.params,
        "parts": [
            {"candidate": part["candidate"], "params": part["params"], "weight": weight}
            for part, weight in zip(choice.parts, choice.weights, strict=True)
        ],
        "threshold": decided.level,
        "choice": decided.threshold.to_json() if decided.threshold else None,
        "calibration": _calibration(decided),
        "parity": proof.to_json(),
        "files": files,
        "sha256": package_sha256(files),
        "content_sha256": content_sha256(package),
        "facts": {"candidate": choice.name, **score, "parity": proof.largest},
    }


def _proved(
    run: Training, package: Package, served: Corrected, prepared: Prepared
) -> tuple[dict[str, str], Parity]:
    """The files of a package that answers as it was trained, stored. Raises PackageInvalid."""
    fit, holdout = prepared.sides()
    spread = Spread.of(fit.target * prepared.outcome.scale)
    with tempfile.TemporaryDirectory() as folder:
        files = write(package, Path(folder))
        model = load(lambda name: (Path(folder) / name).read_bytes(), files)
        proof = parity.check(served, model, holdout.columns, prepared.schema.seen, spread)
        if not proof.passed:
            raise PackageInvalid(f"parity: {proof.to_json()}")
        for name in files:
            run.lake.upload(paths.package(run.model, run.version, name), Path(folder) / name)
    return files, proof


def _calibration(decided: Decided) -> dict[str, Any] | None:
    if decided.calibration is None:
        return None
    return {**decided.calibration.to_json(), "applied": decided.calibrator is not None}


def load_version(run: Training, record: dict[str, Any], version: str | None = None) -> LoadedModel:
    """The package of a `fitted` record, of this run's version or another. Raises PackageInvalid."""

    def read(name: str) -> bytes:
        return run.lake.read(paths.package(run.model, version or run.version, name)).data

    return load(read, record["files"])
