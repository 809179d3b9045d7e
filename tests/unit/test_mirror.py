"""Registries follow the lake; an alias that people move is neither followed nor undone silently."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared import documents, paths
from shared.adapters.memory import MemoryRegistry
from shared.ports import TrackedVersion, VersionFacts
from tests.support.crashing import Story, crash_everywhere
from tests.support.system import SPEC, System
from tests.support.working import ALWAYS, everything, post_sweep, repeat, trained

WORSE: dict[str, Any] = {"gain_lower": -1.0}


def _two(spec: str = SPEC, **comparison: Any) -> tuple[System, str, str]:
    """A champion, and a version that is not: declined, or waiting for a person (`ALWAYS`)."""
    system = everything()
    first = trained(system, spec)
    if spec == ALWAYS:
        system.decide(model="m", version=first, action="approve")
        system.drain()
    second = trained(system, **comparison)
    assert system.champion() == first
    return system, first, second


def _move(system: System, version: str, registry: MemoryRegistry | None = None) -> None:
    """A person points the champion alias at a version, and a sweep sees it."""
    registry = registry or system.cloud.registry
    found = registry.find("m", version)
    assert found is not None
    registry.set_alias("m", "champion", found)
    _sweeps(system)


def _sweeps(system: System) -> None:
    for _ in range(2):
        system.clock.advance(60)
        system.tick()


def _said(system: System, words: str) -> list[str]:
    """Sentences of different messages with these words."""
    notes = {item["id"]: item["sentence"] for item in system.published("AutomationNoted")}
    return [sentence for sentence in notes.values() if words in sentence]


def _champion(system: System) -> str | None:
    return system.cloud.registry.alias("m", "champion")


def _with_vertex(system: System) -> MemoryRegistry:
    vertex = MemoryRegistry("Vertex AI")
    system.doors["mirror"].wiring.__dict__["vertex"] = vertex
    return vertex


def test_a_moved_alias_is_followed_when_the_question_is_approved() -> None:
    """One request, one question; with the approval, alias and manifest agree again."""
    system, _first, second = _two(ALWAYS)
    _move(system, second)
    assert len(system.published("PromotionRequested")) == 1
    assert len(_said(system, "Somebody moved the champion alias of m in MLflow")) == 1
    assert system.decide(model="m", version=second, action="approve", reason="yes")[1] == 200
    _sweeps(system)
    assert _champion(system) == system.champion() == second
    assert _said(system, "points at") == []
    assert len(system.published("PromotionRequested")) == 1


def test_a_moved_alias_goes_back_when_the_question_is_declined() -> None:
    """After the decision, with a message; the same move later is news again."""
    system, first, second = _two(ALWAYS)
    _move(system, second)
    assert _champion(system) == second
    system.clock.advance(60)
    system.decide(model="m", version=second, action="decline", reason="no")
    system.drain()
    assert _champion(system) == system.champion() == first
    assert len(_said(system, f"points at {first} again")) == 1
    _move(system, second)
    assert _champion(system) == second
    assert len(_said(system, "Somebody moved")) == 2
    assert len(_said(system, "It was decided before: Declined: no.")) == 1


@pytest.mark.parametrize("follow", [True, False])
def test_an_alias_moved_to_a_judged_version_waits_for_a_person(*, follow: bool) -> None:
    """The gate has refused that version: the message says so and names both commands, and the alias
    stays where it was put until one of them was given."""
    system, first, second = _two(**WORSE)
    _move(system, second)
    (note,) = _said(system, "It was decided before")
    assert f"millrace versions promote m {second}" in note
    assert f"millrace versions promote m {first}" in note
    _sweeps(system)
    assert (_champion(system), system.champion()) == (second, first)
    wanted = second if follow else first
    system.decide(model="m", version=wanted, action="promote", reason="as said")
    _sweeps(system)
    assert _champion(system) == system.champion() == wanted
    assert len(_said(system, "points at")) == (0 if follow else 1)


def test_a_duplicate_of_an_old_decision_undoes_nothing() -> None:
    """Pub/Sub delivers the champion's promotion and the other one's refusal once more, after
    somebody moved the alias, seen by a sweep or not."""
    system, _first, second = _two(**WORSE)
    old = [
        item
        for item in system.cloud.publisher.published
        if item.attributes["type"] in ("ModelPromoted", "ModelNotPromoted")
    ]
    found = system.cloud.registry.find("m", second)
    assert found is not None
    system.cloud.registry.set_alias("m", "champion", found)
    for _ in range(2):
        for item in old:
            system.publisher.publish("outcomes", item.data, item.attributes)
        system.drain(advance=True)
        assert _champion(system) == second
        system.clock.advance(60)
        system.tick()
    assert len(system.published("PromotionRequested")) == 1


def test_an_old_decision_that_is_said_again_undoes_nothing() -> None:
    """The outcomes of both trainings are delivered once more, long after the alias was moved, and
    promote says how they ended: that was decided before the move. So was a pin no decision about
    the champion."""
    system, first, second = _two(**WORSE)
    _move(system, second)
    system.clock.advance(60)
    system.decide(model="m", action="pin", reason="audit week")
    for version in (first, second):
        repeat(system, version)
        assert _champion(system) == second
    assert _said(system, "points at") == []
    assert len(system.published("PromotionRequested")) == 1


def test_a_newer_champion_takes_the_alias_with_a_message() -> None:
    """Somebody moved the alias, and then another version was promoted: that is a decision."""
    system, _first, second = _two(**WORSE)
    _move(system, second)
    third = trained(system)
    assert _champion(system) == system.champion() == third
    (note,) = _said(system, f"points at {third} again")
    assert f"millrace versions promote m {second}" in note


def test_a_version_of_somebody_else_cannot_be_followed() -> None:
    """An alias on a version that people registered themselves: said once, and no question."""
    system, first, _second = _two(**WORSE)
    registry = system.cloud.registry
    registry.set_alias("m", "champion", TrackedVersion("77", ""))
    registry.register("m", "20300101T000000-00000000", VersionFacts())
    _sweeps(system)
    assert len(_said(system, "no version of ours")) == 1
    assert system.published("PromotionRequested") == []
    system.decide(model="m", version=first, action="promote")
    _sweeps(system)
    assert _champion(system) == first


def test_versions_tell_their_decision_in_the_registry() -> None:
    """What people read there is the comparison at first, then how it was decided and by whom."""
    system, first, second = _two(ALWAYS)
    told = system.cloud.registry.descriptions
    assert "promoted 2026-01-05 by ada. Approved:" in told["m", "1"]
    assert "not decided yet.\n\nAUROC 0.9 on 1,000 holdout rows." in told["m", "2"]
    system.decide(model="m", version=second, action="decline", reason="leak")
    system.drain()
    assert "not promoted: Declined: leak." in told["m", "2"]
    assert f"millrace why {first}" in told["m", "1"]


def test_two_registries_follow_and_one_that_is_down_holds_up_nobody() -> None:
    """MLflow does not answer: Vertex has the promotion at once, MLflow when it is back."""
    system = everything()
    vertex = _with_vertex(system)
    system.cloud.registry.failing = True
    first = trained(system, SPEC)
    assert vertex.alias("m", "champion") == vertex.alias("m", "challenger") == first
    system.cloud.registry.failing = False
    system.drain(advance=True)
    assert _champion(system) == first
    assert system.published("PromotionRequested") == []


def test_each_registry_has_its_own_memory_of_moves() -> None:
    """An alias moved in Vertex AI asks as one moved in MLflow does, and names the place."""
    system = everything()
    vertex = _with_vertex(system)
    first = trained(system, SPEC)
    second = trained(system, **WORSE)
    _move(system, second, vertex)
    assert _champion(system) == system.champion() == first
    assert [item["where"] for item in system.published("PromotionRequested")] == ["Vertex AI"]
    assert len(_said(system, "in Vertex AI")) == 2
    system.decide(model="m", version=second, action="promote")
    _sweeps(system)
    assert _champion(system) == vertex.alias("m", "champion") == second
    assert len(system.published("PromotionRequested")) == 1


def test_a_registry_switched_on_later_gets_the_champion_by_the_next_sweep() -> None:
    """Nobody is accused of having moved an alias that never was."""
    system = everything()
    first = trained(system, SPEC)
    vertex = _with_vertex(system)
    _sweeps(system)
    assert vertex.alias("m", "champion") == first
    assert _said(system, "Somebody moved") == []


def test_a_version_whose_record_is_gone_is_told_once_and_holds_up_no_other() -> None:
    """Nothing can register it in a new registry: people hear how to go on, and every other model
    is looked after by the same sweep, whatever its name."""
    system, first, _second = _two(**WORSE)
    body = json.loads(system.lake.read(paths.manifest("m")).data)
    for name in ("a", "z"):
        champion = {**body["champion"], "version": f"{first}-{name}"}
        found = documents.dumps({**body, "model": name, "champion": champion})
        system.lake.write(paths.manifest(name), found)
    vertex = _with_vertex(system)
    for _ in range(2):
        assert post_sweep(system, "mirror") == 204
        system.drain()
    assert vertex.alias("m", "champion") == first
    said = [text for post in system.cloud.messenger.posted if "is gone" in (text := str(post))]
    assert len(said) == 4
    for name in ("a", "z"):
        assert sum(f"millrace versions promote {name} VERSION" in text for text in said) == 2


def test_one_models_broken_manifest_keeps_no_other_from_its_registry() -> None:
    """It is said by a nack, after all others were looked after."""
    system, first, _second = _two(**WORSE)
    system.lake.write(paths.manifest("a"), b"{")
    vertex = _with_vertex(system)
    assert post_sweep(system, "mirror") == 503
    assert vertex.alias("m", "champion") == first


def test_what_mirror_wrote_before_it_counted_revisions_is_no_move() -> None:
    """State of an earlier version of Millrace has no revision: the alias follows as before."""
    system, first, second = _two(**WORSE)
    body = documents.dumps({"champions": [first]})
    system.lake.write("mirror/m.json", body)
    _sweeps(system)
    assert json.loads(system.lake.read("mirror/m.json").data)["champions"] == [first]
    _move(system, second)
    assert len(_said(system, "Somebody moved")) == 1


@pytest.mark.parametrize("after", [False, True])
def test_a_moved_alias_survives_any_crash(after: bool) -> None:
    """Whatever mirror or promote die in between the move and the decline: one request, one message
    of each kind, and in the end the alias is where the decision says."""

    def tell(story: Story) -> None:
        system = story.system
        first = trained(system, ALWAYS)
        system.decide(model="m", version=first, action="approve")
        system.drain()
        second = trained(system)
        found = system.cloud.registry.find("m", second)
        assert found is not None
        system.cloud.registry.set_alias("m", "champion", found)
        system.clock.advance(60)
        story.arm()
        story.tick()
        system.clock.advance(60)
        story.decide(model="m", version=second, action="decline", reason="no")
        story.drain()
        system.clock.advance(60)
        story.tick()
        assert _champion(system) == system.champion() == first
        assert len({item["id"] for item in system.published("PromotionRequested")}) == 1
        assert len(_said(system, "Somebody moved")) == 1
        assert len(_said(system, f"points at {first} again")) == 1

    assert crash_everywhere(tell, after=after) > 10
