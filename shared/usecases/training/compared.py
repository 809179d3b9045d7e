"""Stage `compared`: the new version and today's champion on the same rows, now.

Rows that the champion was fitted on are taken out of the holdout first, so that neither model has
used any of them; what was taken out is recorded. Also serves `ComparisonRequested`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shared import documents, paths
from shared.budget import ALPHA
from shared.errors import ObjectNotFound, PackageInvalid
from shared.manifests import Manifest
from shared.ports import Bucket
from shared.serving.columns import Columns
from shared.serving.loaded_model import LoadedModel, load
from shared.tabular import baseline, comparison, metrics
from shared.tabular.comparison import Alike, Judgement
from shared.tabular.dataset import Cells, Dataset, Examples, columns_of, side_mask
from shared.tabular.gains import paired_gain
from shared.tabular.identity import common, fitted_before, prove
from shared.tabular.measuring import Answered
from shared.tabular.metrics import Floats
from shared.tabular.splitting import row_keys
from shared.usecases.training import looks
from shared.usecases.training.checked import warnings_of_leaks
from shared.usecases.training.loaded import Prepared, load_prepared
from shared.usecases.training.measured import measurements, time_rows
from shared.usecases.training.prepared import STAGE
from shared.usecases.training.stages import Training

_RECORD = f"{STAGE}.json"


@dataclass(frozen=True, slots=True)
class _Rival:
    """The champion, or why it cannot be compared. `free` marks holdout rows it never fitted."""

    version: str | None = None
    answers: Floats | None = None
    free: np.ndarray[Any, np.dtype[np.bool_]] | None = None
    threshold: float | None = None
    why_not: str = ""
    model: LoadedModel | None = None

    def answered(self, holdout: Examples, task: str) -> Answered | None:
        """The champion's answers to the rows compared on, None where there are none."""
        if self.answers is None or self.free is None:
            return None
        return Answered(task, holdout.target, self.answers[self.free], self.threshold)

    def false_positives(self, holdout: Examples) -> int | None:
        """The champion's false positives on the rows compared on, None where there is none."""
        if self.answers is None or self.free is None or self.threshold is None:
            return None
        counts = metrics.confusion(holdout.target, self.answers[self.free], self.threshold)
        return counts["false_positives"]


def compare(
    run: Training,
    version: str,
    prepared: Prepared,
    model: LoadedModel,
    fitted: dict[str, Any],
    *,
    champion: Manifest | None,
) -> dict[str, Any]:
    """comparison.json of a version against the present champion, which is another one."""
    fit, holdout = prepared.sides()
    held = _side_cells(prepared.dataset, "holdout")
    rival = _rival(run, champion, prepared, held)
    answers = answers_of(model, prepared, held)
    free = rival.free if rival.free is not None else np.ones(len(holdout), bool)
    rows = holdout.take(free)
    proof = prove(prepared.dataset, prepared.schema, prepared.split_by)
    identity = looks.holdout_identity(row_keys(holdout.columns, prepared.schema.telling))
    alike = Alike(prepared.holdout_order(), prepared.holdout_groups()).take(free)
    judged = _judge(
        version,
        prepared,
        fit=fit,
        holdout=rows,
        answers=answers[free],
        rival=rival,
        fitted=fitted,
        removed=int((~free).sum()),
        alike=alike,
        overlap=proof.overlap,
    )
    task = prepared.outcome.task
    level = fitted["threshold"]
    mine = Answered(task, rows.target, answers[free], level, alike.order, alike.groups)
    before = looks.looks_before(run.model, run.version, identity, lake=run.lake)
    body = replace(judged, looks=before).to_json()
    return {
        **body,
        "holdout": {**body["holdout"], **proof.to_json()},
        **measurements(
            run, version, prepared, rows, mine=mine, champion=rival.answered(rows, task)
        ),
        "latency": time_rows(model, rival.model, prepared, held),
        "data_checks": warnings_of_leaks(
            prepared.record.get("checks") or (), _champion_checks(run, champion)
        ),
    }


def _champion_checks(run: Training, champion: Manifest | None) -> list[dict[str, Any]]:
    """What the checks found in the data of who serves; nothing where nobody looked."""
    if champion is None:
        return []
    record = documents.read(run.lake, paths.run_stage(run.model, champion.version, _RECORD)).body
    return record.get("checks") or []


def answers_of(model: LoadedModel, prepared: Prepared, cells: Cells) -> Floats:
    """What a served model answers to these cells, as metrics take it: probability of the positive
    class, of each class, or value in units of the target's scale."""
    return answers_to(model, prepared, columns_of(cells, model.schema))


def answers_to(model: LoadedModel, prepared: Prepared, columns: Columns) -> Floats:
    """As `answers_of`, to columns of the model's own schema."""
    found = model.predict(columns)
    if model.task == "regression":
        return found.score / prepared.outcome.scale
    if found.probabilities is None:
        return found.score
    labels = _labels(model)
    order = [labels.index(label) for label in prepared.outcome.labels]
    return found.probabilities[:, order]


def _judge(
    version: str,
    prepared: Prepared,
    *,
    fit: Examples,
    holdout: Examples,
    answers: Floats,
    rival: _Rival,
    fitted: dict[str, Any],
    removed: int,
    alike: Alike,
    overlap: int,
) -> Judgement:
    task, classes = prepared.outcome.task, len(prepared.outcome.labels)
    rows = comparison.holdout_of(
        task,
        holdout.target,
        prepared.holdout_kind,
        classes=classes,
        overlap=overlap,
        removed=removed,
        alike=alike,
    )
    units = {"order": alike.order, "groups": alike.groups}
    measurable = len(holdout) > 1 and (rows.rarer is None or rows.rarer > 0)
    base = champion = gain = None
    identical = False
    if measurable:
        base = baseline.judge(
            task,
            fit,
            holdout,
            answers,
            prepared.schema.seen,
            classes=classes,
            **units,
        )
    if measurable and rival.answers is not None and rival.free is not None:
        other = rival.answers[rival.free]
        champion = metrics.primary(task, holdout.target, other)
        identical = bool(np.array_equal(answers, other))
        gain = paired_gain(task, holdout.target, answers, other, alpha=ALPHA, **units)
    why_not = rival.why_not or ("" if measurable else "too few rows are left to measure anything")
    return Judgement(
        version=version,
        task=task,
        holdout=rows,
        challenger=metrics.primary(task, holdout.target, answers) if measurable else 0.0,
        baseline=base,
        guardrails=guardrails(fitted, prepared, holdout, answers, rival),
        against=rival.version,
        champion=champion,
        gain=gain,
        why_not=why_not,
        identical=identical,
    )


def guardrails(
    fitted: dict[str, Any], prepared: Prepared, holdout: Examples, answers: Floats, rival: _Rival
) -> list[dict[str, Any]]:
    """What must hold whoever the version competes with."""
    found = [comparison.parity_guardrail(fitted["parity"])]
    choice = fitted["choice"]
    if choice and choice["ceiling"] is not None and prepared.outcome.task == "binary":
        counts = metrics.confusion(holdout.target, answers, choice["threshold"])
        alarms = comparison.FalseAlarms(
            counts["false_positives"],
            counts["false_positives"] + counts["true_negatives"],
            rival.false_positives(holdout),
        )
        found.append(
            comparison.false_positive_guardrail(
                choice["false_positive_rate"],
                choice["false_positive_upper"],
                choice["ceiling"],
                choice["negatives"],
                alarms,
            )
        )
    return found


def _rival(run: Training, manifest: Manifest | None, prepared: Prepared, held: Cells) -> _Rival:
    if manifest is None:
        return _Rival()
    try:
        champion = load_champion(manifest, run.lake)
    except (ObjectNotFound, PackageInvalid) as error:
        # What is wrong with it must not keep the version out that could take its place.
        return _Rival(manifest.version, why_not=f"its package cannot be read ({error})")
    why = _incomparable(run, manifest.version, champion, prepared, held)
    if why:
        return _Rival(manifest.version, why_not=why)
    try:
        learned = _learned(run.model, manifest.version, run.lake)
    except (ObjectNotFound, PackageInvalid):
        why = "the rows it was fitted on are no longer there, or are other ones"
        return _Rival(manifest.version, why_not=why)
    by = common(prepared.split_by, learned.split_by)
    used = fitted_before(prepared.dataset, learned.dataset, champion.schema, by)
    free = ~np.array(used, bool)
    answers = answers_of(champion, prepared, held)
    return _Rival(manifest.version, answers, free, champion.package.threshold, model=champion)


def _incomparable(
    run: Training, version: str, champion: LoadedModel, prepared: Prepared, held: Cells
) -> str:
    """Why the champion cannot answer for these rows; nothing when it can."""
    learned = documents.read(run.lake, paths.run_stage(run.model, version, _RECORD)).body
    if learned and learned["target"] != prepared.target:
        return f"it predicts {learned['target']}, not {prepared.target}"
    missing = [name for name in champion.schema.names if name not in held]
    if missing:
        return f"it needs {', '.join(missing)}, which the new data do not have"
    if champion.task != prepared.outcome.task:
        return f"it is a {champion.task} model"
    if not _same_labels(champion, prepared):
        mine, theirs = (
            ", ".join(labels) for labels in (prepared.outcome.labels, champion.package.labels)
        )
        return f"its labels are {theirs}, those of the new data {mine}"
    return ""


def load_champion(manifest: Manifest, lake: Bucket) -> LoadedModel:
    """The model that serves. Raises PackageInvalid, ObjectNotFound."""
    return load(lambda name: lake.read(manifest.package + name).data, manifest.files)


def _same_labels(champion: LoadedModel, prepared: Prepared) -> bool:
    mine, theirs = prepared.outcome.labels, _labels(champion)
    # The order matters where one of two classes is the positive one.
    return mine == theirs if champion.task == "binary" else set(mine) == set(theirs)


def _labels(model: LoadedModel) -> tuple[str, ...]:
    """A model's labels as they are compared: two files may spell one label differently."""
    return tuple(map(model.schema.category_of, model.package.labels))


def _learned(model: str, version: str, lake: Bucket) -> Prepared:
    """The rows that a version was made from. Raises ObjectNotFound, PackageInvalid."""
    record = documents.require(lake, paths.run_stage(model, version, _RECORD))
    return load_prepared(model, version, record, lake=lake)


def _side_cells(dataset: Dataset, side: Any) -> Cells:
    return dataset.take(np.flatnonzero(side_mask(dataset, side)).tolist()).cells
