"""Where something comes from: a version, a run or a prediction, back to the exact objects that
came in. Reads what the system wrote down; judges nothing.

    prediction -> scoring run -> input object#generation
               -> version -> decision, spec generation, code, dataset, labels
                          -> run -> input object#generation
                          -> the version whose rows it continues -> ...
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from shared import approvals, claims, documents, paths, runs
from shared.beside.canaries import Record, latest
from shared.cli import words
from shared.errors import ObjectNotFound
from shared.labelled import SUMMARY
from shared.manifests import read_manifest
from shared.moves import Move, trail
from shared.ports import Bucket
from shared.runs import InputRef, RunRequest
from shared.spec.registry import read_registered
from shared.versions import number_of, read_version, version_ids


def ancestors(model: str, version: str, lake: Bucket) -> list[dict[str, Any]]:
    """A version and those whose rows it continues, newest first."""
    manifest = read_manifest(model, lake=lake)
    moves = trail(model, manifest.journal if manifest else (), lake=lake)
    turns = [move for move in moves if move.moves_champion]
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    following: str | None = version
    while following and following not in seen:
        seen.add(following)
        found.append(version_facts(model, following, turns, lake))
        following = found[-1]["continues"]
    return found


def version_facts(model: str, version: str, turns: list[Move], lake: Bucket) -> dict[str, Any]:
    """Everything a version rests on, `turns` being the moves of the champion so far. What was
    never recorded is null."""
    about = read_version(model, version, lake=lake)
    run = run_facts(model, version, lake)
    stage = documents.read(lake, paths.run_stage(model, version, "prepared.json")).body
    generation = run["spec_generation"] or about.get("spec_generation")
    return {
        "model": model,
        "version": version,
        "stored": bool(about),
        "semantic_version": about.get("semantic_version"),
        "predecessor": about.get("predecessor"),
        "predecessor_semantic_version": _number(model, about.get("predecessor"), lake),
        "change": about.get("change"),
        "created": about.get("created"),
        "candidate": about.get("candidate"),
        "code_version": about.get("code_version"),
        "package_sha256": about.get("package", {}).get("sha256"),
        "tracking_run_id": about.get("tracking_run_id"),
        "run": run,
        "continues": run["retrain"]["champion"] if run["retrain"] else None,
        "spec": spec_facts(model, generation, lake) if generation else None,
        "dataset": _dataset(stage, lake),
        "labels_used": [labels_facts(model, name, lake) for name in about.get("labels_used", [])],
        "comparison": _comparison(model, version, turns, lake),
        "decision": _decision(model, version, lake),
        "canaries": [
            _canary(record)
            for record in latest(model, lake=lake)
            if record.canary.version == version
        ],
        "served": turns_of(version, turns),
    }


def _canary(record: Record) -> dict[str, Any]:
    """What came of one canary of a version."""
    judged = [*record.past, *([record.judged] if record.judged else [])]
    return {
        "id": record.canary.id,
        "began": record.canary.started_at,
        "by": record.canary.by,
        "judged": [{key: item[key] for key in ("at", "verdict", "sentence")} for item in judged],
        "ended": record.ended,
    }


def run_facts(model: str, run_id: str, lake: Bucket) -> dict[str, Any]:
    """What a run was asked, with the exact objects it was given, and how it ended."""
    request = find_request(model, run_id, lake)
    history = runs.history(model, run_id, lake=lake)
    state = runs.fold(history)
    first = history[0]["facts"] if history else {}
    prefix = runs.REPLAYED_BY
    last = next((event for event in reversed(history) if event["name"] in runs.TERMINAL), None)
    return {
        "run_id": run_id,
        "kind": request.kind if request else first.get("kind"),
        "requested_at": request.requested_at if request else None,
        "requested_by": request.requested_by if request else None,
        "spec_generation": request.spec_generation if request else None,
        "inputs": _inputs(model, run_id, lake),
        "source": first.get("source"),
        "replays": request.replays if request else None,
        "replayed_by": [e["facts"]["run_id"] for e in history if e["name"].startswith(prefix)],
        "retrain": _retrain(request, lake) if request else None,
        "version": request.version if request else None,
        "against": request.against if request else None,
        "state": state.state,
        "ended": state.since if state.terminal else None,
        "sentence": words.sentence(last) if last else None,
        "same_as": state.facts.get("same_as"),
        "attempts": sum(event["name"].startswith("started-") for event in history),
    }


def trained_under(model: str, generation: int, lake: Bucket) -> list[str]:
    """Versions that were trained under a generation of the spec, oldest first."""
    found = reversed(version_ids(model, lake=lake))
    return [
        version
        for version in found
        if read_version(model, version, lake=lake).get("spec_generation") == generation
    ]


def find_request(model: str, run_id: str, lake: Bucket) -> RunRequest | None:
    try:
        return runs.read_request(model, run_id, lake=lake)
    except ObjectNotFound:
        return None


def spec_facts(model: str, generation: int, lake: Bucket) -> dict[str, Any] | None:
    """A generation of the spec, and who let it come into force where somebody was asked."""
    try:
        found = read_registered(model, generation, lake=lake)
    except ObjectNotFound:
        return None
    decided = documents.read(lake, paths.spec_decision(model, generation)).body
    name = paths.spec_generation(model, generation)
    return {
        "generation": generation,
        "source": found.source,
        "registered": found.registered,
        "object": address(name, lake),
        "decision": {key: decided.get(key) for key in ("action", "by", "at")} if decided else None,
    }


def labels_facts(model: str, name: str, lake: Bucket) -> dict[str, Any]:
    """A file of recorded labels, the upload it was made of, and the predictions that it is about:
    scored files, whose rows are learned with their labels, and hours of online answers."""
    run_id = name.rpartition("/")[2].removesuffix(".jsonl")
    summary = documents.read(lake, paths.run_stage(model, run_id, SUMMARY)).body
    scored = summary.get("score_runs", [])
    return {
        "object": address(name, lake),
        "run_id": run_id,
        "inputs": _inputs(model, run_id, lake),
        "about": [{"run_id": item, "inputs": _inputs(model, item, lake)} for item in scored],
        "online_hours": summary.get("online_hours", []),
    }


def learned_by(model: str, name: str, lake: Bucket) -> list[str]:
    """Versions that learned from a file of labels, oldest first."""
    found = reversed(version_ids(model, lake=lake))
    return [
        version
        for version in found
        if name in read_version(model, version, lake=lake).get("labels_used", [])
    ]


def address(name: str, lake: Bucket) -> str:
    """An object of the lake with its generation; without one where it is gone."""
    try:
        return f"gs://{lake.name}/{name}#{lake.stat(name).generation}"
    except ObjectNotFound:
        return f"gs://{lake.name}/{name} (gone)"


def _number(model: str, version: str | None, lake: Bucket) -> str | None:
    return number_of(model, version, lake=lake) if version else None


def _inputs(model: str, run_id: str, lake: Bucket) -> list[dict[str, Any]]:
    request = find_request(model, run_id, lake)
    return [_input(item, lake) for item in request.inputs] if request else []


def _input(item: InputRef, lake: Bucket) -> dict[str, Any]:
    return {
        "source": item.source,
        "role": item.role,
        "copy": f"gs://{lake.name}/{item.object}#{item.generation}",
        "size_bytes": item.size_bytes,
        "md5": item.md5,
        "crc32c": item.crc32c,
    }


def _retrain(request: RunRequest, lake: Bucket) -> dict[str, Any] | None:
    """Why the loop trained by itself."""
    cause = request.retrain
    if cause is None:
        return None
    incident = documents.read(lake, paths.incident(request.model, cause.incident_id)).body
    return {
        "champion": cause.champion,
        "incident_id": cause.incident_id,
        "kind": "refresh" if cause.refresh else incident.get("kind"),
        "window_start": incident.get("window_start"),
        "window_end": incident.get("window_end"),
        "report": address(incident["report"], lake) if incident.get("report") else None,
        "sentence": incident.get("decision", {}).get("sentence"),
    }


def _dataset(stage: dict[str, Any], lake: Bucket) -> dict[str, Any] | None:
    if not stage:
        return None
    counts = {key: stage["facts"].get(key) for key in ("rows", "fit", "holdout", "reserved")}
    return {
        "object": address(stage["dataset"], lake),
        "sha256": stage["sha256"],
        **counts,
        "quarantined": stage.get("quarantined"),
    }


def _comparison(model: str, version: str, turns: list[Move], lake: Bucket) -> dict[str, Any] | None:
    body = documents.read(lake, paths.version(model, version, "comparison.json")).body
    if not body:
        return None
    wanted = ("against", "metric", "challenger", "champion", "gain", "gain_lower", "evidence")
    found = {key: body.get(key) for key in (*wanted, "sentence")}
    return {**found, "runs": list(_comparison_runs(model, version, turns, lake))}


def _comparison_runs(model: str, version: str, turns: list[Move], lake: Bucket) -> Iterator[str]:
    """Runs that compared the version again because the champion had moved."""
    against = [(None, 0), *((move.version, move.revision) for move in turns)]
    for champion, turn in against:
        key = runs.comparison_key(model, version, champion, turn)
        claim = claims.peek(paths.claim(key), lake=lake)
        if claim is not None:
            yield claim.run_id


def _decision(model: str, version: str, lake: Bucket) -> dict[str, Any] | None:
    """How it was decided, by whom, and what a person was asked and said."""
    body = documents.read(lake, paths.version(model, version, "decision.json")).body
    approval = approvals.find(model, version, lake=lake)
    if not body and approval is None:
        return None
    keys = ("action", "by", "at", "sentence", "rules", "previous")
    asked = approval and {
        "at": approval.requested_at,
        "sentence": approval.sentence,
        "answer": approval.decision,
    }
    return {**{key: body.get(key) for key in keys}, "asked": asked}


def turns_of(version: str, turns: list[Move]) -> list[dict[str, Any]]:
    """From when to when it answered, and who put it there."""
    found = []
    for move, after in zip_longest(turns, turns[1:]):
        if move.version == version:
            until = after.at if after else None
            found.append(
                {"from": move.at, "until": until, "by": move.by, "revision": move.revision}
            )
    return found
