"""The checks of a training's prepared data, by the policies of its spec.

    prepared rows (a sample) and what was counted of all -> findings -> note `checked` | DataStopped

Runs after the dataset is written and before anything is fixed for later trainings. The profile that
the next training is held against is written beside the dataset, and counts once this training has
made a version; so a repeat of any step finds the same predecessor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shared import documents, paths, runs
from shared.errors import DataStopped
from shared.serving.columns import Columns
from shared.spec.registry import read_generation
from shared.tabular.checks import checks, drifted_schema, leakage
from shared.tabular.checks.findings import Finding, Level
from shared.tabular.dataset import Examples, side_mask
from shared.usecases.training.stages import Training

if TYPE_CHECKING:
    from shared.usecases.training.loaded import Prepared

PROFILE = "profile.json"
EVENT = "checked"
LEAKS = ("leakage", "strong_column")


def run_checks(run: Training, prepared: Prepared, facts: Mapping[str, Any]) -> list[Finding]:
    """What the policies let pass, stops before warnings; the history gets them as `checked`.
    Raises DataStopped, naming every finding that stops.

    Args:
        prepared: The rows, or a sample of them in order; a few ten thousand are plenty.
        facts: What was counted of all rows: `rows` (all records), `good`, `target_missing`,
            `class_rows` (by label), `columns` (of the file), `repeated` (Repeated).
    """
    found = _findings(run, prepared, facts)
    stops = [finding for finding in found if finding.level == "stop"]
    if found:
        note = {"findings": [finding.to_json() for finding in found], "sentence": in_short(found)}
        runs.note(run.model, run.version, EVENT, lake=run.lake, clock=run.clock, **note)
    if stops:
        raise DataStopped(
            "the checks stop this training. "
            + " ".join(f"{one.name}: {one.sentence}. {one.advice}" for one in stops)
            + " Drop the changed spec, then the file again."
        )
    return found


def warnings_of_leaks(
    checks: Sequence[Mapping[str, Any]], champion: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Of stored findings, those of columns that may give the answer away; `known` are those that
    the champion's training was warned of as well."""
    before = {name for one in champion if one["name"] in LEAKS for name in one["columns"]}
    return [
        {
            **{key: one[key] for key in ("name", "sentence", "advice")},
            "columns": list(one["columns"]),
            "known": before.issuperset(one["columns"]),
        }
        for one in checks
        if one["name"] in LEAKS
    ]


def in_short(found: Sequence[Finding]) -> str:
    """`the checks stop: leakage (...); and warn: identifier (...), small_class (...)`."""
    said = [
        f"{word}: "
        + ", ".join(f"{one.name} ({one.sentence})" for one in found if one.level == level)
        for level, word in (("stop", "stop"), ("warn", "warn"))
        if any(one.level == level for one in found)
    ]
    return f"the checks {'; and '.join(said)}"


def _findings(run: Training, prepared: Prepared, facts: Mapping[str, Any]) -> list[Finding]:
    rows = prepared.examples()
    sample, good = len(rows), int(facts["good"])
    measured = [
        *_of_target(run, prepared, rows),
        *_of_features(run, prepared, rows, good),
        *_of_schema(run, prepared, rows.columns, facts["columns"]),
    ]
    if sample < good:
        note = f"in a sample of {sample:,} of {good:,} rows"
        measured = [replace(one, sentence=f"{one.sentence}, {note}") for one in measured]
    found = [*_of_counts(run, prepared, facts), *measured]
    return sorted(found, key=lambda finding: finding.level != "stop")


def _of_counts(run: Training, prepared: Prepared, facts: Mapping[str, Any]) -> Iterable[Finding]:
    """What was counted of all rows."""
    name, labels = prepared.target, prepared.outcome.spelled
    if level := _level(run, "target_pile"):
        missing, rows = int(facts["target_missing"]), int(facts["rows"])
        yield from checks.target_missing(name, missing, rows, level)
    if labels and (level := _level(run, "small_class")):
        least = run.spec.checks.min_class_rows
        yield from checks.small_classes(name, facts["class_rows"], labels, least, level)
    if level := _level(run, "duplicates"):
        yield from checks.duplicates(facts["repeated"], level)


def _of_target(run: Training, prepared: Prepared, rows: Examples) -> Iterable[Finding]:
    name, outcome = prepared.target, prepared.outcome
    if outcome.task == "regression" and (level := _level(run, "target_pile")):
        yield from checks.target_values(name, rows.target * outcome.scale, level)
    if level := _level(run, "sorted_by_target"):
        classes = len(outcome.labels)
        yield from checks.sorted_by_target(outcome.task, name, rows.target, classes, level)


def _of_features(run: Training, prepared: Prepared, rows: Examples, good: int) -> Iterable[Finding]:
    features = prepared.schema.seen
    if level := _level(run, "identifiers"):
        yield from checks.identifiers(features, rows.columns, good, level)
    if level := _level(run, "leakage"):
        if level == "stop" and predecessor(run) is not None:
            level = "warn"  # what serves keeps its columns; a person decides
        made = {name: made.columns for name, made in prepared.schema.bound_derive}
        allowed = {name for name, one in run.spec.all_columns.items() if one.allow_leak is not None}
        asked = [
            feature
            for feature in features
            if allowed.isdisjoint(made.get(feature.name, (feature.name,)))
        ]
        task = prepared.outcome.task
        found = leakage.alone(
            task,
            rows.take(side_mask(prepared.dataset, "fit")),
            asked,
            classes=len(prepared.outcome.labels),
            seed=run.spec.training.seed,
        )
        written = _names_columns(run)
        yield from leakage.leaks(task, prepared.target, found, level, written=written, made=made)


def _names_columns(run: Training) -> bool:
    """Whether a person's spec does; that of the run may have inferred ones."""
    generation = run.request.spec_generation
    return bool(read_generation(run.model, generation, lake=run.lake).columns)


def _of_schema(
    run: Training, prepared: Prepared, columns: Columns, file_columns: Sequence[str]
) -> Iterable[Finding]:
    profile = drifted_schema.profile_of(prepared.schema.features, columns, file_columns)
    name = paths.dataset(run.model, run.version, PROFILE)
    run.lake.write(name, documents.dumps(profile), content_type="application/json")
    level, last = _level(run, "schema_drift"), predecessor(run)
    if level and last is not None:
        before = documents.read(run.lake, paths.dataset(run.model, last, PROFILE))
        if before.exists:
            yield from drifted_schema.compare(before.body, profile, columns, level, last=last)


def predecessor(run: Training) -> str | None:
    """The last training before this one that made a version."""
    prefix = paths.version(run.model, "").removesuffix("/")
    before = sorted(folder.rstrip("/").rpartition("/")[2] for folder in run.lake.folders(prefix))
    for version in reversed([found for found in before if found < run.version]):
        name = paths.version(run.model, version, "version.json")
        if documents.read(run.lake, name).exists:
            return version
    return None


def _level(run: Training, policy: str) -> Level | None:
    """What the spec says about these checks; None when they are off."""
    level = getattr(run.spec.checks, policy)
    return None if level == "off" else level
