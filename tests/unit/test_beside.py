"""A second version beside the champion: one at a time, in the manifest and in its journal."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import documents, paths
from shared.adapters.memory import BucketConfig, MemoryCloud
from shared.beside.second_version import KINDS, Kind, SecondVersion, mark_in, second_of
from shared.errors import AliasMoved, NotAllowed
from shared.manifests import Manifest, move_champion, parse_manifest, read_manifest, set_beside
from shared.moves import Move, trail
from shared.serving.assigning import takes, unit_of

OLD: dict[str, Any] = {
    "id": "e1",
    "version": "v2",
    "package": "models/m/v2/package/",
    "sha256": "0" * 64,
    "files": {"package.json": "0" * 64},
    "features": [],
    "against": "v1",
    "revision": 1,
    "share": 0.5,
    "key": "city",
    "started_at": "2026-01-05T08:00:00Z",
    "by": "ada",
    "reason": "to see",
    "until": None,
    "semantic_version": None,
}
STEPS = (0.05, 0.25, 1.0)
SHARES = st.lists(st.floats(0, 1), min_size=2, max_size=5).map(sorted)


def second(kind: Kind = "canary", **changes: Any) -> SecondVersion:
    found = {**OLD, "id": "c1", "kind": kind, "share": 0.05}
    if kind == "canary":
        found["steps"] = STEPS
    return SecondVersion.from_json({**found, **changes})


class World:
    def __init__(self) -> None:
        cloud = MemoryCloud(buckets=[BucketConfig("lake")], topics=[])
        self.lake, self.clock = cloud.lake, cloud.clock
        self.promote("v1")

    def promote(self, version: str) -> None:
        body = {"model": "m", "version": version, "package": {"sha256": "", "files": {}}}
        move_champion(
            read_manifest("m", lake=self.lake),
            body,
            by="ada",
            cause=f"manual:{version}",
            log="sync",
            pinned=False,
            lake=self.lake,
            clock=self.clock,
        )

    def set(self, wanted: SecondVersion | None) -> Move:
        return set_beside(
            self.manifest, wanted, by="ada", reason="why", lake=self.lake, clock=self.clock
        )

    @property
    def manifest(self) -> Manifest:
        found = read_manifest("m", lake=self.lake)
        assert found is not None
        return found

    def moves(self) -> list[Move]:
        return trail("m", self.manifest.journal, lake=self.lake)


@pytest.fixture
def world() -> World:
    return World()


# --- what is stored ------------------------------------------------------------------------------


def test_an_experiment_of_an_older_manifest_is_a_second_version(world: World) -> None:
    """Written under its own key and without a kind it reads as before; the next change of it
    leaves one second version in the manifest and not two."""
    found = documents.read(world.lake, paths.manifest("m"))
    old = {**found.body, "experiment": OLD}
    documents.swap(world.lake, paths.manifest("m"), old, generation=found.generation)
    running = world.manifest.beside
    assert running is not None
    assert running == world.manifest.experiment
    assert (running.kind, running.id, running.share, running.steps) == ("experiment", "e1", 0.5, ())
    world.set(None)
    assert world.manifest.beside is None
    assert not {"experiment"} & documents.read(world.lake, paths.manifest("m")).body.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_version_comes_back_as_it_was_written(world: World, kind: Kind) -> None:
    """Every kind keeps all it says in the manifest; only experiments are the manifest's
    `experiment`."""
    wanted = second(kind)
    world.set(wanted)
    assert world.manifest.beside == wanted
    assert (world.manifest.experiment is None) == (kind != "experiment")
    assert SecondVersion.from_json(wanted.to_json()) == wanted


def test_a_kind_of_later_code_does_not_keep_the_champion_from_being_followed() -> None:
    """Unknown kinds are not there; nothing and nobody beside the champion is nothing."""
    assert second_of({"beside": {**OLD, "kind": "bandit"}}) is None
    assert second_of({"beside": None}) is None
    assert second_of({}) is None


# --- moves ---------------------------------------------------------------------------------------


def test_start_step_and_stop_are_moves_of_the_journal(world: World) -> None:
    """The trail has who, why, the share of each moment and the id under the trial's kind, and the
    id stays the same at all steps; the champion's turn stays too."""
    canary, turn = second(), world.manifest.turn
    world.set(canary)
    world.set(canary.at_step(1, "2026-01-05T09:00:00Z"))
    world.set(None)
    _, *moves = world.moves()
    told = [(move.action, move.kind, move.beside, move.challenger, move.share) for move in moves]
    assert told == [
        ("canary-start", "canary", "c1", "v2", 0.05),
        ("canary-step", "canary", "c1", "v2", 0.25),
        ("canary-stop", "canary", "c1", "v2", 0.25),
    ]
    assert {move.by for move in moves} == {"ada"}
    stored = documents.require(world.lake, paths.move("m", moves[0].revision))
    assert (stored["canary"], stored["challenger"], stored["share"]) == ("c1", "v2", 0.05)
    assert not {"beside", "experiment", "shadow"} & stored.keys()
    assert (world.manifest.turn, world.manifest.version) == (turn, "v1")


def test_moves_of_older_experiments_read_as_before() -> None:
    """They have the id under `experiment` and no share; a plain move has nothing of all that."""
    move = {"revision": 2, "version": "v1", "previous": "v1", "by": "ada", "at": "", "cause": ""}
    old = Move.of({**move, "action": "experiment-start", "experiment": "e1", "challenger": "v2"})
    assert (old.kind, old.beside, old.challenger, old.share) == ("experiment", "e1", "v2", None)
    assert Move.of(old.to_json()) == old
    plain = Move.of({**move, "action": "pin"})
    assert plain.kind is None
    assert not {"beside", "challenger", "share", *KINDS} & plain.to_json().keys()


@pytest.mark.parametrize("kind", KINDS)
def test_one_second_version_at_a_time(world: World, kind: Kind) -> None:
    """Another one is refused while one runs, whatever the kinds, and ending nothing is too."""
    with pytest.raises(NotAllowed, match="nothing runs"):
        world.set(None)
    world.set(second("shadow", id="first"))
    with pytest.raises(NotAllowed, match="shadow first of m runs already"):
        world.set(second(kind, id="other"))
    assert world.manifest.beside == second("shadow", id="first")


def test_a_step_against_a_manifest_that_moved_is_lost(world: World) -> None:
    """Who decided on what is no longer so has to look again; a promotion ends what runs."""
    canary = second()
    world.set(canary)
    before = world.manifest
    world.promote("v3")
    assert world.manifest.beside is None
    with pytest.raises(AliasMoved):
        set_beside(
            before,
            canary.at_step(1, "2026-01-05T09:00:00Z"),
            by="sweep",
            reason="",
            lake=world.lake,
            clock=world.clock,
        )
    assert world.manifest.beside is None


def test_steps_go_up_and_no_further(world: World) -> None:
    """A step changes share, place and time, nothing else; one back or beyond the last is none."""
    first = second()
    last = first.at_step(2, "2026-01-05T09:00:00Z")
    assert (last.share, last.step, last.step_started_at) == (1.0, 2, "2026-01-05T09:00:00Z")
    assert replace(last, share=0.05, step=0, step_started_at=None) == first
    assert last.is_same_question(first)
    for there, step in ((last, 1), (first, 3), (first, -1), (second("shadow"), 0)):
        with pytest.raises(ValueError, match=r"step|over"):
            there.at_step(step, "2026-01-05T09:00:00Z")


# --- who gets it ---------------------------------------------------------------------------------


@given(trial=st.text(max_size=20), key=st.text(max_size=20), shares=SHARES)
def test_raising_the_share_takes_nobody_away(trial: str, key: str, shares: list[float]) -> None:
    """Whoever has the challenger at one share has it at every larger one; nobody has it at 0 and
    everybody at 1. The unit knows nothing of the share, so it is the same in every instance."""
    unit = unit_of(trial, key)
    got = [takes(unit, share) for share in shares]
    assert got == sorted(got)
    assert not takes(unit, 0.0)
    assert takes(unit, 1.0)


def test_a_line_of_the_log_says_what_ran() -> None:
    """The mark stands under its kind; a line without one was not dealt."""
    assert mark_in({"model": "m", "canary": {"id": "c1"}}) == ("canary", {"id": "c1"})
    assert mark_in({"model": "m"}) is None


def test_a_manifest_says_all_of_a_champion_with_and_without_a_second_version(world: World) -> None:
    """Reading is the same for everything else."""
    plain = documents.read(world.lake, paths.manifest("m"))
    body = {**plain.body, "beside": second().to_json()}
    found = {**asdict(parse_manifest(body, 1)), "beside": None}
    assert found == asdict(parse_manifest(plain.body, 1))
