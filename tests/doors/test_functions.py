"""Every small function's door on golden event bodies: what is acknowledged, what comes again."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from shared import documents
from shared.errors import ServiceUnavailable
from tests.support.system import CSV, EVERY_FUNCTION, SPEC, System


def _push(data: bytes, **attributes: str) -> dict[str, Any]:
    """A raw Pub/Sub push, as the service sends it."""
    return {
        "message": {
            "data": base64.b64encode(data).decode(),
            "attributes": attributes,
            "messageId": "4711",
            "message_id": "4711",
            "publishTime": "2026-01-05T09:00:00.123Z",
            "publish_time": "2026-01-05T09:00:00.123Z",
        },
        "subscription": "projects/local/subscriptions/intake-uploads",
        "deliveryAttempt": 1,
    }


MALFORMED = {
    "not json": b"<html>",
    "not an object": b"[1, 2]",
    "no message": b"{}",
    "data not base64": json.dumps({"message": {"data": "%%%"}}).encode(),
    "data not json": json.dumps(_push(b"hello")).encode(),
    "no publish time": json.dumps({"message": {"data": "e30="}}).encode(),
    "attributes not an object": json.dumps({"message": {"data": "e30=", "attributes": 3}}).encode(),
    "not utf-8": b"\xff\xfe",
    "empty": b"",
}


@pytest.mark.parametrize("case", list(MALFORMED))
@pytest.mark.parametrize("function", EVERY_FUNCTION)
def test_a_malformed_body_is_kept_and_acknowledged(function: str, case: str) -> None:
    """A body that can never work is parked with its reason, said once, and not sent again."""
    system = System(functions=EVERY_FUNCTION)
    reply = system.post(function, MALFORMED[case])
    assert reply == ("", 204)
    (info,) = system.lake.list("rejections/")
    kept = documents.require(system.lake, info.name)
    assert kept["reason"] == "MalformedMessage"
    assert kept["body"] == MALFORMED[case].decode("utf-8", "replace")
    (note,) = system.published("AutomationNoted")
    assert kept["message"] in note["sentence"]


@pytest.mark.parametrize("function", ["launch", "promote", "mirror", "sweep"])
def test_an_unknown_message_type_is_kept_and_acknowledged(function: str) -> None:
    """A type that is none of ours, or not this function's, is parked with the known names."""
    system = System()
    for kind in ("Nonsense", "WindowDue"):
        body = {
            "type": kind,
            "model": "m",
            "channel": "batch",
            "window_start": "2026-01-01T00:00:00Z",
            "window_end": "2026-01-02T00:00:00Z",
        }
        raw = json.dumps(_push(json.dumps(body).encode(), type=kind)).encode()
        assert system.post(function, raw) == ("", 204)
    reasons = {documents.require(system.lake, i.name)["reason"] for i in system.lake.list("rej")}
    assert reasons == {"UnknownMessageType"}


def test_a_message_lacking_a_field_is_malformed() -> None:
    """A known type with a missing or mistyped field is refused by name of the field."""
    system = System()
    for body in ({"model": "m"}, {"model": "m", "run_id": 7}):
        raw = json.dumps(_push(json.dumps(body).encode(), type="TrainingRequested")).encode()
        assert system.post("launch", raw) == ("", 204)
    messages = [documents.require(system.lake, i.name)["message"] for i in system.lake.list("rej")]
    assert all("run_id" in message for message in messages)


def test_a_storage_cloud_event_is_understood_too() -> None:
    """The same upload as a binary CloudEvent of Cloud Storage starts the same run."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    system.drain()
    info = system.cloud.inbox.write("m/train/a.csv", CSV)
    body = {
        "bucket": "inbox",
        "name": info.name,
        "generation": str(info.generation),
        "size": str(info.size_bytes),
        "md5Hash": info.md5,
        "crc32c": info.crc32c,
        "timeCreated": "2026-01-05T09:00:00Z",
    }
    headers = {
        "ce-id": "1",
        "ce-type": "google.cloud.storage.object.v1.finalized",
        "ce-time": "2026-01-05T09:00:00Z",
    }
    assert system.post("intake", json.dumps(body).encode(), headers=headers) == ("", 204)
    assert system.state(f"gs://inbox/m/train/a.csv#{info.generation}") == "requested"


def test_a_service_that_is_down_brings_the_message_back() -> None:
    """An outside fault answers 503 without a word of its text, and the retry does the work."""

    class Down:
        def publish(self, topic: str, data: bytes, attributes: object) -> str:
            raise ServiceUnavailable("secret detail")

    system = System(lambda name, port: Down() if name == "publisher" else port)
    system.drop("_specs/m.yaml", SPEC)
    source = system.drop("m/train/a.csv", CSV)
    system.drain()
    info = system.inbox.stat("m/train/a.csv")
    event = {
        "bucket": "inbox",
        "name": info.name,
        "generation": str(info.generation),
        "size": str(info.size_bytes),
        "timeCreated": "2026-01-05T09:00:00Z",
    }
    raw = json.dumps(_push(json.dumps(event).encode(), eventType="OBJECT_FINALIZE")).encode()
    assert system.post("intake", raw) == ("", 503)
    system.fresh_doors()
    system.drain(advance=True)
    assert system.state(source) == "running"


def test_a_dead_letter_is_parked_and_said_but_not_for_notify() -> None:
    """What could not be delivered lies in the lake with its body; notify's own is silent."""
    system = System()
    for function in ("intake", "notify"):
        attributes = {
            "type": "SweepDue",
            "CloudPubSubDeadLetterSourceSubscription": f"millrace-{function}-uploads",
            "CloudPubSubDeadLetterSourceDeliveryCount": "20",
        }
        body = _push(b'{"type": "SweepDue"}', **attributes)
        body["message"]["messageId"] = function
        assert system.post("deadletter", json.dumps(body).encode()) == ("", 204)
    names = [info.name for info in system.lake.list("dead-letters/")]
    assert [name.split("/")[1] for name in names] == ["intake", "notify"]
    parked = documents.require(system.lake, names[0])
    assert parked["body"] == {"type": "SweepDue"}
    assert parked["attributes"] == {"type": "SweepDue"}
    (note,) = system.published("AutomationNoted")
    assert names[0] in note["sentence"]
