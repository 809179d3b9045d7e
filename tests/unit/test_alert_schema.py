"""The schema of the topic `alerts` is what is published there, now and by older versions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from infra.docs.alert_examples import DRIFT, EXAMPLES, name_of
from infra.docs.alert_schema import FIELDS, FILE, alert_types, render, schema
from shared.adapters.memory import FixedClock
from shared.decoding import decode
from shared.events import Event, encode

ALERTS = [event for event in EXAMPLES if event.topic == "alerts"]
CHECK = Draft202012Validator(schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)


def body_of(event: Event) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(encode(event, FixedClock().now()))
    return body


def test_the_file_is_current() -> None:
    """Run `make schema` after changing an alert."""
    assert FILE.read_text(encoding="utf-8") == render()


def test_every_alert_has_an_example_and_every_field_a_meaning() -> None:
    """Other consumers of the topic can rely on the page; what was taken out is gone from it."""
    assert {type(event) for event in ALERTS} == set(alert_types())
    used = {name for part in schema()["$defs"].values() for name in part["properties"]}
    assert used == set(FIELDS)


@pytest.mark.parametrize("event", ALERTS, ids=name_of)
def test_what_is_published_fits_and_comes_back(event: Event) -> None:
    """Every example is valid, and is read again as it was."""
    body = body_of(event)
    CHECK.validate(body)
    assert decode(body) == event


def test_what_does_not_fit_is_found() -> None:
    """A word that is none of `asks`, a field that is missing, another type."""
    good = body_of(DRIFT)
    for bad in (
        {**good, "asks": "shout"},
        {**good, "type": "SomethingElse"},
        {name: value for name, value in good.items() if name != "model"},
    ):
        assert not CHECK.is_valid(bad)


def test_alerts_of_older_versions_are_read() -> None:
    """Messages that were waiting while a newer version was deployed: without what came later."""
    later = ("opened_by", "since", "effect", "findings", "asks", "incident", "kind", "answer")
    for event in ALERTS:
        kept = ("asks",) if event.type not in ("DataRejected", "AutomationNoted") else ()
        body = {
            name: value
            for name, value in body_of(event).items()
            if name not in later or name in kept
        }
        CHECK.validate(body)
        assert decode(body).id == event.id
    assert DRIFT.incident != DRIFT.incident_id
