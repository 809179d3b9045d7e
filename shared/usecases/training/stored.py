"""Stages `described` and `stored`: cards, plots and reference; version.json.

version.json is written last and once: a version that has it is complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared import documents, paths
from shared.documents import timestamp
from shared.reporting.card import Card, figures_of, html_card, markdown_card
from shared.reporting.data_card import html_data_card, markdown_data_card
from shared.rules.expressions import parse_value
from shared.serving.columns import Schema
from shared.serving.loaded_model import LoadedModel
from shared.tabular import metrics
from shared.tabular.importances import permutation_importances
from shared.tabular.measuring import slice_columns
from shared.tabular.profile import build_reference
from shared.usecases.training.compared import answers_of, answers_to
from shared.usecases.training.loaded import Prepared
from shared.usecases.training.stages import Training

CARDS = {
    "card.html": "text/html; charset=utf-8",
    "card.md": "text/markdown; charset=utf-8",
    "data-card.html": "text/html; charset=utf-8",
    "data-card.md": "text/markdown; charset=utf-8",
}


def describe(
    run: Training, prepared: Prepared, model: LoadedModel, records: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """Write the cards and the reference profile; holdout metrics come back in the record."""
    fit, holdout = prepared.sides()
    rows = [row for row, side in enumerate(prepared.dataset.side) if side == "holdout"]
    held = {name: [column[row] for row in rows] for name, column in prepared.dataset.cells.items()}
    answers = answers_of(model, prepared, held)
    measured = dict(
        metrics.every(model.task, holdout.target, answers, records["fitted"]["threshold"])
    )
    found = model.predict(holdout.columns)
    labels = prepared.outcome.labels
    declared = run.spec.promotion.slices.columns
    sliced = slice_columns(declared, prepared.schema.seen, holdout.columns)
    reference = build_reference(
        fit.columns,
        prepared.schema.seen,
        scores=found.score,
        labels=_canonical(found.label, prepared),
        targets=[labels[int(value)] for value in holdout.target]
        if labels
        else holdout.target * prepared.outcome.scale,
        task=model.task,
        metrics=measured,
        positive=labels[1] if model.task == "binary" else None,
        made_of=_made_of(prepared.schema),
        slices={name: holdout.columns[name] for name in sliced},
    )
    important = permutation_importances(
        # A column of the file matters by what is derived of it, too.
        lambda columns: answers_to(model, prepared, model.schema.with_derived(columns)),
        holdout,
        model.task,
        prepared.schema.names,
        seed=run.spec.training.seed,
    )
    name = paths.dataset(run.model, run.version, "reference.json")
    run.lake.write(name, documents.dumps(reference), content_type="application/json")
    card = Card(
        model=run.model,
        version=run.version,
        spec=run.spec,
        request=run.request,
        records=records,
        metrics=measured,
        target=holdout.target,
        answers=answers,
        labels=prepared.outcome.spelled,
        reference=reference,
        importances=important.items if important else (),
        quarantine=documents.read(
            run.lake, paths.quarantine(run.model, run.version, "summary.json")
        ).body,
        frozen=documents.read(run.lake, paths.first_training(run.model)).body,
        targets={"to learn from": fit.target, "to compare on": holdout.target},
    )
    _write_cards(run, card)
    drawn = _write_plots(run, figures_of(card))
    facts = {key: round(value, 5) for key, value in measured.items()}
    return {
        "metrics": measured,
        "reference": name,
        "importances": important.to_json() if important else None,
        "plots": drawn,
        "facts": facts,
    }


def _made_of(schema: Schema) -> dict[str, tuple[str, ...]]:
    """The derived columns that are made of features alone, with those."""
    names = {feature.name for feature in schema.features}
    found = {name: parse_value(text).columns for name, text in schema.derive}
    return {name: tuple(columns) for name, columns in found.items() if names.issuperset(columns)}


def _canonical(labels: list[str] | None, prepared: Prepared) -> list[str] | None:
    """Answered labels as monitoring compares them, whatever their spelling."""
    return labels and [prepared.schema.category_of(label) for label in labels]


def _write_cards(run: Training, card: Card) -> None:
    written = {
        "card.html": html_card(card),
        "card.md": markdown_card(card),
        "data-card.html": html_data_card(card),
        "data-card.md": markdown_data_card(card),
    }
    for name, text in written.items():
        where = paths.version(run.model, run.version, name)
        run.lake.write(where, text.encode(), content_type=CARDS[name])


def _write_plots(run: Training, figures: Mapping[str, str]) -> list[str]:
    """Beside the cards, each a file that a browser opens; their names come back."""
    for name, svg in figures.items():
        where = paths.version(run.model, run.version, f"plots/{name}.svg")
        run.lake.write(where, svg.encode(), content_type="image/svg+xml")
    return list(figures)


def store(
    run: Training, prepared: Prepared, records: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """Write version.json once."""
    fitted, described = records["fitted"], records["described"]
    number = records["numbered"]
    body = {
        "version": run.version,
        "semantic_version": number["semantic_version"],
        "predecessor": number["predecessor"],
        "change": number["change"],
        "model": run.model,
        "run_id": run.version,
        "created": timestamp(run.clock.now()),
        "spec_generation": run.request.spec_generation,
        "task": prepared.outcome.task,
        "code_version": fitted.get("code_version"),
        "candidate": fitted["candidate"],
        "params": fitted["params"],
        "parts": fitted.get("parts", []),
        "threshold": fitted["threshold"],
        "labels": list(prepared.outcome.spelled),
        "metrics": described["metrics"],
        "importances": described.get("importances"),
        "package": {
            "files": fitted["files"],
            "sha256": fitted["sha256"],
            "content_sha256": fitted.get("content_sha256"),
        },
        "reproducible": fitted.get("reproducible", True),
        "dataset": prepared.record["dataset"],
        "dataset_sha256": prepared.record["sha256"],
        "reference": described["reference"],
        "cards": [paths.version(run.model, run.version, name) for name in CARDS],
        "inputs": [item.source for item in run.request.inputs],
        "features": [
            {"source": item["name"], **item["snapshot"]}
            for item in prepared.record.get("sources", ())
            if item["snapshot"]
        ],
        "labels_used": prepared.record["labels_used"],
        "tracking_run_id": records["tracked"]["tracking_run_id"],
        "seconds": {name: record["seconds"] for name, record in records.items()},
    }
    name = paths.version(run.model, run.version, "version.json")
    documents.create(run.lake, name, body)
    return {"version": name, "facts": {"version": run.version}}
