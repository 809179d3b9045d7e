"""The daily digest: everything that nobody had to know at once, once, whatever dies on the way."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from shared import documents, events, incidents, paths
from shared.errors import InProgress, Retryable
from shared.events import Event
from tests.support.crashing import Crash, Fuse
from tests.unit.telling.world import Told


@pytest.fixture
def told() -> Told:
    return Told()


def scored(number: int, model: str = "m", errors: int = 0) -> Event:
    return events.ScoringCompleted(
        model=model, run_id=f"run{number}", version="v1", rows=number, errors=errors, output="o"
    )


def runs_told(told: Told) -> Counter[str]:
    """How often each scoring run stands in a plan that was posted."""
    plans = [documents.require(told.lake, info.name) for info in told.lake.list("digests/")]
    return Counter(entry["event"]["run_id"] for plan in plans for entry in plan["told"])


def test_what_asks_for_nothing_is_told_once_a_day(told: Told) -> None:
    """By model and kind, the newest in full and the others counted; a duplicate tick says
    nothing."""
    for number in range(1, 6):
        assert told.tell(scored(number)) == "kept for the digest"
        assert told.tell(scored(number)) == "told before"
        told.clock.advance(60)
    told.tell(events.LabelsRecorded(model="n", run_id="r", rows=7, matched=7, unknown=0))
    assert told.posted == []
    assert (told.digest(), told.digest()) == ("posted", "told before")
    assert told.posted == ["For your information: the digest of 2026-01-05"]
    said = told.messages[0]["blocks"][2]["text"]["text"]
    assert said.splitlines() == [
        "*m*",
        *(f"\u2022 scored: {rows} rows are scored. (run{rows})" for rows in (3, 4, 5)),
        "\u2022 scored: and 2 more",
        "*n*",
        "\u2022 labelled: 7 labels are recorded, 7 of them for predictions that we made. (r)",
    ]
    told.clock.advance(86400)
    assert told.digest() == "nothing to tell"
    assert len(told.posted) == 1


def test_what_comes_while_a_digest_is_posted_is_in_the_next(told: Told) -> None:
    """The plan is fixed before it is posted, and only what is in it is cleared away."""

    class Meanwhile:
        def post(self, message: Any) -> None:
            told.cloud.messenger.post(message)
            if len(told.posted) == 1:
                told.tell(scored(2))

    told.channels = {"slack": Meanwhile()}
    told.tell(scored(1))
    told.digest()
    assert runs_told(told) == {"run1": 1}
    told.clock.advance(86400)
    told.digest()
    assert runs_told(told) == {"run1": 1, "run2": 1}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_digest_survives_any_crash(after: bool) -> None:
    """Kill it at every port call: each entry is in one digest, and that one is posted, twice only
    when the crash came between the post and its record."""
    at = 0
    while True:
        told, fuse = Told(), Fuse(at, after=after)
        for number in range(3):
            told.tell(scored(number))
        broken = Told(clock=told.clock)
        broken.lake = fuse.wrap("lake", told.lake)
        broken.channels = {"slack": fuse.wrap("messenger", told.cloud.messenger)}
        try:
            broken.digest()
        except Crash:
            told.clock.advance(91)
        told.tell(scored(9))
        told.digest("2026-01-05")
        told.clock.advance(86400)
        told.digest("2026-01-06")
        if not fuse.blown:
            break
        assert runs_told(told) == {"run0": 1, "run1": 1, "run2": 1, "run9": 1}, fuse.where
        posts = Counter(str(message) for message in told.messages)
        died_at = fuse.trail[fuse.at]
        doubled = "messenger.post" in died_at if after else "lake.write" in died_at
        doubled = doubled and ("messenger" in died_at or died_at.endswith("-slack.json"))
        assert max(posts.values()) == 1 + doubled, fuse.where
        assert posts.total() == len(posts) + doubled
        assert list(told.lake.list(paths.DIGEST_ENTRIES)) == []
        at += 1
    assert at >= 8


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_what_is_kept_survives_any_crash_of_its_delivery(after: bool) -> None:
    """Kill notify at every port call, and post a digest before it is delivered again: it is told
    in one digest."""
    at = 0
    while True:
        told, fuse = Told(), Fuse(at, after=after)
        broken = Told(clock=told.clock)
        broken.lake = fuse.wrap("lake", told.lake)
        try:
            broken.tell(scored(1))
        except Crash:
            told.digest("2026-01-05")
            told.clock.advance(91)
            told.tell(scored(1))
        told.digest("2026-01-06")
        assert runs_told(told) == {"run1": 1}
        if not fuse.blown:
            break
        at += 1
    assert at >= 3


def test_a_digest_that_was_given_up_is_finished_by_the_next(told: Told) -> None:
    """Slack is down for a day: yesterday's is told first, as it was planned, then today's."""
    told.tell(scored(1))
    told.cloud.messenger.failing = True
    with pytest.raises(Retryable):
        told.digest()
    told.tell(scored(2))
    told.clock.advance(86400)
    with pytest.raises(Retryable):
        told.digest()
    told.cloud.messenger.failing = False
    assert told.digest() == "posted"
    assert [header.rpartition(" ")[2] for header in told.posted] == ["2026-01-05", "2026-01-06"]
    assert runs_told(told) == {"run1": 1, "run2": 1}


def test_two_digests_at_once_take_turns(told: Told) -> None:
    """One that somebody asked for while the day's is being posted waits until that is done."""
    other: list[str] = []

    class Meanwhile:
        def post(self, message: Any) -> None:
            told.cloud.messenger.post(message)
            if not other:
                other.append("asked")
                with pytest.raises(InProgress):
                    told.digest("asked")

    told.channels = {"slack": Meanwhile()}
    told.tell(scored(1))
    told.digest()
    assert (other, runs_told(told)) == (["asked"], {"run1": 1})
    told.tell(scored(2))
    told.clock.advance(91)
    assert told.digest("asked") == "posted"
    assert runs_told(told) == {"run1": 1, "run2": 1}


def test_a_thousand_entries_fit_into_a_message(told: Told) -> None:
    """Of 200 the words are read, all are counted, and Slack takes the message."""
    for number in range(1000):
        told.tell(scored(number, model=f"m{number % 70}"))
    told.digest()
    (message,) = told.messages
    assert "1000 things" in message["text"]
    assert all(f"*m{number}*" in told.last() for number in range(70))
    assert len(message["blocks"]) <= 50
    assert all(len(b["text"]["text"]) <= 3000 for b in message["blocks"] if "text" in b)
    assert list(told.lake.list(paths.DIGEST_ENTRIES)) == []


def test_a_digest_of_very_many_is_cleared_away_over_several_deliveries(told: Told) -> None:
    """The process is killed while it clears away, again and again: nothing is told twice."""
    for number in range(300):
        told.tell(scored(number))
    lake, deliveries = told.lake, 0
    for deliveries in range(1, 100):  # noqa: B007 - counted
        fuse = Fuse(100, after=True, reads=False)
        told.lake = fuse.wrap("lake", lake)
        try:
            told.digest("2026-01-05")
        except Crash:
            told.clock.advance(91)
        else:
            break
    told.lake = lake
    assert 3 <= deliveries < 6
    assert len(told.posted) == 1
    assert list(told.lake.list(paths.DIGEST_ENTRIES)) == []


def test_an_entry_whose_mute_is_over_by_now_is_told_all_the_same(told: Told) -> None:
    """Its delivery died before it was kept, and came again after the mute had ended."""
    told.mute(lasts=timedelta(hours=1))
    alert = told.alert("drift", 0)
    incidents.weigh(alert, muted=True, now=told.clock.now(), lake=told.lake)
    told.clock.advance(3601)
    assert told.tell(alert) == "kept for the digest"
    told.digest()
    assert "drift, muted, 1 kept: drift of day 0." in told.last()


def test_a_note_about_no_model_of_ours_is_told(told: Told) -> None:
    """Whatever stands in its place."""
    for model in ("", "a/b", "../x", "_"):
        told.tell(
            events.AutomationNoted(model=model, source="sweep", subject=model, sentence="Said.")
        )
    told.digest()
    assert told.last().count("Said.") == 3
    assert "and 1 more" in told.last()


def test_words_of_people_cannot_steer_slack(told: Told) -> None:
    """A note with a mention in it is shown as it is."""
    told.tell(
        events.AutomationNoted(
            model="m", source="sweep", subject="s", sentence="<!channel> & " + "x" * 5000
        )
    )
    told.digest()
    assert "<!channel>" not in told.last()
    assert "&lt;!channel&gt; &amp;" in told.last()


def test_an_entry_of_another_version_is_told_in_its_own_words(told: Told) -> None:
    """A version that was taken back left a message that this one does not know."""
    told.tell(scored(1))
    (info,) = told.lake.list(paths.DIGEST_ENTRIES)
    body = documents.require(told.lake, info.name)
    body["event"] |= {"type": "FromTheFuture", "sentence": "The future said this."}
    told.lake.write(info.name, documents.dumps(body))
    told.digest()
    assert "The future said this." in told.last()


def test_a_scored_file_without_one_score_is_told_at_once(told: Told) -> None:
    """Somebody waits for scores that are not there; one row with a score, and it can wait."""
    told.tell(scored(3, errors=3))
    assert told.posted == ["Act now: m could score no row of a file"]
    assert told.tell(scored(4, errors=3)) == "kept for the digest"
