"""What holds after a storm, whatever it was."""

from __future__ import annotations

import json
from collections import Counter

from shared import approvals, documents, paths, runs
from shared.errors import ObjectNotFound
from shared.manifests import Manifest, read_manifest
from shared.moves import Move, trail
from tests.support.promises import check_promises
from tests.support.storms import Storm

WAITS = {"awaiting_approval", "in_canary", "waiting_for_champion"}
KEPT = ("serving/", "approvals/", "runs/", "moves/", "specs/")


def check_storm(storm: Storm) -> None:
    """Every upload ended once or visibly waits, the champion moved once per decision and never past
    a pin or a refusal, all of it was told, and all messages once more change nothing."""
    system, lake = storm.system, storm.system.lake
    # A person who is asked anew about the same version reads the same words.
    check_promises(system, *storm.sources, posted_twice=_asked_anew(storm), doubled=True)
    for source in storm.sources:
        state = runs.state("m", system.claim(source)["run_id"], lake=lake)
        assert state.terminal or state.state in WAITS, (source, state)
    manifest = read_manifest("m", lake=lake)
    if manifest is not None:
        _check_moves(storm, manifest)
        _check_versions(storm, manifest)
        _check_scores(storm, manifest)
    _check_repeats(storm)


def _asked_anew(storm: Storm) -> int:
    asked = {item["id"]: item["version"] for item in storm.system.published("ApprovalRequested")}
    lost = sum("claims/notify" in line for line in storm.weave.troubles)
    return len(asked) - len(set(asked.values())) + lost


def _check_moves(storm: Storm, manifest: Manifest) -> None:
    lake = storm.system.lake
    moves = trail("m", manifest.journal, lake=lake)
    assert len(list(lake.list("moves/m/"))) == manifest.revision
    assert [move.revision for move in moves] == list(range(1, manifest.revision + 1))
    champions = [move for move in moves if move.moves_champion]
    causes = Counter(move.cause for move in champions)
    assert max(causes.values()) == 1, causes
    before: Move | None = None
    for move in moves:
        if move.moves_champion:
            assert move.previous == (before.version if before else None), (move, before)
            assert documents.read(lake, paths.told("m", move.revision)).exists, move
        if move.moves_champion and move.by == "policy":
            assert not (before and before.pinned), move
            name = paths.version("m", move.version, "decision.json")
            assert documents.require(lake, name)["action"] == "promoted", move
        before = move


def _check_versions(storm: Storm, manifest: Manifest) -> None:
    """A version is decided as its run ended, or somebody is asked, or it is tried just now."""
    lake, beside = storm.system.lake, manifest.beside
    for folder in lake.folders("models/m/"):
        version = folder.split("/")[2]
        decision = documents.read(lake, paths.version("m", version, "decision.json")).body
        if decision:
            assert runs.state("m", version, lake=lake).state == decision["action"], version
            assert not (beside and beside.kind == "canary" and beside.version == version)
            continue
        approval = approvals.find("m", version, lake=lake)
        tried = beside is not None and beside.version == version
        assert tried or (approval and approval.pending), version


def _check_scores(storm: Storm, manifest: Manifest) -> None:
    """Rows are answered by versions that served."""
    lake = storm.system.lake
    served = {move.version for move in trail("m", manifest.journal, lake=lake)}
    for run_id in storm.system.run_ids():
        try:
            assert runs.read_launch("m", run_id, lake=lake)["champion"] in served, run_id
        except ObjectNotFound:
            continue


def _check_repeats(storm: Storm) -> None:
    """Everything that was ever published comes once more, a day later."""
    system, done = storm.system, set[tuple[str, bytes]]()
    system.clock.advance(86_400)
    system.tick()  # what only waits for time
    system.drain(advance=True)
    before, posted = _state(storm), len(system.cloud.messenger.posted)
    for item in list(system.cloud.publisher.published):
        topic = item.topic.rpartition("/")[2]
        if (topic, item.data) in done or topic == "ticks" or _is_stale(storm, item.data):
            continue
        done.add((topic, item.data))
        system.publisher.publish(topic, item.data, item.attributes)
        system.drain()
        after = _state(storm)
        changed = {name for name in before | after if before.get(name) != after.get(name)}
        assert not changed, (json.loads(item.data), changed)
    assert len(system.cloud.messenger.posted) == posted


def _is_stale(storm: Storm, data: bytes) -> bool:
    """About a version whose question is one about a former champion: that is compared again."""
    version = str(json.loads(data).get("version"))
    approval = approvals.find("m", version, lake=storm.system.lake)
    return approval is not None and approval.pending and approval.against != storm.system.champion()


def _state(storm: Storm) -> dict[str, int]:
    found = (info for prefix in KEPT for info in storm.system.lake.list(prefix))
    return {info.name: info.generation for info in found}
