"""One message per incident and one when it is over; told again only when it gets worse."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from shared import documents, incidents, paths
from shared.errors import Retryable
from shared.tabular.alarms import Alarm
from tests.unit.telling.world import DAY, MONDAY, Told


@pytest.fixture
def told() -> Told:
    return Told()


def test_an_incident_is_told_once_and_its_end_once(told: Told) -> None:
    """Thirty windows of the same, then a clean one, each delivered twice: two messages."""
    for day in range(30):
        for _ in range(2):
            told.tell(told.alert("drift", day))
        told.clock.advance(86400)
    for revision in range(2):
        told.tell(told.alert("drift", 29, over=True, revision=revision))
    assert told.posted == ["Please decide: m drifts", "For your information: m no longer drifts"]


def test_drift_that_another_alert_decides_about_is_told_once_it_asks(told: Told) -> None:
    """In the digest while it asks nothing, however bad; at once when it does, and then its end."""
    for day, effect in enumerate([2.0, 9.0]):
        alert = replace(told.alert("drift", day, effect=effect), asks="know", decided_by="other")
        for _ in range(2):
            told.tell(alert)
    assert told.posted == []
    told.digest()
    assert told.last().count("drift of day") == 2
    told.tell(told.alert("drift", 2))
    left = replace(told.alert("drift", 3, effect=99.0), asks="know", decided_by="other")
    told.tell(left)
    told.tell(told.alert("drift", 4, over=True))
    assert told.posted[1:] == [
        "Please decide: m drifts",
        "For your information: m no longer drifts",
    ]


@pytest.mark.parametrize(
    ("lasts", "said"),
    [
        (timedelta(days=3), "2026-01-05 00:00 UTC (3 days)"),
        (timedelta(hours=30), "2026-01-05 00:00 UTC (30 hours)"),
        (timedelta(minutes=11), "2026-01-05 00:00 UTC (11 minutes)"),
        (timedelta(seconds=90), "2026-01-05 00:00 UTC"),
    ],
)
def test_since_when_is_told_in_a_unit_that_says_something(lasts: timedelta, said: str) -> None:
    """Windows may be minutes long: nobody reads `0 hours`."""
    told = Told()
    end = MONDAY + lasts
    alert = told.alert("drift", 0)
    told.tell(replace(alert, window_start=end - timedelta(seconds=30), window_end=end))
    assert f'*Since*\\n{said}"' in told.last()


def test_half_again_as_bad_is_told_again(told: Told) -> None:
    """Measured against the worst that was told, not against yesterday: small steps add up."""
    for day, effect in enumerate([2.0, 2.6, 2.9, 3.0, 3.0, 4.4, 2.0, 4.5]):
        told.tell(told.alert("drift", day, effect=effect))
    worse = "Please decide: m drifts, and it gets worse"
    assert told.posted == ["Please decide: m drifts", worse, worse]
    assert "4.5 times the allowed distance from the reference, 3 when it was told" in told.last()


def test_more_columns_are_told_again_others_are_not(told: Told) -> None:
    """A column more is news; one in place of another is the noise at a threshold."""
    for day, whats in enumerate(["a", "b", "ab", "bc", "ac", "abc", "abc"]):
        told.tell(told.alert("drift", day, whats=list(whats)))
    assert len(told.posted) == 3
    assert "new: b" in json.dumps(told.messages[1])
    assert "new: c" in told.last()


def test_kinds_channels_and_rows_are_incidents_of_their_own(told: Told) -> None:
    """Another kind, and the same kind after a clean window, are told."""
    told.tell(told.alert("drift", 0))
    told.tell(told.alert("performance", 0))
    told.tell(told.alert("drift", 1, over=True))
    told.tell(told.alert("drift", 2, first=2))
    assert len(told.posted) == 4


def test_a_window_that_is_out_of_bounds_again_after_all_opens_it_again(told: Told) -> None:
    """Corrected labels: the window that ended the incident joins it. People think it is over."""
    told.tell(told.alert("performance", 0))
    told.tell(told.alert("performance", 1, over=True))
    told.tell(told.alert("performance", 1, revision=1))
    told.tell(told.alert("performance", 2, over=True))
    assert [header.split(": ")[0] for header in told.posted] == [
        *("Act now", "For your information", "Act now", "For your information"),
    ]


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_in_any_order_nothing_is_lost_and_nothing_doubled(order: tuple[int, ...]) -> None:
    """Two windows and the end, in any order: each is told at once or is in the digest, and what
    asks for something is never told after the news that it is over."""
    told = Told()
    events = [told.alert("drift", 0), told.alert("drift", 1), told.alert("drift", 2, over=True)]
    for at in order:
        told.tell(events[at])
    at_once = list(told.posted)
    assert at_once.count("Please decide: m drifts") <= 1
    assert at_once.count("For your information: m no longer drifts") == 1
    assert at_once[-1] == "For your information: m no longer drifts"
    told.digest()
    body = documents.require(told.lake, paths.digest_plan("2026-01-05"))
    assert len(body["told"]) == 3 - len(at_once)


def test_the_same_answer_to_an_incident_is_news_once(told: Told) -> None:
    """Each window asks the retrain guard again; people hear of the first answer and of others."""
    told.tell(told.alert("drift", 0))
    for day in range(3):
        told.tell(told.note("drift", day))
    told.tell(told.note("drift", 3, asks="decide"))
    told.tell(told.note("drift", 4, answer="training"))
    told.tell(told.note("drift", 5, answer="training"))
    assert len(told.posted) == 4
    told.digest()
    assert "note about day 2." in told.last()


def test_an_answer_that_comes_before_its_alert_is_told(told: Told) -> None:
    """Two topics' worth of disorder: neither is lost."""
    told.tell(told.note("drift", 0))
    told.tell(told.alert("drift", 0))
    assert len(told.posted) == 2


def test_a_day_of_act_now_without_an_end_is_reminded_of_once(told: Told) -> None:
    """Not of what only asks for a decision, not twice, and not of what is over."""
    told.tell(told.alert("performance", 0))
    told.tell(told.alert("data_quality", 0))
    told.tell(told.alert("drift", 0))
    told.tell(told.alert("data_quality", 1, over=True))
    told.clock.advance(23 * 3600)
    assert told.remind() == 0
    told.clock.advance(3600)
    assert (told.remind(), told.remind()) == (1, 0)
    assert told.posted[4:] == ["Act now: m performs worse, still"]
    assert "told first: 2026-01-05 00:00 UTC" in told.last()
    told.clock.advance(86400 * 3)
    assert told.remind() == 0


def test_a_reminder_waits_while_it_is_muted_or_slack_is_down(told: Told) -> None:
    """Both only put it off."""
    told.tell(told.alert("performance", 0))
    told.mute(lasts=2 * DAY)
    told.clock.advance(86400 + 60)
    assert told.remind() == 0
    told.clock.advance(86400)
    told.cloud.messenger.failing = True
    with pytest.raises(Retryable):
        told.remind()
    told.cloud.messenger.failing = False
    assert told.remind() == 1
    assert told.posted[1:] == ["Act now: m performs worse, still"]


def test_two_alerts_of_an_incident_at_once_are_told_once(told: Told) -> None:
    """The document is changed by compare-and-swap: who loses looks again."""
    other = told.alert("drift", 1)
    read = documents.read

    def meanwhile(*args: Any, **kwargs: Any) -> Any:
        found = read(*args, **kwargs)
        with pytest.MonkeyPatch.context() as calm:
            calm.setattr(documents, "read", read)
            incidents.weigh(other, muted=False, now=told.clock.now(), lake=told.lake)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "read", meanwhile)  # a race that needs its moment
        turn = incidents.weigh(
            told.alert("drift", 0), muted=False, now=told.clock.now(), lake=told.lake
        )
    assert turn.word == "same"
    assert told.tell(other) == "posted"


def test_documents_of_other_versions_are_read(told: Told) -> None:
    """Without what came later, and with what is not known here."""
    told.tell(told.alert("drift", 0))
    name = paths.alert("m", "m-batch-drift-0")
    body = documents.require(told.lake, name) | {"later": 1}
    del body["answers"]
    told.lake.write(name, documents.dumps(body))
    told.tell(told.alert("drift", 1))
    told.tell(told.alert("drift", 2, over=True))
    assert len(told.posted) == 2
    assert Alarm.from_json({"breach": True, "firing": True, "later": 1}) == Alarm(True, True)
