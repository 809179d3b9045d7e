"""Muted alerts are kept and counted, nothing else is, and a mute ends by itself."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from shared import documents, events, mutes, paths
from shared.errors import NotAllowed
from shared.telling.kinds import KINDS, MUTABLE
from tests.support.system import SPEC, System
from tests.unit.telling.world import DAY, Told


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_muted_kind_is_counted_in_the_digest(told: Told) -> None:
    """How often, until when, and who did it."""
    told.mute("drift")
    for day in range(3):
        assert told.tell(told.alert("drift", day)) == "kept for the digest"
    told.tell(told.note("drift", 0))
    assert told.posted == []
    told.digest()
    assert "drift, muted until 2026-01-12 00:00 UTC by ada, 4 kept" in told.last()


def test_act_now_of_another_kind_is_not_muted(told: Told) -> None:
    """Neither by a mute of one kind, nor what the monitor does not watch by a mute of all."""
    told.mute("drift")
    told.tell(told.alert("performance", 0))
    told.mute()
    told.tell(events.RunFailed(model="m", run_id="r", message="gone"))
    told.tell(told.alert("data_quality", 0))
    assert told.posted == ["Act now: m performs worse", "Act now: a run of m failed"]


def test_another_model_is_not_muted(told: Told) -> None:
    """A mute is of one model."""
    mutes.mute("n", "", DAY, by="ada", reason="", lake=told.lake, clock=told.clock)
    told.tell(told.alert("drift", 0))
    assert len(told.posted) == 1


def test_a_mute_ends_by_itself_and_what_goes_on_is_told_then(told: Told) -> None:
    """The next window of an incident that nobody was told of is its first message."""
    told.mute(lasts=timedelta(hours=12))
    told.tell(told.alert("drift", 0))
    told.clock.advance(12 * 3600)
    told.tell(told.alert("drift", 1))
    assert told.posted == ["Please decide: m drifts"]


def test_the_end_of_what_nobody_was_told_is_no_news(told: Told) -> None:
    """Muted from first to last: both are in the digest."""
    told.mute(lasts=timedelta(hours=12))
    told.tell(told.alert("drift", 0))
    told.clock.advance(86400)
    told.tell(told.alert("drift", 1, over=True))
    assert told.posted == []
    told.digest()
    assert "drift of day 1 is over." in told.last()


def test_questions_cannot_be_muted(told: Told) -> None:
    """They expire, and nobody would have heard of them."""
    assert set(MUTABLE) < set(KINDS)
    for kind in ("approval", "dead_letter", "nonsense"):
        with pytest.raises(NotAllowed, match="cannot be muted"):
            mutes.mute("m", kind, DAY, by="ada", reason="", lake=told.lake, clock=told.clock)
    for lasts in (timedelta(0), timedelta(days=91)):
        with pytest.raises(NotAllowed, match="between a minute and 90 days"):
            told.mute(lasts=lasts)


def test_two_people_at_once_lose_nothing(told: Told) -> None:
    """The document is changed by compare-and-swap: who loses looks again."""
    read = documents.read

    def meanwhile(*args: Any, **kwargs: Any) -> Any:
        found = read(*args, **kwargs)
        with pytest.MonkeyPatch.context() as calm:
            calm.setattr(documents, "read", read)
            if not mutes.of_model("m", lake=told.lake):
                told.mute("performance")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "read", meanwhile)  # a race that needs its moment
        told.mute("drift")
    kinds = {item.kind for item in mutes.every(now=told.clock.now(), lake=told.lake)}
    assert kinds == {"drift", "performance"}


# --- through promote's door ----------------------------------------------------------------------


@pytest.fixture
def system() -> System:
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    system.drain()
    return system


def test_who_muted_is_the_verified_caller(system: System) -> None:
    """Not what the body says; a mute again replaces the first, unmute ends it."""
    facts = {"for": "7d", "kind": "drift", "by": "eve"}
    for _ in range(2):
        answer, status = system.decide(model="m", action="mute", facts=facts, reason="known")
        assert (status, answer["ok"]) == (200, True), answer
    (kept,) = documents.require(system.lake, paths.mutes("m"))["mutes"]
    assert (kept["by"], kept["kind"], kept["reason"]) == ("ada", "drift", "known")
    answer, _ = system.decide(model="m", action="unmute")
    assert answer["sentence"] == "drift of m is heard again."
    answer, _ = system.decide(model="m", action="unmute")
    assert answer["sentence"] == "Nothing of m was muted."
    ended = documents.require(system.lake, paths.mutes("m"))["ended"]
    assert [(item["kind"], item["ended_by"]) for item in ended] == [("drift", "ada")]


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ({"model": "m", "facts": {}}, "no duration"),
        ({"model": "m", "facts": {"for": "soon"}}, "no duration"),
        ({"model": "m", "facts": {"for": "7d", "kind": "approval"}}, "cannot be muted"),
        ({"model": "unknown", "facts": {"for": "7d"}}, "there is no model"),
        ({"model": "m/../n", "facts": {"for": "7d"}}, "no model name"),
    ],
)
def test_a_mute_that_means_nothing_is_refused_in_words(
    system: System, body: dict[str, Any], hint: str
) -> None:
    """409 and a sentence."""
    answer, status = system.decide(action="mute", **body)
    assert (status, hint in answer["sentence"]) == (409, True), json.dumps(answer)
