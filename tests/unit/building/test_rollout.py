"""The predictor's traffic: in steps with a check between, or back, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from infra.rollout.lease import Taken
from infra.rollout.steps import STEPS, CheckFailed, NothingToRoll, RolledBack, Rollout
from infra.rollout.traffic import GcloudFailed, Traffic


class Died(BaseException):
    """The process was killed: nothing runs after it, no matter who would catch what."""


@dataclass
class World:
    """A service with revisions, its lease, and checks. `dies_at` is the call that is the last."""

    shares: dict[str, int] = field(default_factory=lambda: {"one": 100})
    tags: dict[str, str] = field(default_factory=dict)
    revisions: list[str] = field(default_factory=lambda: ["one"])
    follows_latest: bool = False
    starting: str = ""
    storage_down: bool = False
    holder: str = ""
    calls: int = 0
    dies_at: int = -1
    dies_after: bool = False
    bad: Callable[[Mapping[str, int]], bool] = lambda _: False
    history: list[dict[str, int]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def act(self) -> None:
        """What every call to the outside goes through."""
        if 0 <= self.dies_at <= self.calls:
            raise Died
        self.calls += 1

    def deploy(self, name: str) -> None:
        """As Terraform does. Traffic reaches it only where it follows the latest revision."""
        self.revisions.append(name)
        if self.follows_latest:
            self.shares = {name: 100}

    # --- the service

    def read(self) -> Traffic | None:
        self.act()
        if not self.revisions:
            return None
        urls = {tag: f"https://{tag}" for tag in self.tags}
        latest = self.revisions[-1]
        created = self.starting or latest
        return Traffic(
            "https://x",
            dict(self.shares),
            dict(self.tags),
            urls,
            created,
            latest,
            self.follows_latest,
        )

    def write(self, shares: Mapping[str, int], tags: Mapping[str, str]) -> None:
        if not self.dies_after:
            self.act()
        assert sum(shares.values()) == 100
        assert {*shares, *tags.values()} <= set(self.revisions)
        self.shares, self.tags, self.follows_latest = dict(shares), dict(tags), False
        self.history.append(dict(shares))
        if self.dies_after:
            self.act()

    # --- checks

    def smoke(self, traffic: Traffic, tag: str) -> None:
        self.act()
        if self.bad({**traffic.shares, "smoke": 0}):
            raise CheckFailed("a smoke test failed")

    def watch(self, candidate: str, stable: str) -> str:
        self.act()
        if self.bad(self.shares):
            raise CheckFailed("too many errors")
        return "fine"

    def rollout(self, owner: str = "me") -> Rollout:
        return Rollout(self, WorldLease(self, owner), self, self.said.append)


@dataclass
class WorldLease:
    world: World
    owner: str

    def take(self) -> None:
        self.world.act()
        if self.world.holder not in ("", self.owner):
            raise Taken(f"{self.world.holder} is at work")
        self.world.holder = self.owner

    def renew(self) -> None:
        self.world.act()
        if self.world.storage_down:
            raise GcloudFailed("no route to storage")
        if self.world.holder != self.owner:
            raise Taken(f"{self.world.holder} has taken over")

    def release(self) -> None:
        self.world.act()
        self.world.holder = ""


def deployed() -> World:
    """Held, and with a second revision that nobody reaches."""
    world = World(follows_latest=True)
    world.rollout().hold()
    world.deploy("two")
    world.history.clear()
    return world


def shares_of(world: World, name: str) -> list[int]:
    return [shares.get(name, 0) for shares in world.history]


def test_a_new_revision_gets_no_traffic_before_it_was_asked() -> None:
    """Also where traffic followed the latest revision, as after the first deployment."""
    world = deployed()
    assert world.shares == {"one": 100}
    assert world.tags == {"stable": "one"}


def test_traffic_moves_in_steps() -> None:
    """Tagged with none, then a share more after every check; what was stable is kept for `back`."""
    world = deployed()
    world.rollout().roll()
    assert shares_of(world, "two") == [0, *STEPS, 100]
    assert world.tags == {"stable": "two", "previous": "one"}
    assert world.holder == ""


@pytest.mark.parametrize("percent", [0, *STEPS])
def test_a_check_that_fails_leads_back(percent: int) -> None:
    """At every step, from the smoke test of the tag on; and the next one may try again."""
    world = deployed()
    world.bad = lambda shares: shares.get("two", 0) == percent
    with pytest.raises(RolledBack):
        world.rollout().roll()
    assert world.shares == {"one": 100}
    assert world.tags == {"stable": "one"}
    assert max(shares_of(world, "two")) == percent
    assert world.holder == ""


def test_a_cancelled_build_leads_back() -> None:
    world = deployed()

    def cancelled(shares: Mapping[str, int]) -> bool:
        raise KeyboardInterrupt

    world.bad = cancelled
    with pytest.raises(RolledBack):
        world.rollout().roll()
    assert world.shares == {"one": 100}


def killed_at(call: int, dies_after: bool) -> World | None:
    """A rollout that was killed at a call; None when it ended before."""
    world = deployed()
    world.calls, world.dies_at, world.dies_after = 0, call, dies_after
    try:
        world.rollout("killed").roll()
    except Died:
        world.dies_at = -1
        return world
    return None


KILLS = [(call, after) for call in range(40) for after in (False, True)]


def every_kill() -> list[World]:
    worlds = [world for call, after in KILLS if (world := killed_at(call, after))]
    assert len(worlds) > 20
    assert killed_at(39, dies_after=False) is None, "more calls than are tried here"
    return worlds


def test_a_killed_rollout_is_taken_up_again() -> None:
    """From any call on: what is there is in order, and the next run ends where the first would
    have. The lease of the dead has run out by then."""
    for world in every_kill():
        assert sum(world.shares.values()) == 100
        reached = world.shares.get("two", 0)
        world.holder = ""
        world.history.clear()
        world.rollout().roll()
        assert world.shares == {"two": 100}
        assert world.tags["stable"] == "two"
        assert "candidate" not in world.tags
        assert min(shares_of(world, "two"), default=100) >= reached, (
            "it goes on, not from the start"
        )


def test_a_killed_rollout_is_undone_by_the_next_hold() -> None:
    """And by `back`. Unless it was over already: then what it reached stays."""
    for command in ("hold", "back"):
        for world in every_kill():
            over = world.tags.get("stable") == "two"
            was_rolling = "candidate" in world.tags
            world.holder = ""
            if command == "hold" or was_rolling:
                getattr(world.rollout(), command)()
                assert world.shares == {"two" if over else "one": 100}
                assert "candidate" not in world.tags


def test_a_killed_rollout_that_turns_out_bad_goes_back() -> None:
    for world in every_kill():
        if world.tags.get("stable") == "two":
            continue
        world.holder, world.bad = "", lambda _: True
        with pytest.raises(RolledBack):
            world.rollout().roll()
        assert world.shares == {"one": 100}


def test_a_revision_that_came_in_between_starts_anew() -> None:
    """The share of a dead rollout is not another revision's."""
    world = deployed()
    world.shares, world.tags = {"one": 75, "two": 25}, {"stable": "one", "candidate": "two"}
    world.deploy("three")
    world.rollout().roll()
    assert shares_of(world, "three") == [0, *STEPS, 100]
    assert shares_of(world, "two") == [0] * len(world.history)
    assert world.tags == {"stable": "three", "previous": "one"}


def test_two_at_once_do_not_both_move_traffic() -> None:
    """The second is told who is at work, and touches nothing."""
    world = deployed()
    refused: list[str] = []

    def meanwhile(shares: Mapping[str, int]) -> bool:
        before = (dict(world.shares), dict(world.tags))
        for command in (world.rollout("other").roll, world.rollout("other").hold):
            with pytest.raises(Taken, match="me is at work"):
                command()
            refused.append("once")
        assert (world.shares, world.tags) == before
        return False

    world.bad = meanwhile
    world.rollout().roll()
    assert refused
    assert world.shares == {"two": 100}


def test_who_was_overtaken_touches_nothing_more() -> None:
    """Its lease ran out while it slept: not even the way back is its own any more."""
    world = deployed()

    def overtaken(shares: Mapping[str, int]) -> bool:
        if shares.get("two", 0) == 25:
            world.holder = "other"
            world.shares = {"one": 100}
            return True
        return False

    world.bad = overtaken
    with pytest.raises(Taken):
        world.rollout().roll()
    assert world.history[-1] == {"two": 25, "one": 75}
    assert world.holder == "other"


@pytest.mark.parametrize("percent", STEPS)
def test_who_was_overtaken_between_two_steps_moves_nothing(percent: int) -> None:
    """Its checks were fine, and it would go on."""
    world = deployed()

    def overtaken(shares: Mapping[str, int]) -> bool:
        if shares.get("two", 0) == percent:
            world.holder = "other"
        return False

    world.bad = overtaken
    with pytest.raises(Taken):
        world.rollout().roll()
    assert world.history[-1].get("two") == percent
    assert world.tags["candidate"] == "two"


def test_a_share_that_no_rollout_gave_is_taken_back_first() -> None:
    """Somebody divided traffic by hand: the new revision is asked before it gets any."""
    world = deployed()
    world.shares = {"one": 50, "two": 50}
    world.rollout().roll()
    assert shares_of(world, "two") == [0, *STEPS, 100]


def test_a_revision_that_did_not_start_gets_nothing() -> None:
    """Nor does the one before it, which was never asked for."""
    world = deployed()
    world.starting = "three"
    with pytest.raises(NothingToRoll, match="three is not ready"):
        world.rollout().roll()
    assert world.history == []


def test_back_leads_to_the_revision_before() -> None:
    """And once more, back again: the two trade places."""
    world = deployed()
    world.rollout().roll()
    world.rollout().back()
    assert world.shares == {"one": 100}
    world.rollout().back()
    assert world.shares == {"two": 100}


def test_back_needs_something_to_go_back_to() -> None:
    world = World()
    world.rollout().hold()
    with pytest.raises(NothingToRoll):
        world.rollout().back()
    assert world.shares == {"one": 100}


def test_without_a_new_revision_nothing_is_rolled() -> None:
    """A deployment that changed no predictor; and the very first one, which follows the latest."""
    world = World(follows_latest=True)
    world.rollout().roll()
    assert (world.shares, world.tags, world.follows_latest) == (
        {"one": 100},
        {"stable": "one"},
        False,
    )
    writes = len(world.history)
    world.rollout().roll()
    assert len(world.history) == writes


def test_before_the_first_deployment_there_is_nothing_to_hold() -> None:
    world = World(revisions=[], shares={})
    world.rollout().hold()
    assert world.history == []
    with pytest.raises(NothingToRoll):
        world.rollout().roll()


def test_a_lease_that_cannot_be_reached_does_not_keep_anybody_from_going_back() -> None:
    """It is no reason to leave people with errors; and none to go on."""
    world = deployed()

    def gone(shares: Mapping[str, int]) -> bool:
        world.storage_down = shares.get("two", 0) == 5
        return False

    world.bad = gone
    with pytest.raises(RolledBack, match="no route to storage"):
        world.rollout().roll()
    assert world.shares == {"one": 100}


def test_the_way_back_is_tried_again_and_its_failure_is_loud() -> None:
    """People are getting errors meanwhile."""
    world = deployed()
    world.bad = lambda shares: shares.get("two", 0) == 5
    write, failures = world.write, [3]

    def failing(shares: Mapping[str, int], tags: Mapping[str, str]) -> None:
        if "two" not in shares and world.shares.get("two") and failures[0]:
            failures[0] -= 1
            raise GcloudFailed("no route")
        write(shares, tags)

    world.write = failing  # type: ignore[method-assign]
    with pytest.raises(GcloudFailed, match="NOT BACK"):
        world.rollout().roll()
    failures[0] = 2
    with pytest.raises(RolledBack):
        world.rollout().roll()
    assert world.shares == {"one": 100}
