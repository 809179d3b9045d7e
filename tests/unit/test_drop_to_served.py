"""The line that says how long it took from a drop to a served version, and its metric."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from infra.bundle import REPOSITORY
from shared.uploads import uploaded_at
from shared.usecases.promoted import SECONDS
from tests.support.system import CSV, SPEC, System
from tests.support.working import ALWAYS, everything, repeat, trained


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What promote logged about trainings since the last look."""
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in found if line.get("type") == "TrainingCompleted" and "action" in line]


def test_it_counts_from_the_drop_to_the_move(capsys: pytest.CaptureFixture[str]) -> None:
    """Waiting, training and deciding count; the message that comes again says the same seconds."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    system.drain()
    source = system.drop("m/train/a.csv", CSV)
    system.clock.advance(40)
    system.drain()
    system.clock.advance(80)
    system.train()
    system.drain()
    version = system.claim(source)["run_id"]
    system.clock.advance(500)
    repeat(system, version)
    first, again = told(capsys)
    for line in (first, again):
        about = {name: line[name] for name in ("function", "model", "version", "action", SECONDS)}
        assert about == {
            "function": "promote",
            "model": "m",
            "version": version,
            "action": "promoted",
            SECONDS: 120.0,
        }


def test_people_take_the_time_they_like(capsys: pytest.CaptureFixture[str]) -> None:
    """What a person decided, or will, has no such number."""
    system = everything()
    version = trained(system, ALWAYS)
    system.decide(model="m", version=version, action="approve")
    repeat(system, version)
    lines = told(capsys)
    assert {line["action"] for line in lines} >= {"asked", "promoted"}
    assert not any(SECONDS in line for line in lines)


def test_generations_are_moments() -> None:
    """As Cloud Storage makes them; another number is none."""
    at = uploaded_at("gs://inbox/m/train/a.csv#1767603600123456")
    assert at is not None
    assert at.isoformat() == "2026-01-05T09:00:00.123456+00:00"
    for source in (
        "gs://inbox/a.csv#17",
        "gs://inbox/a#b.csv",
        "",
        "gs://inbox/a.csv#9" + "9" * 30,
    ):
        assert uploaded_at(source) is None


def test_the_metric_is_made_of_the_line() -> None:
    """Terraform reads the fields that the line has, of the function that writes it."""
    text = (REPOSITORY / "infra" / "terraform" / "slo.tf").read_text(encoding="utf-8")
    assert set(re.findall(r"jsonPayload\.(\w+)", text)) == {SECONDS}
    assert 'service_name = \\"promote\\"' in text
