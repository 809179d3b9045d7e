"""Slack messages: one golden file per kind of event, posted once, escaped, retried.

After an intended change: `python -m tests.unit.test_notify` writes the golden files again.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.docs.alert_examples import DRIFT, EXAMPLES, FIRST_PROMOTED, RUN, WHERE, messages
from shared import decoding, events
from shared.adapters.memory import FixedClock, MemoryCloud
from shared.errors import Retryable
from shared.events import Event, MonitorAlert
from shared.telling.blocks import message
from shared.telling.draft import Where
from shared.telling.drafts import DRAFTS
from shared.usecases.notify import notify
from shared.usecases.posting import Notify
from tests.support.crashing import Crash, Fuse
from tests.support.system import memory_cloud

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "slack"


def ports_of(cloud: MemoryCloud, **more: Any) -> Notify:
    given = {"lake": cloud.lake, "channels": {"slack": cloud.messenger}, "clock": cloud.clock}
    return Notify(**{**given, "claim_seconds": 90, "context": "local", **more})


@pytest.mark.parametrize("name", messages())
def test_each_kind_has_its_golden_message(name: str) -> None:
    """What people read changes only on purpose."""
    expected = json.loads((GOLDEN / f"{name}.json").read_text())
    assert messages()[name] == expected


@pytest.mark.parametrize("name", messages())
def test_slack_sdk_forms_what_we_do(name: str) -> None:
    """Slack's own library finds no limit broken, and changes nothing."""
    from slack_sdk.models.blocks import Block

    blocks = messages()[name]["blocks"]
    assert [block.to_dict() for block in Block.parse_all(blocks)] == blocks


def test_every_event_that_notify_takes_has_a_golden_message() -> None:
    """No kind is formatted untested."""
    covered = {cls for event in EXAMPLES for cls in type(event).__mro__}
    assert set(DRAFTS) <= covered
    assert {cls for cls in decoding.TYPES.values() if issubclass(cls, MonitorAlert)} <= covered


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.type)
def test_messages_keep_to_slacks_limits_whatever_comes(event: Event) -> None:
    """Texts of any length and content: block sizes are kept and nothing can mention a channel."""
    nasty = "<!channel> & <https://evil.example|here> " * 400
    fields = {
        name: nasty
        for name in ("sentence", "message", "reason", "subject", "source")
        if hasattr(event, name)
    }
    made = message(replace(event, **fields), Where("lake", "local"))
    assert len(made["blocks"]) <= 50
    header, *others = made["blocks"]
    assert len(header["text"]["text"]) <= 150  # plain text: Slack reads no mentions there
    assert "<!channel>" not in json.dumps([made["text"], others])
    for block in others:
        fields = block.get("fields", [])
        assert len(fields) <= 10
        assert all(0 < len(field["text"]) <= 2000 for field in fields)
        text = block.get("text") or [*block.get("elements", []), *fields][0]
        assert 0 < len(text["text"]) <= 3000


def test_commands_name_the_context_unless_it_is_local() -> None:
    """A copied command speaks to the installation that the message came from."""
    assert "--context production" in json.dumps(message(DRIFT, WHERE))
    assert "--context" not in json.dumps(message(DRIFT, Where("lake", "local")))


def test_a_first_version_offers_nothing_to_go_back_to() -> None:
    """Nothing served before it, and nothing serves after a first version that was declined."""
    assert "previous version back" not in json.dumps(message(FIRST_PROMOTED, WHERE))
    declined = events.ModelNotPromoted(
        model="m", run_id=RUN, version=RUN, by="policy", sentence="Too weak.", serves=False
    )
    assert "Nothing serves yet" in json.dumps(message(declined, WHERE))


def test_an_event_is_posted_once() -> None:
    """Duplicates, also of the same event published twice with different times, post nothing."""
    cloud = memory_cloud(FixedClock())
    assert notify(DRIFT, ports_of(cloud)) == "posted"
    assert notify(replace(DRIFT), ports_of(cloud)) == "told before"
    assert len(cloud.messenger.posted) == 1
    assert notify(replace(DRIFT, revision=1), ports_of(cloud)) == "kept for the digest"
    assert len(cloud.messenger.posted) == 1


def test_a_service_that_is_down_is_tried_again() -> None:
    """Retryable comes out, and the next delivery posts without waiting for the claim to expire."""
    cloud = memory_cloud(FixedClock())
    cloud.messenger.failing = True
    for _ in range(3):
        with pytest.raises(Retryable):
            notify(DRIFT, ports_of(cloud))
    cloud.messenger.failing = False
    assert notify(DRIFT, ports_of(cloud)) == "posted"


def test_without_a_channel_nothing_is_posted_and_nothing_waits() -> None:
    """No webhook is a supported choice."""
    cloud = memory_cloud(FixedClock())
    assert notify(DRIFT, ports_of(cloud, channels={})) == "no channel is configured"
    assert cloud.messenger.posted == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_doubles_a_message_at_most(after: bool) -> None:
    """Kill notify at every port call: after the redelivery the message is there, twice only when
    the crash came between the post and its record, and then both are the same."""
    at = 0
    while True:
        fuse = Fuse(at, after=after)
        cloud = memory_cloud(clock := FixedClock())
        ports = ports_of(
            cloud,
            lake=fuse.wrap("lake", cloud.lake),
            channels={"slack": fuse.wrap("messenger", cloud.messenger)},
        )
        try:
            notify(DRIFT, ports)
        except Crash:
            clock.advance(91)
            notify(DRIFT, ports)
        if not fuse.blown:
            break
        posted = cloud.messenger.posted
        assert 1 <= len(posted) <= 2
        assert all(item == posted[0] for item in posted)
        at += 1
    assert at >= 3


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for kind, made in messages().items():
        text = json.dumps(made, indent=1, ensure_ascii=False)
        (GOLDEN / f"{kind}.json").write_text(text + "\n")
