"""Stages `tracked` and `registered`: the training on the tracking server, the version in the
registries.

A server that is not there costs a note, never the training: the lake is the truth, and mirror
registers later what is missing.
"""

from __future__ import annotations

import csv
import hashlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared import paths
from shared.errors import TrackingUnavailable
from shared.ports import Registry, TrackedCandidate, TrackedDataset, TrackedTraining, Tracker
from shared.spec.load import dump_spec
from shared.tabular import metrics
from shared.tabular.importances import of_record
from shared.usecases.registries import register_version
from shared.usecases.training.stages import Training
from shared.usecases.training.stored import CARDS

Records = Mapping[str, dict[str, Any]]


def track(
    run: Training, records: Records, tuned: list[dict[str, Any]], *, tracker: Tracker | None
) -> dict[str, Any]:
    """Show the training on the tracking server."""
    if tracker is None:
        why = "no tracking server is configured"
        return {"tracking_run_id": None, "facts": {"tracking": "off", "why": why}}
    try:
        with tempfile.TemporaryDirectory() as folder:
            _collect(run, records, Path(folder))
            tracking_run_id = tracker.log(_training(run, records, tuned), Path(folder))
    except TrackingUnavailable as error:
        facts = {"tracking": "skipped", "why": str(error)[:500]}
        return {"tracking_run_id": None, "facts": facts}
    return {"tracking_run_id": tracking_run_id, "facts": {"tracking": tracking_run_id}}


def register(run: Training, registries: Sequence[Registry]) -> dict[str, Any]:
    """Register the stored version wherever the lake is mirrored."""
    found: dict[str, str] = {}
    for registry in registries:
        try:
            known = register_version(run.model, run.version, registry=registry, lake=run.lake)
            found[registry.title] = f"version {known.registry_version}"
        except TrackingUnavailable as error:
            found[registry.title] = f"later: {error}"[:500]
    return {"registered": found, "facts": found}


def _collect(run: Training, records: Records, folder: Path) -> None:
    """What people look at, and the package, as the tracking server keeps them."""
    for name in CARDS:
        run.lake.download(paths.version(run.model, run.version, name), folder / name)
    (folder / "plots").mkdir()
    for name in records["described"].get("plots", ()):
        file = f"plots/{name}.svg"
        run.lake.download(paths.version(run.model, run.version, file), folder / file)
    (folder / "spec.yaml").write_text(
        f"# {run.model}, generation {run.request.spec_generation}\n{dump_spec(run.spec)}"
    )
    important = of_record(records["described"].get("importances"))
    if important:
        rows = [(one.feature, f"{one.drop:.6g}", f"{one.spread:.6g}") for one in important]
        _write_table(folder / "importances.csv", ("feature", "drop", "spread"), rows)
    seconds = [(name, record["seconds"]) for name, record in records.items()]
    _write_table(folder / "stages.csv", ("stage", "seconds"), seconds)
    (folder / "package").mkdir()
    for name, sha256 in records["fitted"]["files"].items():
        path = folder / "package" / name
        run.lake.download(paths.package(run.model, run.version, name), path)
        if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            raise TrackingUnavailable(f"{name} is not the file that was fitted")


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """MLflow shows CSV as a table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _training(run: Training, records: Records, tuned: list[dict[str, Any]]) -> TrackedTraining:
    prepared, fitted = records["prepared"], records["fitted"]
    metric = metrics.PRIMARY[run.spec.task]
    shown = {key: value for key, value in records["described"]["metrics"].items() if key != "n"}
    return TrackedTraining(
        model=run.model,
        version=run.version,
        tags={
            "millrace.run_id": run.version,
            "millrace.model": run.model,
            "millrace.spec_generation": str(run.request.spec_generation),
            "millrace.dataset_sha256": prepared["sha256"],
            "millrace.package_sha256": fitted["sha256"],
            "millrace.requested_by": run.request.requested_by,
            **_optional(records),
        },
        params={
            "candidate": fitted["candidate"],
            "rows_fit": prepared["facts"]["fit"],
            "rows_holdout": prepared["facts"]["holdout"],
            **({"threshold": fitted["threshold"]} if fitted["threshold"] is not None else {}),
            **fitted["params"],
        },
        metrics={**shown, "seconds": _seconds(records)},
        candidates=[
            TrackedCandidate(
                name=record["candidate"],
                params=record["params"],
                metrics={metric: record["score"], "seconds": float(record["seconds"])},
            )
            for record in tuned
        ],
        dataset=TrackedDataset(
            name=run.model,
            digest=prepared["sha256"],
            source=f"gs://{run.lake.name}/{prepared['dataset']}",
            counts=prepared["facts"],
        ),
        description=_description(run, records),
        by=run.request.requested_by,
    )


def _optional(records: Records) -> dict[str, str]:
    """Tags that versions of another time do not have."""
    numbered = records.get("numbered", {}).get("semantic_version")
    reproducible = records["fitted"].get("reproducible")
    return {
        **({"millrace.semantic_version": str(numbered)} if numbered else {}),
        **(
            {"millrace.reproducible": str(reproducible).lower()} if reproducible is not None else {}
        ),
    }


def _seconds(records: Records) -> float:
    return round(sum(float(record["seconds"]) for record in records.values()), 2)


def _description(run: Training, records: Records) -> str:
    """Markdown that MLflow shows above everything else."""
    comparison, sources = records["compared"]["comparison"], run.request.inputs
    lines = [
        f"**{comparison['sentence']}**",
        comparison["baseline"]["sentence"] if comparison["baseline"] else "",
        "Trained from " + ", ".join(f"`{item.source}`" for item in sources) if sources else "",
        f"How it came about: `millrace why {run.version}`. Plots and card are among the artifacts.",
    ]
    return "\n\n".join(line for line in lines if line)
