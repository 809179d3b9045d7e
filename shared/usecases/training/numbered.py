"""Stage `numbered`: the version's semantic version, by what is new since the one stored before.

    last stored number --change--> next --create-only--> numbers/<model>/1.2.0.json -> record

A number is taken before anybody sees it, so no two versions share one, whatever runs at the same
time. A training that fails afterwards keeps the number it took: it is not given again.
"""

from __future__ import annotations

from typing import Any

from shared import documents, paths
from shared.errors import ObjectNotFound
from shared.spec.numbering import FIRST, Change, Made, Number, change
from shared.spec.registry import read_generation
from shared.usecases.training.prepared import RECORD
from shared.usecases.training.stages import Training
from shared.versions import is_stored, read_version

STAGE = "numbered"


def number_version(
    run: Training, prepared: dict[str, Any], fitted: dict[str, Any]
) -> dict[str, Any]:
    """The record: `semantic_version`, its `predecessor` (a version id, None for the first) and the
    `change` since that. Of a run that took its number before a crash, the same."""
    own, last = _taken(run)
    if own is None:
        own = _take(run, last, _change(run, last, prepared, fitted))
    sentence = f"version {own['semantic_version']}: {in_words(own)}"
    facts = {"semantic_version": own["semantic_version"], "sentence": sentence}
    return {**own, "facts": facts}


def in_words(body: dict[str, Any]) -> str:
    """Why a version has its number."""
    if not body["change"]:
        return "the model's first"
    new = Change(body["change"]["level"], tuple(body["change"]["because"]))
    return f"{new.level} since {body['predecessor_number']}, {new}"


def _taken(run: Training) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The number that this run has already, and that of the version stored last."""
    found = sorted(
        run.lake.list(paths.numbers(run.model)),
        key=lambda info: _number_in(info.name),
        reverse=True,
    )
    # Another training may have been stored since, with a higher one; what is older than the run is
    # not its own (generations grow with time within a bucket).
    asked = documents.read(run.lake, paths.run_request(run.model, run.version)).generation
    for info in found:
        if info.generation > asked:
            body = documents.require(run.lake, info.name)
            if body["version"] == run.version:
                return body, None
    for info in found:
        body = documents.require(run.lake, info.name)
        if is_stored(run.model, body["version"], lake=run.lake):
            return None, body
    return None, None


def _change(
    run: Training,
    last: dict[str, Any] | None,
    prepared: dict[str, Any],
    fitted: dict[str, Any],
) -> Change | None:
    """What is new since the version stored last; None when there is none."""
    if last is None:
        return None
    about = read_version(run.model, last["version"], lake=run.lake)
    stage = paths.run_stage(run.model, last["version"], RECORD)
    try:
        spec = read_generation(run.model, about["spec_generation"], lake=run.lake)
        before = documents.require(run.lake, stage)
    except ObjectNotFound:
        return Change("major", ("what the version before was made by is no longer there",))
    old = Made(spec, about["candidate"], _features(before))
    return change(old, Made(run.spec, fitted["candidate"], _features(prepared)))


def _take(run: Training, last: dict[str, Any] | None, new: Change | None) -> dict[str, Any]:
    """Reserve the next number that is free."""
    before = Number.parse(last["semantic_version"]) if last else None
    number = before.next(new.level) if before and new else FIRST
    while True:
        body = {
            "semantic_version": str(number),
            "version": run.version,
            "predecessor": last["version"] if last else None,
            "predecessor_number": last["semantic_version"] if last else None,
            "change": new.to_json() if new else None,
            "taken": documents.timestamp(run.clock.now()),
        }
        name = paths.number(run.model, str(number))
        if documents.create(run.lake, name, body):
            return body
        there = documents.require(run.lake, name)
        if there["version"] == run.version:
            return there
        number = number.next(new.level if new else "patch")


def _number_in(name: str) -> Number:
    return Number.parse(name.rpartition("/")[2].removesuffix(".json")) or Number(0, 0, 0)


def _features(record: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["kind"] for item in record["schema"]["features"]}
