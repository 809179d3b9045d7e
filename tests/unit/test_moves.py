"""The audit trail: every change of who serves, and of what people said about it, stays for good."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared import documents, moves, paths
from shared.adapters.memory import MemoryCloud
from shared.errors import AliasMoved
from shared.manifests import KEPT_MOVES, move_champion, read_manifest, set_pinned
from shared.moves import Move
from shared.ports import Bucket
from tests.support.crashing import Story, crash_everywhere
from tests.support.promises import check_promises
from tests.support.system import SPEC, System, memory_cloud
from tests.support.working import ASKING, drop_training, everything, repeat, trained

both = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


def objects(lake: Bucket, model: str = "m") -> list[dict[str, Any]]:
    return [documents.require(lake, info.name) for info in lake.list(paths.moves(model))]


def told(system: System) -> list[tuple[int, str, str]]:
    return [(item["revision"], item["action"], item["version"]) for item in objects(system.lake)]


def version_of(number: int) -> dict[str, Any]:
    package = {"files": {"package.json": "0" * 64}, "sha256": "0" * 64}
    return {"model": "m", "version": f"v{number}", "semantic_version": None, "package": package}


def promoted(cloud: MemoryCloud, number: int) -> Move:
    return move_champion(
        read_manifest("m", lake=cloud.lake),
        version_of(number),
        by="ada",
        cause=f"promote:{number}",
        log="sync",
        pinned=False,
        reason=f"reason {number}",
        lake=cloud.lake,
        clock=cloud.clock,
    )


def test_a_promotion_brings_how_the_spec_wants_its_answers_kept() -> None:
    """The predictor reads the manifest alone; pinning leaves what it says about the log."""
    system = everything()
    trained(system, SPEC + "serving: {log: buffered, redact: [b], log_sample: 0.25}\n")
    for action in ("pin", "unpin"):
        manifest = read_manifest("m", lake=system.lake)
        assert manifest is not None
        assert (manifest.log, manifest.redact) == ("buffered", ("b",))
        assert manifest.log_sample == 0.25
        system.decide(model="m", action=action, reason="audit week")


def test_every_move_has_an_object_that_says_who_when_and_why() -> None:
    """By policy, by hand, back, held and let go: one object for each, in order, with the objects
    that hold the decision behind it."""
    system = everything()
    first, second = trained(system, SPEC), trained(system)
    system.decide(model="m", action="rollback", reason="complaints", version=second)
    system.decide(model="m", action="unpin", reason="mended")
    system.decide(model="m", action="pin", reason="audit week")
    assert told(system) == [
        (1, "promote", first),
        (2, "promote", second),
        (3, "rollback", first),
        (4, "unpin", first),
        (5, "pin", first),
    ]
    by_policy, _, back, unpin, pin = objects(system.lake)
    assert (by_policy["by"], by_policy["previous"]) == ("policy", None)
    assert by_policy["reason"].startswith("First version")
    assert by_policy["rests_on"] == [paths.version("m", first, "decision.json")]
    assert (back["by"], back["previous"], back["pinned"]) == ("ada", second, True)
    assert back["reason"] == f"Rolled back from {second}: complaints."
    assert [(item["by"], item["reason"], item["pinned"]) for item in (unpin, pin)] == [
        ("ada", "mended", False),
        ("ada", "audit week", True),
    ]
    assert all(item["at"] for item in objects(system.lake))


def test_an_approval_names_the_answer_it_rests_on() -> None:
    """Who approved, and where the question and the answer are."""
    system = everything()
    version = trained(system, ASKING)
    system.decide(model="m", action="approve", version=version, reason="seen the card")
    (move,) = objects(system.lake)
    assert (move["by"], move["reason"]) == ("ada", "Approved: seen the card.")
    assert move["rests_on"][1] == paths.approval("m", version)
    assert all(documents.read(system.lake, name).exists for name in move["rests_on"])


@both
def test_a_crash_between_swap_and_object_loses_no_move(after: bool) -> None:
    """Whatever call a promotion, a rollback, a pin or an unpin dies at: the trail has each of
    them once, in order, and says what the manifest says."""

    def tell(story: Story) -> None:
        system = story.system
        first, second = trained(system, SPEC), drop_training(system)
        story.arm()
        story.drain()
        story.decide(model="m", action="rollback", reason="so", version=second)
        story.decide(model="m", action="unpin", reason="so")
        story.tick()
        story.check()
        assert told(system) == [
            (1, "promote", first),
            (2, "promote", second),
            (3, "rollback", first),
            (4, "unpin", first),
        ]
        manifest = read_manifest("m", lake=system.lake)
        assert manifest is not None
        kept = [Move.of(item) for item in objects(system.lake)]
        assert sorted(manifest.journal, key=lambda move: move.revision) == kept

    assert crash_everywhere(tell, after=after) > 10


def test_repeats_leave_one_object_each() -> None:
    """A promotion, a rollback and a pin that are delivered or asked again move nothing."""
    system = everything()
    trained(system, SPEC)
    second = trained(system)
    for _ in range(2):
        repeat(system, second)
        system.decide(model="m", action="rollback", version=second)
        system.decide(model="m", action="pin", reason="again")
        system.tick()
    assert [revision for revision, *_ in told(system)] == [1, 2, 3]
    check_promises(system)


def test_of_two_promotions_at_once_one_is_told_to_ask_again() -> None:
    """Both read the same manifest; the second swap is lost, leaves no trace, and decided anew it
    follows the first."""
    system = everything()
    first = trained(system, ASKING)
    second = trained(system, evidence="insufficient_evidence")
    system.decide(model="m", action="promote", version=first)
    before = len(told(system))

    class Between:
        """Somebody else promotes just before the manifest is swapped."""

        def __init__(self, lake: Bucket) -> None:
            self.lake, self.done = lake, False

        def __getattr__(self, name: str) -> Any:
            return getattr(self.lake, name)

        def write(self, name: str, data: bytes, **more: Any) -> Any:
            if name == paths.manifest("m") and not self.done:
                self.done = True
                system.ports["lake"] = self.lake
                racing = system._door("promote")
                mine, system.doors["promote"] = system.doors["promote"], racing
                system.decide(model="m", action="pin", reason="quicker")
                system.doors["promote"] = mine
            return self.lake.write(name, data, **more)

    system.ports["lake"] = Between(system.lake)
    system.doors["promote"] = system._door("promote")
    reply, status = system.decide(model="m", action="promote", version=second)
    assert (status, reply["ok"]) == (503, False)
    assert told(system)[before:] == [(2, "pin", first)]
    reply, status = system.decide(model="m", action="promote", version=second)
    assert status == 200
    assert "stays pinned" in reply["sentence"]
    assert told(system)[before:] == [(2, "pin", first), (3, "promote", second)]


def test_the_second_of_two_swaps_is_refused() -> None:
    """Whoever read an older manifest moves nothing and writes no object of a move."""
    cloud = memory_cloud()
    promoted(cloud, 1)
    read = read_manifest("m", lake=cloud.lake)
    assert read is not None
    promoted(cloud, 2)
    with pytest.raises(AliasMoved):
        set_pinned(read, True, by="eve", reason="late", lake=cloud.lake, clock=cloud.clock)
    with pytest.raises(AliasMoved):
        move_champion(
            read,
            version_of(3),
            by="eve",
            cause="late",
            log="sync",
            pinned=False,
            lake=cloud.lake,
            clock=cloud.clock,
        )
    assert [item["version"] for item in objects(cloud.lake)] == ["v1", "v2"]


def test_the_trail_outlives_the_journal() -> None:
    """The manifest forgets all but the recent moves; their objects stay. Pins push no move of the
    champion out of it."""
    cloud = memory_cloud()
    for number in range(KEPT_MOVES + 3):
        promoted(cloud, number)
    for number in range(KEPT_MOVES + 3):
        manifest = read_manifest("m", lake=cloud.lake)
        assert manifest is not None
        pinned = number % 2 == 0
        set_pinned(manifest, pinned, by="a", reason="r", lake=cloud.lake, clock=cloud.clock)
    manifest = read_manifest("m", lake=cloud.lake)
    assert manifest is not None
    assert (len(manifest.moves), len(manifest.policies)) == (KEPT_MOVES, KEPT_MOVES)
    assert manifest.turn == KEPT_MOVES + 3
    assert manifest.replaced == f"v{KEPT_MOVES + 1}"
    found = moves.trail("m", manifest.journal, lake=cloud.lake)
    assert [move.revision for move in found] == list(range(1, 2 * (KEPT_MOVES + 3) + 1))


def test_a_manifest_of_old_gets_its_trail() -> None:
    """Moves that were made before there were objects get theirs, whatever keys they lack; so do
    moves of code to come, whatever keys they have on top."""
    cloud = memory_cloud()
    promoted(cloud, 1)
    body = documents.require(cloud.lake, paths.manifest("m"))
    del body["policies"], body["champion"]["semantic_version"]
    old = {"version": "v1", "by": "policy", "at": "2026-01-01T00:00:00Z"}
    body["revision"] = 2
    body["moves"] = [
        {"revision": 1, "previous": None, "cause": "decision:v1", **old},
        {"revision": 2, "previous": "v2", "cause": "rollback:1", "mood": "good", **old},
    ]
    cloud.lake.delete(paths.move("m", 1))
    cloud.lake.write(paths.manifest("m"), json.dumps(body).encode())
    manifest = read_manifest("m", lake=cloud.lake)
    assert manifest is not None
    assert [move.action for move in manifest.moves] == ["promote", "rollback"]
    assert moves.keep("m", manifest.journal, lake=cloud.lake) == 2
    assert moves.keep("m", manifest.journal, lake=cloud.lake) == 0
    promoted(cloud, 3)
    assert [item["action"] for item in objects(cloud.lake)] == ["promote", "rollback", "promote"]
