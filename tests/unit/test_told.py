"""People hear of every move of the champion, also where its maker died before saying so."""

from __future__ import annotations

import pytest

from shared import documents, paths
from shared.manifests import read_manifest
from tests.support.crashing import Crash, Story, crash_everywhere
from tests.support.promises import check_promises
from tests.support.system import SPEC, System
from tests.support.working import DAY, everything, trained

both = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


def told(system: System) -> list[tuple[int, str]]:
    """Each promotion that was said, with its revision, in the order of saying."""
    said = {item["id"]: item for item in system.published("ModelPromoted")}
    return [(item["revision"], item["version"]) for item in said.values()]


def moved(system: System) -> list[tuple[int, str]]:
    manifest = read_manifest("m", lake=system.lake)
    assert manifest is not None
    return [(move.revision, move.version) for move in manifest.moves]


def die_in(story: Story, action: str, version: str) -> None:
    """A person's request dies wherever the fuse says, and the person does not ask again."""
    story.fuse.armed = True
    try:
        story.system.decide(model="m", version=version, action=action, reason="so")
    except Crash:
        story.fuse.armed = False
        story.system.fresh_doors()


@both
@pytest.mark.parametrize("action", ["rollback", "promote"])
def test_a_move_whose_request_died_is_told_by_sweep(action: str, after: bool) -> None:
    """Back to a version that was promoted, decided and told long ago, by either command: whatever
    call the request dies at, people hear of the move exactly when there was one."""

    def tell(story: Story) -> None:
        system = story.system
        first, second = trained(system, SPEC), trained(system)
        die_in(story, action, second if action == "rollback" else first)
        story.fuse.armed = False
        for _ in range(2):
            story.tick()
            story.drain()
        story.check()
        assert told(system) == moved(system)
        assert moved(system)[:2] == [(1, first), (2, second)]

    assert crash_everywhere(tell, after=after) > 3


@both
def test_moves_are_told_in_their_order(after: bool) -> None:
    """A rollback that died is told before the promotion that follows it, though no sweep came in
    between, and whoever dies in that one."""

    def tell(story: Story) -> None:
        system = story.system
        trained(system, SPEC)
        second = trained(system)
        system.decide(model="m", action="rollback", version=second, reason="so")
        system.lake.delete(paths.told("m", 3))
        system.cloud.publisher.published.pop()
        assert len(told(system)) == 2
        die_in(story, "promote", second)
        story.fuse.armed = False
        story.tick()
        story.drain()
        assert told(system) == moved(system)

    assert crash_everywhere(tell, after=after) > 3


def test_what_was_told_is_not_told_by_sweep() -> None:
    """By policy and by hand, there and back: each move is published once."""
    system = everything()
    trained(system, SPEC)
    second = trained(system)
    system.decide(model="m", action="rollback", version=second)
    for _ in range(3):
        system.clock.advance(300)
        system.tick()
    assert [item["revision"] for item in system.published("ModelPromoted")] == [1, 2, 3]
    check_promises(system)


@pytest.mark.parametrize(("days", "again"), [(1, 3), (8, 0)])
def test_moves_of_before_there_were_marks(days: int, again: int) -> None:
    """Those of the last week are said once more under their ids, which posts nothing twice; what is
    older stays as it is."""
    system = everything()
    trained(system, SPEC)
    second = trained(system)
    system.decide(model="m", action="rollback", version=second)
    system.drain()
    for revision in (1, 2, 3):
        system.lake.delete(paths.told("m", revision))
    posted, said = len(system.cloud.messenger.posted), len(system.published("ModelPromoted"))
    system.clock.advance(days * DAY)
    for _ in range(2):
        system.tick()
    assert len(system.published("ModelPromoted")) == said + again
    assert len(system.cloud.messenger.posted) == posted
    assert documents.read(system.lake, paths.told("m", 3)).exists == bool(again)
